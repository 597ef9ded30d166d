package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/scanner/inspect"
)

var _ pipeline.Judge = (*scanner.Inline)(nil)

// bad is what the listener calls malware.
var bad = []byte("THIS-IS-BAD")

// listener is a malware engine that finds bad anywhere in what it reads, on its way
// or in the store.
type listener struct {
	streams, scans atomic.Int32
	also           []byte // malware, too; nil is none
	// before is what it does before it says anything; nil is nothing.
	before func(ctx context.Context, streamed bool) error
}

func (*listener) Name() string { return "listener" }

func (l *listener) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	l.scans.Add(1)
	r, err := in.Open(ctx)
	if err != nil {
		return scanner.Result{}, err
	}
	defer r.Close()
	return l.hear(ctx, r, false)
}

func (l *listener) Stream(ctx context.Context, r io.Reader, _ int64) (scanner.Result, error) {
	l.streams.Add(1)
	return l.hear(ctx, r, true)
}

func (l *listener) hear(ctx context.Context, r io.Reader, streamed bool) (scanner.Result, error) {
	if l.before != nil {
		if err := l.before(ctx, streamed); err != nil {
			return scanner.Result{}, err
		}
	}
	b, err := io.ReadAll(r)
	switch {
	case err != nil:
		return scanner.Result{}, err
	case bytes.Contains(b, bad), l.also != nil && bytes.Contains(b, l.also):
		return scanner.Result{Result: registry.VerdictInfected, Reason: "malware", Signature: "Bad"}, nil
	}
	return scanner.Result{Result: registry.VerdictClean}, nil
}

// inlineRig is a rig whose direct buckets scan inline with that engine.
func inlineRig(t *testing.T, e scanner.Engine, change ...func(*pipeline.Config)) *rig {
	t.Helper()
	cfg := scanner.PanelConfig{Inspect: []scanner.Engine{&inspect.Engine{}}, Now: time.Now, SpoolDir: t.TempDir()}
	if e != nil {
		cfg.Malware = []scanner.Engine{e}
	}
	panel := scanner.NewPanel(cfg)
	r := newRig(t, append(change, func(c *pipeline.Config) {
		c.Judge = scanner.NewInline(scanner.InlineConfig{Panel: panel})
	})...)
	r.worker = scanner.NewWorker(scanner.Config{Queue: r.Pipeline, Panel: panel, Now: r.now, Backoff: time.Nanosecond})
	r.bucket("photos")
	return r
}

// profile makes a direct bucket with rules.
func (r *rig) profile(name registry.BucketName, scan registry.ScanRules) {
	r.tb.Helper()
	b := registry.Bucket{Name: name, Intake: registry.IntakeDirect, Scan: scan}
	if err := r.PutProfile(r.ctx(), admin, b); err != nil {
		r.tb.Fatal(err)
	}
}

