package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/scanner/clamd/clamdtest"
)

// TestKillWhileScanning kills a server amid inspection, again and again: what was
// acknowledged gets the verdict it deserves, each time, and nothing is left over.
func TestKillWhileScanning(t *testing.T) {
	rounds := 8
	if long {
		rounds = 60
	}
	seed := killSeed(t)
	t.Logf("%d rounds with SALLYPORT_TEST_SEED=%d", rounds, seed)
	// A member is soon too big for this clamd, so that it takes no time to make one.
	daemon := clamdtest.Start(t, "MaxFileSize 1M")
	s := serve(t, disk{}, "SCANNER_CLAMD_ADDR="+daemon.Unix, "SCANNER_CLAMD_MAX_FILE_SIZE=1MiB")
	s.root.must("PUT", "/profiles/pictures", pictures, nil)
	s.root.must("PUT", "/profiles/direct", map[string]any{"intake": "direct", "scan": pictures["scan"]}, nil)
	w := &scanWorld{s: s, rng: rand.New(rand.NewPCG(seed, 0)), verdicts: map[string]int{}}
	for range rounds {
		w.load(10+w.rng.Int64N(30), time.Duration(w.rng.IntN(150))*time.Millisecond)
		s.Start()
		if w.rng.IntN(2) == 0 { // and once more, while it makes up for the first time
			time.Sleep(time.Duration(w.rng.IntN(300)) * time.Millisecond)
			s.Restart()
		}
		w.settle()
		w.verify()
		if t.Failed() {
			t.FailNow()
		}
	}
	s.Restart() // its sweep has no live epoch's keys to spare
	eventually(t, "nothing is left over", func() bool {
		return s.metric("ledger_intents")+s.metric("ledger_garbage")+s.metric("ledger_promotions") == 0
	})
	w.verifyRows()
	w.verifyAudit()
	s.holds(w.blobs)
	s.Stop()
	s.mustFsck()
	w.report(rounds >= 20)
}

// fate is what has to become of content.
type fate int

const (
	clean fate = iota
	infected
	unjudged // what no engine could look at as a whole
)

// scanMatter is content that one upload brings, unlike that of any other: clamd knows
// again what it has found clean.
type scanMatter struct {
	name, contentType string
	content           []byte
	fate              fate
	picture           bool
}

// renditions is how many pictures an engine makes of it.
func (m scanMatter) renditions() int {
	if m.picture {
		return 2
	}
	return 0
}

func (w *scanWorld) fresh(r *rand.Rand) scanMatter {
	n := w.serial.Add(1)
	text := func(name string) file { return file{name, fmt.Appendf(nil, "Note %d in %s.\n", n, name)} }
	eicar := file{"eicar.txt", slices.Concat(text("eicar").content, clamdtest.EICAR())}
	m := scanMatter{name: fmt.Sprintf("%d.bin", n), contentType: octets}
	switch r.IntN(8) {
	case 0:
		m.name, m.contentType, m.content = fmt.Sprintf("%d.txt", n), "text/plain", text("a text").content
	case 1:
		m.content = noise(n, 1+r.IntN(500_000))
	case 2:
		m.name, m.content = fmt.Sprintf("%d.zip", n), zipOf(w.s.t, text("a"), file{"b.tar.gz", tarGzOf(w.s.t, text("b"), file{"c", noise(n, 50_000)})})
	case 3:
		m.fate, m.content = infected, eicar.content
	case 4:
		m.fate, m.name, m.content = infected, fmt.Sprintf("%d.zip", n), zipOf(w.s.t, text("a"), file{"b.zip", zipOf(w.s.t, text("b"), eicar)})
	case 5:
		big := slices.Concat(noise(n, 1<<20), clamdtest.EICAR())
		m.fate, m.name, m.content = unjudged, fmt.Sprintf("%d.zip", n), zipOf(w.s.t, text("a"), file{"big.bin", big})
	default:
		m.picture, m.name, m.contentType = true, fmt.Sprintf("%d.jpeg", n), "image/jpeg"
		m.content = photo(w.s.t, 300+int(n%300), 200+int(n/300))
	}
	return m
}

