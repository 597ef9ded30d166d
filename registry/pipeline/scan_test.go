package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/scanner/inspect"
)

// engine is a malware engine that says what it is told.
type engine struct {
	scan func(context.Context, scanner.Input) (scanner.Result, error)
}

func (engine) Name() string { return "test" }

func (e engine) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	return e.scan(ctx, in)
}

func says(result registry.VerdictResult, err error) engine {
	return engine{func(context.Context, scanner.Input) (scanner.Result, error) {
		return scanner.Result{Result: result, Reason: "test", Signature: "Eicar"}, err
	}}
}

// judging is a worker and its panel in the making.
type judging struct {
	scanner.Config
	Malware  []scanner.Engine
	Required bool
}

// with makes the rig's worker use engines.
func (r *rig) with(change func(*judging)) *scanner.Worker {
	c := judging{Config: scanner.Config{
		Queue: r.Pipeline, Now: r.now,
		Backoff: time.Nanosecond, Idle: time.Millisecond, DownFor: time.Millisecond,
	}}
	change(&c)
	c.Panel = scanner.NewPanel(scanner.PanelConfig{
		Inspect: []scanner.Engine{&inspect.Engine{}}, Malware: c.Malware, Required: c.Required, Now: r.now,
	})
	return scanner.NewWorker(c.Config)
}

func TestVerdicts(t *testing.T) {
	png := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), make([]byte, 100)...)
	for _, c := range []struct {
		name     string
		declared string
		data     []byte
		malware  []scanner.Engine
		required bool
		want     registry.ObjectState
		held     bool
		result   registry.VerdictResult
		reason   string
	}{
		{"text as image", "image/png", text, nil, false, registry.ObjectRejected, false, registry.VerdictRefused, pipeline.ReasonTypeMismatch},
		{"image as text", "text/plain", png, nil, false, registry.ObjectRejected, false, registry.VerdictRefused, pipeline.ReasonTypeMismatch},
		{"infected", "text/plain", text, []scanner.Engine{says(registry.VerdictInfected, nil)}, false, registry.ObjectRejected, false, registry.VerdictInfected, "test"},
		{"infected and mislabelled", "image/png", text, []scanner.Engine{says(registry.VerdictInfected, nil)}, false, registry.ObjectRejected, false, registry.VerdictInfected, "test"},
		{"infected by the second", "text/plain", text, []scanner.Engine{says(registry.VerdictClean, nil), says(registry.VerdictInfected, nil)}, false, registry.ObjectRejected, false, registry.VerdictInfected, "test"},
		{"refused", "text/plain", text, []scanner.Engine{says(registry.VerdictRefused, nil)}, false, registry.ObjectRejected, false, registry.VerdictRefused, "test"},
		{"incomplete", "text/plain", text, []scanner.Engine{says(registry.VerdictIncomplete, nil)}, false, registry.ObjectQuarantined, true, registry.VerdictIncomplete, "test"},
		{"required and none there", "text/plain", text, nil, true, registry.ObjectQuarantined, true, registry.VerdictIncomplete, scanner.ReasonScannerRequired},
		{"required, none there, mislabelled", "image/png", text, nil, true, registry.ObjectRejected, false, registry.VerdictRefused, pipeline.ReasonTypeMismatch},
		{"clean, required", "text/plain", text, []scanner.Engine{says(registry.VerdictClean, nil)}, true, registry.ObjectPublished, false, registry.VerdictClean, ""},
		{"image", "image/png", png, nil, false, registry.ObjectPublished, false, registry.VerdictClean, ""},
		{"declares nothing", "application/octet-stream", png, nil, false, registry.ObjectPublished, false, registry.VerdictClean, ""},
		{"empty", "image/png", nil, nil, false, registry.ObjectPublished, false, registry.VerdictClean, ""},
		{"json is text", "application/json", []byte(`{"a": 1}`), nil, false, registry.ObjectPublished, false, registry.VerdictClean, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.worker = r.with(func(s *judging) { s.Malware, s.Required = c.malware, c.required })
			b := r.beginAs(admin, pipeline.BeginRequest{Filename: "a", ContentType: c.declared, Size: int64(len(c.data))})
			if err := r.put(b, c.data); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Finalize(t.Context(), admin, b.Upload.ID, ""); err != nil {
				t.Fatal(err)
			}
			r.scan()
			o := r.mustBe(b.Object.ID, c.want)
			if o.Held != c.held || o.Verdict == nil || o.Verdict.Result != c.result || o.Verdict.Reason != c.reason {
				t.Errorf("held %t, verdict %+v", o.Held, o.Verdict)
			}
			if o.DetectedType == "" || len(o.Verdict.Engines) == 0 || o.Verdict.Engines[0].Name != "inspect" {
				t.Errorf("detected %q, engines %+v", o.DetectedType, o.Verdict.Engines)
			}
			if _, err := r.read(o.ID); (err == nil) != (c.want == registry.ObjectPublished) {
				t.Errorf("read: %v", err)
			}
			r.advance(time.Hour)
			r.scan() // nothing retries by itself
			r.mustBe(o.ID, c.want)
		})
	}
}

