package server_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"sallyport/server"
)

type sent struct {
	n   int64
	err error
}

// content is a file of pseudo-random bytes.
func content(t testing.TB, size int) (string, []byte) {
	t.Helper()
	b := make([]byte, size)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(b)
	name := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name, b
}

// openFiles counts this process's descriptors on name.
func openFiles(t testing.TB, name string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here to count open files in")
	}
	n := 0
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && target == name {
			n++
		}
	}
	return n
}

// shy hides everything but reading from the answer's fast paths.
type shy struct{ io.Reader }

func (shy) Close() error { return nil }

// senders serves ranges of a file: ?how=file|reader|chunks&off=&n=.
func senders(t testing.TB, name string, tlsFiles *server.TLSFiles) (*fixture, <-chan sent) {
	done := make(chan sent, 64)
	f := start(t, server.Config{TLS: tlsFiles, Routes: routes(func(c *fiber.Ctx) error {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		off, n := int64(c.QueryInt("off")), int64(c.QueryInt("n"))
		over := func(n int64, err error) { done <- sent{n, err} }
		switch c.Query("how") {
		case "file":
			return server.SendFile(c, file, off, n, over)
		case "reader":
			server.SendReader(c, struct {
				io.Reader
				io.Closer
			}{io.NewSectionReader(file, off, n), file}, n, over)
		case "chunks":
			server.SendReader(c, struct {
				io.Reader
				io.Closer
			}{io.NewSectionReader(file, off, n), file}, -1, over)
		}
		return nil
	})})
	return f, done
}

func TestSendRanges(t *testing.T) {
	const size = 9<<20 + 5
	name, want := content(t, size)
	files := newTLSFiles(t)
	files.write(t, "one")
	plain, plainDone := senders(t, name, nil)
	secret, secretDone := senders(t, name, &files.TLSFiles)
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	hc := &http.Client{Timeout: patience, Transport: tr}
	ranges := []struct{ off, n int }{
		{0, 0}, {0, 1}, {7, 4096}, {0, 8192}, {1, 8193}, {0, 16384}, {3, 100_000}, {0, 4 << 20}, {1, 4<<20 + 1}, {0, size}, {size - 1, 1},
	}
	for _, how := range []string{"file", "reader", "chunks"} {
		for _, r := range ranges {
			for _, url := range []string{"http://" + plain.addr, "https://" + secret.addr} {
				path := fmt.Sprintf("%s/?how=%s&off=%d&n=%d", url, how, r.off, r.n)
				resp, err := hc.Get(path)
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || !bytes.Equal(got, want[r.off:r.off+r.n]) {
					t.Errorf("%s: %d bytes, %v", path, len(got), err)
				}
				if length := int64(r.n); how != "chunks" && resp.ContentLength != length {
					t.Errorf("%s: length %d", path, resp.ContentLength)
				}
				done := plainDone
				if resp.TLS != nil {
					done = secretDone
				}
				if s := <-done; s.n != int64(r.n) || s.err != nil {
					t.Errorf("%s: done with %+v", path, s)
				}
			}
		}
	}
	if e := secret.seen(3 * len(ranges)); e.BytesOut != 1 || e.Aborted {
		t.Errorf("%+v", e)
	}
	eventually(t, "the files to be closed", func() bool { return openFiles(t, name) == 0 })
}

func TestSendHead(t *testing.T) {
	name, _ := content(t, 100_000)
	f, done := senders(t, name, nil)
	c := f.dial()
	for i, how := range []string{"file", "reader"} {
		c.send("HEAD /?off=10&n=50000&how=" + how + " HTTP/1.1\r\nHost: s\r\n\r\n")
		resp, err := http.ReadResponse(c.br, &http.Request{Method: "HEAD"})
		if err != nil || resp.ContentLength != 50_000 || resp.Close {
			t.Fatalf("%+v, %v", resp, err)
		}
		if s := <-done; s.n != 0 || s.err != nil {
			t.Errorf("done with %+v", s)
		}
		if e := f.seen(i + 1); e.BytesOut != 0 || e.Aborted {
			t.Errorf("%+v", e)
		}
	}
	eventually(t, "the files to be closed", func() bool { return openFiles(t, name) == 0 })
}

