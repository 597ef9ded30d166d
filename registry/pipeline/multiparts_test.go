package pipeline_test

import (
	"bytes"
	"errors"
	"testing"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

func TestCompleteMovesNoBytes(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	m := r.multipart("photos", "k")
	second := r.mustPutPart(m, 7, text)
	dropped := r.mustPutPart(m, 9, text)
	first := r.mustPutPart(m, 2, full)
	puts, moves, opens := r.blobs.Calls(blobtest.Put), r.blobs.Calls(blobtest.Move), r.blobs.Calls(blobtest.Open)
	o, err := r.Complete(t.Context(), admin, completion(m, first, second))
	if err != nil {
		t.Fatal(err)
	}
	if r.blobs.Calls(blobtest.Put) != puts || r.blobs.Calls(blobtest.Move) != moves {
		t.Error("completing wrote bytes")
	}
	if n := r.blobs.Calls(blobtest.Open) - opens; n != 1 {
		t.Errorf("completing opened %d blobs; the head is in the first", n)
	}
	if o.State != registry.ObjectPublished || o.ID != m.Object() || o.DetectedType != "text/plain; charset=utf-8" || o.Verdict == nil {
		t.Errorf("object %+v", o)
	}
	want := append(bytes.Clone(full), text...)
	if got, err := r.readKey("photos", "k"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	f, err := r.FindVersion(t.Context(), admin, "photos", "k", "")
	if err != nil {
		t.Fatal(err)
	}
	for number, span := range map[int][2]int64{1: {0, int64(len(full))}, 2: {int64(len(full)), int64(len(text))}} {
		off, n, parts, err := f.PartSpan(t.Context(), number)
		if off != span[0] || n != span[1] || parts != 2 || err != nil {
			t.Errorf("part %d: %d+%d of %d, %v", number, off, n, parts, err)
		}
	}
	for _, number := range []int{-1, 0, 3, 7} {
		if _, _, _, err := f.PartSpan(t.Context(), number); !errors.Is(err, pipeline.ErrPartNumber) {
			t.Errorf("part %d: %v, want ErrPartNumber", number, err)
		}
	}
	// Again is the same, and after it nothing can be added.
	again, err := r.Complete(t.Context(), admin, completion(m, first, second))
	if err != nil || again.ID != o.ID || again.ETag != o.ETag {
		t.Errorf("repeat: %+v, %v", again, err)
	}
	if _, err := r.putPart(partOf(m, 3, text), text); !errors.Is(err, registry.ErrNoUpload) {
		t.Errorf("part after completion: %v, want ErrNoUpload", err)
	}
	if _, err := r.Complete(t.Context(), admin, completion(m, dropped)); !errors.Is(err, registry.ErrNoUpload) {
		t.Errorf("another completion: %v, want ErrNoUpload", err)
	}
}

func TestSinglePutsHaveOnePart(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	f, err := r.FindVersion(t.Context(), admin, "photos", "k", "")
	if err != nil {
		t.Fatal(err)
	}
	if off, n, parts, err := f.PartSpan(t.Context(), 1); off != 0 || n != int64(len(text)) || parts != 1 || err != nil {
		t.Errorf("part 1: %d+%d of %d, %v", off, n, parts, err)
	}
	if _, _, _, err := f.PartSpan(t.Context(), 2); !errors.Is(err, pipeline.ErrPartNumber) {
		t.Errorf("part 2: %v, want ErrPartNumber", err)
	}
	if parts, err := f.Parts(t.Context()); err != nil || len(parts) != 0 {
		t.Errorf("parts %v, %v", parts, err)
	}
}

func TestCompleteRefusals(t *testing.T) {
	r := newRig(t)
	pictures := registry.Bucket{Name: "pictures", Intake: registry.IntakeDirect, AllowedTypes: []string{"image/png"}}
	small := registry.Bucket{Name: "small", Intake: registry.IntakeDirect, MaxSize: int64(len(full))}
	for _, b := range []registry.Bucket{pictures, small} {
		if err := r.PutProfile(t.Context(), admin, b); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("content", func(t *testing.T) {
		m, err := r.CreateMultipart(t.Context(), admin, registry.NewMultipart{
			Bucket: "pictures", Key: "k", Kept: registry.Kept{ContentType: "image/png"}})
		if err != nil {
			t.Fatal(err)
		}
		p := r.mustPutPart(m, 1, text)
		if _, err := r.Complete(t.Context(), admin, completion(m, p)); !errors.Is(err, policy.ErrTypeNotAllowed) {
			t.Errorf("text as a picture: %v, want ErrTypeNotAllowed", err)
		}
	})
	t.Run("type", func(t *testing.T) {
		_, err := r.CreateMultipart(t.Context(), admin, registry.NewMultipart{
			Bucket: "pictures", Key: "k", Kept: registry.Kept{ContentType: "text/plain"}})
		if !errors.Is(err, policy.ErrTypeNotAllowed) {
			t.Errorf("got %v, want ErrTypeNotAllowed", err)
		}
	})
	t.Run("size", func(t *testing.T) {
		m := r.multipart("small", "k")
		a, b := r.mustPutPart(m, 1, full), r.mustPutPart(m, 2, text)
		if _, err := r.Complete(t.Context(), admin, completion(m, a, b)); !errors.Is(err, policy.ErrSizeNotAllowed) {
			t.Errorf("got %v, want ErrSizeNotAllowed", err)
		}
		if _, err := r.Complete(t.Context(), admin, completion(m, a)); err != nil {
			t.Errorf("what the bucket takes: %v", err)
		}
	})
	t.Run("condition", func(t *testing.T) {
		m := r.multipart("small", "k")
		c := completion(m, r.mustPutPart(m, 1, text))
		c.Conditions.IfNoneMatch = "*"
		if _, err := r.Complete(t.Context(), admin, c); !errors.Is(err, registry.ErrPrecondition) {
			t.Errorf("got %v, want ErrPrecondition", err)
		}
	})
}

func TestCompleteWaitsForItsScanWhereTheBucketSaysSo(t *testing.T) {
	for name, change := range map[string]func(*pipeline.Config){
		"quarantine":       func(*pipeline.Config) {},
		"scanner required": func(c *pipeline.Config) { c.ScannerRequired = true },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change)
			bucket := registry.BucketName("photos")
			if name == "quarantine" {
				bucket = registry.DefaultBucket
			} else {
				r.bucket(bucket)
			}
			woken := 0
			r.OnQueued(func() { woken++ })
			m := r.multipart(bucket, "k")
			o, err := r.Complete(t.Context(), admin, completion(m, r.mustPutPart(m, 1, full), r.mustPutPart(m, 2, text)))
			if err != nil || o.State != registry.ObjectQuarantined || woken != 1 {
				t.Fatalf("object %+v, %v; worker woken %d times", o, err, woken)
			}
			var waits *pipeline.WaitingError
			_, err = r.FindVersion(t.Context(), admin, bucket, "k", "")
			if !errors.As(err, &waits) || waits.State != registry.ObjectQuarantined || !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("before the scan: %v, want a WaitingError", err)
			}
			r.scan()
			if got, err := r.readKey(bucket, "k"); err != nil || len(got) != len(full)+len(text) {
				t.Errorf("after the scan: %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestMultipartsAreListed(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	a, b := r.multipart("photos", "a"), r.multipart("photos", "b")
	page, err := r.Multiparts(t.Context(), admin, "photos", registry.MultipartsQuery{Max: 10})
	if err != nil || len(page.Uploads) != 2 || page.Uploads[0].ID != a.ID || page.Uploads[1].ID != b.ID {
		t.Errorf("uploads %+v, %v", page, err)
	}
	if err := r.AbortMultipart(t.Context(), admin, refOf(a)); err != nil {
		t.Error(err)
	}
	if page, err = r.Multiparts(t.Context(), admin, "photos", registry.MultipartsQuery{Max: 10}); err != nil || len(page.Uploads) != 1 {
		t.Errorf("after an abort: %+v, %v", page, err)
	}
	if _, err := r.Parts(t.Context(), admin, refOf(a), 0, 10); !errors.Is(err, registry.ErrNoUpload) {
		t.Errorf("parts of an aborted upload: %v, want ErrNoUpload", err)
	}
}
