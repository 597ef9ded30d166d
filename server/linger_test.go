package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"sallyport/server"
)

// tries is how often each client must get its answer.
const tries = 20

// refusers are the two places a request can be refused in, body unread.
func refusers() map[string]server.Config {
	return map[string]server.Config{
		"in the hook":    {Admit: refuseAll, Routes: routes(drain)},
		"in the handler": {Routes: routes(func(c *fiber.Ctx) error { return c.Status(403).SendString(refusalBody) })},
	}
}

func bigBody(t *testing.T) []byte {
	t.Helper()
	return make([]byte, 50<<20)
}

func TestRefusalArrivesGo(t *testing.T) {
	body := bigBody(t)
	for name, cfg := range refusers() {
		t.Run(name, func(t *testing.T) {
			f := start(t, cfg)
			refusedByGo(t, &http.Client{Timeout: patience}, "http://"+f.addr+"/k", body, tries)
		})
		t.Run(name+", TLS", func(t *testing.T) {
			files := newTLSFiles(t)
			files.write(t, "one")
			cfg.TLS = &files.TLSFiles
			f := start(t, cfg)
			tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			defer tr.CloseIdleConnections()
			refusedByGo(t, &http.Client{Timeout: patience, Transport: tr}, "https://"+f.addr+"/k", body, tries/2)
		})
	}
}

func refusedByGo(t *testing.T, hc *http.Client, url string, body []byte, tries int) {
	t.Helper()
	for i := range tries {
		req, err := http.NewRequest("PUT", url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 403 || string(got) != refusalBody {
			t.Fatalf("try %d: status %d, %q, %v", i, resp.StatusCode, got, err)
		}
		_ = resp.Body.Close()
	}
}

// need skips, or fails where everything must be tested, if a program is missing.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed: use the system's package manager", program)
}

func TestRefusalArrivesCurl(t *testing.T) {
	need(t, "curl")
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, bigBody(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range refusers() {
		t.Run(name, func(t *testing.T) {
			f := start(t, cfg)
			for i := range tries {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				out, err := exec.CommandContext(ctx, "curl", "-sS", "-H", "Expect:", "-T", file,
					"-w", "%{http_code}", "http://"+f.addr+"/k").CombinedOutput()
				cancel()
				if err != nil || string(out) != refusalBody+"403" {
					t.Fatalf("try %d: %v: %s", i, err, out)
				}
			}
		})
	}
	t.Run("with Expect no body byte is sent", func(t *testing.T) {
		f := start(t, server.Config{Admit: refuseAll, Routes: routes(drain)})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, "curl", "-sS", "--expect100-timeout", "20", "-H", "Expect: 100-continue",
			"-T", file, "-w", "%{http_code} %{size_upload}", "http://"+f.addr+"/k").CombinedOutput()
		if err != nil || string(out) != refusalBody+"403 0" {
			t.Fatalf("%v: %s", err, out)
		}
	})
}

const nodeScript = `
const http = require('http'), body = Buffer.alloc(50 << 20);
const [addr, tries] = process.argv.slice(1);
const [host, port] = addr.split(':');
function once(i) {
  if (i == tries) return;
  let over = false;
  const end = what => { if (!over) { over = true; console.log(what); once(i + 1); } };
  const r = http.request({host, port, method: 'PUT', path: '/k', agent: false,
    headers: {'Content-Length': body.length}}, res => {
    let got = ''; res.on('data', d => got += d);
    res.on('end', () => { end(res.statusCode + ' ' + got); });
  });
  r.on('error', e => end('error ' + e.code));
  r.end(body);
}
once(0);`

func TestRefusalArrivesNode(t *testing.T) {
	need(t, "node")
	for name, cfg := range refusers() {
		t.Run(name, func(t *testing.T) {
			f := start(t, cfg)
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, "node", "-e", nodeScript, f.addr, fmt.Sprint(tries)).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := strings.Count(string(out), "403 "+refusalBody); got != tries {
				t.Errorf("%d of %d refusals arrived:\n%s", got, tries, out)
			}
		})
	}
}

func TestLingerIsBounded(t *testing.T) {
	f := start(t, server.Config{
		Admit: refuseAll, Routes: routes(drain),
		Limits: server.Limits{LingerTime: 100 * time.Millisecond, MaxLingering: 1},
	})
	head := "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000\r\n\r\n"
	first := f.dial()
	first.send(head)
	// The answer ends at once, by half-closing, while the connection still discards.
	if got := first.rest(); !strings.HasSuffix(got, refusalBody) {
		t.Fatalf("%q", got)
	}
	f.seen(1)
	// The client never closes; the time limit does.
	eventually(t, "the lingering connection to close", func() bool {
		return f.metric("http_connections") == 0 && f.metric("http_lingering_connections") == 0
	})
}

func TestLingerBytesAreBounded(t *testing.T) {
	f := start(t, server.Config{
		Admit: refuseAll, Routes: routes(drain),
		Limits: server.Limits{LingerTime: patience, LingerBytes: 1 << 20},
	})
	c := f.dial()
	c.send("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000000000\r\n\r\n")
	if resp, _ := c.answer(); resp.StatusCode != 403 {
		t.Fatal(resp.Status)
	}
	piece := make([]byte, 64<<10)
	for sent := 0; ; sent += len(piece) {
		if _, err := c.Write(piece); err != nil {
			break // refused at last
		}
		if sent > 64<<20 {
			t.Fatal("64 MiB were swallowed with a limit of 1 MiB")
		}
	}
}

func TestLingeringIsCapped(t *testing.T) {
	f := start(t, server.Config{
		Admit: refuseAll, Routes: routes(drain),
		Limits: server.Limits{LingerTime: 3 * patience, MaxLingering: 2},
	})
	var held []*client
	for range 4 {
		c := f.dial()
		c.send("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 5000\r\n\r\n")
		if resp, _ := c.answer(); resp.StatusCode != 403 {
			t.Fatal(resp.Status)
		}
		held = append(held, c)
	}
	eventually(t, "two connections to be closed at once", func() bool {
		return f.metric("http_connections") == 2 && f.metric("http_lingering_connections") == 2
	})
	for _, c := range held {
		_ = c.Close()
	}
	eventually(t, "the others to follow their clients", func() bool { return f.metric("http_connections") == 0 })
}
