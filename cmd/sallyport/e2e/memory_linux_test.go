package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Memory is a matter of connections, never of sizes.
const (
	memoryClients = 16
	memoryLimit   = 150 << 20 // bytes, anonymous
)

// TestMemory measures the server, built as it is shipped, while many clients
// upload large files at once, and again while they download them.
func TestMemory(t *testing.T) {
	onBackends(t, func(t *testing.T, on backend) {
		size := int64(64 << 20)
		switch _, onDisk := on.(disk); {
		case long:
			size = 1 << 30
		case !onDisk:
			size = 32 << 20
		}
		s := serveProgram(t, staticProgram(t), newData(t), on, "UPLOADS_PUT_URL_TTL=15m")
		sessions := make([]*Session, memoryClients)
		for i := range sessions {
			sessions[i] = s.root.begin(size)
		}
		up := s.peak(func(i int) error {
			req, err := sessions[i].request(context.Background(), &pattern{left: size}, size)
			if err != nil {
				return err
			}
			a, err := s.do(req)
			if err == nil && a.Status != 200 {
				err = fmt.Errorf("put: %s", a)
			}
			return err
		})
		for _, u := range sessions {
			u.publish()
		}
		urls := make([]string, memoryClients)
		for i, u := range sessions {
			urls[i] = s.root.downloadURL(u.ObjectID).GetURL
		}
		down := s.peak(func(i int) error { return s.compare(urls[i], &pattern{left: size}) })
		t.Logf("%d clients × %d MiB: anonymous memory at most %d MiB up, %d MiB down", memoryClients, size>>20, up>>20, down>>20)
		if max(up, down) > memoryLimit {
			t.Errorf("anonymous memory is over %d MiB", memoryLimit>>20)
		}
	})
}

// peak runs an act once for each client, all at the same time, and returns the
// most memory that the server had meanwhile.
func (s *Server) peak(act func(i int) error) (most int64) {
	s.t.Helper()
	var wg sync.WaitGroup
	failures := make([]error, memoryClients)
	for i := range memoryClients {
		wg.Go(func() { failures[i] = act(i) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		most = max(most, s.anonymous())
		select {
		case <-tick.C:
		case <-done:
			tick.Stop()
			for i, err := range failures {
				if err != nil {
					s.t.Errorf("client %d: %v", i, err)
				}
			}
			return most
		}
	}
}

// anonymous is the server's memory that no file stands behind, in bytes. The
// ledger's file is mapped, and so no measure of need.
func (s *Server) anonymous() int64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.child.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return kib << 10
		}
	}
	s.t.Fatal("the kernel does not say RssAnon")
	return 0
}
