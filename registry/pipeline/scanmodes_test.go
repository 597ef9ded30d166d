package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/scanner/clamd"
	"sallyport/scanner/clamd/clamdtest"
	"sallyport/scanner/inspect"
)

// TestScanModes: what becomes of a write at once, what after the scan, and who judged.
func TestScanModes(t *testing.T) {
	direct, quarantine := registry.IntakeDirect, registry.IntakeQuarantine
	const pub, wait, no = registry.ObjectPublished, registry.ObjectQuarantined, registry.ObjectRejected
	for _, c := range []struct {
		name    string
		malware bool // an engine that looks for it is configured
		need    bool // ScannerRequired
		intake  registry.Intake
		mode    registry.ScanMode
		data    []byte
		err     error
		at      registry.ObjectState // with the answer
		then    registry.ObjectState // after the scan
		by      string
	}{
		{"no engine", false, false, direct, registry.ScanDefault, bad, nil, pub, pub, "inspect=clean"},
		{"no engine, inline", false, false, direct, registry.ScanInline, text, nil, pub, pub, "inspect=clean"},
		{"no engine, async", false, false, direct, registry.ScanAsync, text, nil, wait, pub, "inspect=clean"},
		{"no engine, off", false, false, direct, registry.ScanOff, text, nil, pub, pub, "inspect=clean malware=off"},
		{"no engine, required", false, true, direct, registry.ScanDefault, text, nil, wait, wait, "inspect=clean"},
		{"no engine, required, inline", false, true, direct, registry.ScanInline, text, pipeline.ErrScanIncomplete, "", "", ""},
		{"default, clean", true, false, direct, registry.ScanDefault, text, nil, pub, pub, "inspect=clean listener=clean"},
		{"default, bad", true, false, direct, registry.ScanDefault, bad, pipeline.ErrInfected, "", "", ""},
		{"required, clean", true, true, direct, registry.ScanDefault, text, nil, pub, pub, "inspect=clean listener=clean"},
		{"inline, bad", true, false, direct, registry.ScanInline, bad, pipeline.ErrInfected, "", "", ""},
		{"async, clean", true, false, direct, registry.ScanAsync, text, nil, wait, pub, "inspect=clean listener=clean"},
		{"async, bad", true, false, direct, registry.ScanAsync, bad, nil, wait, no, "inspect=clean listener=infected"},
		{"off, bad", true, false, direct, registry.ScanOff, bad, nil, pub, pub, "inspect=clean malware=off"},
		{"off, required", false, true, direct, registry.ScanOff, text, nil, wait, wait, "inspect=clean malware=off"},
		{"quarantine", true, false, quarantine, registry.ScanDefault, bad, nil, wait, no, "inspect=clean listener=infected"},
		{"quarantine, inline", true, false, quarantine, registry.ScanInline, text, nil, wait, pub, "inspect=clean listener=clean"},
		{"quarantine, off", true, false, quarantine, registry.ScanOff, bad, nil, wait, pub, "inspect=clean malware=off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := scanner.PanelConfig{Inspect: []scanner.Engine{&inspect.Engine{}}, Required: c.need, Now: time.Now}
			if c.malware {
				cfg.Malware = []scanner.Engine{&listener{}}
			}
			panel := scanner.NewPanel(cfg)
			r := newRig(t, func(p *pipeline.Config) {
				p.Judge, p.ScannerRequired = scanner.NewInline(scanner.InlineConfig{Panel: panel}), c.need
			})
			r.worker = scanner.NewWorker(scanner.Config{Queue: r.Pipeline, Panel: panel, Now: r.now})
			woken := 0
			r.OnQueued(func() { woken++ })
			if err := r.ledger.PutProfile(t.Context(), admin, registry.Bucket{Name: "bucket", Intake: c.intake, Scan: registry.ScanRules{Mode: c.mode}}); err != nil {
				t.Fatal(err)
			}
			o, err := r.putKey("bucket", "k", c.data)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if c.err != nil {
				return
			}
			o = r.mustBe(o.ID, c.at)
			if queued := c.at == wait; queued != (woken == 1) {
				t.Errorf("the worker was woken %d times", woken)
			}
			if _, err := r.readKey("bucket", "k"); (err == nil) != (c.at == pub) {
				t.Errorf("read at once: %v", err)
			}
			r.scan()
			if o = r.mustBe(o.ID, c.then); engineNames(o.Verdict) != c.by {
				t.Errorf("judged by %s, want %s", engineNames(o.Verdict), c.by)
			}
			if _, err := r.readKey("bucket", "k"); (err == nil) != (c.then == pub) {
				t.Errorf("read after the scan: %v", err)
			}
		})
	}
}

