//go:build bench && linux

package bench

import (
	"strings"
	"testing"
	"time"
)

// How long one client load runs in one round.
const (
	smallTime = 1500 * time.Millisecond
	largeTime = 2 * time.Second
)

const storeColumns = "                                              median  (low - high)     ratio   server CPU/op"

// benchDisk puts and gets through Sallyport on the disk, beside other servers on
// the same disk.
func benchDisk(t *testing.T, b *bench) {
	servers := []server{b.startSallyport(t, "sallyport", nil), b.startMinIO(t), b.startVersity(t)}
	b.report.title("Objects on disk (versitygw never flushes)", storeColumns)
	ahead := map[string]*ranking{"minio": {}, "versitygw": {}}
	for _, part := range []struct {
		size int64
		time time.Duration
	}{{small, smallTime}, {large, largeTime}} {
		prepare(t, servers, part.size)
		for _, l := range b.rows(part.size, part.time, 1, 16) {
			results := b.takeTurns(t, l, servers, nil)
			b.report.row(l, servers, results)
			for name, r := range ahead {
				if name == "minio" || strings.HasPrefix(l.name, "GET") {
					r.add(l, results[name], results["sallyport"])
				}
			}
			if part.size == small && strings.HasPrefix(l.name, "GET") {
				used := results["sallyport"].cpu()
				b.report.aim("4 KiB GET from disk in < 60 µs of server CPU ("+l.name+")", used < 60*time.Microsecond, "%s", cpuText(used))
			}
		}
	}
	ahead["minio"].judge(b.report, "on disk ahead of MinIO on every row")
	ahead["versitygw"].judge(b.report, "on disk ahead of versitygw on GET")
}

// ranking collects on which rows another server was ahead.
type ranking struct {
	rows   int
	behind []string
}

func (r *ranking) add(l load, other, ours series) {
	if len(other) == 0 {
		return // not installed
	}
	r.rows++
	if other.ratio(ours) >= 1 {
		r.behind = append(r.behind, l.name)
	}
}

func (r *ranking) judge(to *report, text string) {
	switch {
	case r.rows == 0:
		to.aim(text, false, "not measured")
	case len(r.behind) == 0:
		to.aim(text, true, "on all %d", r.rows)
	default:
		to.aim(text, false, "behind on %d of %d: %s", len(r.behind), r.rows, strings.Join(r.behind, "; "))
	}
}
