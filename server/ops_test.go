package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/server"
)

// startOps serves the operators' port with checks and returns its address.
func startOps(t *testing.T, checks []server.Check, timeout time.Duration) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "sallyport_things_total", Help: "Things."})
	reg.MustRegister(counter)
	counter.Inc()
	l, err := server.NewOps(server.OpsConfig{
		Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Now: time.Now, Checks: checks, Metrics: reg, Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := l.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	hc := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := hc.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestOps(t *testing.T) {
	fine := func(context.Context) error { return nil }
	down := func(context.Context) error { return errors.New("dial s3://secret-bucket: refused") }
	for _, tc := range []struct {
		name   string
		checks []server.Check
		code   int
		status string
		each   map[string]string
	}{
		{"nothing to check", nil, 200, "ready", map[string]string{}},
		{"all well", []server.Check{{Name: "ledger", Probe: fine}, {Name: "scanner", Importance: server.Helpful, Probe: fine}},
			200, "ready", map[string]string{"ledger": "ok", "scanner": "ok"}},
		{"scanner down", []server.Check{{Name: "ledger", Probe: fine}, {Name: "scanner", Importance: server.Helpful, Probe: down}},
			200, "degraded", map[string]string{"ledger": "ok", "scanner": "degraded"}},
		{"both down", []server.Check{{Name: "scanner", Importance: server.Helpful, Probe: down}, {Name: "ledger", Probe: down}},
			503, "unready", map[string]string{"ledger": "failed", "scanner": "degraded"}},
		{"probe panics", []server.Check{{Name: "ledger", Probe: func(context.Context) error { panic("x") }}},
			503, "unready", map[string]string{"ledger": "failed"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url := startOps(t, tc.checks, 0)
			code, body := get(t, url+"/readyz")
			var got struct {
				Status string
				Checks map[string]string
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%q: %v", body, err)
			}
			if code != tc.code || got.Status != tc.status || len(got.Checks) != len(tc.each) {
				t.Errorf("%d %s", code, body)
			}
			for name, want := range tc.each {
				if got.Checks[name] != want {
					t.Errorf("%s: %s, want %s", name, got.Checks[name], want)
				}
			}
			if strings.Contains(body, "secret") {
				t.Error("the probe's error is shown")
			}
			if code, body := get(t, url+"/healthz"); code != 200 || body != `{"status":"ok"}` {
				t.Errorf("healthz: %d %s", code, body)
			}
		})
	}
}

func TestOpsHungProbe(t *testing.T) {
	release := make(chan struct{})
	var runs atomic.Int32
	url := startOps(t, []server.Check{{Name: "backend", Probe: func(context.Context) error {
		runs.Add(1)
		<-release
		return nil
	}}}, 50*time.Millisecond)
	for range 3 {
		if code, _ := get(t, url+"/readyz"); code != 503 {
			t.Fatalf("status %d", code)
		}
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("%d probes hang", n)
	}
	close(release)
	eventually(t, "readiness", func() bool {
		code, _ := get(t, url+"/readyz")
		return code == 200
	})
}

func TestOpsMetrics(t *testing.T) {
	url := startOps(t, nil, 0)
	if code, body := get(t, url+"/metrics"); code != 200 || !strings.Contains(body, "sallyport_things_total 1\n") {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := get(t, url+"/else"); code != 404 {
		t.Errorf("status %d", code)
	}
}