func TestEngineErrorsAreTriesAndTheFifthHolds(t *testing.T) {
	for name, e := range map[string]scanner.Engine{
		"error": says("", errors.New("the engine cannot say")),
		"panic": engine{func(context.Context, scanner.Input) (scanner.Result, error) { panic("the engine panics") }},
		"no result": engine{func(context.Context, scanner.Input) (scanner.Result, error) {
			return scanner.Result{Result: "fine"}, nil
		}},
		"error as a result": says(registry.VerdictError, nil),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.worker = r.with(func(s *judging) { s.Malware = []scanner.Engine{e} })
			b := r.finalized(text)
			for try := range registry.MaxScanTries {
				if o := r.mustBe(b.Object.ID, registry.ObjectQuarantined); o.Held {
					t.Fatalf("held after %d tries", try)
				}
				if did, err := r.worker.Once(t.Context()); !did || err != nil {
					t.Fatalf("try %d: %t, %v", try+1, did, err)
				}
				r.advance(scanSoon)
			}
			o := r.mustBe(b.Object.ID, registry.ObjectQuarantined)
			if !o.Held || o.Verdict == nil || o.Verdict.Result != registry.VerdictError {
				t.Errorf("held %t, verdict %+v", o.Held, o.Verdict)
			}
			if did, _ := r.worker.Once(t.Context()); did {
				t.Error("a held object was scanned again")
			}
		})
	}
}

func TestAnEngineThatIsDownCostsNoTries(t *testing.T) {
	r := newRig(t)
	down := true
	r.worker = r.with(func(s *judging) {
		s.Malware = []scanner.Engine{engine{func(context.Context, scanner.Input) (scanner.Result, error) {
			if down {
				return scanner.Result{}, scanner.ErrDown
			}
			return scanner.Result{Result: registry.VerdictClean}, nil
		}}}
	})
	b := r.finalized(text)
	for range 2 * registry.MaxScanTries {
		if _, err := r.worker.Once(t.Context()); !errors.Is(err, scanner.ErrDown) {
			t.Fatalf("got %v, want ErrDown", err)
		}
		if !r.worker.Down() {
			t.Fatal("the worker does not say that its engine is down")
		}
		r.advance(scanSoon)
	}
	if o := r.mustBe(b.Object.ID, registry.ObjectQuarantined); o.Held {
		t.Fatal("held for an engine that is down")
	}
	down = false
	r.scan()
	r.mustBe(b.Object.ID, registry.ObjectPublished)
	if r.worker.Down() {
		t.Error("the worker still calls its engine down")
	}
}

func TestInspectionReadsWhatTheStoreHolds(t *testing.T) {
	r := newRig(t)
	b := r.received(text)
	key := blob.Key(r.upload(b.Upload.ID).Staging)
	for name, stored := range map[string][]byte{"other bytes": bytes.ToUpper(text), "fewer bytes": text[:10]} {
		t.Run(name, func(t *testing.T) {
			if err := r.disk.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if _, err := r.disk.Put(t.Context(), key, bytes.NewReader(stored), int64(len(stored))); err != nil {
				t.Fatal(err)
			}
			o, err := r.Finalize(t.Context(), admin, b.Upload.ID, "")
			if err != nil {
				t.Fatal(err)
			}
			r.scan()
			if o = r.state(o.ID); o.State == registry.ObjectPublished {
				t.Error("published although the store holds something else")
			}
		})
	}
}

func TestAShutdownGivesClaimsBack(t *testing.T) {
	r := newRig(t)
	scanning := make(chan struct{})
	w := r.with(func(s *judging) {
		s.Workers = 1
		s.Malware = []scanner.Engine{engine{func(ctx context.Context, _ scanner.Input) (scanner.Result, error) {
			close(scanning)
			<-ctx.Done()
			return scanner.Result{}, ctx.Err()
		}}}
	})
	b := r.finalized(text)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	await(t, "engine", scanning)
	cancel()
	await(t, "worker", done)
	if o := r.mustBe(b.Object.ID, registry.ObjectQuarantined); o.Scan == nil || o.Scan.Tries != 0 {
		t.Errorf("after a shutdown: %+v", o.Scan)
	}
	r.scan()
	r.mustBe(b.Object.ID, registry.ObjectPublished)
}

