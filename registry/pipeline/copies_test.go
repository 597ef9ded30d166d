package pipeline_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

func copyTo(bucket registry.BucketName, key string) pipeline.CopyRequest {
	return pipeline.CopyRequest{Source: pipeline.Source{Bucket: "photos", Key: "k"}, Bucket: bucket, Key: key}
}

func TestCopyMovesNoBytes(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	ticket, err := r.AdmitObject(t.Context(), admin, pipeline.ObjectRequest{
		Bucket: "photos", Key: "k", Declared: pipeline.Declared{Length: int64(len(text)), ContentType: "text/plain"},
		Kept: registry.Kept{Metadata: map[string]string{"a": "b"}, Headers: map[string]string{"Expires": "never"}, Tags: map[string]string{"t": "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	src, err := r.PutObject(t.Context(), ticket, bodyOf(text))
	if err != nil {
		t.Fatal(err)
	}
	calls := func() (n int) {
		for _, op := range []blobtest.Op{blobtest.Put, blobtest.Open, blobtest.Move} {
			n += r.blobs.Calls(op)
		}
		return n
	}
	before := calls()
	c, err := r.Copy(t.Context(), admin, copyTo("photos", "copy"))
	if err != nil {
		t.Fatal(err)
	}
	if n := calls() - before; n != 0 {
		t.Errorf("copying called the store %d times", n)
	}
	o := c.Object
	if o.State != registry.ObjectPublished || o.ID == src.ID || o.ETag != src.ETag || o.ContentType != "text/plain" ||
		o.Metadata["a"] != "b" || o.Headers["Expires"] != "never" || o.Tags["t"] != "1" || c.SourceVersion != "" {
		t.Errorf("copy %+v", c)
	}
	if o.Verdict == nil || !o.Verdict.At.Equal(src.Verdict.At) {
		t.Errorf("verdict %+v is not the source's", o.Verdict)
	}
	replaced := copyTo("photos", "other")
	replaced.ReplaceMetadata, replaced.ReplaceTags = true, true
	replaced.Kept = registry.Kept{ContentType: "text/html", Tags: map[string]string{"t": "2"}, StorageClass: "GLACIER"}
	if c, err = r.Copy(t.Context(), admin, replaced); err != nil {
		t.Fatal(err)
	}
	if o = c.Object; o.ContentType != "text/html" || len(o.Metadata) > 0 || len(o.Headers) > 0 || o.Tags["t"] != "2" || o.StorageClass != "GLACIER" {
		t.Errorf("copy with its own metadata %+v", o)
	}
	// The bytes stay for as long as anybody needs them.
	if err := r.deleteKeys("photos", "k", "copy"); err != nil {
		t.Error(err)
	}
	r.settled()
	if got, err := r.readKey("photos", "other"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestCopyComputesAChecksumOnlyWhenAsked(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	req := copyTo("photos", "copy")
	req.ChecksumAlgorithm = "crc64nvme"
	h := pipeline.Checksum(req.ChecksumAlgorithm)
	h.Write(text)
	want := base64.StdEncoding.EncodeToString(h.Sum(nil))
	for i, wantOpens := range []int{1, 0} {
		opens := r.blobs.Calls(blobtest.Open)
		c, err := r.Copy(t.Context(), admin, req)
		if err != nil || c.Object.Checksums["crc64nvme"] != want || c.Object.ChecksumType != registry.FullObject {
			t.Errorf("copy %d: %+v, %v", i, c.Object.Checksums, err)
		}
		if n := r.blobs.Calls(blobtest.Open) - opens; n != wantOpens {
			t.Errorf("copy %d opened %d blobs, want %d", i, n, wantOpens)
		}
		req.Source.Key = "copy" // has it
	}
	req.ChecksumAlgorithm = "crc128"
	if _, err := r.Copy(t.Context(), admin, req); !errors.Is(err, pipeline.ErrInvalidDigest) {
		t.Errorf("unknown checksum: %v, want ErrInvalidDigest", err)
	}
}

func TestCopyRefusals(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	for _, b := range []registry.Bucket{
		{Name: "pictures", Intake: registry.IntakeDirect, AllowedTypes: []string{"image/png"}},
		{Name: "small", Intake: registry.IntakeDirect, MaxSize: 3},
	} {
		if err := r.PutProfile(t.Context(), admin, b); err != nil {
			t.Fatal(err)
		}
	}
	src, err := r.putKey("photos", "k", text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.putKey(registry.DefaultBucket, "waits", text); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*pipeline.CopyRequest)) pipeline.CopyRequest {
		req := copyTo("photos", "copy")
		change(&req)
		return req
	}
	past, future := src.ModifiedAt.Add(-time.Hour), src.ModifiedAt.Add(time.Hour)
	una, rob := r.user("una", registry.RoleUploader), r.user("rob", registry.RoleReader)
	both := r.user("bea", registry.RoleReader, registry.RoleUploader)
	for _, c := range []struct {
		name   string
		actor  registry.Actor
		req    pipeline.CopyRequest
		want   error
		source bool
	}{
		{"uploader", una, copyTo("photos", "copy"), policy.ErrForbidden, false},
		{"reader", rob, copyTo("photos", "copy"), policy.ErrForbidden, false},
		{"locks", both, with(func(q *pipeline.CopyRequest) { q.Kept.LegalHold = true }), policy.ErrForbidden, false},
		{"locks without a lock", admin, with(func(q *pipeline.CopyRequest) { q.Kept.LegalHold = true }), registry.ErrConflict, false},
		{"bucket", admin, copyTo("nowhere", "copy"), registry.ErrNotFound, false},
		{"no key", admin, copyTo("photos", ""), policy.ErrInvalid, false},
		{"source key", admin, with(func(q *pipeline.CopyRequest) { q.Source.Key = "never" }), registry.ErrNotFound, true},
		{"source bucket", admin, with(func(q *pipeline.CopyRequest) { q.Source.Bucket = "nowhere" }), registry.ErrNotFound, true},
		{"source that waits", admin, with(func(q *pipeline.CopyRequest) {
			q.Source = pipeline.Source{Bucket: registry.DefaultBucket, Key: "waits"}
		}), registry.ErrNotFound, true},
		{"if-match", admin, with(func(q *pipeline.CopyRequest) { q.Source.IfMatch = "x" }), registry.ErrPrecondition, true},
		{"if-none-match", admin, with(func(q *pipeline.CopyRequest) { q.Source.IfNoneMatch = src.ETag }), registry.ErrPrecondition, true},
		{"if-none-match any", admin, with(func(q *pipeline.CopyRequest) { q.Source.IfNoneMatch = "*" }), registry.ErrPrecondition, true},
		{"if-modified-since", admin, with(func(q *pipeline.CopyRequest) { q.Source.IfModifiedSince = &future }), registry.ErrPrecondition, true},
		{"if-unmodified-since", admin, with(func(q *pipeline.CopyRequest) { q.Source.IfUnmodifiedSince = &past }), registry.ErrPrecondition, true},
		{"none matches, though modified", admin, with(func(q *pipeline.CopyRequest) {
			q.Source.IfNoneMatch, q.Source.IfModifiedSince = src.ETag, &past
		}), registry.ErrPrecondition, true},
		{"matches, though modified", both, with(func(q *pipeline.CopyRequest) {
			q.Source.IfMatch, q.Source.IfUnmodifiedSince = src.ETag, &past
		}), nil, false},
		{"destination", admin, with(func(q *pipeline.CopyRequest) { q.Key, q.Conditions.IfNoneMatch = "k", "*"; q.ReplaceTags = true }), registry.ErrPrecondition, false},
		{"itself", admin, copyTo("photos", "k"), pipeline.ErrSelfCopy, false},
		{"size", admin, copyTo("small", "copy"), policy.ErrSizeNotAllowed, false},
		{"type", admin, copyTo("pictures", "copy"), policy.ErrTypeNotAllowed, false},
		{"content", admin, with(func(q *pipeline.CopyRequest) {
			q.Bucket, q.ReplaceMetadata, q.Kept.ContentType = "pictures", true, "image/png"
		}), policy.ErrTypeNotAllowed, false},
		{"itself with new metadata", admin, with(func(q *pipeline.CopyRequest) { q.Key, q.ReplaceMetadata = "k", true }), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.Copy(t.Context(), c.actor, c.req)
			if !errors.Is(err, c.want) || errors.Is(err, pipeline.ErrSource) != c.source {
				t.Errorf("got %v, want %v (of the source: %t)", err, c.want, c.source)
			}
		})
	}
	if got, err := r.readKey("photos", "k"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("after all that: %q, %v", got, err)
	}
}

func TestIntakeOfTheDestinationDecidesOnACopy(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	woken := 0
	r.OnQueued(func() { woken++ })
	c, err := r.Copy(t.Context(), admin, copyTo(registry.DefaultBucket, "copy"))
	if err != nil || c.Object.State != registry.ObjectQuarantined || woken != 1 {
		t.Fatalf("copy %+v, %v; worker woken %d times", c, err, woken)
	}
	r.scan()
	if got, err := r.readKey(registry.DefaultBucket, "copy"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("read %q, %v", got, err)
	}
	// And back: what was published by a scan keeps that verdict.
	back := pipeline.CopyRequest{Source: pipeline.Source{Bucket: registry.DefaultBucket, Key: "copy"}, Bucket: "photos", Key: "back"}
	if c, err = r.Copy(t.Context(), admin, back); err != nil || c.Object.State != registry.ObjectPublished {
		t.Errorf("copy back %+v, %v", c, err)
	}
	required := newRig(t, func(c *pipeline.Config) { c.ScannerRequired = true })
	required.bucket("photos")
	if _, err := required.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	required.scan()
	if c, err = required.Copy(t.Context(), admin, copyTo("photos", "copy")); err != nil || c.Object.State != registry.ObjectQuarantined {
		t.Errorf("copy where a scanner is required: %+v, %v", c, err)
	}
}

// A URL stands for one object: when a copy takes its key's place, it ends.
func TestCopyCutsReadersByURLOfWhatItReplaces(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	old, err := r.putKey("photos", "copy", text)
	if err != nil {
		t.Fatal(err)
	}
	g, _, err := r.IssueGet(t.Context(), admin, old.ID, registry.Attachment, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.FindGrant(t.Context(), pipeline.GetRequest{Tenant: admin.Tenant, Object: old.ID, Grant: g.ID})
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan struct{})
	rd, err := f.Open(t.Context(), 0, -1, func() { close(cut) })
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	if _, err := r.Copy(t.Context(), admin, copyTo("photos", "copy")); err != nil {
		t.Fatal(err)
	}
	await(t, "reader by url", cut)
}

func TestWithdrawingCutsReadersOfCopies(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	src, err := r.putKey("photos", "k", text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Copy(t.Context(), admin, copyTo("photos", "copy")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.putKey("photos", "other", text); err != nil {
		t.Fatal(err)
	}
	cut := map[string]chan struct{}{}
	for _, key := range []string{"k", "copy", "other"} {
		f, err := r.FindVersion(t.Context(), admin, "photos", key, "")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		cut[key] = ended
		rd, err := f.Open(t.Context(), 0, -1, func() { close(ended) })
		if err != nil {
			t.Fatal(err)
		}
		defer rd.Close()
	}
	if _, err := r.Review(t.Context(), r.user("rob", registry.RoleReader), src.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "bad"}); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("a reader's review: %v, want ErrForbidden", err)
	}
	if _, err := r.Review(t.Context(), admin, src.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "bad"}); err != nil {
		t.Fatal(err)
	}
	await(t, "reader of the object", cut["k"])
	await(t, "reader of its copy", cut["copy"])
	select {
	case <-cut["other"]:
		t.Error("a reader of other bytes was cut")
	default:
	}
	if _, err := r.FindVersion(t.Context(), admin, "photos", "copy", ""); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("the copy of what was withdrawn: %v, want ErrNotFound", err)
	}
	if _, err := r.Review(t.Context(), admin, src.ID, registry.Ruling{Decision: registry.Release, Reason: "good"}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.readKey("photos", "k"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("released: %q, %v", got, err)
	}
}

func TestCopyPart(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	src, err := r.putKey("photos", "k", append(bytes.Clone(full), text...))
	if err != nil {
		t.Fatal(err)
	}
	m := r.multipart("photos", "assembled")
	req := pipeline.PartCopyRequest{MultipartRef: refOf(m), Number: 1, Source: pipeline.Source{Bucket: "photos", Key: "k"}, Length: -1}
	opens, puts := r.blobs.Calls(blobtest.Open), r.blobs.Calls(blobtest.Put)
	whole, version, err := r.CopyPart(t.Context(), admin, req)
	if err != nil || whole.ETag != src.ETag || whole.Size != src.Size || version != "" {
		t.Fatalf("part %+v, %q, %v", whole, version, err)
	}
	req.Number, req.Offset, req.Length = 2, int64(len(full))+4, 5 // "quick"
	ranged, _, err := r.CopyPart(t.Context(), admin, req)
	if err != nil || len(ranged.ETag) != 32 || ranged.Size != 5 {
		t.Fatalf("part %+v, %v", ranged, err)
	}
	if r.blobs.Calls(blobtest.Open) != opens || r.blobs.Calls(blobtest.Put) != puts {
		t.Error("copying parts touched the store")
	}
	if _, err := r.Complete(t.Context(), admin, completion(m, whole, ranged)); err != nil {
		t.Fatal(err)
	}
	if err := r.deleteKeys("photos", "k"); err != nil {
		t.Error(err)
	}
	r.settled()
	want := append(append(bytes.Clone(full), text...), "quick"...)
	if got, err := r.readKey("photos", "assembled"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

func TestCopyPartReadsForAChecksum(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	m, err := r.CreateMultipart(t.Context(), admin, registry.NewMultipart{
		Bucket: "photos", Key: "a", ChecksumAlgorithm: "crc32", ChecksumType: registry.FullObject})
	if err != nil {
		t.Fatal(err)
	}
	req := pipeline.PartCopyRequest{MultipartRef: refOf(m), Number: 1, Source: pipeline.Source{Bucket: "photos", Key: "k"}, Offset: 4, Length: 5}
	p, _, err := r.CopyPart(t.Context(), admin, req)
	if err != nil {
		t.Fatal(err)
	}
	h := pipeline.Checksum("crc32")
	h.Write(text[4:9])
	if want := base64.StdEncoding.EncodeToString(h.Sum(nil)); p.Checksums["crc32"] != want {
		t.Errorf("checksums %v, want %s", p.Checksums, want)
	}
}

func TestCopyPartRefusals(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	m := r.multipart("photos", "a")
	with := func(change func(*pipeline.PartCopyRequest)) pipeline.PartCopyRequest {
		req := pipeline.PartCopyRequest{MultipartRef: refOf(m), Number: 1, Source: pipeline.Source{Bucket: "photos", Key: "k"}, Length: -1}
		change(&req)
		return req
	}
	n := int64(len(text))
	for _, c := range []struct {
		name   string
		actor  registry.Actor
		req    pipeline.PartCopyRequest
		want   error
		source bool
	}{
		{"uploader", r.user("una", registry.RoleUploader), with(func(*pipeline.PartCopyRequest) {}), policy.ErrForbidden, false},
		{"upload", admin, with(func(q *pipeline.PartCopyRequest) { q.Key = "b" }), registry.ErrNoUpload, false},
		{"number", admin, with(func(q *pipeline.PartCopyRequest) { q.Number = 0 }), pipeline.ErrPartNumber, false},
		{"source", admin, with(func(q *pipeline.PartCopyRequest) { q.Source.Key = "never" }), registry.ErrNotFound, true},
		{"condition", admin, with(func(q *pipeline.PartCopyRequest) { q.Source.IfMatch = "x" }), registry.ErrPrecondition, true},
		{"range begins outside", admin, with(func(q *pipeline.PartCopyRequest) { q.Offset, q.Length = n+1, 0 }), pipeline.ErrRange, true},
		{"range ends outside", admin, with(func(q *pipeline.PartCopyRequest) { q.Offset, q.Length = 1, n }), pipeline.ErrRange, true},
		{"range before the beginning", admin, with(func(q *pipeline.PartCopyRequest) { q.Offset, q.Length = -1, 1 }), pipeline.ErrRange, true},
		{"all of it", admin, with(func(q *pipeline.PartCopyRequest) { q.Length = n }), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := r.CopyPart(t.Context(), c.actor, c.req)
			if !errors.Is(err, c.want) || errors.Is(err, pipeline.ErrSource) != c.source {
				t.Errorf("got %v, want %v (of the source: %t)", err, c.want, c.source)
			}
		})
	}
}
