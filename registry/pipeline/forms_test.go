package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

func form(key string) pipeline.FormRequest {
	return pipeline.FormRequest{Bucket: "photos", Key: key, Kept: registry.Kept{ContentType: "text/plain"}, MaxSize: 1 << 30}
}

func TestPutForm(t *testing.T) {
	spool := filepath.Join(t.TempDir(), "spool")
	r := newRig(t, func(c *pipeline.Config) { c.SpoolDir = spool })
	r.bucket("photos")
	for _, content := range [][]byte{nil, text, bytes.Repeat(text, 50_000)} {
		o, err := r.PutForm(t.Context(), admin, form("k"), bodyOf(content))
		if err != nil || o.State != registry.ObjectPublished || o.Size != int64(len(content)) || o.ContentType != "text/plain" {
			t.Fatalf("form of %d bytes: %+v, %v", len(content), o, err)
		}
		if got, err := r.readKey("photos", "k"); err != nil || !bytes.Equal(got, content) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
}

// counted counts the reads of a body.
type counted struct {
	io.Reader
	reads int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

func TestPutFormRefusals(t *testing.T) {
	spool := t.TempDir()
	free := uint64(1 << 40)
	r := newRig(t, func(c *pipeline.Config) {
		c.SpoolDir, c.SpoolFree = spool, func() (uint64, error) { return free, nil }
		c.Limits = policy.Defaults()
		c.Limits.MaxSize = 10_000
	})
	r.bucket("photos")
	failed := errors.New("the sender failed")
	for _, c := range []struct {
		name   string
		change func(*pipeline.FormRequest)
		body   pipeline.Body
		want   error
		early  bool // before the body is read
	}{
		{"bucket", func(q *pipeline.FormRequest) { q.Bucket = "nowhere" }, bodyOf(text), registry.ErrNotFound, true},
		{"key", func(q *pipeline.FormRequest) { q.Key = "" }, bodyOf(text), policy.ErrInvalid, true},
		{"digest", func(q *pipeline.FormRequest) { q.ContentMD5 = "x" }, bodyOf(text), pipeline.ErrInvalidDigest, true},
		{"locks", func(q *pipeline.FormRequest) { q.Kept.LegalHold = true }, bodyOf(text), registry.ErrConflict, true},
		{"no size fits", func(q *pipeline.FormRequest) { q.MinSize, q.MaxSize = 2, 1 }, bodyOf(text), pipeline.ErrTooLong, true},
		{"least is too large", func(q *pipeline.FormRequest) { q.MinSize = 10_001 }, bodyOf(text), policy.ErrSizeNotAllowed, true},
		{"too long", func(q *pipeline.FormRequest) { q.MaxSize = int64(len(text)) - 1 }, bodyOf(text), pipeline.ErrTooLong, false},
		{"too long for one put", func(*pipeline.FormRequest) {}, bodyOf(make([]byte, 10_001)), pipeline.ErrTooLong, false},
		{"too short", func(q *pipeline.FormRequest) { q.MinSize = int64(len(text)) + 1 }, bodyOf(text), pipeline.ErrTooShort, false},
		{"wrong digest", func(q *pipeline.FormRequest) { q.ContentMD5 = "AAAAAAAAAAAAAAAAAAAAAA==" }, bodyOf(text), pipeline.ErrBadDigest, false},
		{"sender", func(*pipeline.FormRequest) {}, bodyFrom(failing{failed}), failed, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := form("k")
			c.change(&req)
			source := &counted{Reader: c.body}
			if _, err := r.PutForm(t.Context(), admin, req, bodyFrom(source)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if early := source.reads == 0; early != c.early {
				t.Errorf("refused before the body was read: %t, want %t", early, c.early)
			}
		})
	}
	t.Run("room", func(t *testing.T) {
		free = 1 << 20
		body := bodyOf(text)
		if _, err := r.PutForm(t.Context(), admin, form("k"), body); !errors.Is(err, pipeline.ErrNoSpace) {
			t.Errorf("got %v, want ErrNoSpace", err)
		}
		free = 1 << 40
	})
	if _, err := r.FindVersion(t.Context(), admin, "photos", "k", ""); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("after refusals: %v, want ErrNotFound", err)
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
}

// A form reads one byte beyond its limit to know of it, and no more.
func TestPutFormStopsAtItsLimit(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.SpoolDir = t.TempDir() })
	r.bucket("photos")
	source := bytes.NewReader(make([]byte, 1<<20))
	req := form("k")
	req.MaxSize = 1000
	if _, err := r.PutForm(t.Context(), admin, req, bodyFrom(source)); !errors.Is(err, pipeline.ErrTooLong) {
		t.Errorf("got %v, want ErrTooLong", err)
	}
	if read := 1<<20 - source.Len(); read != 1001 {
		t.Errorf("read %d bytes of the body, want 1001", read)
	}
	if n := r.blobs.Calls(blobtest.Put); n != 0 {
		t.Errorf("the store was called %d times", n)
	}
}

func TestRevocationCutsAForm(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.SpoolDir = t.TempDir() })
	r.bucket("photos")
	una := r.user("una", registry.RoleUploader)
	body, ended := stalling(text), make(chan error, 1)
	go func() {
		_, err := r.PutForm(context.WithoutCancel(t.Context()), una, form("k"), body)
		ended <- err
	}()
	await(t, "form", body.waiting)
	if err := r.RevokeKey(t.Context(), admin, registry.AccessKeyID(una.Credential)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, pipeline.ErrCut) {
			t.Errorf("got %v, want ErrCut", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the form went on")
	}
}

func TestRecoverClearsTheSpool(t *testing.T) {
	spool := t.TempDir()
	r := newRig(t, func(c *pipeline.Config) { c.SpoolDir = spool })
	if err := os.WriteFile(filepath.Join(spool, "spool-left"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
}
