package icap_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/clamd/clamdtest"
	"sallyport/scanner/icap"
)

func scan(t testing.TB, e *icap.Engine, content []byte) (scanner.Result, error) {
	t.Helper()
	return e.Scan(t.Context(), scanner.Input{
		Object: registry.Object{Size: int64(len(content))},
		Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		},
	})
}

func mustScan(t testing.TB, e *icap.Engine, content []byte, want scanner.Result) {
	t.Helper()
	got, err := scan(t, e, content)
	if err != nil {
		t.Fatal(err)
	}
	if got.Result != want.Result || got.Reason != want.Reason || got.Signature != want.Signature {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

var (
	clean    = scanner.Result{Result: registry.VerdictClean}
	infected = scanner.Result{Result: registry.VerdictInfected, Reason: icap.ReasonMalware, Signature: clamdtest.Signature}
	skipped  = scanner.Result{Result: registry.VerdictIncomplete, Reason: icap.ReasonSkipped}
	limited  = scanner.Result{Result: registry.VerdictIncomplete, Reason: icap.ReasonLimit}
)

// around puts bytes on both sides of EICAR's.
func around(before, after int) []byte {
	return bytes.Join([][]byte{bytes.Repeat([]byte{1}, before), clamdtest.EICAR(), make([]byte, after)}, nil)
}

func TestURLs(t *testing.T) {
	for url, good := range map[string]bool{
		"": false, "localhost": false, "http://h/s": false, "icap://h": false, "icap://h/": false, "icap:///s": false, "icap://u@h/s": false,
		"icap://h/s": true, "icap://h:1/s?x=y": true, "icap://[::1]:1344/a/b": true,
	} {
		if _, err := icap.New(icap.Config{URL: url, Now: time.Now}); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestVerdicts(t *testing.T) {
	service := startCICAP(t, "virus_scan.MaxObjectSize 20M")
	e := engine(t, service.url("avscan"), nil)
	for _, test := range []struct {
		name    string
		content []byte
		want    scanner.Result
	}{
		{"EICAR", clamdtest.EICAR(), infected},
		{"at the end of the preview", around(1024-68, 0), infected},
		{"across the preview's end", around(1000, 100), infected},
		{"behind the preview", around(1024, 0), infected},
		{"at the end", around(3<<20, 0), infected},
		{"across two chunks", around(1024+64<<10-10, 1<<20), infected},
		{"nothing", nil, clean},
		{"one byte", []byte{'x'}, clean},
		{"as long as the preview", bytes.Repeat([]byte{'x'}, 1024), clean},
		{"a byte more", bytes.Repeat([]byte{'x'}, 1025), clean},
		// From 2 MiB on this service gives a part back before it has seen the whole.
		{"many chunks", bytes.Repeat([]byte{1}, 8<<20), clean},
		{"many chunks and EICAR", around(8<<20, 0), infected},
		{"text", []byte("0\r\n\r\nICAP/1.0 204 Unmodified\r\n\r\n"), clean},
	} {
		t.Run(test.name, func(t *testing.T) { mustScan(t, e, test.content, test.want) })
	}
	t.Run("size unknown", func(t *testing.T) {
		got, err := e.Stream(t.Context(), iotest.OneByteReader(bytes.NewReader(around(3000, 10))), -1)
		if err != nil || got.Signature != infected.Signature {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("together", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				want, content := clean.Result, make([]byte, i<<12)
				if i%2 == 0 {
					want, content = infected.Result, around(i<<12, i)
				}
				if got, err := scan(t, e, content); err != nil || got.Result != want {
					t.Errorf("%d: %+v, %v, want %s", i, got, err, want)
				}
			})
		}
		all.Wait()
	})
	if v, err := e.Version(t.Context()); err != nil || !strings.Contains(v, "Antivirus service CI0001-") {
		t.Errorf("version %q, %v", v, err)
	}
}

// TestTheEchoService gives back what it was given.
func TestTheEchoService(t *testing.T) {
	e := engine(t, startCICAP(t).url("echo"), nil)
	for _, size := range []int{0, 1, 1024, 1025, 1 << 20} {
		content := bytes.Repeat([]byte("ab"), (size+1)/2)[:size]
		got, err := scan(t, e, content)
		if err != nil || got.Result != registry.VerdictClean && got.Reason != icap.ReasonSkipped {
			t.Errorf("%d: %+v, %v", size, got, err)
		}
	}
}

func TestLimits(t *testing.T) {
	service := startCICAP(t, "virus_scan.MaxObjectSize 1M")
	strict := engine(t, service.url("limited"), func(c *icap.Config) { c.MaxSize = 1 << 20 })
	mustScan(t, strict, around(1<<20-68, 0), infected)
	mustScan(t, strict, around(1<<20-67, 0), limited)
	got, err := strict.Stream(t.Context(), bytes.NewReader(around(4<<20, 0)), -1)
	if err != nil || got.Reason != icap.ReasonLimit {
		t.Errorf("%+v, %v", got, err)
	}
	if problem, err := strict.Probe(t.Context()); problem != "" || err != nil {
		t.Errorf("%q, %v", problem, err)
	}
	// Who was not told of the service's limit is told that it does not look.
	careless := engine(t, service.url("limited"), nil)
	mustScan(t, careless, around(4<<20, 0), skipped)
	if problem, err := careless.Probe(t.Context()); problem == "" || err != nil {
		t.Errorf("%q, %v", problem, err)
	}
}

func TestDown(t *testing.T) {
	service := startCICAP(t)
	e := engine(t, service.url("avscan"), nil)
	mustScan(t, e, clamdtest.EICAR(), infected)
	down := func(t *testing.T, e *icap.Engine) {
		t.Helper()
		if got, err := scan(t, e, []byte("harmless")); !errors.Is(err, scanner.ErrDown) {
			t.Errorf("%+v, %v, want down", got, err)
		}
	}
	t.Run("no such service", func(t *testing.T) { down(t, engine(t, service.url("nothing"), nil)) })
	t.Run("without its clamd", func(t *testing.T) {
		service.clamd.Kill()
		down(t, e)
		service.clamd.Start()
		mustScan(t, e, clamdtest.EICAR(), infected)
	})
	t.Run("hung", func(t *testing.T) {
		service.signal(syscall.SIGSTOP)
		down(t, e)
		down(t, engine(t, service.url("avscan"), nil))
		service.signal(syscall.SIGCONT)
		mustScan(t, e, clamdtest.EICAR(), infected)
	})
	t.Run("gone", func(t *testing.T) {
		service.Kill()
		down(t, e)
		service.Start()
		mustScan(t, e, clamdtest.EICAR(), infected)
	})
}

func TestAReadersErrorIsItsOwn(t *testing.T) {
	e := engine(t, startCICAP(t).url("avscan"), nil)
	broken := errors.New("the store is broken")
	for _, after := range []int{0, 100, 1024, 1 << 20} {
		_, err := e.Stream(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, after)), iotest.ErrReader(broken)), -1)
		if !errors.Is(err, broken) || errors.Is(err, scanner.ErrDown) {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
}
