package image_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"os"
	"testing"
	"time"

	"sallyport/registry"
	engine "sallyport/scanner/image"
	"sallyport/scanner/sandbox"
)

// TestMain makes the test binary its own children.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sandbox" {
		os.Exit(sandbox.Main(map[string]sandbox.Job{engine.JobName: engine.Job}))
	}
	os.Exit(m.Run())
}

func newChild(t *testing.T, l sandbox.Limits) *engine.Engine {
	t.Helper()
	p := sandbox.NewPool(sandbox.Config{Command: []string{"/proc/self/exe", "sandbox"}, Workers: 1, Limits: l, Now: time.Now})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine.New(engine.Config{Runner: p, SpoolDir: t.TempDir()})
}

// TestInAChild does in a sandboxed child what the other tests do here, and kills it.
func TestInAChild(t *testing.T) {
	e := newChild(t, sandbox.Limits{Memory: 160 << 20, CPU: 20 * time.Second})
	small := encodeJPEG(t, quarters(64, 32))
	check := func() {
		t.Helper()
		r := scan(t, e, "image/jpeg", withExif(small, tiff(binary.LittleEndian, 6)), limits)
		if r.Result != registry.VerdictClean || len(r.Renditions) != 2 {
			t.Fatalf("got %+v", r)
		}
		for _, made := range r.Renditions {
			if _, m := content(t, made); corners(m) != "brwg" {
				t.Errorf("%s has the corners %s", made.Name, corners(m))
			}
		}
	}
	check()
	if r := scan(t, e, "image/jpeg", small[:len(small)/2], limits); r.Result != registry.VerdictRefused || r.Reason != engine.ReasonMalformed {
		t.Errorf("truncated: %+v", r)
	}
	// Its header is within what the rules allow and beyond what the child has.
	r := scan(t, e, "image/png", emptyPNG(20_000, 20_000), &registry.ImageRules{MaxPixels: 1 << 30})
	if r.Result != registry.VerdictIncomplete || r.Reason != "sandbox_memory" || r.Renditions != nil {
		t.Errorf("too large for the child: %s %s", r.Result, r.Reason)
	}
	check()
}

// emptyPNG is a picture of so many points in a file of few bytes: they compress a
// thousandfold.
func emptyPNG(w, h int) []byte {
	header := binary.BigEndian.AppendUint32(nil, uint32(w))
	header = append(binary.BigEndian.AppendUint32(header, uint32(h)), 8, 6, 0, 0, 0)
	var data bytes.Buffer
	z := zlib.NewWriter(&data)
	_, _ = z.Write(make([]byte, 1<<20)) // not all rows: it is the room for them that counts
	_ = z.Close()
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, c := range []struct {
		kind string
		data []byte
	}{{"IHDR", header}, {"IDAT", data.Bytes()}, {"IEND", nil}} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(c.data)))
		chunk := append([]byte(c.kind), c.data...)
		out = append(out, chunk...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
	}
	return out
}