// writes are the ways to write an object to a bucket. Each makes it of clean content
// that ends in the tail.
var writes = map[string]func(r *rig, bucket registry.BucketName, key string, tail []byte) (registry.Object, error){
	"put": func(r *rig, bucket registry.BucketName, key string, tail []byte) (registry.Object, error) {
		return r.putKey(bucket, key, slicesOf(text, tail))
	},
	"form": func(r *rig, bucket registry.BucketName, key string, tail []byte) (registry.Object, error) {
		return r.PutForm(r.ctx(), admin, pipeline.FormRequest{
			Bucket: bucket, Key: key, MaxSize: 1000, Kept: registry.Kept{ContentType: "text/plain"}}, bodyOf(slicesOf(text, tail)))
	},
	"two parts": func(r *rig, bucket registry.BucketName, key string, tail []byte) (registry.Object, error) {
		m := r.multipart(bucket, key)
		cut := len(tail) / 2
		a := r.mustPutPart(m, 1, slicesOf(full, tail[:cut]))
		b := r.mustPutPart(m, 2, tail[cut:])
		return r.Complete(r.ctx(), admin, completion(m, a, b))
	},
	"two copied parts": func(r *rig, bucket registry.BucketName, key string, tail []byte) (registry.Object, error) {
		cut := len(tail) / 2
		m := r.multipart(bucket, key)
		var parts []registry.Part
		for i, data := range [][]byte{slicesOf(full, tail[:cut]), tail[cut:]} {
			source := "source " + string(rune('a'+i))
			if _, err := r.putKey("photos", source, data); err != nil {
				r.tb.Fatal(err) // each of them is clean
			}
			p, _, err := r.CopyPart(r.ctx(), admin, pipeline.PartCopyRequest{
				MultipartRef: refOf(m), Number: i + 1, Source: pipeline.Source{Bucket: "photos", Key: source}, Length: -1})
			if err != nil {
				r.tb.Fatal(err)
			}
			parts = append(parts, p)
		}
		return r.Complete(r.ctx(), admin, completion(m, parts...))
	},
	"copy": func(r *rig, bucket registry.BucketName, key string, tail []byte) (registry.Object, error) {
		r.profile("unscanned", registry.ScanRules{Mode: registry.ScanOff})
		if _, err := r.putKey("unscanned", "source", slicesOf(text, tail)); err != nil {
			r.tb.Fatal(err)
		}
		c, err := r.Copy(r.ctx(), admin, pipeline.CopyRequest{
			Source: pipeline.Source{Bucket: "unscanned", Key: "source"}, Bucket: bucket, Key: key})
		return c.Object, err
	},
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// Nothing of a write that is refused is left: the rig looks for it in the end.
func TestInlineRefusals(t *testing.T) {
	downNow := func(context.Context, bool) error { return scanner.ErrDown }
	broken := func(context.Context, bool) error { return errors.New("cannot say") }
	for name, c := range map[string]struct {
		engine scanner.Engine
		want   error
	}{
		"infected":   {&listener{}, pipeline.ErrInfected},
		"refused":    {says(registry.VerdictRefused, nil), pipeline.ErrRefused},
		"incomplete": {says(registry.VerdictIncomplete, nil), pipeline.ErrScanIncomplete},
		"down":       {&listener{before: downNow}, pipeline.ErrScanDown},
		"error":      {&listener{before: broken}, pipeline.ErrScanDown},
		"panic":      {&listener{before: func(context.Context, bool) error { panic("engine") }}, pipeline.ErrScanDown},
		"no result":  {says("fine", nil), pipeline.ErrScanDown},
	} {
		t.Run(name, func(t *testing.T) {
			for way, write := range writes {
				if way == "two copied parts" && c.want != pipeline.ErrInfected {
					continue // nothing can be written that could be copied
				}
				t.Run(way, func(t *testing.T) {
					r := inlineRig(t, c.engine)
					o, err := write(r, "photos", "k", bad)
					if !errors.Is(err, c.want) {
						t.Errorf("wrote %s with %v, want %v", o.State, err, c.want)
					}
					if _, err := r.FindVersion(t.Context(), admin, "photos", "k", ""); !errors.Is(err, registry.ErrNotFound) {
						t.Errorf("found: %v, want ErrNotFound", err)
					}
					if _, err := r.ledger.Waiting(t.Context(), admin.Tenant, "photos", "k"); !errors.Is(err, registry.ErrNotFound) {
						t.Errorf("waiting: %v, want ErrNotFound", err)
					}
				})
			}
		})
	}
}

func TestInlineWritesArePublishedWithTheEngine(t *testing.T) {
	for way, write := range writes {
		t.Run(way, func(t *testing.T) {
			l := &listener{}
			r := inlineRig(t, l)
			o, err := write(r, "photos", "k", []byte("a harmless end of it"))
			if err != nil {
				t.Fatal(err)
			}
			r.mustBe(o.ID, registry.ObjectPublished)
			if names := engineNames(o.Verdict); names != "inspect=clean listener=clean" {
				t.Errorf("judged by %s", names)
			}
			if o.DetectedType == "" || o.SHA256 == "" {
				t.Errorf("type %q, digest %q", o.DetectedType, o.SHA256)
			}
			if streamed := way == "put" || way == "form"; streamed && l.scans.Load() != 0 {
				t.Error("a body that was heard was read again")
			}
		})
	}
}

func engineNames(v *registry.Verdict) string {
	if v == nil {
		return "nobody"
	}
	var names []string
	for _, n := range v.Engines {
		names = append(names, n.Name+"="+n.Result)
	}
	return strings.Join(names, " ")
}

func TestABodyThatIsHeardIsNotReadAgain(t *testing.T) {
	l := &listener{}
	r := inlineRig(t, l)
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	if n := r.blobs.Calls(blobtest.Open); n != 0 || l.streams.Load() != 1 {
		t.Errorf("%d reads of the store, %d streams", n, l.streams.Load())
	}
}

// What is refused replaces nothing.
func TestAnInfectedWriteLeavesWhatWasThere(t *testing.T) {
	r := inlineRig(t, &listener{})
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Fatal(err)
	}
	if _, err := r.putKey("photos", "k", bad); !errors.Is(err, pipeline.ErrInfected) {
		t.Fatalf("got %v, want ErrInfected", err)
	}
	if got, err := r.readKey("photos", "k"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("read %q, %v", got, err)
	}
}

