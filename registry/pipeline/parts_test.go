package pipeline_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

// full is a part that need not be the last.
var full = bytes.Repeat([]byte("0123456789abcdef"), registry.MinPartSize/16)

func (r *rig) multipart(bucket registry.BucketName, key string) registry.Multipart {
	r.tb.Helper()
	m, err := r.CreateMultipart(r.ctx(), admin, registry.NewMultipart{
		Bucket: bucket, Key: key, Kept: registry.Kept{ContentType: "text/plain"}})
	if err != nil {
		r.tb.Fatal(err)
	}
	return m
}

func refOf(m registry.Multipart) pipeline.MultipartRef {
	return pipeline.MultipartRef{Bucket: m.Bucket, Key: m.Key, ID: m.ID}
}

func partOf(m registry.Multipart, number int, data []byte) pipeline.PartRequest {
	return pipeline.PartRequest{
		MultipartRef: refOf(m), Number: number, Declared: pipeline.Declared{Length: int64(len(data))}}
}

// putPart admits and stores a part, as one request does.
func (r *rig) putPart(req pipeline.PartRequest, data []byte) (registry.Part, error) {
	t, err := r.AdmitPart(r.ctx(), admin, req)
	if err != nil {
		return registry.Part{}, err
	}
	return r.PutPart(r.ctx(), t, bodyOf(data))
}

func (r *rig) mustPutPart(m registry.Multipart, number int, data []byte) registry.Part {
	r.tb.Helper()
	p, err := r.putPart(partOf(m, number, data), data)
	if err != nil {
		r.tb.Fatal(err)
	}
	return p
}

// completion lists the parts.
func completion(m registry.Multipart, parts ...registry.Part) registry.Completion {
	c := registry.Completion{Multipart: m.ID, Bucket: m.Bucket, Key: m.Key, Size: -1}
	for _, p := range parts {
		c.Parts = append(c.Parts, registry.ListedPart{Number: p.Number, ETag: p.ETag})
	}
	return c
}

// readKey returns the bytes that are published under a key.
func (r *rig) readKey(bucket registry.BucketName, key string) ([]byte, error) {
	f, err := r.FindVersion(r.ctx(), admin, bucket, key, "")
	if err != nil {
		return nil, err
	}
	return readAll(f.Open(r.ctx(), 0, -1, nil))
}

