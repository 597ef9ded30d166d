//go:build bench && linux

package bench

import (
	"strings"
	"testing"
)

// backendBucket is the bucket that Sallyport keeps its objects in.
const backendBucket = "sallyport"

// benchFront puts and gets large objects through Sallyport on MinIO, beside that
// MinIO itself and beside a process that only copies between connections.
func benchFront(t *testing.T, b *bench) {
	direct := b.startMinIO(t)
	if direct.missing != "" {
		b.report.printf("\nIn front of MinIO: %s\n", direct.missing)
		b.report.aim("in front of MinIO", false, "not measured")
		return
	}
	direct.name = "minio direct"
	direct.makeBucket(t, backendBucket)
	proxy := startProxy(t, direct)
	front := b.startSallyport(t, "sallyport", &direct)
	servers := []server{front, direct, proxy}
	b.report.title("In front of MinIO", storeColumns)
	prepare(t, []server{front, direct}, large)
	for _, l := range b.rows(large, largeTime, 1, 16) {
		results := b.takeTurns(t, l, servers, direct.process)
		b.report.row(l, servers, results)
		if strings.HasPrefix(l.name, "PUT") {
			r := results[front.name].ratio(results[direct.name])
			b.report.aim("in front of MinIO ≥ 0.80 of direct ("+l.name+")", r >= 0.8, "%.2f", r)
		} else {
			r := results[front.name].ratio(results[proxy.name])
			b.report.aim("in front of MinIO ≥ 0.9 of a bare copy ("+l.name+")", r >= 0.9, "%.2f", r)
		}
	}
}