func TestDeletingDuringAScan(t *testing.T) {
	r := newRig(t)
	var id registry.ObjectID
	r.worker = r.with(func(s *judging) {
		s.Malware = []scanner.Engine{engine{func(ctx context.Context, in scanner.Input) (scanner.Result, error) {
			if err := r.Delete(ctx, admin, id); err != nil {
				t.Error(err)
			}
			return scanner.Result{Result: registry.VerdictClean}, nil
		}}}
	})
	id = r.finalized(text).Object.ID
	r.scan()
	r.mustBe(id, registry.ObjectDeleted)
}

func TestDeletingDuringAPromotion(t *testing.T) {
	r := newRig(t)
	b := r.finalized(text)
	r.blobs.Inject(blobtest.Fault{Op: blobtest.Move, When: blobtest.Midway, Nth: 1})
	r.scan()
	r.mustBe(b.Object.ID, registry.ObjectScanning)
	if err := r.Delete(t.Context(), admin, b.Object.ID); err != nil {
		t.Fatal(err)
	}
	// newRig's clean-up finds the copies under both keys, were they left over.
	r.settled()
	r.mustBe(b.Object.ID, registry.ObjectDeleted)
}

// A reader finds the bytes wherever a promotion has got to.
func TestReadersFollowAPromotion(t *testing.T) {
	for _, when := range []blobtest.When{blobtest.Before, blobtest.Midway, blobtest.After} {
		t.Run(string(when), func(t *testing.T) {
			r := newRig(t)
			b := r.finalized(text)
			claim, err := r.Claim(t.Context(), "w", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			early, err := r.Content(t.Context(), claim)
			if err != nil {
				t.Fatal(err)
			}
			defer early.Close()
			r.blobs.Inject(blobtest.Fault{Op: blobtest.Move, When: when, Nth: 1})
			if err := r.Settle(t.Context(), claim, registry.Verdict{Result: registry.VerdictClean}, "text/plain"); err != nil {
				t.Fatal(err)
			}
			// Read as the row stood before, as it stands now, and when it is done.
			for _, o := range []registry.Object{claim.Object, r.state(b.Object.ID)} {
				got, err := contentOf(r, o)
				if err != nil || !bytes.Equal(got, text) {
					t.Errorf("%q, %v", got, err)
				}
			}
			if err := r.PromoteAll(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(early); err != nil || !bytes.Equal(got, text) {
				t.Errorf("a reader from before: %q, %v", got, err)
			}
			if got, err := contentOf(r, claim.Object); err != nil || !bytes.Equal(got, text) {
				t.Errorf("by the old row: %q, %v", got, err)
			}
			if got, err := r.read(b.Object.ID); err != nil || !bytes.Equal(got, text) {
				t.Errorf("published: %q, %v", got, err)
			}
		})
	}
}

func contentOf(r *rig, o registry.Object) ([]byte, error) {
	rd, err := r.Content(r.ctx(), registry.Claim{Object: o})
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	return io.ReadAll(rd)
}

func TestMissingBytesAreSaidToBe(t *testing.T) {
	r := newRig(t)
	b := r.published(text)
	if err := r.disk.Delete(t.Context(), blob.Key(r.state(b.Object.ID).Extents[0].Blob)); err != nil {
		t.Fatal(err)
	}
	_, err := r.read(b.Object.ID)
	if !errors.Is(err, pipeline.ErrBytesMissing) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrBytesMissing", err)
	}
	if err := r.Delete(t.Context(), admin, b.Object.ID); err != nil {
		t.Fatal(err)
	}
}

func TestScannerRequiredHoldsDirectWrites(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.ScannerRequired = true })
	r.worker = r.with(func(s *judging) { s.Required = true })
	r.bucket("photos")
	o, err := r.putKey("photos", "k", text)
	if err != nil {
		t.Fatal(err)
	}
	r.scan()
	if o = r.mustBe(o.ID, registry.ObjectQuarantined); !o.Held {
		t.Error("not held")
	}
	if _, err := r.FindVersion(t.Context(), admin, "photos", "k", ""); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("read: %v, want ErrNotFound", err)
	}
}

// Run does it all by itself: what is queued is scanned, promoted and, once
// deleted, swept.
func TestRun(t *testing.T) {
	r := newRig(t)
	w := r.with(func(s *judging) { s.Idle = time.Hour }) // woken, or never
	r.OnQueued(w.Wake)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { w.Run(ctx); done <- struct{}{} }()
	go func() { r.Run(ctx); done <- struct{}{} }()
	b := r.finalized(text)
	until(t, "published", func() bool { return r.state(b.Object.ID).State == registry.ObjectPublished })
	if err := r.Delete(t.Context(), admin, b.Object.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "swept", func() bool {
		left, err := r.ledger.Garbage(t.Context(), 0, 10)
		return err == nil && len(left) == 0
	})
	cancel()
	await(t, "first", done)
	await(t, "second", done)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not %s in time", what)
}