func TestAdmitPartRefusals(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.Limits = policy.Defaults(); c.Limits.MaxSize = 1000 })
	r.bucket("photos")
	m := r.multipart("photos", "k")
	other := r.multipart("photos", "over")
	if err := r.AbortMultipart(t.Context(), admin, refOf(other)); err != nil {
		t.Fatal(err)
	}
	hashed, err := r.CreateMultipart(t.Context(), admin, registry.NewMultipart{
		Bucket: "photos", Key: "k", ChecksumAlgorithm: "crc32c", ChecksumType: registry.Composite})
	if err != nil {
		t.Fatal(err)
	}
	ok := partOf(m, 1, text)
	with := func(change func(*pipeline.PartRequest)) pipeline.PartRequest {
		req := ok
		change(&req)
		return req
	}
	uploader, reader := r.user("una", registry.RoleUploader), r.user("rob", registry.RoleReader)
	for _, c := range []struct {
		name  string
		actor registry.Actor
		req   pipeline.PartRequest
		want  error
	}{
		{"reader", reader, with(func(q *pipeline.PartRequest) { q.Bucket = "nowhere" }), policy.ErrForbidden},
		{"bucket", admin, with(func(q *pipeline.PartRequest) { q.Bucket = "nowhere" }), registry.ErrNotFound},
		{"key", admin, with(func(q *pipeline.PartRequest) { q.Key = "other" }), registry.ErrNoUpload},
		{"no id", admin, with(func(q *pipeline.PartRequest) { q.ID = "" }), registry.ErrNoUpload},
		{"unknown id", admin, with(func(q *pipeline.PartRequest) { q.ID = "mpu_01ARZ3NDEKTSV4RRFFQ69G5FAV" }), registry.ErrNoUpload},
		{"aborted", admin, partOf(other, 1, text), registry.ErrNoUpload},
		{"another's", uploader, ok, policy.ErrForbidden},
		{"number 0", admin, with(func(q *pipeline.PartRequest) { q.Number = 0 }), pipeline.ErrPartNumber},
		{"number 10001", admin, with(func(q *pipeline.PartRequest) { q.Number = 10001 }), pipeline.ErrPartNumber},
		{"no length", admin, with(func(q *pipeline.PartRequest) { q.Declared.Length = -1 }), pipeline.ErrMissingLength},
		{"too large", admin, with(func(q *pipeline.PartRequest) { q.Declared.Length = 1001 }), policy.ErrSizeNotAllowed},
		{"digest", admin, with(func(q *pipeline.PartRequest) { q.Declared.ContentMD5 = "x" }), pipeline.ErrInvalidDigest},
		{"another checksum", admin, pipeline.PartRequest{MultipartRef: refOf(hashed), Number: 1, Declared: pipeline.Declared{
			Length: 1, Checksums: map[string]string{"crc32": "AAAAAA=="}}}, pipeline.ErrChecksumAlgorithm},
		{"fine", admin, ok, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := r.AdmitPart(t.Context(), c.actor, c.req); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestPartsOfOnesOwn(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	una := r.user("una", registry.RoleUploader)
	m, err := r.CreateMultipart(t.Context(), una, registry.NewMultipart{Bucket: "photos", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := r.AdmitPart(t.Context(), una, partOf(m, 1, text))
	if err != nil {
		t.Fatal(err)
	}
	part, err := r.PutPart(t.Context(), ticket, bodyOf(text))
	if err != nil {
		t.Fatal(err)
	}
	rob := r.user("rob", registry.RoleReader)
	for name, try := range map[string]func() error{
		"complete": func() error { _, err := r.Complete(t.Context(), rob, completion(m, part)); return err },
		"abort":    func() error { return r.AbortMultipart(t.Context(), rob, refOf(m)) },
		"parts":    func() error { _, err := r.Parts(t.Context(), rob, refOf(m), 0, 10); return err },
		"uploads": func() error {
			_, err := r.Multiparts(t.Context(), rob, "photos", registry.MultipartsQuery{Max: 1})
			return err
		},
		"create": func() error {
			_, err := r.CreateMultipart(t.Context(), rob, registry.NewMultipart{Bucket: "photos", Key: "k"})
			return err
		},
	} {
		if err := try(); !errors.Is(err, policy.ErrForbidden) {
			t.Errorf("%s as a reader: %v, want ErrForbidden", name, err)
		}
	}
	if list, err := r.Parts(t.Context(), una, refOf(m), 0, 10); err != nil || len(list.Parts) != 1 || list.More || list.Upload.ID != m.ID {
		t.Errorf("parts %+v, %v", list, err)
	}
	if _, err := r.Complete(t.Context(), una, completion(m, part)); err != nil {
		t.Error(err)
	}
}

func TestPartChecksumIsComputedWhereTheUploadHasOne(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	for _, algorithm := range pipeline.Checksums() {
		t.Run(algorithm, func(t *testing.T) {
			kind := registry.Composite
			if algorithm == "crc64nvme" {
				kind = registry.FullObject
			}
			m, err := r.CreateMultipart(t.Context(), admin, registry.NewMultipart{
				Bucket: "photos", Key: "k", ChecksumAlgorithm: algorithm, ChecksumType: kind})
			if err != nil {
				t.Fatal(err)
			}
			p := r.mustPutPart(m, 1, text)
			h := pipeline.Checksum(algorithm)
			h.Write(text)
			want := base64.StdEncoding.EncodeToString(h.Sum(nil))
			if len(p.Checksums) != 1 || p.Checksums[algorithm] != want {
				t.Errorf("checksums of the part %v, want %s", p.Checksums, want)
			}
			sum := md5.Sum(text)
			if p.ETag != hex.EncodeToString(sum[:]) || p.SHA256 != hexSHA256(text) {
				t.Errorf("part %+v", p)
			}
			if err := r.AbortMultipart(t.Context(), admin, refOf(m)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFailedPartsLeaveNothing(t *testing.T) {
	for name, c := range map[string]struct {
		declared pipeline.Declared
		body     []byte
		want     error
	}{
		"short":  {pipeline.Declared{Length: int64(len(text)) + 1}, text, pipeline.ErrIncompleteBody},
		"long":   {pipeline.Declared{Length: int64(len(text)) - 1}, text, pipeline.ErrTooLong},
		"digest": {pipeline.Declared{Length: int64(len(text)), ContentMD5: "AAAAAAAAAAAAAAAAAAAAAA=="}, text, pipeline.ErrBadDigest},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.bucket("photos")
			m := r.multipart("photos", "k")
			_, err := r.putPart(pipeline.PartRequest{MultipartRef: refOf(m), Number: 1, Declared: c.declared}, c.body)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if list, err := r.Parts(t.Context(), admin, refOf(m), 0, 10); err != nil || len(list.Parts) > 0 {
				t.Errorf("parts %+v, %v", list, err)
			}
		})
	}
}

func TestAbortCutsPartsUnderWay(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	m, bystander := r.multipart("photos", "k"), r.multipart("photos", "k")
	start := func(m registry.Multipart) (*stall, <-chan error) {
		ticket, err := r.AdmitPart(t.Context(), admin, partOf(m, 1, text))
		if err != nil {
			t.Fatal(err)
		}
		body, ended := stalling(text[:3]), make(chan error, 1)
		go func() {
			_, err := r.PutPart(context.WithoutCancel(t.Context()), ticket, body)
			ended <- err
		}()
		await(t, "part", body.waiting)
		return body, ended
	}
	_, cut := start(m)
	other, rest := start(bystander)
	if err := r.AbortMultipart(t.Context(), admin, refOf(m)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-cut:
		if !errors.Is(err, pipeline.ErrCut) {
			t.Errorf("part of the aborted upload: %v, want ErrCut", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the abort did not end the part")
	}
	select {
	case err := <-rest:
		t.Errorf("part of another upload ended: %v", err)
	default:
	}
	other.Interrupt()
	if err := <-rest; err == nil {
		t.Error("an interrupted part succeeded")
	}
	if err := r.AbortMultipart(t.Context(), admin, refOf(m)); !errors.Is(err, registry.ErrNoUpload) {
		t.Errorf("second abort: %v, want ErrNoUpload", err)
	}
}

func TestPresignedPutsOfASingleUseBucket(t *testing.T) {
	once := registry.OneUse{Hash: string(bytes.Repeat([]byte{7}, 32)), Expires: time.Now().Add(time.Hour)}
	put := func(r *rig, bucket registry.BucketName) (admit, store error) {
		ticket, err := r.AdmitObject(r.ctx(), admin, pipeline.ObjectRequest{
			Bucket: bucket, Key: "k", OneUse: once, Declared: pipeline.Declared{Length: int64(len(text))}})
		if err != nil {
			return err, nil
		}
		_, err = r.PutObject(r.ctx(), ticket, bodyOf(text))
		return nil, err
	}
	r := newRig(t)
	r.bucket("open")
	if err := r.PutProfile(t.Context(), admin, registry.Bucket{Name: "once", Intake: registry.IntakeDirect, SingleUse: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if admit, store := put(r, "open"); admit != nil || store != nil {
			t.Errorf("bucket without the rule: %v, %v", admit, store)
		}
	}
	// Two are admitted before either has stored anything.
	var tickets []*pipeline.ObjectTicket
	for range 2 {
		ticket, err := r.AdmitObject(t.Context(), admin, pipeline.ObjectRequest{
			Bucket: "once", Key: "k", OneUse: once, Declared: pipeline.Declared{Length: int64(len(text))}})
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	if _, err := r.PutObject(t.Context(), tickets[0], bodyOf(text)); err != nil {
		t.Error(err)
	}
	if _, err := r.PutObject(t.Context(), tickets[1], bodyOf(text)); !errors.Is(err, registry.ErrURLUsed) {
		t.Errorf("second use: %v, want ErrURLUsed", err)
	}
	puts := r.blobs.Calls(blobtest.Put)
	if admit, _ := put(r, "once"); !errors.Is(admit, registry.ErrURLUsed) || r.blobs.Calls(blobtest.Put) != puts {
		t.Errorf("third use: %v, want ErrURLUsed before a byte is read", admit)
	}
	m := r.multipart("once", "p")
	req := partOf(m, 1, text)
	req.OneUse = registry.OneUse{Hash: string(bytes.Repeat([]byte{8}, 32)), Expires: once.Expires}
	if _, err := r.putPart(req, text); err != nil {
		t.Error(err)
	}
	if _, err := r.putPart(req, text); !errors.Is(err, registry.ErrURLUsed) {
		t.Errorf("second use for a part: %v, want ErrURLUsed", err)
	}
	clone := copyTo("once", "copy")
	clone.Source = pipeline.Source{Bucket: "once", Key: "k"}
	clone.OneUse = registry.OneUse{Hash: string(bytes.Repeat([]byte{9}, 32)), Expires: once.Expires}
	if _, err := r.Copy(t.Context(), admin, clone); err != nil {
		t.Error(err)
	}
	if _, err := r.Copy(t.Context(), admin, clone); !errors.Is(err, registry.ErrURLUsed) {
		t.Errorf("second use for a copy: %v, want ErrURLUsed", err)
	}
	part := pipeline.PartCopyRequest{
		MultipartRef: refOf(m), Number: 2, Source: clone.Source, Length: -1,
		OneUse: registry.OneUse{Hash: string(bytes.Repeat([]byte{10}, 32)), Expires: once.Expires},
	}
	if _, _, err := r.CopyPart(t.Context(), admin, part); err != nil {
		t.Error(err)
	}
	if _, _, err := r.CopyPart(t.Context(), admin, part); !errors.Is(err, registry.ErrURLUsed) {
		t.Errorf("second use for a copied part: %v, want ErrURLUsed", err)
	}
}
