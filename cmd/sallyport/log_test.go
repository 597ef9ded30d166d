package main

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/cmd/sallyport/config"
)

// writes notes what was written at once.
type writes struct {
	mu  sync.Mutex // protects the field below
	all []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), nil
}

func (w *writes) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

func TestLogWritesManyLinesAtOnce(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var w writes
		log, _ := newLogger(&w, config.Config{LogFormat: format})
		for range 10 {
			log.Info("request")
		}
		for deadline := time.Now().Add(10 * time.Second); len(w.seen()) == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("lines were never written")
			}
		}
		if all := w.seen(); len(all) > 5 { // 1, unless this process was halted in between
			t.Errorf("10 lines took %d writes", len(all))
		}
	}
}

func TestLogWritesWarningsAtOnce(t *testing.T) {
	var w writes
	log, flush := newLogger(&w, config.Config{LogFormat: "text"})
	log = log.With("part", "test").WithGroup("g")
	log.Info("first")
	log.Warn("second", "n", 1)
	text := strings.Join(w.seen(), "")
	if !strings.Contains(text, "first part=test") || !strings.Contains(text, "second part=test g.n=1") {
		t.Errorf("after a warning there is %q", text)
	}
	log.Info("third")
	flush()
	if text = strings.Join(w.seen(), ""); !strings.HasSuffix(text, "third part=test\n") {
		t.Errorf("after the end there is %q", text)
	}
}

// TestLogBreaksNoLine writes more than there is room for, from all sides.
func TestLogBreaksNoLine(t *testing.T) {
	var w writes
	log, flush := newLogger(&w, config.Config{LogFormat: "json"})
	text := strings.Repeat("x", 3000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				log.Info("m", slog.String("text", text))
			}
		})
	}
	log.Info("one longer than the room", "text", strings.Repeat("y", 2*lineRoom))
	wg.Wait()
	flush()
	all := []byte(strings.Join(w.seen(), ""))
	if n := bytes.Count(all, []byte(`"}`+"\n")); n != 401 || bytes.Count(all, []byte{'\n'}) != n {
		t.Errorf("%d whole lines of %d", n, bytes.Count(all, []byte{'\n'}))
	}
	for _, block := range w.seen() {
		if len(block) > lineRoom && strings.Count(block, "\n") > 1 {
			t.Errorf("%d bytes were written at once", len(block))
		}
	}
}
