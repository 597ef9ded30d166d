package control_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkSessions creates durable sessions over kept connections: the whole
// way from the signature to the ledger's flush and the signed URL.
func BenchmarkSessions(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			r := newRig(b)
			raw := signedCreate(b, r)
			var left atomic.Int64
			left.Store(int64(b.N))
			var group sync.WaitGroup
			b.ResetTimer()
			for range clients {
				group.Go(func() {
					if err := createMany(strings.TrimPrefix(r.url, "http://"), raw, &left); err != nil {
						b.Error(err)
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
		})
	}
}

// signedCreate is one POST /uploads as it goes over the wire. Clients repeat it:
// the benchmark is of the server, not of signing.
func signedCreate(b *testing.B, r *rig) []byte {
	b.Helper()
	body := `{"filename":"report.pdf","content_type":"application/pdf","size":1048576}`
	req, err := http.NewRequest("POST", r.url+"/uploads", strings.NewReader(body))
	must(b, err)
	r.root.sign(b, req, request{method: "POST", path: "/uploads", body: []byte(body)}, r.now())
	var raw strings.Builder
	must(b, req.Write(&raw))
	return []byte(raw.String())
}

func createMany(addr string, raw []byte, left *atomic.Int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for left.Add(-1) >= 0 {
		if _, err := conn.Write(raw); err != nil {
			return err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusCreated {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
	}
	return nil
}
