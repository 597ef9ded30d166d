package inspect_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/inspect"
)

func input(o registry.Object, r io.Reader) scanner.Input {
	return scanner.Input{Object: o, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(r), nil }}
}

func objectOf(data []byte) registry.Object {
	sum := sha256.Sum256(data)
	return registry.Object{Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

func TestScan(t *testing.T) {
	text := []byte("plain text\n")
	big := bytes.Repeat(text, 100_000)
	for _, c := range []struct {
		name   string
		object registry.Object
		data   []byte
		result registry.VerdictResult
		reason string
		typ    string
	}{
		{"shorter", objectOf(big), big[:len(big)-1], registry.VerdictRefused, inspect.ReasonSize, "text/plain; charset=utf-8"},
		{"longer", objectOf(text), append(bytes.Clone(text), 'x'), registry.VerdictRefused, inspect.ReasonSize, "text/plain; charset=utf-8"},
		{"gone", objectOf(text), nil, registry.VerdictRefused, inspect.ReasonSize, "text/plain"},
		{"other bytes", objectOf(text), bytes.ToUpper(text), registry.VerdictRefused, inspect.ReasonDigest, "text/plain; charset=utf-8"},
		{"one bit of many", objectOf(big), flip(big), registry.VerdictRefused, inspect.ReasonDigest, "text/plain; charset=utf-8"},

		{"empty", objectOf(nil), nil, registry.VerdictClean, "", "text/plain"},
		{"small", objectOf(text), text, registry.VerdictClean, "", "text/plain; charset=utf-8"},
		{"exactly the head", objectOf(big[:inspect.HeadSize]), big[:inspect.HeadSize], registry.VerdictClean, "", "text/plain; charset=utf-8"},
		{"large", objectOf(big), big, registry.VerdictClean, "", "text/plain; charset=utf-8"},
		{"pdf", objectOf([]byte("%PDF-1.7\n")), []byte("%PDF-1.7\n"), registry.VerdictClean, "", "application/pdf"},
		{"noise", objectOf([]byte{0, 1, 2, 3}), []byte{0, 1, 2, 3}, registry.VerdictClean, "", "application/octet-stream"},
		{"no digest on record", registry.Object{Size: int64(len(text))}, text, registry.VerdictClean, "", "text/plain; charset=utf-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e inspect.Engine
			for _, r := range []io.Reader{bytes.NewReader(c.data), iotest.HalfReader(bytes.NewReader(c.data)), iotest.DataErrReader(bytes.NewReader(c.data))} {
				got, err := e.Scan(t.Context(), input(c.object, r))
				if err != nil {
					t.Fatal(err)
				}
				if got.Result != c.result || got.Reason != c.reason || got.Detected != c.typ {
					t.Errorf("got %+v; want %s %q %q", got, c.result, c.reason, c.typ)
				}
			}
		})
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// What cannot be read is not judged.
func TestScanErrors(t *testing.T) {
	broken := errors.New("the store broke")
	data := bytes.Repeat([]byte("x"), 10_000)
	var e inspect.Engine
	for name, r := range map[string]io.Reader{
		"at once":       iotest.ErrReader(broken),
		"in the head":   io.MultiReader(bytes.NewReader(data[:10]), iotest.ErrReader(broken)),
		"after it":      io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)),
		"after the end": io.MultiReader(bytes.NewReader(data[:inspect.HeadSize]), iotest.ErrReader(broken)),
	} {
		if got, err := e.Scan(t.Context(), input(objectOf(data), r)); !errors.Is(err, broken) {
			t.Errorf("%s: %+v, %v; want the store's error", name, got, err)
		}
	}
	in := scanner.Input{Open: func(context.Context) (io.ReadCloser, error) { return nil, broken }}
	if _, err := e.Scan(t.Context(), in); !errors.Is(err, broken) {
		t.Errorf("open: %v, want the store's error", err)
	}
}

func TestMemoryDoesNotGrowWithSize(t *testing.T) {
	var e inspect.Engine
	data := make([]byte, 8<<20)
	o := objectOf(data)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := e.Scan(t.Context(), input(o, bytes.NewReader(data))); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > 512<<10 {
		t.Errorf("%d bytes allocated to read %d", allocated, len(data))
	}
}

func TestLineage(t *testing.T) {
	for mediaType, want := range map[string][]string{
		"application/x-odd":        nil,
		"":                         nil,
		"application/octet-stream": {"application/octet-stream"},
		"TEXT/html; charset=x":     {"text/html", "text/plain", "application/octet-stream"},
		"application/x-zip":        {"application/zip", "application/octet-stream"},
		"image/vnd.mozilla.apng":   {"image/apng", "image/png", "application/octet-stream"},
	} {
		if got := inspect.Lineage(mediaType); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", mediaType, got, want)
		}
	}
}
