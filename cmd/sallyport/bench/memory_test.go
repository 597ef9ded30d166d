//go:build bench && linux

package bench

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// memoryAim bounds the server's anonymous memory during the uploads below.
const memoryAim = 150 << 20

// benchMemory uploads 16 large objects at once and watches the memory of the
// server that no file stands behind: bbolt maps its file, which is no use of
// memory that could run out.
func benchMemory(t *testing.T, b *bench) {
	const clients = 16
	size := number(t, "SALLYPORT_BENCH_BODY", 1<<30) / chunk * chunk
	// MinIO may keep what was replaced for a while.
	if room := b.vol.free(t) / (clients + 4) / chunk * chunk; size > room {
		b.report.printf("\nMemory: %s per client is too much for this disk, %s it is\n", sizeText(size), sizeText(room))
		size = room
	}
	b.report.title(fmt.Sprintf("Memory while %d clients upload %s each", clients, sizeText(size)),
		"                                        peak RssAnon         MiB/s  server CPU/GiB")
	t.Run("disk", func(t *testing.T) {
		b.watchUploads(t, b.startSallyport(t, "sallyport", nil), "on disk", clients, size)
	})
	b.vol.trim()
	t.Run("minio", func(t *testing.T) {
		behind := b.startMinIO(t)
		if behind.missing != "" {
			b.report.printf("  on MinIO: %s\n", behind.missing)
			return
		}
		behind.makeBucket(t, backendBucket)
		b.watchUploads(t, b.startSallyport(t, "sallyport", &behind), "on MinIO", clients, size)
	})
}

func (b *bench) watchUploads(t *testing.T, s server, name string, clients int, size int64) {
	t.Helper()
	body := noise(chunk)
	var wg sync.WaitGroup
	failed := make(chan error, clients)
	before, began := s.process.cpu(t), time.Now()
	for i := range clients {
		c := dial(t, s.host)
		defer c.Close()
		wg.Go(func() {
			if err := c.do(putRequest(fmt.Sprintf("/%s/memory/%d", bucket, i), body, size)); err != nil {
				failed <- err
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var peak int64
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-every.C:
			peak = max(peak, s.process.rssAnon(t))
		}
	}
	elapsed, used := time.Since(began), s.process.cpu(t)-before
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	moved := float64(size) * float64(clients)
	b.report.printf("  %-36s %14s %13.0f %12.2f s\n", name, sizeText(peak), moved/(1<<20)/elapsed.Seconds(), used.Seconds()/(moved/(1<<30)))
	b.report.aim(fmt.Sprintf("%d uploads of %s %s under %s", clients, sizeText(size), name, sizeText(memoryAim)), peak < memoryAim, "%s", sizeText(peak))
}
