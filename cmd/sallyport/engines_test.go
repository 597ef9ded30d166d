package main

import (
	"log/slog"
	"testing"
	"time"

	"sallyport/cmd/sallyport/config"
	"sallyport/registry"
)

// TestSlowClientsLeaveEnginesToTheQueue: however many bodies are on their way, an engine
// can hear what waits in the queue.
func TestSlowClientsLeaveEnginesToTheQueue(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*config.Config)
		heard int
	}{
		{"clamd", func(c *config.Config) { c.ScannerClamdAddr = "unix:///nowhere" }, 16},
		{"clamd with few sessions", func(c *config.Config) { c.ScannerClamdAddr, c.ScannerClamdSessions = "unix:///nowhere", 4 }, 2},
		{"clamd with one session", func(c *config.Config) { c.ScannerClamdAddr, c.ScannerClamdSessions = "unix:///nowhere", 1 }, 0},
		{"icap", func(c *config.Config) { c.ScannerICAPURL = "icap://127.0.0.1:1/scan" }, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config.Default()
			cfg.DataDir = t.TempDir()
			c.set(&cfg)
			e, err := newEngines(cfg, slog.New(slog.DiscardHandler), time.Now)
			if err != nil {
				t.Fatal(err)
			}
			defer e.close()
			heard := 0
			for range 40 {
				if tee := e.inline.Tee(t.Context(), registry.ScanRules{}, 10); tee != nil {
					defer tee.Close()
					heard++
				}
			}
			if heard != c.heard {
				t.Errorf("%d bodies are heard at once, want %d", heard, c.heard)
			}
		})
	}
}
