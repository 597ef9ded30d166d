package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/valyala/fasthttp"

	"sallyport/server"
)

// patience bounds every wait of these tests; nothing should come near it.
const patience = 20 * time.Second

// fixture is a running listener and what it was seen doing.
type fixture struct {
	*server.Listener
	t    testing.TB
	addr string
	logs *syncBuffer

	mu        sync.Mutex
	exchanges []*server.Exchange
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start serves cfg on a free port until the test ends; missing fields are filled in.
func start(t testing.TB, cfg server.Config) *fixture {
	t.Helper()
	f := &fixture{t: t, logs: &syncBuffer{}}
	cfg.Name, cfg.Addr = "s3", "127.0.0.1:0"
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewJSONHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if cfg.RenderError == nil {
		cfg.RenderError = func(ctx *fasthttp.RequestCtx, fault server.Fault) {
			ctx.SetStatusCode(fault.Status)
			ctx.SetContentType("application/xml")
			ctx.SetBodyString("<Error><Code>" + fault.Reason + "</Code></Error>")
		}
	}
	if cfg.Observe == nil {
		cfg.Observe = func(e *server.Exchange) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.exchanges = append(f.exchanges, e)
		}
	}
	l, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	f.Listener, f.addr = l, l.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := l.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := l.Wait(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return f
}

// dial opens a raw connection whose every operation is bounded by patience.
func (f *fixture) dial() *client {
	f.t.Helper()
	nc, err := net.DialTimeout("tcp", f.addr, patience)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		f.t.Fatal(err)
	}
	return &client{TCPConn: nc.(*net.TCPConn), t: f.t, br: bufio.NewReader(nc)}
}

type client struct {
	*net.TCPConn
	t  testing.TB
	br *bufio.Reader
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// rest returns everything until the server closes.
func (c *client) rest() string {
	c.t.Helper()
	b, err := io.ReadAll(c.br)
	if err != nil {
		c.t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// answer reads one response.
func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("read response body: %v", err)
	}
	return resp, string(body)
}

// eventually polls until what holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// seen waits for the n-th exchange to be recorded and returns the last one.
func (f *fixture) seen(n int) *server.Exchange {
	f.t.Helper()
	var last *server.Exchange
	eventually(f.t, fmt.Sprintf("exchange %d", n), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.exchanges) < n {
			return false
		}
		last = f.exchanges[len(f.exchanges)-1]
		return true
	})
	return last
}

// metric sums the samples of one metric whose labels include all of want ("op=Get").
func (f *fixture) metric(name string, want ...string) float64 {
	f.t.Helper()
	reg := prometheus.NewPedanticRegistry()
	for _, c := range f.Metrics() {
		reg.MustRegister(c)
	}
	families, err := reg.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if hasLabels(m, want) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func hasLabels(m *dto.Metric, want []string) bool {
	var have []string
	for _, p := range m.GetLabel() {
		have = append(have, p.GetName()+"="+p.GetValue())
	}
	all := strings.Join(have, ",") + ","
	for _, w := range want {
		if !strings.Contains(all, w+",") {
			return false
		}
	}
	return true
}

// routes serves every path and method with h.
func routes(h fiber.Handler) func(*fiber.App) {
	return func(app *fiber.App) { app.Use(h) }
}

// drain reads the whole body and answers with its length.
func drain(c *fiber.Ctx) error {
	n, err := io.Copy(io.Discard, server.BodyOf(c))
	if err != nil {
		return c.Status(fiber.StatusBadRequest).SendString(err.Error())
	}
	return c.SendString(fmt.Sprint(n))
}
