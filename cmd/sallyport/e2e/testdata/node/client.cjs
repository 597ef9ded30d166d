// Takes the AWS SDK for JavaScript through an S3 service: checksums in trailers,
// uploads in parts, signed URLs and forms.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { Readable } = require("node:stream");
const s3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { createPresignedPost } = require("@aws-sdk/s3-presigned-post");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const { ENDPOINT, REGION, ACCESS, SECRET, CA, VIRTUAL } = process.env;
const Bucket = "sdk-js-home";
const MiB = 1 << 20;

// Bucket names in hosts are in no DNS: every host is this machine.
const lookup = (host, options, done) =>
  options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);
const agent = CA
  ? new https.Agent({ ca: fs.readFileSync(CA), lookup, keepAlive: true })
  : new http.Agent({ lookup, keepAlive: true });

const settings = {
  endpoint: ENDPOINT,
  region: REGION,
  forcePathStyle: VIRTUAL !== "true",
  credentials: { accessKeyId: ACCESS, secretAccessKey: SECRET },
  requestHandler: CA ? { httpsAgent: agent } : { httpAgent: agent },
  maxAttempts: 1,
};
const client = new s3.S3Client(settings);
// By default the SDK signs the checksum of no bytes into the URL of a PUT.
const presigner = new s3.S3Client({ ...settings, requestChecksumCalculation: "WHEN_REQUIRED" });

const call = (name, input) => client.send(new s3[name + "Command"]({ Bucket, ...input }));
const noise = (seed, size) => {
  const cipher = crypto.createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(size));
};
const read = async (Key, input) => {
  const out = await call("GetObject", { Key, ...input });
  return { ...out, bytes: Buffer.from(await out.Body.transformToByteArray()) };
};
const same = (got, want) => assert.ok(got.equals(want), `${got.length} bytes came back for ${want.length}, or others`);
const refused = async (name, promise) => {
  try {
    await promise;
  } catch (e) {
    assert.equal(e.name, name, `${e}, want ${name}`);
    return e;
  }
  assert.fail(`it succeeded, want ${name}`);
};

// web makes a request as any HTTP client would.
const web = (method, url, headers = {}, body) =>
  new Promise((resolve, reject) => {
    const request = (CA ? https : http).request(url, { method, headers, agent }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
    });
    request.on("error", reject);
    request.end(body);
  });

async function buckets() {
  await call("CreateBucket", REGION === "us-east-1" ? {} : { CreateBucketConfiguration: { LocationConstraint: REGION } });
  const all = await call("ListBuckets", {});
  assert.deepEqual(all.Buckets.map((b) => b.Name), [Bucket]);
  await refused("NotFound", call("HeadBucket", { Bucket: "sdk-js-none" }));
}

