//go:build bench && linux

package bench

import (
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	small = 4 << 10
	large = 64 << 20
	chunk = 1 << 20
)

// noise is what bodies are made of.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// load is one row: what a number of clients do at the same time.
type load struct {
	name    string
	clients int
	size    int64 // bytes that one operation moves
	time    time.Duration
	// next is the request of a client; i counts all of them, from 0.
	next func(client int, i int64) request
	each bool // an operation takes so long that its time says more than its rate
	// port chooses the server's host; nil is the S3 port.
	port func(server) string
}

// sample is what one round gave.
type sample struct {
	ops     int64
	elapsed time.Duration
	cpu     time.Duration // of the server
	behind  time.Duration // of the server behind it
}

func (s sample) rate() float64 { return float64(s.ops) / s.elapsed.Seconds() }

// once runs the load against one server: for its time, and until every client
// has done one operation at least.
func (l load) once(t *testing.T, s server, count *atomic.Int64, behind *process) sample {
	t.Helper()
	host := s.host
	if l.port != nil {
		host = l.port(s)
	}
	conns := make([]*conn, l.clients)
	for i := range conns {
		conns[i] = dial(t, host)
		defer conns[i].Close()
	}
	var wg sync.WaitGroup
	var ops atomic.Int64
	failed := make(chan error, l.clients)
	result := sample{cpu: -s.process.cpu(t)}
	if behind != nil {
		result.behind = -behind.cpu(t)
	}
	began := time.Now()
	for i, c := range conns {
		wg.Go(func() {
			for {
				if err := c.do(l.next(i, count.Add(1)-1)); err != nil {
					failed <- err
					return
				}
				ops.Add(1)
				if time.Since(began) >= l.time {
					return
				}
			}
		})
	}
	wg.Wait()
	result.elapsed = time.Since(began)
	result.cpu += s.process.cpu(t)
	if behind != nil {
		result.behind += behind.cpu(t)
	}
	result.ops = ops.Load()
	select {
	case err := <-failed:
		t.Fatalf("%s on %s: %v", l.name, s.name, err)
	default:
	}
	return result
}

// takeTurns runs the load against the servers, a round each in turn, beginning
// with another one every time.
func (b *bench) takeTurns(t *testing.T, l load, servers []server, behind *process) map[string]series {
	t.Helper()
	counts := make([]atomic.Int64, len(servers))
	results := make(map[string]series)
	for round := range b.rounds {
		for i := range servers {
			at := (round + i) % len(servers)
			s := servers[at]
			if s.missing != "" {
				continue
			}
			b.vol.settle(t)
			var other *process
			if behind != s.process {
				other = behind
			}
			results[s.name] = append(results[s.name], l.once(t, s, &counts[at], other))
		}
	}
	return results
}

// rows are PUT and GET by so many clients at a time. The objects that are read
// have been put before.
func (b *bench) rows(size int64, each time.Duration, clients ...int) []load {
	body := noise(int(min(size, chunk)))
	kind := sizeText(size)
	var all []load
	for _, clients := range clients {
		all = append(all, load{
			name: fmt.Sprintf("PUT %s, %d at a time", kind, clients), clients: clients, size: size, time: each,
			next: func(client int, i int64) request {
				// Small ones pile up; large ones replace each other.
				path := fmt.Sprintf("/%s/%d/put/%d/%02x/%08d", bucket, size, clients, i%256, i)
				if size > small {
					path = fmt.Sprintf("/%s/%d/put/%d", bucket, size, client)
				}
				return putRequest(path, body, size)
			},
		})
	}
	for _, clients := range clients {
		all = append(all, load{
			name: fmt.Sprintf("GET %s, %d at a time", kind, clients), clients: clients, size: size, time: each,
			next: func(_ int, i int64) request {
				return request{method: "GET", path: readable(size, i), wantStatus: 200, wantSize: size}
			},
		})
	}
	return slices.DeleteFunc(all, func(l load) bool { return !b.only.MatchString(l.name) })
}

func putRequest(path string, body []byte, size int64) request {
	return request{method: "PUT", path: path, contentType: "application/octet-stream", chunk: body, size: size, wantStatus: 200}
}

// readable is the path of the i-th object to read; there are a thousand small
// ones, and fewer large ones.
func readable(size, i int64) string {
	return fmt.Sprintf("/%s/%d/get/%04d", bucket, size, i%readables(size))
}

func readables(size int64) int64 {
	switch size {
	case small:
		return 1000
	case large:
		return 4
	}
	return 100
}

// prepare puts what is to be read.
func prepare(t *testing.T, servers []server, size int64) {
	t.Helper()
	body := noise(int(min(size, chunk)))
	for _, s := range servers {
		if s.missing != "" {
			continue
		}
		c := dial(t, s.host)
		for i := range readables(size) {
			if err := c.do(putRequest(readable(size, i), body, size)); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
		}
		c.Close()
	}
}
