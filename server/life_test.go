package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"sallyport/server"
)

func config() server.Config {
	return server.Config{
		Name: "s3", Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Now: time.Now, Routes: routes(drain),
	}
}

func TestConfigRefused(t *testing.T) {
	for name, spoil := range map[string]func(*server.Config){
		"a name":     func(c *server.Config) { c.Name = "" },
		"no address": func(c *server.Config) { c.Addr = "" },
		"no log":     func(c *server.Config) { c.Log = nil },
		"no clock":   func(c *server.Config) { c.Now = nil },
		"no routes":  func(c *server.Config) { c.Routes = nil },
	} {
		cfg := config()
		spoil(&cfg)
		if _, err := server.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestStartOnTakenPort(t *testing.T) {
	f := start(t, config())
	cfg := config()
	cfg.Addr = f.addr
	l, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err == nil {
		t.Error("no error")
	}
	if err := l.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown of what never started: %v", err)
	}
}

// shutdown runs Shutdown with a grace period in the background.
func shutdown(f *fixture, grace time.Duration) <-chan error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		done <- f.Shutdown(ctx)
	}()
	return done
}

func TestShutdownFinishesTransfers(t *testing.T) {
	f := start(t, server.Config{Routes: routes(drain)})
	idle := f.dial()
	idle.send("GET /k HTTP/1.1\r\nHost: s\r\n\r\n")
	idle.answer()
	silent := f.dial()

	c := f.dial()
	c.send("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 10\r\n\r\nhello")
	eventually(t, "the upload to run", func() bool { return f.metric("http_requests_in_flight") == 1 })
	begun := time.Now()
	done := shutdown(f, patience)
	if got := idle.rest(); got != "" {
		t.Errorf("idle connection: %q", got)
	}
	// Reset or closed: either way it does not hold up the shutdown.
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("silent connection: %d, %v", n, err)
	}
	if d := time.Since(begun); d > 3*time.Second {
		t.Errorf("connections without a request held out for %v", d)
	}
	select {
	case err := <-done:
		t.Fatalf("shut down (%v) with an upload under way", err)
	default:
	}
	c.send("world")
	if resp, body := c.answer(); resp.StatusCode != 200 || body != "10" || !resp.Close {
		t.Errorf("status %d, close %v, body %q", resp.StatusCode, resp.Close, body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsAfterGrace(t *testing.T) {
	ended := make(chan error, 1)
	f := start(t, server.Config{Routes: routes(func(c *fiber.Ctx) error {
		_, err := io.Copy(io.Discard, server.BodyOf(c))
		ended <- err
		return c.SendStatus(400)
	})})
	c := f.dial()
	c.send("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 10\r\n\r\nhello")
	eventually(t, "the upload to run", func() bool { return f.metric("http_requests_in_flight") == 1 })
	if err := <-shutdown(f, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-ended; !errors.Is(err, server.ErrBodyInterrupted) {
		t.Errorf("body: %v", err)
	}
	if e := f.seen(1); e.Reason != server.ReasonCut || !e.Aborted {
		t.Errorf("%+v", e)
	}
	if n := f.metric("http_connections"); n != 0 {
		t.Errorf("%v connections left", n)
	}
}

func TestConnectionLimit(t *testing.T) {
	f := start(t, server.Config{Limits: server.Limits{MaxConns: 2}, Routes: routes(drain)})
	var held []*client
	for range 2 {
		c := f.dial()
		c.send("GET /k HTTP/1.1\r\nHost: s\r\n\r\n")
		c.answer()
		held = append(held, c)
	}
	c := f.dial()
	c.send("PUT /k HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\n\r\nabc")
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, server.ReasonTooManyConnections) ||
		!strings.Contains(got, "X-Request-Id: ") {
		t.Errorf("%q", got)
	}
	if n := f.metric("http_rejected_connections_total"); n != 1 {
		t.Errorf("%v rejected", n)
	}
	_ = held[0].Close()
	eventually(t, "room for another", func() bool { return f.metric("http_connections") == 1 })
	c = f.dial()
	c.send("GET /k HTTP/1.1\r\nHost: s\r\n\r\n")
	if resp, _ := c.answer(); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

func TestHeaderDeadlines(t *testing.T) {
	f := start(t, server.Config{
		Limits: server.Limits{HeaderTimeout: 150 * time.Millisecond, Idle: 150 * time.Millisecond}, Routes: routes(drain),
	})
	t.Run("silence ends silently", func(t *testing.T) {
		if got := f.dial().rest(); got != "" {
			t.Errorf("%q", got)
		}
	})
	t.Run("half a header", func(t *testing.T) {
		c := f.dial()
		c.send("GET /k HTTP/1.1\r\nHo")
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, server.ReasonTimeout) {
			t.Errorf("%q", got)
		}
	})
	t.Run("a header in drops", func(t *testing.T) {
		c := f.dial()
		drops := time.NewTicker(20 * time.Millisecond)
		defer drops.Stop()
		go func() {
			for range 1000 {
				if _, err := c.Write([]byte("a")); err != nil {
					return
				}
				<-drops.C
			}
		}()
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("idle keep-alive", func(t *testing.T) {
		c := f.dial()
		c.send("GET /k HTTP/1.1\r\nHost: s\r\n\r\n")
		c.answer()
		if got := c.rest(); got != "" {
			t.Errorf("%q", got)
		}
	})
}
