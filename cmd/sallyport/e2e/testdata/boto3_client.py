"""Takes boto3 through an S3 service: transfers in parts, copies, signed URLs and forms."""

import hashlib
import io
import os
import random
import time
import urllib.parse

import boto3
import botocore
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, region, ca, tunnel = (os.environ[n] for n in ("ENDPOINT", "REGION", "CA", "TUNNEL"))
virtual = os.environ["VIRTUAL"] == "true"
BUCKET = "boto3-home"
MIB = 1 << 20
PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)

if ca:
    web = urllib3.ProxyManager(tunnel, ca_certs=ca)
else:
    web = urllib3.PoolManager()


def client(**config):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=os.environ["ACCESS"],
        aws_secret_access_key=os.environ["SECRET"],
        verify=ca or None,
        config=Config(
            signature_version="s3v4",
            retries={"max_attempts": 0},
            proxies={"https": tunnel} if tunnel else None,
            s3={"addressing_style": "virtual" if virtual else "path", **config},
        ),
    )


def refused(code, call, **parameters):
    try:
        call(**parameters)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, f"{e}, want {code}"
        return e.response
    raise AssertionError(f"{call} succeeded, want {code}")


def get(key, **parameters):
    return s3.get_object(Bucket=BUCKET, Key=key, **parameters)


def noise(seed, size):
    return b"\0" + random.Random(seed).randbytes(size - 1)


def buckets():
    location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=BUCKET, **location)
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == [BUCKET]
    s3.head_bucket(Bucket=BUCKET)
    refused("404", s3.head_bucket, Bucket="boto3-none")


def objects():
    data = noise(1, 100_001)
    for payload in (True, False):
        put = client(payload_signing_enabled=payload).put_object(
            Bucket=BUCKET, Key="a key +%ü.bin", Body=data, ContentType="image/x-door", Metadata={"author": "ann"}
        )
        assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"', put["ETag"]
    head = s3.head_object(Bucket=BUCKET, Key="a key +%ü.bin")
    assert (head["ContentType"], head["Metadata"], head["ContentLength"]) == ("image/x-door", {"author": "ann"}, len(data)), head
    assert get("a key +%ü.bin")["Body"].read() == data
    assert get("a key +%ü.bin", Range="bytes=5-9")["Body"].read() == data[5:10]
    refused("InvalidRange", get, key="a key +%ü.bin", Range="bytes=200000-")
    refused("NoSuchKey", get, key="never")
    refused("404", s3.head_object, Bucket=BUCKET, Key="never")
    refused("304", get, key="a key +%ü.bin", IfNoneMatch=head["ETag"])
    refused("PreconditionFailed", get, key="a key +%ü.bin", IfMatch='"x"')
    s3.put_object(Bucket=BUCKET, Key="checked", Body=data, ChecksumAlgorithm="SHA256")
    assert get("checked", ChecksumMode="ENABLED")["ChecksumSHA256"], "no checksum came back"


def transfers():
    data = noise(2, 17 * MIB + 1)
    s3.upload_fileobj(io.BytesIO(data), BUCKET, "large.bin", ExtraArgs={"Metadata": {"author": "ann"}}, Config=PARTS)
    head = s3.head_object(Bucket=BUCKET, Key="large.bin")
    digests = b"".join(hashlib.md5(data[i : i + 5 * MIB]).digest() for i in range(0, len(data), 5 * MIB))
    assert head["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-4"', head["ETag"]
    back = io.BytesIO()
    s3.download_fileobj(BUCKET, "large.bin", back, Config=PARTS)
    assert back.getvalue() == data, "other bytes came back"
    # In parts, for it is above the threshold; then whole.
    s3.copy({"Bucket": BUCKET, "Key": "large.bin"}, BUCKET, "copied.bin", Config=PARTS)
    s3.copy_object(Bucket=BUCKET, Key="whole.bin", CopySource={"Bucket": BUCKET, "Key": "large.bin"})
    for key in ("copied.bin", "whole.bin"):
        assert get(key)["Body"].read() == data, key
    assert s3.head_object(Bucket=BUCKET, Key="whole.bin")["Metadata"] == {"author": "ann"}
    assert get("large.bin", PartNumber=2)["Body"].read() == data[5 * MIB : 10 * MIB]


def uploads():
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="by hand")["UploadId"]
    this = {"Bucket": BUCKET, "Key": "by hand", "UploadId": upload}
    small = s3.upload_part(**this, PartNumber=1, Body=b"too small")["ETag"]
    last = s3.upload_part(**this, PartNumber=2, Body=b"last")["ETag"]
    parts = [{"PartNumber": 1, "ETag": small}, {"PartNumber": 2, "ETag": last}]
    refused("EntityTooSmall", s3.complete_multipart_upload, **this, MultipartUpload={"Parts": parts})
    refused("MalformedXML", s3.complete_multipart_upload, **this, MultipartUpload={"Parts": []})
    assert [p["Size"] for p in s3.list_parts(**this)["Parts"]] == [9, 4]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [upload]
    s3.abort_multipart_upload(**this)
    refused("NoSuchUpload", s3.list_parts, **this)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def lists():
    keys = sorted(f"list/{folder}/{name}" for folder in ("a b", "c+d", "é%") for name in ("1", "2 2", "3&3"))
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    for call in ("list_objects", "list_objects_v2"):
        pages = s3.get_paginator(call).paginate(Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": 2})
        found = [o["Key"] for page in pages for o in page.get("Contents", [])]
        assert found == keys, (call, found)
        page = getattr(s3, call)(Bucket=BUCKET, Prefix="list/", Delimiter="/")
        assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["list/a b/", "list/c+d/", "list/é%/"], page
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="list/", MaxKeys=9)["IsTruncated"] is False
    gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": k} for k in keys], "Quiet": True})
    assert "Deleted" not in gone and "Errors" not in gone, gone