// scanWorld is what clients know about a server that inspects.
type scanWorld struct {
	s   *Server
	rng *rand.Rand

	mu      sync.Mutex // protects uploads and puts while workers run
	uploads []*scanUpload
	puts    []*scanPut
	checked struct{ uploads, puts int } // those before were verified

	answers atomic.Int64
	unknown atomic.Int64 // sessions that may have been made without their client's knowledge
	serial  atomic.Uint64

	blobs       int            // that have to be there
	published   int            // objects
	verdicts    map[string]int // verdicts seen, by result
	interrupted int            // inspections of sessions' objects that a kill ended
	lost        int            // answers
}

// scanUpload is a session and how far it got.
type scanUpload struct {
	*Session
	scanMatter
	put, finalized step
}

// scanPut is a write that is inspected before it is answered. Its key is its own.
type scanPut struct {
	scanMatter
	path     string
	answered bool
}

// load has workers upload until so many answers came, and kills the server a moment
// later amid their work and its own.
func (w *scanWorld) load(answers int64, moment time.Duration) {
	w.s.t.Helper()
	enough := w.answers.Load() + answers
	var wg sync.WaitGroup
	for i := range uint64(workers) {
		sessions, puts := rand.New(rand.NewPCG(w.rng.Uint64(), i)), rand.New(rand.NewPCG(w.rng.Uint64(), i))
		wg.Go(func() { w.work(func() error { return w.session(sessions) }) })
		wg.Go(func() { w.work(func() error { return w.direct(puts) }) })
	}
	eventually(w.s.t, "the load makes progress", func() bool { return w.answers.Load() >= enough })
	time.Sleep(moment) // of the crash: it is what is being tried
	w.s.Kill()
	wg.Wait()
}

// work repeats an act until the server is gone.
func (w *scanWorld) work(act func() error) {
	for act() == nil {
		w.answers.Add(1)
	}
}

// session takes content to the queue.
func (w *scanWorld) session(r *rand.Rand) error {
	u := &scanUpload{scanMatter: w.fresh(r)}
	n := newUpload{Filename: u.name, ContentType: u.contentType, Size: int64(len(u.content))}
	if u.picture {
		n.Profile = "pictures"
	}
	var err error
	if u.Session, err = w.s.root.tryBegin(n); err != nil {
		w.unknown.Add(1)
		return err
	}
	w.mu.Lock()
	w.uploads = append(w.uploads, u)
	w.mu.Unlock()
	u.put.asked = true
	a, err := u.Session.put(u.content)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		w.s.t.Errorf("put: %s", a)
		return fmt.Errorf("put: %s", a)
	}
	u.put.acknowledged = true
	return w.finalize(u)
}

func (w *scanWorld) finalize(u *scanUpload) error {
	u.finalized.asked = true
	a, err := w.s.root.call("POST", "/uploads/"+u.UploadID+"/finalize", map[string]any{})
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		w.s.t.Errorf("finalize: %s", a)
		return fmt.Errorf("finalize: %s", a)
	}
	u.finalized.acknowledged = true
	return nil
}

// direct writes a key of a bucket that publishes at once.
func (w *scanWorld) direct(r *rand.Rand) error {
	p := &scanPut{scanMatter: w.fresh(r)}
	p.path = "/direct/" + p.name
	w.mu.Lock()
	w.puts = append(w.puts, p)
	w.mu.Unlock()
	a, err := w.s.root.object("PUT", p.path, "", p.content, http.Header{"Content-Type": {p.contentType}})
	if err != nil {
		return err
	}
	right := a.Status == http.StatusOK
	switch p.fate {
	case infected:
		right = a.is(http.StatusBadRequest, "MalwareDetected")
	case unjudged:
		right = a.is(http.StatusBadRequest, "ScanIncomplete")
	}
	if !right {
		w.s.t.Errorf("PUT %s: %s", p.path, a)
		return fmt.Errorf("PUT: %s", a)
	}
	p.answered = true
	return nil
}
