package server_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gofiber/fiber/v2"

	"sallyport/server"
)

// bodyResult serves uploads and tells how each body ended.
func bodyResult(t *testing.T, limits server.Limits) (*fixture, <-chan error) {
	ended := make(chan error, 16)
	f := start(t, server.Config{Limits: limits, Routes: routes(func(c *fiber.Ctx) error {
		_, err := io.Copy(io.Discard, server.BodyOf(c))
		ended <- err
		if err != nil {
			return c.SendStatus(400)
		}
		return c.SendStatus(204)
	})})
	return f, ended
}

const put10 = "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 10\r\n\r\n"

func TestBodyEndsEarly(t *testing.T) {
	f, ended := bodyResult(t, server.Limits{})
	for _, tc := range []struct{ name, send string }{
		{"length", put10 + "hello"},
		{"chunk", "PUT /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"},
		{"between chunks", "PUT /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		{"before the last line", "PUT /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := f.dial()
			c.send(tc.send)
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("body ended in %v", err)
			}
			if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
				t.Errorf("%q", got)
			}
		})
	}
	t.Run("closed right after a whole chunked body", func(t *testing.T) {
		c := f.dial()
		c.send("PUT /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("body ended in %v", err)
		}
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("reset", func(t *testing.T) {
		c := f.dial()
		c.send(put10 + "hello")
		eventually(t, "the body to be read", func() bool { return f.metric("http_requests_in_flight") == 1 })
		if err := c.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("body ended in %v", err)
		}
		if e := f.seen(6); !e.Aborted || e.BytesIn != 5 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("before the first byte", func(t *testing.T) {
		c := f.dial()
		c.send(put10)
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.rest()
		if e := f.seen(7); e.Status != 400 || e.Reason != server.ReasonIncompleteBody || e.BytesIn != 0 {
			t.Errorf("%+v", e)
		}
	})
}

func TestBodyExact(t *testing.T) {
	f, ended := bodyResult(t, server.Limits{})
	c := f.dial()
	// A declared body, a chunked one with a trailer, and none, one after the other.
	c.send(put10 + "0123456789" +
		"PUT /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n" +
		"PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n")
	for i, want := range []int64{10, 3, 0} {
		if resp, _ := c.answer(); resp.StatusCode != 204 || resp.Close {
			t.Errorf("status %d, close %v", resp.StatusCode, resp.Close)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if e := f.seen(i + 1); i == 2 && e.BytesIn != want {
			t.Errorf("%+v", e)
		}
	}
	if n := f.metric("http_received_bytes_total"); n != 13 {
		t.Errorf("%v bytes received", n)
	}
}

func TestBodyReadInFullWithoutEOF(t *testing.T) {
	f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
		_, err := io.ReadFull(server.BodyOf(c), make([]byte, 10))
		return err
	})})
	c := f.dial()
	c.send(put10 + "0123456789")
	if resp, _ := c.answer(); resp.StatusCode != 200 || resp.Close {
		t.Errorf("status %d, close %v: the connection could have been kept", resp.StatusCode, resp.Close)
	}
}

func TestBodyDeadlines(t *testing.T) {
	t.Run("stalled", func(t *testing.T) {
		f, ended := bodyResult(t, server.Limits{BodyIdle: 100 * time.Millisecond})
		c := f.dial()
		c.send(put10 + "hello")
		if err := <-ended; !errors.Is(err, server.ErrBodyStalled) {
			t.Errorf("body ended in %v", err)
		}
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("no first byte", func(t *testing.T) {
		f, _ := bodyResult(t, server.Limits{BodyIdle: 100 * time.Millisecond})
		c := f.dial()
		c.send(put10)
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("slow but steady", func(t *testing.T) {
		f, ended := bodyResult(t, server.Limits{BodyIdle: 200 * time.Millisecond, MinRate: -1})
		c := f.dial()
		c.send("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 20\r\n\r\n")
		tick := time.NewTicker(30 * time.Millisecond) // 600 ms in all, three times the idle limit
		defer tick.Stop()
		for range 20 {
			<-tick.C
			c.send("x")
		}
		if err := <-ended; err != nil {
			t.Errorf("body ended in %v", err)
		}
	})
	t.Run("below the minimum rate", func(t *testing.T) {
		f, ended := bodyResult(t, server.Limits{MinRate: 10_000, MinRateGrace: 100 * time.Millisecond})
		c := f.dial()
		c.send("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 100000\r\n\r\n")
		go func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				<-tick.C
			}
		}()
		if err := <-ended; !errors.Is(err, server.ErrBodyTooSlow) {
			t.Errorf("body ended in %v", err)
		}
	})
	t.Run("our own slowness is not the client's", func(t *testing.T) {
		pause := make(chan struct{})
		f := start(t, server.Config{
			Limits: server.Limits{BodyIdle: 50 * time.Millisecond, MinRate: 1 << 30, MinRateGrace: 50 * time.Millisecond},
			Routes: routes(func(c *fiber.Ctx) error {
				b := server.BodyOf(c)
				if _, err := io.ReadFull(b, make([]byte, 5)); err != nil {
					return err
				}
				<-pause
				_, err := io.Copy(io.Discard, iotest.OneByteReader(b))
				return err
			}),
		})
		c := f.dial()
		c.send(put10 + "0123456789")
		time.AfterFunc(200*time.Millisecond, func() { close(pause) })
		if resp, _ := c.answer(); resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
	})
}

func TestBodyInterrupt(t *testing.T) {
	bodies := make(chan *server.Body, 1)
	f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
		b := server.BodyOf(c)
		bodies <- b
		_, err := io.Copy(io.Discard, b)
		return c.Status(409).SendString(fmt.Sprint(errors.Is(err, server.ErrBodyInterrupted)))
	})})
	c := f.dial()
	c.send(put10 + "hello")
	b := <-bodies
	b.Interrupt()
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 409 ") || !strings.HasSuffix(got, "true") {
		t.Errorf("%q", got)
	}
	b.Interrupt() // of a request long gone
}