// An engine that stumbled over the stream is asked once more.
func TestAFailedStreamIsScannedFromTheStore(t *testing.T) {
	l := &listener{before: func(_ context.Context, streamed bool) error {
		if streamed {
			return errors.New("the session broke")
		}
		return nil
	}}
	r := inlineRig(t, l)
	if _, err := r.putKey("photos", "bad", bad); !errors.Is(err, pipeline.ErrInfected) {
		t.Errorf("got %v, want ErrInfected", err)
	}
	if _, err := r.putKey("photos", "good", text); err != nil {
		t.Error(err)
	}
	if l.streams.Load() != 2 || l.scans.Load() != 2 {
		t.Errorf("%d streams, %d scans", l.streams.Load(), l.scans.Load())
	}
}

// A body that does not come to its end is none that an engine may call clean.
func TestABodyThatEndsEarlyIsNoStream(t *testing.T) {
	heard := make(chan error, 1)
	l := &listener{}
	r := inlineRig(t, engineOf{l, func(ctx context.Context, body io.Reader, size int64) (scanner.Result, error) {
		_, err := io.ReadAll(body)
		heard <- err
		return scanner.Result{}, err
	}})
	ticket, err := r.AdmitObject(t.Context(), admin, pipeline.ObjectRequest{
		Bucket: "photos", Key: "k", Declared: pipeline.Declared{Length: 1000, ContentType: "text/plain"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.PutObject(t.Context(), ticket, bodyOf(text)); !errors.Is(err, pipeline.ErrIncompleteBody) {
		t.Errorf("got %v, want ErrIncompleteBody", err)
	}
	select {
	case err := <-heard:
		if err == nil {
			t.Error("the engine heard an end")
		}
	case <-time.After(20 * time.Second):
		t.Error("the engine still listens")
	}
}

// A body that will not be published is not read to its end.
func TestABodyIsCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		says scanner.Result
		err  error
		want error
	}{
		"over the limits": {scanner.Result{Result: registry.VerdictIncomplete, Reason: "limit"}, nil, pipeline.ErrScanIncomplete},
		"infected":        {scanner.Result{Result: registry.VerdictInfected}, nil, pipeline.ErrInfected},
		"down":            {scanner.Result{}, scanner.ErrDown, pipeline.ErrScanDown},
	} {
		t.Run(name, func(t *testing.T) {
			r := inlineRig(t, engineOf{&listener{}, func(_ context.Context, body io.Reader, _ int64) (scanner.Result, error) {
				_, err := io.ReadFull(body, make([]byte, len(text)))
				return c.says, errors.Join(err, c.err)
			}})
			ticket, err := r.AdmitObject(t.Context(), admin, pipeline.ObjectRequest{
				Bucket: "photos", Key: "k", Declared: pipeline.Declared{Length: 1 << 30, ContentType: "text/plain"}})
			if err != nil {
				t.Fatal(err)
			}
			// It comes to its end only if it is interrupted.
			s := stalling(bytes.Repeat(text, 200_000))
			done := make(chan error, 1)
			go func() {
				_, err := r.PutObject(r.ctx(), ticket, s)
				done <- err
			}()
			select {
			case err = <-done:
			case <-s.waiting:
				s.Interrupt()
				err = errors.Join(errors.New("all of it was read"), <-done)
			}
			if !errors.Is(err, c.want) || errors.Is(err, errInterrupted) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// engineOf is a listener that hears in its own way.
type engineOf struct {
	*listener
	stream func(context.Context, io.Reader, int64) (scanner.Result, error)
}

func (e engineOf) Stream(ctx context.Context, r io.Reader, size int64) (scanner.Result, error) {
	return e.stream(ctx, r, size)
}

// A revocation ends a write whose engine hangs: while its bytes are on their way, and
// when all of them are there.
func TestAHungEngineIsCut(t *testing.T) {
	for name, reads := range map[string]int64{"on the way": 0, "at the end": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			hangs := make(chan struct{})
			r := inlineRig(t, engineOf{&listener{}, func(ctx context.Context, body io.Reader, _ int64) (scanner.Result, error) {
				if _, err := io.CopyN(io.Discard, body, reads); err != nil && err != io.EOF {
					return scanner.Result{}, err
				}
				close(hangs)
				<-ctx.Done()
				return scanner.Result{}, ctx.Err()
			}})
			alice := r.user("alice", registry.RoleUploader)
			data := bytes.Repeat(text, 20_000)
			ticket, err := r.AdmitObject(t.Context(), alice, pipeline.ObjectRequest{
				Bucket: "photos", Key: "k", Declared: pipeline.Declared{Length: int64(len(data)), ContentType: "text/plain"}})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := r.PutObject(r.ctx(), ticket, bodyOf(data))
				done <- err
			}()
			await(t, "engine", hangs)
			if err := r.RevokePrincipal(t.Context(), admin, alice.Principal); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				if !errors.Is(err, pipeline.ErrCut) {
					t.Errorf("got %v, want ErrCut", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the write was not cut")
			}
		})
	}
}
