package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKill kills a server under load, again and again, and looks each time
// whether it kept its word.
func TestKill(t *testing.T) {
	rounds := map[string]int{"disk": 20, "minio": 6}
	if long {
		rounds = map[string]int{"disk": 300, "minio": 60}
	}
	onBackends(t, func(t *testing.T, on backend) {
		n := rounds[t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]]
		seed := killSeed(t)
		t.Logf("%d rounds with SALLYPORT_TEST_SEED=%d", n, seed)
		s := serve(t, on, "UPLOADS_PUT_URL_TTL=15m")
		w := newWorld(s, seed)
		for range n {
			w.load(10+w.rng.Int64N(50), time.Duration(w.rng.IntN(50))*time.Millisecond)
			s.Start()
			w.verify()
			if t.Failed() {
				t.FailNow()
			}
		}
		w.verifyAll()
		s.Restart() // its sweep has no live epoch's keys to spare
		eventually(t, "nothing is left over", func() bool {
			return s.metric("ledger_intents")+s.metric("ledger_garbage")+s.metric("ledger_promotions") == 0
		})
		w.verifyBlobs()
		w.verifyAudit()
		s.Stop()
		s.mustFsck()
		w.report(t, n >= 20)
	})
}

// killSeed repeats a run whose seed is in the environment.
func killSeed(t *testing.T) uint64 {
	text := os.Getenv("SALLYPORT_TEST_SEED")
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// report says how much of everything the load was, and fails where a part of it
// did not happen: then the test has shown nothing of it. In a few rounds not
// everything can.
func (w *world) report(t *testing.T, many bool) {
	var puts, lost, published, deleted, aborted int
	for _, u := range w.uploads {
		switch {
		case u.deleted.acknowledged:
			deleted++
		case u.aborted.acknowledged:
			aborted++
		case u.finalized.acknowledged:
			published++
		case u.put.acknowledged:
			puts++
		}
		if u.lostAnswer {
			lost++
		}
	}
	line := fmt.Sprintf("sessions: %d put only, %d published, %d deleted, %d aborted, %d with an interrupted put; S3: %d acknowledged writes and deletes of %d keys, %d interrupted",
		puts, published, deleted, aborted, lost, w.s3Acknowledged.Load(), len(w.keys), w.s3Interrupted)
	t.Log(line)
	if many && (puts == 0 || published == 0 || deleted == 0 || lost == 0 || w.s3Acknowledged.Load() == 0 || w.s3Interrupted == 0) {
		t.Error("the load was too thin")
	}
	for _, d := range w.more {
		line, enough := d.report()
		t.Log(line)
		if many && !enough {
			t.Error("that was too thin")
		}
	}
}
