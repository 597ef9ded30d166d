package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// world is what clients of a server know about it: what was asked for, what was
// acknowledged, and so what may be seen.
type world struct {
	s   *Server
	rng *rand.Rand

	mu      sync.Mutex // protects uploads and keys while workers run
	uploads []*killUpload
	keys    map[string]*killKey
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

func (u *killUpload) content() []byte { return noise(u.data, int(u.size)) }

// killKey is an S3 key. Only one worker writes it.
type killKey struct {
	path string
	// may are the contents it can have now: the last acknowledged one, and those
	// asked for since. 0 is none.
	may []uint64
}

// loadBucket has intake direct.
const loadBucket = "/load"

func newWorld(s *Server, seed uint64) *world {
	w := &world{s: s, rng: rand.New(rand.NewPCG(seed, 0)), keys: map[string]*killKey{}}
	s.mustObject("PUT", loadBucket, nil)
	return w
}

// content returns the bytes that belong to a seed: most are small, some take a
// while.
func content(seed uint64) []byte {
	if seed == 0 {
		return nil
	}
	size := int(seed * 7919 % 60_000)
	switch seed % 16 {
	case 0:
		size = 0
	case 1:
		size = 1
	case 2, 3:
		size = 1<<20 + int(seed%1000)
	}
	return noise(seed, size)
}

// load runs workers against the server until so many answers came, and kills it
// a moment later amid their work.
func (w *world) load(answers int64, moment time.Duration) {
	w.s.t.Helper()
	enough := w.answers.Load() + answers
	var wg sync.WaitGroup
	for i := range 4 {
		files := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(i)))
		keys := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(i)))
		wg.Go(func() { w.work(func() error { return w.session(files) }) })
		wg.Go(func() { w.work(func() error { return w.object(keys.Uint64(), i) }) })
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
	data := content(u.data)
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

// object writes or deletes one of a worker's keys.
func (w *world) object(random uint64, worker int) error {
	path := fmt.Sprintf("%s/worker %d/key-%d", loadBucket, worker, random%keysEach)
	w.mu.Lock()
	k := w.keys[path]
	if k == nil {
		k = &killKey{path: path, may: []uint64{0}}
		w.keys[path] = k
	}
	w.mu.Unlock()
	method, seed := "PUT", w.serial.Add(1)
	if random>>32%4 == 0 {
		method, seed = "DELETE", 0
	}
	k.may = append(k.may, seed)
	a, err := w.s.root.object(method, path, "", content(seed), nil)
	if err != nil {
		return err
	}
	if a.Status >= 300 {
		return w.refuse(method, a)
	}
	k.may = []uint64{seed}
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