def signed_urls():
    data = noise(3, 100_001)
    put = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "sent ü.bin"}, ExpiresIn=300)
    answer = web.request("PUT", put, body=data)
    assert answer.status == 200, answer.data
    fetch = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "sent ü.bin"}, ExpiresIn=300)
    answer = web.request("GET", fetch)
    assert (answer.status, answer.data) == (200, data)
    assert web.request("GET", fetch[:-4] + "0000").status == 403
    soon = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "sent ü.bin"}, ExpiresIn=1)
    deadline = time.monotonic() + 20
    while (status := web.request("GET", soon).status) == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert status == 403, status


def forms():
    form = s3.generate_presigned_post(
        BUCKET,
        "forms/${filename}",
        Fields={"success_action_status": "201", "Content-Type": "image/x-door", "x-amz-meta-author": "ann"},
        Conditions=[
            {"success_action_status": "201"},
            ["starts-with", "$Content-Type", "image/"],
            {"x-amz-meta-author": "ann"},
            ["content-length-range", 10, 1000],
        ],
        ExpiresIn=300,
    )

    def send(size, **changed):
        fields = {**form["fields"], **changed, "file": ("door.bin", noise(4, size))}
        return web.request("POST", form["url"], fields=fields)

    answer = send(100)
    assert answer.status == 201 and b"<PostResponse" in answer.data, (answer.status, answer.data)
    assert urllib.parse.unquote(answer.headers["Location"]).endswith("forms/door.bin"), answer.headers
    stored = get("forms/door.bin")
    assert (stored["Body"].read(), stored["ContentType"], stored["Metadata"]) == (noise(4, 100), "image/x-door", {"author": "ann"}), stored
    for changed, size, status, code in (
        ({}, 9, 400, b"EntityTooSmall"),
        ({}, 1001, 400, b"EntityTooLarge"),
        ({"Content-Type": "text/html"}, 100, 403, b"AccessDenied"),
        ({"key": "elsewhere/a"}, 100, 403, b"AccessDenied"),
        ({"x-amz-meta-author": "bob"}, 100, 403, b"AccessDenied"),
        ({"x-amz-signature": "0" * 64}, 100, 403, b"SignatureDoesNotMatch"),
    ):
        answer = send(size, **changed)
        assert answer.status == status and code in answer.data, (changed, size, answer.status, answer.data)


def versions():
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=BUCKET, Key="v", Body=b"%d" % i)["VersionId"] for i in range(3)]
    assert s3.delete_object(Bucket=BUCKET, Key="v")["DeleteMarker"] is True
    response = refused("NoSuchKey", get, key="v")
    assert response["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true", response
    assert get("v", VersionId=ids[0])["Body"].read() == b"0"
    listed = s3.list_object_versions(Bucket=BUCKET, Prefix="v")
    assert [v["VersionId"] for v in listed["Versions"]] == ids[::-1], listed
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    assert s3.put_object(Bucket=BUCKET, Key="v", Body=b"null").get("VersionId", "null") == "null"
    assert get("v")["Body"].read() == b"null"


def clear():
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=BUCKET)
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        everything = page.get("Versions", []) + page.get("DeleteMarkers", [])
        names = [{"Key": o["Key"], "VersionId": o["VersionId"]} for o in everything]
        if names:
            out = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": names})
            assert len(out["Deleted"]) == len(names), out
    s3.delete_bucket(Bucket=BUCKET)


s3 = client()
for step in (buckets, objects, transfers, uploads, lists, signed_urls, forms, versions, clear):
    step()
print("done with boto3", boto3.__version__, "botocore", botocore.__version__)
