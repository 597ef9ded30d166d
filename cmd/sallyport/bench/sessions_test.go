//go:build bench && linux

package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"
)

// benchSessions measures POST /uploads: authenticated, one durable commit, one
// signed URL in the answer.
func benchSessions(t *testing.T, b *bench) {
	s := b.startSallyport(t, "sallyport", nil)
	b.report.title("Upload sessions (POST /uploads, durable)",
		"                                              median  (low - high)     ratio   server CPU/op")
	body := []byte(`{"filename":"report.pdf","content_type":"application/pdf","size":1048576}`)
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	for _, clients := range []int{1, 64} {
		l := load{
			name: fmt.Sprintf("create, %d at a time", clients), clients: clients, time: 2 * time.Second,
			port: func(s server) string { return s.control },
			next: func(int, int64) request {
				return request{method: "POST", path: "/uploads", contentType: "application/json", bodySHA256: digest,
					chunk: body, size: int64(len(body)), wantStatus: 201}
			},
		}
		results := b.takeTurns(t, l, []server{s}, nil)
		b.report.row(l, []server{s}, results)
		if clients == 64 {
			rate := results[s.name].rate()
			b.report.aim("≥ 5,000 durable sessions/s at 64 clients", rate >= 5000, "%.0f /s, %s of server CPU each", rate, cpuText(results[s.name].cpu()))
		}
	}
}