func TestSendHeadOfNothingOpened(t *testing.T) {
	f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
		server.SendHead(c, 5<<40)
		return nil
	})})
	c := f.dial()
	c.send("HEAD / HTTP/1.1\r\nHost: s\r\n\r\n")
	resp, err := http.ReadResponse(c.br, &http.Request{Method: "HEAD"})
	if err != nil || resp.ContentLength != 5<<40 {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestSendShort(t *testing.T) {
	name, _ := content(t, 1000)
	f, done := senders(t, name, nil)
	for _, how := range []string{"file", "reader"} {
		for _, n := range []int{2000, 200_000} {
			c := f.dial()
			c.send(fmt.Sprintf("GET /?off=0&n=%d&how=%s HTTP/1.1\r\nHost: s\r\n\r\n", n, how))
			resp, err := http.ReadResponse(c.br, nil)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			if err == nil {
				t.Errorf("%s of %d: the client takes 1000 bytes for the whole", how, n)
			}
			if s := <-done; s.n > 1000 || s.err == nil {
				t.Errorf("%s of %d: done with %+v", how, n, s)
			}
		}
	}
	if e := f.seen(4); !e.Aborted {
		t.Errorf("%+v", e)
	}
	eventually(t, "the files to be closed", func() bool { return openFiles(t, name) == 0 })
}

func TestSendBrokenReader(t *testing.T) {
	done := make(chan sent, 1)
	broken := errors.New("backend broke")
	f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
		r := io.MultiReader(strings.NewReader("some"), errReader{broken})
		server.SendReader(c, shy{r}, int64(c.QueryInt("n")), func(n int64, err error) { done <- sent{n, err} })
		return nil
	})})
	for _, n := range []int{100, 100_000, -1} {
		c := f.dial()
		c.send(fmt.Sprintf("GET /?n=%d HTTP/1.1\r\nHost: s\r\n\r\n", n))
		resp, err := http.ReadResponse(c.br, nil)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
		}
		if err == nil {
			t.Errorf("%d: the client saw no failure", n)
		}
		if s := <-done; !errors.Is(s.err, broken) {
			t.Errorf("%d: done with %+v", n, s)
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestCutDownload(t *testing.T) {
	for _, how := range []string{"file", "reader"} {
		t.Run(how, func(t *testing.T) {
			name, _ := content(t, 64<<20)
			cuts := make(chan func(), 1)
			done := make(chan sent, 1)
			f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
				file, err := os.Open(name)
				if err != nil {
					return err
				}
				cuts <- server.Cut(c)
				over := func(n int64, err error) { done <- sent{n, err} }
				if how == "reader" {
					server.SendReader(c, file, 64<<20, over)
					return nil
				}
				return server.SendFile(c, file, 0, 64<<20, over)
			})})
			c := f.dial()
			c.send("GET / HTTP/1.1\r\nHost: s\r\n\r\n")
			if _, err := io.ReadFull(c.br, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			cut := <-cuts
			begun := time.Now()
			cut()
			// The client stopped reading, so the server was blocked; now both are done.
			if s := <-done; !errors.Is(s.err, server.ErrCut) || s.n >= 64<<20 {
				t.Errorf("done with %+v", s)
			}
			if _, err := io.Copy(io.Discard, c.br); err == nil {
				t.Error("the client saw an orderly end")
			}
			if d := time.Since(begun); d > time.Second {
				t.Errorf("it took %v", d)
			}
			if e := f.seen(1); e.Reason != server.ReasonCut || !e.Aborted || e.BytesOut >= 64<<20 {
				t.Errorf("%+v", e)
			}
			eventually(t, "the file to be closed", func() bool { return openFiles(t, name) == 0 })
		})
	}
}

func TestCutAfterTheEnd(t *testing.T) {
	cuts := make(chan func(), 2)
	f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
		cuts <- server.Cut(c)
		return c.SendString("ok")
	})})
	c := f.dial()
	for i := range 2 {
		c.send("GET / HTTP/1.1\r\nHost: s\r\n\r\n")
		if _, body := c.answer(); body != "ok" {
			t.Fatalf("request %d: %q", i, body)
		}
		f.seen(i + 1)
		(<-cuts)() // must not close the connection under the next request
	}
}

func TestStalledDownload(t *testing.T) {
	name, _ := content(t, 64<<20)
	done := make(chan sent, 1)
	f := start(t, server.Config{
		Limits: server.Limits{BodyIdle: 100 * time.Millisecond},
		Routes: routes(func(c *fiber.Ctx) error {
			file, err := os.Open(name)
			if err != nil {
				return err
			}
			return server.SendFile(c, file, 0, 64<<20, func(n int64, err error) { done <- sent{n, err} })
		}),
	})
	c := f.dial()
	c.send("GET / HTTP/1.1\r\nHost: s\r\n\r\n")
	if s := <-done; !errors.Is(s.err, os.ErrDeadlineExceeded) {
		t.Errorf("done with %+v", s)
	}
	if e := f.seen(1); e.Reason != server.ReasonClientGone || !e.Aborted {
		t.Errorf("%+v", e)
	}
}

func TestSlowDownloadArrives(t *testing.T) {
	const size = 6 << 20
	for _, how := range []string{"file", "reader"} {
		t.Run(how, func(t *testing.T) {
			name, want := content(t, size)
			f := start(t, server.Config{
				// Far less time per deadline than one slice takes this client.
				Limits: server.Limits{BodyIdle: 250 * time.Millisecond, MinRate: -1},
				Routes: routes(func(c *fiber.Ctx) error {
					file, err := os.Open(name)
					if err != nil {
						return err
					}
					if how == "reader" {
						server.SendReader(c, file, size, nil)
						return nil
					}
					return server.SendFile(c, file, 0, size, nil)
				}),
			})
			c := f.dial()
			if err := c.SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
			c.send("GET / HTTP/1.1\r\nHost: s\r\n\r\n")
			resp, err := http.ReadResponse(c.br, nil)
			if err != nil {
				t.Fatal(err)
			}
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			var got bytes.Buffer
			for err == nil {
				<-tick.C
				_, err = io.CopyN(&got, resp.Body, 20<<10)
			}
			if err != io.EOF || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d of %d bytes, %v", got.Len(), size, err)
			}
		})
	}
}