// A bucket that names no types takes any label for anything, also when the scan is
// what publishes; one that names them does not.
func TestLabelsInDirectBuckets(t *testing.T) {
	r := inlineRig(t, &listener{})
	png := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), make([]byte, 100)...)
	for _, mode := range []registry.ScanMode{registry.ScanInline, registry.ScanAsync} {
		for _, types := range [][]string{nil, {"text/plain"}} {
			b := registry.Bucket{Name: "labels", Intake: registry.IntakeDirect, AllowedTypes: types, Scan: registry.ScanRules{Mode: mode}}
			if err := r.PutProfile(t.Context(), admin, b); err != nil {
				t.Fatal(err)
			}
			_, err := r.putKey("labels", "k", png) // as text/plain
			r.scan()
			if _, readErr := r.readKey("labels", "k"); (readErr == nil) != (types == nil) {
				t.Errorf("%s, types %v: put %v, read %v", mode, types, err, readErr)
			}
			if err := r.deleteKeys("labels", "k"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What the engines are told of a bucket: a profile's programs are refused unless it allows
// them; a plain bucket of the S3 port takes what there is.
func TestRulesOfABucket(t *testing.T) {
	var told []registry.ScanRules
	e := engine{func(_ context.Context, in scanner.Input) (scanner.Result, error) {
		told = append(told, in.Rules)
		return scanner.Result{Result: registry.VerdictClean}, nil
	}}
	r := inlineRig(t, e)
	last := func() registry.ScanRules { return told[len(told)-1] }
	if _, err := r.putKey("photos", "k", text); err != nil || !last().Executables || !last().Active {
		t.Errorf("plain bucket: %+v, %v", last(), err)
	}
	b := registry.Bucket{Name: "typed", Intake: registry.IntakeDirect, AllowedTypes: []string{"text/plain"},
		Scan: registry.ScanRules{Active: true, Archive: registry.ArchiveRules{MaxDepth: 3}}}
	if err := r.PutProfile(t.Context(), admin, b); err != nil {
		t.Fatal(err)
	}
	if _, err := r.putKey("typed", "k", text); err != nil || last().Executables || !last().Active || last().Archive.MaxDepth != 3 {
		t.Errorf("bucket with types: %+v, %v", last(), err)
	}
	r.published(text)
	if last().Executables || last().Active {
		t.Errorf("profile: %+v", last())
	}
	begun := r.beginAs(admin, pipeline.BeginRequest{Filename: "a", ContentType: "text/plain", Size: int64(len(text)), Profile: "photos"})
	if err := r.put(begun, text); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Finalize(t.Context(), admin, begun.Upload.ID, ""); err != nil {
		t.Fatal(err)
	}
	r.scan()
	if last().Executables || last().Active {
		t.Errorf("session into a plain bucket: %+v", last())
	}
}

// A whole copy has its source's verdict, where that is by all who would be asked.
func TestCopiesInherit(t *testing.T) {
	for name, c := range map[string]struct {
		source, target registry.ScanRules
		asked          bool
	}{
		"same rules":     {registry.ScanRules{}, registry.ScanRules{}, false},
		"source was off": {registry.ScanRules{Mode: registry.ScanOff}, registry.ScanRules{}, true},
		"target is off":  {registry.ScanRules{}, registry.ScanRules{Mode: registry.ScanOff}, false},
		"other limits":   {registry.ScanRules{}, registry.ScanRules{Archive: registry.ArchiveRules{MaxDepth: 1}}, true},
		"other engines":  {registry.ScanRules{}, registry.ScanRules{Engines: []string{"listener"}}, false},
		"queued":         {registry.ScanRules{}, registry.ScanRules{Mode: registry.ScanAsync}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := &listener{}
			r := inlineRig(t, l)
			r.profile("source", c.source)
			r.profile("target", c.target)
			if _, err := r.putKey("source", "k", text); err != nil {
				t.Fatal(err)
			}
			before := l.scans.Load()
			got, err := r.Copy(t.Context(), admin, pipeline.CopyRequest{
				Source: pipeline.Source{Bucket: "source", Key: "k"}, Bucket: "target", Key: "k"})
			if err != nil {
				t.Fatal(err)
			}
			r.mustBe(got.Object.ID, registry.ObjectPublished)
			if asked := l.scans.Load() > before; asked != c.asked {
				t.Errorf("asked %t, want %t", asked, c.asked)
			}
		})
	}
}

// An object that an analyst let pass is not one that engines called clean.
func TestACopyOfAReleasedObjectIsScanned(t *testing.T) {
	r := inlineRig(t, &listener{})
	r.profile("queued", registry.ScanRules{Mode: registry.ScanAsync})
	o, err := r.putKey("queued", "k", bad)
	if err != nil {
		t.Fatal(err)
	}
	r.scan()
	if _, _, err := r.ledger.Review(t.Context(), admin, o.ID, registry.Ruling{Decision: registry.Release, Reason: "known"}); err != nil {
		t.Fatal(err)
	}
	r.mustBe(o.ID, registry.ObjectPublished)
	_, err = r.Copy(t.Context(), admin, pipeline.CopyRequest{
		Source: pipeline.Source{Bucket: "queued", Key: "k"}, Bucket: "photos", Key: "k"})
	if !errors.Is(err, pipeline.ErrInfected) {
		t.Errorf("got %v, want ErrInfected", err)
	}
}

// TestAnInfectedCopyIsNewsOfItsSource, which was published before the engine knew.
func TestAnInfectedCopyIsNewsOfItsSource(t *testing.T) {
	l := &listener{}
	r := inlineRig(t, l)
	r.profile("deeper", registry.ScanRules{Archive: registry.ArchiveRules{MaxDepth: 1}})
	later := []byte("harmless until today")
	src, err := r.putKey("photos", "k", later)
	if err != nil {
		t.Fatal(err)
	}
	l.also = later
	_, err = r.Copy(t.Context(), admin, pipeline.CopyRequest{
		Source: pipeline.Source{Bucket: "photos", Key: "k"}, Bucket: "deeper", Key: "k"})
	if !errors.Is(err, pipeline.ErrInfected) {
		t.Fatalf("got %v, want ErrInfected", err)
	}
	r.scan()
	r.mustBe(src.ID, registry.ObjectRejected)
}

// Rules that name an engine that is not there hold, or refuse, what they cannot judge.
func TestUnknownEngines(t *testing.T) {
	r := inlineRig(t, &listener{})
	for mode, want := range map[registry.ScanMode]error{registry.ScanInline: pipeline.ErrScanIncomplete, registry.ScanAsync: nil} {
		r.profile("named", registry.ScanRules{Mode: mode, Engines: []string{"listener", "other"}})
		o, err := r.putKey("named", "k", text)
		if !errors.Is(err, want) {
			t.Fatalf("%s: got %v, want %v", mode, err, want)
		}
		if err != nil {
			continue
		}
		r.scan()
		if o = r.mustBe(o.ID, registry.ObjectQuarantined); !o.Held || o.Verdict.Reason != scanner.ReasonEngineUnknown {
			t.Errorf("held %t, verdict %+v", o.Held, o.Verdict)
		}
	}
}

// What an engine made of a write goes with it, and is gone if the write is refused.
func TestInlineRenditions(t *testing.T) {
	render := func(ctx context.Context, in scanner.Input) (scanner.Result, error) {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			return scanner.Result{}, err
		}
		if _, err := f.Write(text); err != nil {
			return scanner.Result{}, err
		}
		return scanner.Result{Result: registry.VerdictClean, Renditions: []scanner.Rendition{{
			Rendition: registry.Rendition{Name: "clean", ContentType: "image/png", Width: 1, Height: 1, Size: int64(len(text)), SHA256: hexSHA256(text)},
			File:      f,
		}}}, nil
	}
	for way, write := range writes {
		t.Run(way, func(t *testing.T) {
			r := inlineRig(t, engine{render})
			r.bucket("other")
			o, err := write(r, "photos", "k", text)
			if err != nil {
				t.Fatal(err)
			}
			made, err := r.ledger.Renditions(t.Context(), admin.Tenant, o.ID)
			if err != nil || len(made) != 1 || made[0].Name != "clean" {
				t.Fatalf("renditions %+v, %v", made, err)
			}
			r.settled()
			r.faults.fail(1, false)
			if _, err := r.putKey("photos", "other", text); err == nil {
				t.Error("a write was answered that failed")
			}
			r.faults.heal()
			r.settled()
		})
	}
}

// clamdRig is an inlineRig whose engine is a real clamd.
func clamdRig(t *testing.T) (*rig, *clamdtest.Clamd) {
	t.Helper()
	daemon := clamdtest.Start(t)
	e, err := clamd.New(clamd.Config{Address: daemon.Unix, Now: time.Now, Patience: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return inlineRig(t, e), daemon
}

// EICAR's test file through the ways in, with ClamAV's own daemon, which finds it in
// whole files only.
func TestInlineWithClamd(t *testing.T) {
	r, daemon := clamdRig(t)
	eicar := clamd.EICAR()
	if _, err := r.putKey("photos", "put", eicar); !errors.Is(err, pipeline.ErrInfected) {
		t.Errorf("put: %v, want ErrInfected", err)
	}
	_, err := r.PutForm(r.ctx(), admin, pipeline.FormRequest{
		Bucket: "photos", Key: "form", MaxSize: 1000, Kept: registry.Kept{ContentType: "text/plain"}}, bodyOf(eicar))
	if !errors.Is(err, pipeline.ErrInfected) {
		t.Errorf("form: %v, want ErrInfected", err)
	}
	m := r.multipart("photos", "part")
	if _, err := r.Complete(t.Context(), admin, completion(m, r.mustPutPart(m, 1, eicar))); !errors.Is(err, pipeline.ErrInfected) {
		t.Errorf("completion: %v, want ErrInfected", err)
	}
	for way, write := range writes {
		if _, err := write(r, "photos", "clean "+way, []byte("clean")); err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
	frozen := bytes.Repeat(text, 1_000_000)
	ticket, err := r.AdmitObject(t.Context(), admin, pipeline.ObjectRequest{
		Bucket: "photos", Key: "frozen", Declared: pipeline.Declared{Length: int64(len(frozen)), ContentType: "text/plain"}})
	if err != nil {
		t.Fatal(err)
	}
	body := io.MultiReader(bytes.NewReader(frozen[:1<<20]), &once{do: daemon.Freeze}, bytes.NewReader(frozen[1<<20:]))
	if _, err := r.PutObject(t.Context(), ticket, bodyFrom(body)); !errors.Is(err, pipeline.ErrScanDown) {
		t.Errorf("clamd freezes: %v, want ErrScanDown", err)
	}
	daemon.Thaw()
	daemon.Kill()
	if _, err := r.putKey("photos", "k", text); !errors.Is(err, pipeline.ErrScanDown) {
		t.Errorf("without clamd: %v, want ErrScanDown", err)
	}
	daemon.Start()
	if _, err := r.putKey("photos", "k", text); err != nil {
		t.Errorf("with clamd again: %v", err)
	}
}

// once does something when it is read, and is at its end.
type once struct{ do func() }

func (o *once) Read([]byte) (int, error) {
	o.do()
	return 0, io.EOF
}

// Many small objects drain without all being in memory.
func TestTenThousandSmallObjectsDrain(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	l := &listener{}
	r := inlineRig(t, l)
	r.profile("queued", registry.ScanRules{Mode: registry.ScanAsync})
	r.profile("source", registry.ScanRules{Mode: registry.ScanOff})
	if _, err := r.putKey("source", "k", text); err != nil {
		t.Fatal(err)
	}
	var puts sync.WaitGroup
	for w := range 32 {
		puts.Go(func() {
			// Copies, which write no bytes: the test is not about the disk.
			for i := w; i < n; i += 32 {
				_, err := r.Copy(r.ctx(), admin, pipeline.CopyRequest{
					Source: pipeline.Source{Bucket: "source", Key: "k"}, Bucket: "queued", Key: fmt.Sprint(i)})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	puts.Wait()
	d, err := r.ledger.QueueDepth(t.Context())
	if err != nil || d.Waiting != n {
		t.Fatalf("depth %+v, %v; want %d waiting", d, err, n)
	}
	base := heap()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	panel := scanner.NewPanel(scanner.PanelConfig{Inspect: []scanner.Engine{&inspect.Engine{}}, Malware: []scanner.Engine{l}, Now: time.Now})
	w := scanner.NewWorker(scanner.Config{Queue: r.Pipeline, Panel: panel, Now: r.now, Workers: 4})
	go func() { w.Run(ctx); close(done) }()
	var most uint64
	start := time.Now()
	for deadline := start.Add(2 * time.Minute); l.scans.Load() < int32(n) && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		most = max(most, heap())
	}
	until(t, "drained", func() bool {
		d, err := r.ledger.QueueDepth(t.Context())
		return err == nil && d == (registry.QueueDepth{})
	})
	cancel()
	await(t, "worker", done)
	t.Logf("%d objects in %s, the heap grew by %d KiB", n, time.Since(start).Round(time.Millisecond), (int64(most)-int64(base))>>10)
	if int64(most)-int64(base) > 64<<20 {
		t.Errorf("the heap grew from %d to %d", base, most)
	}
	if got, err := r.readKey("queued", "1"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("read %q, %v", got, err)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