func TestBodyInterruptOfFinishedLeavesNextAlone(t *testing.T) {
	bodies := make(chan *server.Body, 2)
	f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
		b := server.BodyOf(c)
		bodies <- b
		_, err := io.Copy(io.Discard, b)
		return err
	})})
	c := f.dial()
	c.send(put10 + "0123456789")
	c.answer()
	first := <-bodies
	c.send(put10 + "01234")
	<-bodies
	first.Interrupt()
	c.send("56789")
	if resp, _ := c.answer(); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

// waitsIn reports whether a goroutine waits for the network below a function.
func waitsIn(function string) bool {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "[IO wait") && strings.Contains(stack, function) {
			return true
		}
	}
	return false
}

func TestBodyFence(t *testing.T) {
	type result struct {
		n   int
		err error
	}
	for _, how := range []string{"by the handler", "by the listener"} {
		t.Run(how, func(t *testing.T) {
			stray := make(chan result, 1)
			var left *server.Body
			f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
				b := server.BodyOf(c)
				left = b
				if _, err := io.ReadFull(b, make([]byte, 5)); err != nil {
					return err
				}
				go func() { // what a storage client does that answered before reading all
					n, err := b.Read(make([]byte, 10))
					stray <- result{n, err}
				}()
				eventually(t, "the reader to wait", func() bool { return waitsIn("(*Body).Read") })
				if how == "by the handler" {
					b.Finish()
					select {
					case r := <-stray: // only once that one is out
						stray <- r
					case <-time.After(patience):
						t.Error("the reader still waits")
					}
				}
				return c.SendStatus(503)
			})})
			c := f.dial()
			c.send(put10 + "hello")
			if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "Connection: close") {
				t.Errorf("%q", got)
			}
			if r := <-stray; r.n != 0 || r.err == nil {
				t.Errorf("the stray reader got %d bytes, %v", r.n, r.err)
			}
			if n, err := left.Read(make([]byte, 1)); n != 0 || !errors.Is(err, server.ErrBodyFinished) {
				t.Errorf("afterwards: %d, %v", n, err)
			}
		})
	}
}

func TestBodyReadAll(t *testing.T) {
	f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
		b, err := server.BodyOf(c).ReadAll(10)
		if err != nil {
			return c.Status(413).SendString(err.Error())
		}
		return c.Send(b)
	})})
	for _, tc := range []struct {
		name, request, want string
		status              int
	}{
		{"exactly the limit", put10 + "0123456789", "0123456789", 200},
		{"none", "PUT /k HTTP/1.1\r\nHost: s\r\n\r\n", "", 200},
		{"chunks", "PUT /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", "helloworld", 200},
		{"chunks over the limit", "PUT /k HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhelloworl\r\n2\r\nd!\r\n0\r\n\r\n", server.ErrBodyTooLarge.Error(), 413},
		{"declared over the limit", "PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 11\r\n\r\n0", server.ErrBodyTooLarge.Error(), 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := f.dial()
			c.send(tc.request)
			if resp, body := c.answer(); resp.StatusCode != tc.status || body != tc.want {
				t.Errorf("status %d, %q", resp.StatusCode, body)
			}
		})
	}
}