async function objects() {
  const data = noise(1, 100_001);
  for (const ChecksumAlgorithm of [undefined, "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
    for (const size of [0, data.length]) {
      const Key = `a key +%ü/${ChecksumAlgorithm}/${size}`;
      await call("PutObject", { Key, Body: data.subarray(0, size), ChecksumAlgorithm, ContentType: "image/x-door", Metadata: { author: "ann" } });
      // The SDK compares the checksum that comes with the body.
      const got = await read(Key, { ChecksumMode: "ENABLED" });
      same(got.bytes, data.subarray(0, size));
      assert.equal(got.ContentType, "image/x-door");
      assert.deepEqual(got.Metadata, { author: "ann" });
      assert.ok(got["Checksum" + (ChecksumAlgorithm ?? "CRC32")], `${Key}: no checksum came back`);
    }
  }
  // A stream whose checksum is known only at its end.
  await call("PutObject", { Key: "stream", Body: Readable.from([data]), ContentLength: data.length });
  same((await read("stream")).bytes, data);
  same((await read("stream", { Range: "bytes=5-9" })).bytes, data.subarray(5, 10));
  await refused("NoSuchKey", read("never"));
  await refused("NotFound", call("HeadObject", { Key: "never" }));
  await refused("InvalidRange", read("stream", { Range: "bytes=200000-" }));
  await refused("PreconditionFailed", call("PutObject", { Key: "stream", Body: "x", IfNoneMatch: "*" }));
}

async function uploads() {
  const data = noise(2, 17 * MiB + 1);
  for (const [Key, Body] of [["buffer", data], ["streamed", Readable.from([data.subarray(0, 9 * MiB), data.subarray(9 * MiB)])]]) {
    const upload = new Upload({ client, params: { Bucket, Key, Body, Metadata: { author: "ann" } }, partSize: 5 * MiB, queueSize: 3 });
    const done = await upload.done();
    assert.match(done.ETag, /^"[0-9a-f]{32}-4"$/);
    const got = await read(Key);
    same(got.bytes, data);
    assert.deepEqual(got.Metadata, { author: "ann" });
  }
  const stopped = new Upload({ client, params: { Bucket, Key: "stopped", Body: data }, partSize: 5 * MiB, queueSize: 1 });
  stopped.on("httpUploadProgress", () => stopped.abort());
  await refused("AbortError", stopped.done());
  await refused("NoSuchKey", read("stopped"));
  for (const left of (await call("ListMultipartUploads", {})).Uploads ?? []) {
    // lib-storage may be about to do the same.
    await call("AbortMultipartUpload", { Key: left.Key, UploadId: left.UploadId }).catch((e) => assert.equal(e.name, "NoSuchUpload"));
  }
  assert.equal((await call("ListMultipartUploads", {})).Uploads, undefined);

  await call("CopyObject", { Key: "copied ü", CopySource: `${Bucket}/buffer` });
  same((await read("copied ü")).bytes, data);
  same((await read("buffer", { PartNumber: 2 })).bytes, data.subarray(5 * MiB, 10 * MiB));
  const facts = await call("GetObjectAttributes", { Key: "buffer", ObjectAttributes: ["ObjectParts", "ObjectSize", "ETag", "Checksum"] });
  assert.deepEqual([facts.ObjectSize, facts.ObjectParts.TotalPartsCount], [data.length, 4]);
}

async function lists() {
  const keys = ["a b/1", "a b/2 2", "c+d/3&3", "é%/4"].map((k) => "list/" + k);
  for (const Key of keys) await call("PutObject", { Key, Body: "x" });
  const found = [];
  for await (const page of s3.paginateListObjectsV2({ client, pageSize: 3 }, { Bucket, Prefix: "list/" })) {
    found.push(...page.Contents.map((o) => o.Key));
  }
  assert.deepEqual(found, keys);
  const page = await call("ListObjectsV2", { Prefix: "list/", Delimiter: "/" });
  assert.deepEqual(page.CommonPrefixes.map((p) => p.Prefix), ["list/a b/", "list/c+d/", "list/é%/"]);
  const gone = await call("DeleteObjects", { Delete: { Objects: keys.map((Key) => ({ Key })) } });
  assert.equal(gone.Deleted.length, keys.length);
}

async function signedURLs() {
  const data = noise(3, 100_001);
  const put = async (by) => {
    const url = await getSignedUrl(by, new s3.PutObjectCommand({ Bucket, Key: "sent ü", ContentType: "image/x-door" }), { expiresIn: 300 });
    return web("PUT", url, { "Content-Type": "image/x-door", "Content-Length": data.length }, data);
  };
  const sent = await put(presigner);
  assert.equal(sent.status, 200, sent.body.toString());
  const empty = await put(client);
  assert.match(empty.body.toString(), /<Code>BadDigest<.*CRC32/);
  const get = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key: "sent ü" }), { expiresIn: 300 });
  const got = await web("GET", get);
  assert.equal(got.status, 200, got.body.toString());
  same(got.body, data);
  assert.equal((await web("GET", get.replace("X-Amz-Expires=300", "X-Amz-Expires=600"))).status, 403);
}

async function forms() {
  const { url, fields } = await createPresignedPost(client, {
    Bucket,
    Key: "forms/${filename}",
    Fields: { success_action_status: "201" },
    Conditions: [["content-length-range", 10, 1000], ["eq", "$success_action_status", "201"]],
    Expires: 300,
  });
  const send = async (size) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", new Blob([noise(4, size)]), "door.bin");
    const encoded = new Response(form);
    return web("POST", url, { "Content-Type": encoded.headers.get("content-type") }, Buffer.from(await encoded.arrayBuffer()));
  };
  const sent = await send(100);
  assert.equal(sent.status, 201, sent.body.toString());
  same((await read("forms/door.bin")).bytes, noise(4, 100));
  assert.match((await send(9)).body.toString(), /EntityTooSmall/);
  assert.match((await send(1001)).body.toString(), /EntityTooLarge/);
}

async function versions() {
  await call("PutBucketVersioning", { VersioningConfiguration: { Status: "Enabled" } });
  const ids = [];
  for (const Body of ["one", "two"]) ids.push((await call("PutObject", { Key: "v", Body })).VersionId);
  const gone = await call("DeleteObject", { Key: "v" });
  assert.equal(gone.DeleteMarker, true);
  assert.equal((await read("v", { VersionId: ids[0] })).bytes.toString(), "one");
  const listed = await call("ListObjectVersions", { Prefix: "v" });
  assert.deepEqual(listed.Versions.map((v) => v.VersionId), ids.toReversed());
  assert.equal(listed.DeleteMarkers.length, 1);
}

async function clear() {
  await refused("BucketNotEmpty", call("DeleteBucket", {}));
  for (let more = true, at = {}; more; ) {
    const page = await call("ListObjectVersions", { MaxKeys: 10, ...at });
    const all = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
    await call("DeleteObjects", { Delete: { Objects: all.map(({ Key, VersionId }) => ({ Key, VersionId })), Quiet: true } });
    more = page.IsTruncated;
    at = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
  }
  await call("DeleteBucket", {});
}

(async () => {
  for (const step of [buckets, objects, uploads, lists, signedURLs, forms, versions, clear]) await step();
  agent.destroy();
  console.log("done on Node", process.version);
})().catch((e) => {
  console.error(e, e.$response?.statusCode, e.$response?.headers);
  process.exit(1);
});
