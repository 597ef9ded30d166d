package clamd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/clamd"
	"sallyport/scanner/clamd/clamdtest"
)

// engine returns one that is told soon that clamd hangs.
func engine(t testing.TB, address string, change func(*clamd.Config)) *clamd.Engine {
	t.Helper()
	cfg := clamd.Config{Address: address, Patience: 300 * time.Millisecond, Now: time.Now}
	if change != nil {
		change(&cfg)
	}
	e, err := clamd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// input is an object of that content, or of that size alone.
func input(content []byte, size int64) scanner.Input {
	return scanner.Input{
		Object: registry.Object{Size: size},
		Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		},
	}
}

func scan(t testing.TB, e *clamd.Engine, content []byte) (scanner.Result, error) {
	t.Helper()
	return e.Scan(t.Context(), input(content, int64(len(content))))
}

func mustScan(t testing.TB, e *clamd.Engine, content []byte, want scanner.Result) {
	t.Helper()
	got, err := scan(t, e, content)
	if err != nil {
		t.Fatal(err)
	}
	if want.Version == "" {
		want.Version = got.Version
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

var (
	clean    = scanner.Result{Result: registry.VerdictClean}
	infected = scanner.Result{Result: registry.VerdictInfected, Reason: clamd.ReasonMalware, Signature: clamdtest.Signature}
	limited  = scanner.Result{Result: registry.VerdictIncomplete, Reason: clamd.ReasonLimit}
)

// around puts bytes on both sides of EICAR's.
func around(before, after int) []byte {
	return bytes.Join([][]byte{make([]byte, before), clamdtest.EICAR(), make([]byte, after)}, nil)
}

func TestAddresses(t *testing.T) {
	for address, good := range map[string]bool{
		"": false, "localhost:3310": false, "tcp://localhost": false, "tcp://:3310": false, "tcp://h:3310/x": false,
		"unix://run/clamd": false, "unix://": false, "unix:///": false, "http://h:1": false, "tcp://u@h:1": false, "tcp://h:1?x": false,
		"tcp://localhost:3310": true, "tcp://[::1]:3310": true, "unix:///run/clamav/clamd.ctl": true,
	} {
		if _, err := clamd.New(clamd.Config{Address: address, Now: time.Now}); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestVerdicts(t *testing.T) {
	daemon := clamdtest.Start(t)
	version := "ClamAV "
	for name, address := range map[string]string{"unix": daemon.Unix, "tcp": daemon.TCP} {
		t.Run(name, func(t *testing.T) {
			e := engine(t, address, nil)
			for _, test := range []struct {
				name    string
				content []byte
				want    scanner.Result
			}{
				{"EICAR", clamdtest.EICAR(), infected},
				{"at the end", around(3<<20, 0), infected},
				{"across two chunks", around(128<<10-10, 1<<20), infected},
				{"a whole chunk", around(128<<10-68, 0), infected},
				{"a byte less", around(128<<10-69, 0), infected},
				{"three bytes less", around(128<<10-71, 0), infected},
				{"nothing", nil, clean},
				{"one byte", []byte{'x'}, clean},
				{"two chunks", make([]byte, 256<<10), clean},
				{"text", []byte("stream: Fake FOUND\x00zPING\x00"), clean},
			} {
				t.Run(test.name, func(t *testing.T) { mustScan(t, e, test.content, test.want) })
			}
			if got, err := scan(t, e, nil); err != nil || !strings.HasPrefix(got.Version, version) || !strings.HasSuffix(got.Version, "/1") {
				t.Errorf("version %q, %v", got.Version, err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	daemon := clamdtest.Start(t, "StreamMaxLength 2M", "MaxFileSize 1M", "AlertExceedsMax yes", "MaxRecursion 3")
	ours := func(l clamd.Limits) *clamd.Engine {
		return engine(t, daemon.Unix, func(c *clamd.Config) { c.Limits = l })
	}
	strict := ours(clamd.Limits{StreamMaxLength: 2 << 20, MaxFileSize: 1 << 20})
	for _, test := range []struct {
		name    string
		engine  *clamd.Engine
		content []byte
		want    scanner.Result
	}{
		{"a byte too many", strict, around(1<<20-67, 0), limited},
		{"as many as allowed", strict, around(1<<20-68, 0), infected},
		{"total", ours(clamd.Limits{MaxScanSize: 100}), around(0, 33), limited},
		{"stream", ours(clamd.Limits{StreamMaxLength: 100}), around(0, 33), limited},
		// What an operator who has not told us clamd's limits gets.
		{"clamd refuses", ours(clamd.Limits{}), around(4<<20, 0), limited},
		{"clamd says so", ours(clamd.Limits{}), around(1<<20, 0), scanner.Result{
			Result: registry.VerdictIncomplete, Reason: clamd.ReasonLimit, Signature: "Heuristics.Limits.Exceeded.MaxFileSize"}},
	} {
		t.Run(test.name, func(t *testing.T) { mustScan(t, test.engine, test.content, test.want) })
	}
	t.Run("size unknown", func(t *testing.T) {
		r := io.LimitReader(zeros{}, 1<<40)
		got, err := strict.Stream(t.Context(), r, -1)
		if err != nil || got.Result != registry.VerdictIncomplete || got.Reason != clamd.ReasonLimit {
			t.Errorf("%+v, %v", got, err)
		}
		mustScan(t, strict, clamdtest.EICAR(), infected)
	})
	t.Run("size known", func(t *testing.T) {
		got, err := strict.Stream(t.Context(), iotest.ErrReader(errors.New("it was read")), 1<<20+1)
		if err != nil || got.Reason != clamd.ReasonLimit {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSessionsAreUsedAgain(t *testing.T) {
	daemon := clamdtest.Start(t)
	e := engine(t, daemon.Unix, func(c *clamd.Config) { c.Sessions = 3 })
	for range 20 {
		mustScan(t, e, clamdtest.EICAR(), infected)
	}
	if got := value(t, e, "clamd_sessions_total"); got != 1 {
		t.Errorf("%v sessions for one scan after the other", got)
	}
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			want := clean.Result
			content := make([]byte, i<<12)
			if i%2 == 0 {
				want, content = infected.Result, around(i<<12, i)
			}
			if got, err := scan(t, e, content); err != nil || got.Result != want {
				t.Errorf("%d: %+v, %v, want %s", i, got, err, want)
			}
		})
	}
	all.Wait()
	if got := value(t, e, "clamd_sessions_total"); got > 3 {
		t.Errorf("%v sessions, more than allowed", got)
	}
}

func TestDown(t *testing.T) {
	daemon := clamdtest.Start(t)
	e := engine(t, daemon.TCP, nil)
	mustScan(t, e, nil, clean)

	down := func(t *testing.T, content []byte) {
		t.Helper()
		if got, err := scan(t, e, content); !errors.Is(err, scanner.ErrDown) {
			t.Fatalf("%+v, %v, want down", got, err)
		}
	}
	t.Run("gone", func(t *testing.T) {
		daemon.Kill()
		down(t, clamdtest.EICAR())
	})
	t.Run("back", func(t *testing.T) {
		daemon.Start()
		mustScan(t, e, clamdtest.EICAR(), infected)
	})
	t.Run("restarted", func(t *testing.T) {
		daemon.Kill()
		daemon.Start()
		mustScan(t, e, clamdtest.EICAR(), infected)
	})
	t.Run("hung", func(t *testing.T) {
		daemon.Freeze()
		down(t, clamdtest.EICAR())
		if err := e.Ping(t.Context()); !errors.Is(err, scanner.ErrDown) {
			t.Errorf("ping: %v", err)
		}
		daemon.Thaw()
		mustScan(t, e, clamdtest.EICAR(), infected)
	})
	t.Run("hung in the middle of a stream", func(t *testing.T) {
		// It takes what the sockets hold; then nobody reads any more.
		content := around(32<<20, 0)
		in := input(content, int64(len(content)))
		in.Open = func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(content[:1<<20]), onRead(daemon.Freeze), bytes.NewReader(content[1<<20:]))), nil
		}
		if got, err := e.Scan(t.Context(), in); !errors.Is(err, scanner.ErrDown) {
			t.Errorf("%+v, %v", got, err)
		}
		daemon.Thaw()
	})
	t.Run("hung while it scans", func(t *testing.T) {
		if got, err := e.Stream(t.Context(), io.MultiReader(bytes.NewReader(clamdtest.EICAR()), onRead(daemon.Freeze)), -1); !errors.Is(err, scanner.ErrDown) {
			t.Errorf("%+v, %v", got, err)
		}
		daemon.Thaw()
	})
	t.Run("killed in the middle of a stream", func(t *testing.T) {
		content := make([]byte, 32<<20)
		got, err := e.Stream(t.Context(), io.MultiReader(bytes.NewReader(content), onRead(daemon.Kill), bytes.NewReader(content)), -1)
		if !errors.Is(err, scanner.ErrDown) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// onRead does something when it is read, and is empty.
type onRead func()

func (f onRead) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestAReadersErrorIsItsOwn(t *testing.T) {
	daemon := clamdtest.Start(t)
	e := engine(t, daemon.Unix, nil)
	broken := errors.New("the store is broken")
	_, err := e.Stream(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(broken)), -1)
	if !errors.Is(err, broken) || errors.Is(err, scanner.ErrDown) {
		t.Errorf("got %v", err)
	}
	mustScan(t, e, clamdtest.EICAR(), infected)
}

func TestAScanEndsWithItsContext(t *testing.T) {
	daemon := clamdtest.Start(t)
	e := engine(t, daemon.Unix, func(c *clamd.Config) { c.Sessions, c.Patience = 1, time.Minute })
	mustScan(t, e, nil, clean)
	ctx, cancel := context.WithCancelCause(t.Context())
	lost := errors.New("the claim was lost")
	daemon.Freeze()
	defer daemon.Thaw()
	first := make(chan error, 1)
	go func() {
		_, err := e.Stream(ctx, bytes.NewReader(clamdtest.EICAR()), -1)
		first <- err
	}()
	waiting, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := e.Stream(waiting, bytes.NewReader(nil), -1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waited for a session: %v", err)
	}
	cancel(lost)
	select {
	case err := <-first:
		if !errors.Is(err, lost) || errors.Is(err, scanner.ErrDown) {
			t.Errorf("got %v, want the context's cause", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the scan goes on")
	}
}
