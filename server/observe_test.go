package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/server"
)

func TestAccessLogAndExchange(t *testing.T) {
	proxies, err := server.ParseTrustedProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	f := start(t, server.Config{
		Proxies: proxies, IDHeader: "x-amz-request-id",
		NewID: func() string { n++; return fmt.Sprintf("ID%d", n) },
		Routes: routes(func(c *fiber.Ctx) error {
			e := server.ExchangeOf(c.Context())
			e.Op, e.Reason = "PutObject", "NoSuchBucket"
			e.Tenant, e.Principal, e.AccessKey = c.Query("tenant"), "alice", "SPKEY"
			e.Upload, e.Object, e.Grant = "upl_1", "obj_1", "g_1"
			if _, err := server.BodyOf(c).ReadAll(100); err != nil {
				return err
			}
			return c.Status(404).SendString("gone")
		}),
	})
	c := f.dial()
	c.send("PUT /secret-key?tenant=acme&X-Amz-Signature=cafe HTTP/1.1\r\nHost: s\r\nAuthorization: hush\r\n" +
		"X-Forwarded-For: 6.6.6.6, 198.51.100.7\r\nX-Forwarded-Proto: https\r\nContent-Length: 3\r\n\r\nabc")
	resp, _ := c.answer()
	if id := resp.Header.Get("x-amz-request-id"); id != "ID1" {
		t.Errorf("request id %q", id)
	}
	e := f.seen(1)
	// Another request over the same buffers must not change what was recorded.
	c.send("PUT /another?tenant=evil&X-Amz-Signature=cafe HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n")
	c.answer()
	f.seen(2)

	want := server.Exchange{
		RequestID: "ID1", Listener: "s3", Method: "PUT", RemoteIP: "198.51.100.7", TLS: true, Op: "PutObject",
		Reason: "NoSuchBucket", Tenant: "acme", Principal: "alice", AccessKey: "SPKEY", Upload: "upl_1",
		Object: "obj_1", Grant: "g_1", Status: 404, BytesIn: 3, BytesOut: 4, Start: e.Start, Duration: e.Duration,
	}
	if *e != want {
		t.Errorf("exchange\n got %+v\nwant %+v", *e, want)
	}
	if e.Duration <= 0 || time.Since(e.Start) > patience {
		t.Errorf("start %v, duration %v", e.Start, e.Duration)
	}

	lines := strings.Split(strings.TrimSpace(f.logs.String()), "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil || len(lines) != 2 {
		t.Fatalf("%d lines, %v: %q", len(lines), err, lines)
	}
	for key, want := range map[string]any{
		"msg": "request", "level": "INFO", "request_id": "ID1", "op": "PutObject", "status": 404.0, "tenant": "acme",
		"reason": "NoSuchBucket", "bytes_in": 3.0, "bytes_out": 4.0, "remote": "198.51.100.7", "grant": "g_1",
	} {
		if line[key] != want {
			t.Errorf("%s = %v, want %v", key, line[key], want)
		}
	}
	for _, secret := range []string{"secret-key", "cafe", "hush", "6.6.6.6"} {
		if strings.Contains(f.logs.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func TestMetrics(t *testing.T) {
	f := start(t, server.Config{
		Admit: func(ctx *fasthttp.RequestCtx) *server.Refusal {
			server.ExchangeOf(ctx).Op = "Get"
			if ctx.QueryArgs().Has("no") {
				return &server.Refusal{Status: 403, Reason: "AccessDenied"}
			}
			return nil
		},
		Routes: routes(func(c *fiber.Ctx) error { return c.SendString("hello") }),
	})
	c := f.dial()
	for _, path := range []string{"/", "/?no", "/"} {
		c.send("GET " + path + " HTTP/1.1\r\nHost: s\r\n\r\n")
		c.answer()
	}
	f.seen(3)
	for _, tc := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"http_requests_total", []string{"listener=s3", "op=Get", "class=2xx"}, 2},
		{"http_requests_total", []string{"op=Get", "class=4xx"}, 1},
		{"http_request_duration_seconds", []string{"op=Get"}, 3},
		{"http_refusals_total", []string{"reason=AccessDenied"}, 1},
		{"http_sent_bytes_total", nil, 10},
		{"http_connections", nil, 1},
		{"http_requests_in_flight", nil, 0},
		{"http_panics_total", nil, 0},
	} {
		if got := f.metric(tc.name, tc.labels...); got != tc.want {
			t.Errorf("%s%v = %v, want %v", tc.name, tc.labels, got, tc.want)
		}
	}
	_ = c.Close()
	eventually(t, "the connection to be forgotten", func() bool { return f.metric("http_connections") == 0 })
}

func TestRouteFaults(t *testing.T) {
	f := start(t, server.Config{
		Observe: func(*server.Exchange) { panic("observer") },
		Routes: func(app *fiber.App) {
			app.Get("/only", func(c *fiber.Ctx) error { return c.SendString("ok") })
			app.Get("/error", func(*fiber.Ctx) error { return errors.New("open /var/lib/secret: denied") })
			app.Get("/teapot", func(*fiber.Ctx) error { return fiber.NewError(418, "secret") })
			app.Get("/panic", func(c *fiber.Ctx) error {
				c.Set("X-Half", "done")
				panic("secret")
			})
			app.Get("/index", func(*fiber.Ctx) error {
				var none []int
				return fmt.Errorf("%d", none[len(none)])
			})
		},
	})
	for _, tc := range []struct {
		method, path string
		status       int
		reason       string
	}{
		{"GET", "/nowhere", 404, server.ReasonNotFound},
		{"GET", "/only/", 404, server.ReasonNotFound},
		{"GET", "/ONLY", 404, server.ReasonNotFound},
		{"POST", "/only", 405, server.ReasonMethodNotAllowed},
		{"BREW", "/only", 405, server.ReasonMethodNotAllowed},
		{"GET", "/error", 500, server.ReasonInternal},
		{"GET", "/teapot", 418, server.ReasonRejected},
		{"GET", "/panic", 500, server.ReasonPanic},
		{"GET", "/index", 500, server.ReasonPanic},
	} {
		t.Run(tc.method+tc.path, func(t *testing.T) {
			c := f.dial()
			c.send(tc.method + " " + tc.path + " HTTP/1.1\r\nHost: s\r\n\r\n")
			resp, body := c.answer()
			if resp.StatusCode != tc.status || body != "<Error><Code>"+tc.reason+"</Code></Error>" || resp.Header.Get("X-Half") != "" {
				t.Errorf("status %d, %q, header %v", resp.StatusCode, body, resp.Header)
			}
		})
	}
	logs := f.logs.String()
	if strings.Contains(logs, "secret") || strings.Contains(logs, "nowhere") {
		t.Errorf("the log tells too much:\n%s", logs)
	}
	if !strings.Contains(logs, "index out of range") || !strings.Contains(logs, "observe_test.go") {
		t.Error("the log does not say where it panicked")
	}
	eventually(t, "every panic to be counted", func() bool { return f.metric("http_panics_total") == 11 })
}

func TestExchangeOfForeignContext(t *testing.T) {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	if e := server.ExchangeOf(&ctx); *e != (server.Exchange{}) {
		t.Errorf("%+v", e)
	}
}
