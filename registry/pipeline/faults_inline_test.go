package pipeline_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/scanner/inspect"
)

// engraver is an engine that makes a rendition of everything.
type engraver struct{ dir string }

func (engraver) Name() string { return "image" }

func (e engraver) Scan(context.Context, scanner.Input) (scanner.Result, error) {
	f, err := os.CreateTemp(e.dir, "")
	if err != nil {
		return scanner.Result{}, err
	}
	if _, err := f.Write(text); err != nil {
		return scanner.Result{}, errors.Join(err, f.Close())
	}
	return scanner.Result{Result: registry.VerdictClean, Renditions: []scanner.Rendition{{File: f, Rendition: registry.Rendition{
		Name: "clean", ContentType: "image/png", Width: 1, Height: 1, Size: int64(len(text)), SHA256: hexSHA256(text)}}}}, nil
}

// inlineStory writes to a bucket that inspects first, to one that queues and to one that
// does neither. It ends at the first failure, and returns which keys were acknowledged.
func (r *rig) inlineStory() (acked []string, err error) {
	for name, mode := range map[registry.BucketName]registry.ScanMode{"queued": registry.ScanAsync, "unscanned": registry.ScanOff} {
		b := registry.Bucket{Name: name, Intake: registry.IntakeDirect, Scan: registry.ScanRules{Mode: mode}}
		if err := r.PutProfile(r.ctx(), admin, b); err != nil {
			return acked, err
		}
	}
	ack := func(key string, err error) error {
		if err == nil {
			acked = append(acked, key)
		}
		return err
	}
	infected := func(err error) error {
		switch {
		case errors.Is(err, pipeline.ErrInfected):
			return nil
		case err == nil:
			return errors.New("malware was accepted")
		}
		return err
	}
	_, err = r.putKey("photos", "good", text)
	if err := ack("good", err); err != nil {
		return acked, err
	}
	_, err = r.putKey("photos", "bad", bad)
	if err := infected(err); err != nil {
		return acked, err
	}
	m, err := r.CreateMultipart(r.ctx(), admin, registry.NewMultipart{Bucket: "photos", Key: "parts"})
	if err != nil {
		return acked, err
	}
	p, err := r.putPart(partOf(m, 1, text), text)
	if err != nil {
		return acked, err
	}
	_, err = r.Complete(r.ctx(), admin, completion(m, p))
	if err := ack("parts", err); err != nil {
		return acked, err
	}
	if _, err := r.putKey("unscanned", "bad", bad); err != nil {
		return acked, err
	}
	_, err = r.Copy(r.ctx(), admin, pipeline.CopyRequest{
		Source: pipeline.Source{Bucket: "unscanned", Key: "bad"}, Bucket: "photos", Key: "copy"})
	if err := infected(err); err != nil {
		return acked, err
	}
	for _, data := range [][]byte{bad, text} {
		if _, err := r.putKey("queued", "k", data); err != nil {
			return acked, err
		}
		if _, err := r.worker.Once(r.ctx()); err != nil {
			return acked, err
		}
	}
	return acked, r.Sweep(r.ctx())
}

// TestFaultTableOfInspection is TestFaultTable for what is inspected: whatever fails,
// malware is not to be seen, nothing of it is left, and nothing waits for ever.
func TestFaultTableOfInspection(t *testing.T) {
	dir := t.TempDir()
	panel := scanner.NewPanel(scanner.PanelConfig{
		Inspect: []scanner.Engine{&inspect.Engine{}, engraver{dir}}, Malware: []scanner.Engine{&listener{}}, Now: time.Now})
	judged := func(c *pipeline.Config) { c.Judge = scanner.NewInline(scanner.InlineConfig{Panel: panel}) }
	inspected := func(r *rig) {
		r.worker = scanner.NewWorker(scanner.Config{Queue: r.Pipeline, Panel: panel, Now: r.now, Backoff: time.Millisecond})
	}
	rows := faultRows(t, func(r *rig) error {
		inspected(r)
		_, err := r.inlineStory()
		return err
	}, judged)
	if len(rows) < 30 {
		t.Fatalf("only %d faults in the table", len(rows))
	}
	runFaults(t, rows, func(r *rig) (func(), error) {
		inspected(r)
		acked, err := r.inlineStory()
		return func() {
			inspected(r) // it may have been opened again
			r.keptInspected(acked)
		}, err
	}, judged)
}

func (r *rig) keptInspected(acked []string) {
	r.tb.Helper()
	r.settled()
	// Malware that was queued is found in the end.
	for range registry.MaxScanTries {
		r.advance(scanSoon)
		r.scan()
	}
	r.settled()
	if d, err := r.ledger.QueueDepth(r.ctx()); err != nil || d != (registry.QueueDepth{}) {
		r.tb.Errorf("the queue has %+v, %v", d, err)
	}
	for _, key := range []string{"good", "parts"} {
		if slices.Contains(acked, key) {
			r.mustRead(key, text)
		}
	}
	for _, key := range []string{"bad", "copy"} {
		if _, err := r.readKey("photos", key); !errors.Is(err, registry.ErrNotFound) {
			r.tb.Errorf("%s: %v, want ErrNotFound", key, err)
		}
	}
	if got, err := r.readKey("queued", "k"); err == nil && string(got) != string(text) {
		r.tb.Errorf("queued: %q", got)
	}
}
