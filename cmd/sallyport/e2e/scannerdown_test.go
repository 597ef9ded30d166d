package e2e_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"sallyport/scanner/clamd/clamdtest"
)

// gate stands before a clamd. While it is shut it answers as whoever is not a clamd.
type gate struct {
	address string // for the setting
	shut    atomic.Bool
}

func newGate(t *testing.T, daemon *clamdtest.Clamd) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	g := &gate{address: "tcp://" + listener.Addr().String()}
	to, err := url.Parse(daemon.TCP)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			front, err := listener.Accept()
			if err != nil {
				return
			}
			go g.pass(front, to.Host)
		}
	}()
	return g
}

func (g *gate) pass(front net.Conn, to string) {
	defer front.Close()
	if g.shut.Load() {
		_, _ = io.WriteString(front, "220 mail.example ESMTP\r\n1: stream: OK\x00")
		_, _ = io.Copy(io.Discard, front)
		return
	}
	back, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer back.Close()
	go func() {
		defer front.Close()
		_, _ = io.Copy(front, &shutter{back, g})
	}()
	_, _ = io.Copy(back, &shutter{front, g})
}

// shutter ends with its gate.
type shutter struct {
	net.Conn
	g *gate
}

func (s *shutter) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.g.shut.Load() {
		return 0, io.EOF
	}
	return n, err
}

// TestScannerDown has clamd fail in every way: nothing is published meanwhile, and all is
// inspected when it is back, in the order it came.
func TestScannerDown(t *testing.T) {
	daemon := clamdtest.Start(t)
	g := newGate(t, daemon)
	s := serve(t, disk{}, "SCANNER_CLAMD_ADDR="+g.address, "SCANNER_CLAMD_PATIENCE=1s")
	s.root.must("PUT", "/profiles/direct", map[string]any{"intake": "direct"}, nil)
	if _, o := s.root.send("before.bin", noise(1, 1000)); o.State != "published" {
		t.Fatalf("before: %s", o)
	}
	for _, fault := range []struct {
		name    string
		do, end func()
	}{
		{"stopped", daemon.Kill, daemon.Start},
		{"hung", daemon.Freeze, daemon.Thaw},
		{"garbage", func() { g.shut.Store(true) }, func() { g.shut.Store(false) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			s.in(t)
			fault.do()
			back := false
			defer func() {
				if !back {
					fault.end()
				}
			}()
			var waiting []*Session
			for i, content := range [][]byte{noise(2, 1000), clamdtest.EICAR(), noise(3, 100_000)} {
				u := s.root.begin(int64(len(content)))
				u.mustPut(content)
				s.root.must("POST", "/uploads/"+u.UploadID+"/finalize", map[string]any{}, nil)
				waiting = append(waiting, u)
				key := "/direct/" + fault.name + strings.Repeat("x", i)
				a, err := s.root.object("PUT", key, "", content, nil)
				if err != nil || !a.is(http.StatusServiceUnavailable, "SlowDown") {
					t.Errorf("PUT: %s, %v", a, err)
				}
				s.absent(key)
			}
			eventually(t, "readiness says what is missing", func() bool {
				a, err := s.get(s.Ops + "/readyz")
				return err == nil && a.Status == http.StatusOK && strings.Contains(string(a.Body), `"scanner":"`) &&
					!strings.Contains(string(a.Body), `"scanner":"ok"`)
			})
			s.Restart() // what waits does so in the ledger
			for _, u := range waiting {
				if state := s.root.objectState(u.ObjectID); state == "published" || state == "rejected" {
					t.Errorf("without clamd an object is %s", state)
				}
			}
			fault.end()
			back = true
			for i, u := range waiting {
				want := "published"
				if i == 1 {
					want = "rejected"
				}
				if o := s.root.judged(u.ObjectID); o.State != want {
					t.Errorf("object %d is %s, want %s", i, o, want)
				}
			}
			a, err := s.root.object("PUT", "/direct/"+fault.name, "", noise(2, 1000), nil)
			if err != nil || a.Status != http.StatusOK {
				t.Errorf("PUT, once it is back: %s, %v", a, err)
			}
		})
	}
}

// TestClamdHasLessThanConfigured: what clamd refuses for its length, and what it passes
// over because of it, is held.
func TestClamdHasLessThanConfigured(t *testing.T) {
	daemon := clamdtest.Start(t, "StreamMaxLength 1M")
	s := serve(t, disk{}, "SCANNER_CLAMD_ADDR="+daemon.Unix,
		"SCANNER_CLAMD_STREAM_MAX_LENGTH=8MiB", "SCANNER_CLAMD_MAX_FILE_SIZE=8MiB", "SCANNER_CLAMD_MAX_SCAN_SIZE=32MiB")
	s.root.must("PUT", "/profiles/direct", map[string]any{"intake": "direct"}, nil)
	content := noise(1, 4<<20)
	if _, o := s.root.send("long.bin", content); !o.Held || o.Verdict.Result != "incomplete" {
		t.Errorf("the session's object is %s", o)
	}
	if a, err := s.root.object("PUT", "/direct/long.bin", "", content, nil); err != nil || !a.is(http.StatusBadRequest, "ScanIncomplete") {
		t.Errorf("PUT: %s, %v", a, err)
	}
	if out, ok := s.cli("doctor"); ok || !strings.Contains(out, "clamd's StreamMaxLength is less") {
		t.Errorf("doctor says:\n%s", out)
	}
}
