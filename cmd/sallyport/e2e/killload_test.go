package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/sigv4"
)

// world is what clients of a server know about it: what was asked for, what was
// acknowledged, and so what may be seen.
type world struct {
	s   *Server
	rng *rand.Rand

	mu      sync.Mutex // protects uploads and keys while workers run
	uploads []*killUpload
	keys    map[string]*killKey
	more    []deeds
	checked int // uploads before that were verified once

	answers        atomic.Int64
	s3Acknowledged atomic.Int64
	s3Interrupted  int
	serial         atomic.Uint64 // seeds of contents
}

// step is something that was asked for, and perhaps acknowledged.
type step struct{ asked, acknowledged bool }

// killUpload is a session and what was asked of it, in this order.
type killUpload struct {
	*Session
	data                             uint64 // seed of its content
	put, finalized, deleted, aborted step
	lostAnswer                       bool // a put was interrupted
}

func (u *killUpload) content() []byte { return wholePiece(u.data, int(u.size)).bytes() }

// loadBucket has intake direct.
const loadBucket = "/load"

// deeds are one kind of load besides sessions and keys, and what its clients
// know. What they do, up to four workers do at a time, each with things of its own.
type deeds interface {
	// act does one thing. It fails as world.work has it.
	act(r *rand.Rand, worker int) error
	// settle finds out what became of the steps whose answers were lost, with a
	// server that has come back, and looks at what was touched since.
	settle()
	// verify looks at everything there ever was.
	verify()
	// live calls see for each piece that something refers to.
	live(see func(piece))
	// logged compares with the audit log.
	logged(events tally)
	// report says how much happened, and whether that was enough to show anything.
	report() (line string, enough bool)
}

func newWorld(s *Server, seed uint64) *world {
	w := &world{s: s, rng: rand.New(rand.NewPCG(seed, 0)), keys: map[string]*killKey{}}
	s.mustObject("PUT", loadBucket, nil)
	w.more = []deeds{newKillMultiparts(w), newKillHistories(w), newKillParted(w), newKillOnce(w)}
	return w
}

// workers is how many there are of each kind.
const workers = 3

// load runs workers against the server until so many answers came, and kills it
// a moment later amid their work.
func (w *world) load(answers int64, moment time.Duration) {
	w.s.t.Helper()
	enough := w.answers.Load() + answers
	var wg sync.WaitGroup
	for i := range workers {
		files := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(i)))
		keys := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(i)))
		for _, d := range w.more {
			r := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(i)))
			wg.Go(func() { w.work(func() error { return d.act(r, i) }) })
		}
		wg.Go(func() { w.work(func() error { return w.session(files) }) })
		wg.Go(func() { w.work(func() error { return w.object(keys, i) }) })
	}
	eventually(w.s.t, "the load makes progress", func() bool { return w.answers.Load() >= enough })
	time.Sleep(moment) // of the crash: it is what is being tried
	w.s.Kill()
	wg.Wait()
}

// work repeats an act until the server is gone, and counts. An act fails with an
// error when no whole answer came, which only the crash may bring about.
func (w *world) work(act func() error) {
	for act() == nil {
		w.answers.Add(1)
	}
}

// refuse fails the test for an answer that nothing justifies.
func (w *world) refuse(what string, a answer) error {
	w.s.t.Errorf("%s: %s", what, a)
	return fmt.Errorf("%s: %s", what, a)
}

// session takes one file some way along its path.
func (w *world) session(r *rand.Rand) error {
	u := &killUpload{data: w.serial.Add(1)}
	data := wholePiece(u.data, sizeOf(u.data)).bytes()
	n := newUpload{Filename: "load.bin", ContentType: octets, Size: int64(len(data))}
	if r.IntN(2) == 0 {
		n.SHA256 = payloadHash(data)
	}
	var err error
	if u.Session, err = w.s.root.tryBegin(n); err != nil {
		return err
	}
	w.mu.Lock()
	w.uploads = append(w.uploads, u)
	w.mu.Unlock()
	end := r.IntN(8) // where the path ends
	if end == 0 {
		return w.ask(&u.aborted, "DELETE", "/uploads/"+u.UploadID, http.StatusNoContent)
	}
	u.put.asked = true
	a, err := u.Session.put(data)
	if err != nil {
		u.lostAnswer = true
		return err
	}
	if a.Status != http.StatusOK {
		return w.refuse("put", a)
	}
	u.put.acknowledged = true
	if end == 1 {
		return nil
	}
	if err := w.ask(&u.finalized, "POST", "/uploads/"+u.UploadID+"/finalize", http.StatusOK); err != nil || end > 3 {
		return err
	}
	if end == 2 { // else it is deleted wherever inspection and promotion are
		until := time.Now().Add(patience)
		for state := ""; state != "published" && time.Now().Before(until); {
			if state, err = w.state(u.ObjectID); err != nil {
				return err
			}
		}
	}
	return w.ask(&u.deleted, "DELETE", "/objects/"+u.ObjectID, http.StatusNoContent)
}

// ask makes a call without a body and notes how it ended.
func (w *world) ask(s *step, method, path string, want int) error {
	s.asked = true
	a, err := w.s.root.call(method, path, nil)
	if err != nil {
		return err
	}
	if a.Status != want {
		return w.refuse(method+" "+path, a)
	}
	s.acknowledged = true
	return nil
}

// keysEach is how many keys a worker writes over and over.
const keysEach = 5

// object writes, copies to or deletes one of a worker's keys.
func (w *world) object(r *rand.Rand, worker int) error {
	k := w.key(fmt.Sprintf("%s/worker %d/key-%d", loadBucket, worker, r.IntN(keysEach)))
	switch r.IntN(4) {
	case 0:
		return w.write(k, nil, func() (answer, error) { return w.s.root.object("DELETE", k.path, "", nil, nil) })
	case 1:
		source := w.key(fmt.Sprintf("%s/worker %d/key-%d", loadBucket, worker, r.IntN(keysEach)))
		if source == k || source.now() == nil {
			return nil
		}
		return w.copyKey(k, source)
	}
	return w.put(k, w.fresh())
}

// put writes a key.
func (w *world) put(k *killKey, m matter) error {
	return w.write(k, m, func() (answer, error) { return w.s.root.object("PUT", k.path, "", m.bytes(), nil) })
}

// copyKey writes a key by a copy of another one of the same worker.
func (w *world) copyKey(k, source *killKey) error {
	from := http.Header{"X-Amz-Copy-Source": {string(sigv4.AppendPath(nil, source.path))}}
	return w.write(k, source.now(), func() (answer, error) { return w.s.root.object("PUT", k.path, "", nil, from) })
}

// write notes what a key may become, and what it is once that is acknowledged.
func (w *world) write(k *killKey, m matter, do func() (answer, error)) error {
	k.may, k.read = append(k.may, m), false
	a, err := do()
	if err != nil {
		return err
	}
	if a.Status >= 300 || a.code() != "" {
		return w.refuse("write "+k.path, a)
	}
	k.is(m)
	w.s3Acknowledged.Add(1)
	return nil
}

func (w *world) state(object string) (string, error) {
	a, err := w.s.root.call("GET", "/objects/"+object, nil)
	if err != nil {
		return "", err
	}
	return stateOf(a), nil
}
