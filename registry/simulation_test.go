package registry_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sallyport/registry"
)

// world is what the ledger should hold, kept in plain maps.
type world struct {
	*house
	bob      registry.Actor // amy's colleague
	random   *rand.Rand
	keys     []string // that S3 writes and deletes are about
	uploads  map[registry.UploadID]*modelUpload
	order    []registry.UploadID
	objects  map[registry.ObjectID]*modelObject
	buckets  []*modelBucket
	dropped  map[registry.BlobKey]bool // blobs that nothing refers to any more
	claims   []registry.Claim
	attempts []registry.Attempt
	seq      uint64
	dead     uint64 // intents of epochs before this one were condemned
}

type modelUpload struct {
	state   registry.UploadState
	attempt uint64
	object  registry.ObjectID
	expires time.Time
	lease   time.Time
	epoch   uint64
}

type modelObject struct {
	id     registry.ObjectID
	state  registry.ObjectState
	bucket registry.BucketName
	key    string
	seq    uint64
	held   bool
	claim  uint64 // the current claim's number, 0 for none
	lapses int    // claims that nobody ended
	moving bool
	buried bool

	versioned, marker bool
	etag              string
	tags              map[string]string
	retention         *registry.Retention
	hold              bool
	blob              registry.BlobKey // once it is where it stays

	rescan       bool   // it waits for one
	rescanClaim  uint64 // of it, 0 for none
	rescanLapses int
	rejected     time.Time
	destroyed    bool
	proposer     registry.PrincipalName // of its release, in a bucket that wants two
}

// TestSimulation plays random steps against the model, restarts in between,
// and compares. A seed that fails is reproduced by its number.
func TestSimulation(t *testing.T) {
	simulate(t, someKeys, func(w *world) []func() {
		return []func(){
			w.create, w.create, w.beginPut, w.beginPut, w.endPut, w.endPut, w.finalize, w.finalize, w.abort,
			w.claimOne, w.claimOne, w.settleOne, w.settleOne, w.publishOne, w.publishOne, w.review,
			w.putKey, w.putKey, w.deleteKey, w.deleteOne, w.wait, w.restart,
			w.copyOne, w.deleteVersion, w.configure, w.lookUp, w.rescanOne, w.rescanAll, w.destroy,
		}
	})
}

// TestHistories is TestSimulation with few keys and no sessions: their histories
// get long.
func TestHistories(t *testing.T) {
	simulate(t, someKeys[1:3], func(w *world) []func() {
		return []func(){
			w.putKey, w.putKey, w.putKey, w.copyOne, w.copyOne, w.copyOne, w.deleteKey, w.deleteVersion, w.deleteVersion,
			w.deleteOne, w.claimOne, w.claimOne, w.settleOne, w.settleOne, w.review, w.review,
			w.rescanOne, w.rescanOne, w.claimOne, w.settleOne, w.destroy, w.tag, w.retain, w.holdOne, w.configure, w.configure, w.lookUp, w.wait, w.restart,
		}
	})
}

func simulate(t *testing.T, keys []string, moves func(*world) []func()) {
	seeds, steps := 8, 400
	if testing.Short() {
		seeds, steps = 2, 150
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{
				house: newHouse(t), random: rand.New(rand.NewPCG(uint64(seed), 7)), keys: keys,
				uploads: make(map[registry.UploadID]*modelUpload), objects: make(map[registry.ObjectID]*modelObject),
				dropped: make(map[registry.BlobKey]bool),
			}
			w.bob = w.actor(acme, "bob")
			w.addBuckets()
			all := moves(w)
			for i := range steps {
				all[w.random.IntN(len(all))]()
				w.compareHistories()
				if i%50 == 49 {
					w.compare()
				}
			}
			w.compare()
		})
	}
}

// agree fails unless the ledger's refusal is the model's.
func (w *world) agree(what string, err, want error) {
	w.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		w.Fatalf("%s: got %v, the model says %v", what, err, want)
	}
}

func (w *world) anyUpload() (registry.UploadID, *modelUpload) {
	if len(w.order) == 0 {
		return "upl_none", nil
	}
	id := w.order[len(w.order)-1-w.random.IntN(min(len(w.order), 12))]
	return id, w.uploads[id]
}

func (w *world) anyObject() (registry.ObjectID, *modelObject) {
	ids := make([]registry.ObjectID, 0, len(w.objects))
	for id := range w.objects {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return "obj_none", nil
	}
	slices.Sort(ids)
	id := ids[w.random.IntN(len(ids))]
	return id, w.objects[id]
}

func (w *world) create() {
	b := w.begin()
	w.order = append(w.order, b.Upload.ID)
	w.uploads[b.Upload.ID] = &modelUpload{state: registry.UploadCreated, object: b.Object.ID, expires: b.Upload.ExpiresAt}
	w.objects[b.Object.ID] = &modelObject{id: b.Object.ID, state: registry.ObjectPending, bucket: files, key: string(b.Object.ID)}
}

func (w *world) holds(u *modelUpload) bool {
	return u.state == registry.UploadUploading && u.epoch == w.Epoch() && w.Now().Before(u.lease)
}

// refusal is the model's word on an upload that wants bytes.
func (w *world) refusal(u *modelUpload) error {
	switch {
	case u == nil:
		return registry.ErrNotFound
	case u.state == registry.UploadExpired:
		return registry.ErrUploadExpired
	case u.state == registry.UploadAborted:
		return registry.ErrUploadAborted
	case u.state == registry.UploadFinalized:
		return registry.ErrUploadFinalized
	case !w.Now().Before(u.expires) && !w.holds(u):
		return registry.ErrUploadExpired
	case u.state == registry.UploadUploaded:
		return registry.ErrUploadAlreadyReceived
	case w.holds(u):
		return registry.ErrUploadInProgress
	}
	return nil
}

func (w *world) beginPut() {
	id, u := w.anyUpload()
	want := w.refusal(u)
	a, err := w.BeginPut(w.ctx(), w.amy, acme, id, "")
	w.agree("begin put", err, want)
	if err == nil {
		u.state, u.epoch, u.lease = registry.UploadUploading, w.Epoch(), w.Now().Add(time.Minute)
		u.attempt++
		w.attempts = append(w.attempts, a)
	}
}

// endPut ends some attempt, which may long have lost its turn.
func (w *world) endPut() {
	if len(w.attempts) == 0 {
		return
	}
	i := w.random.IntN(len(w.attempts))
	a := w.attempts[i]
	w.attempts = slices.Delete(w.attempts, i, i+1)
	u := w.uploads[a.Upload.ID]
	current := u.state == registry.UploadUploading && u.attempt == a.Number
	if w.random.IntN(3) == 0 {
		w.must(w.FailPut(w.ctx(), a, "test"))
		if current {
			u.state = registry.UploadCreated
		}
		return
	}
	_, err := w.CompletePut(w.ctx(), a, stored("hello"))
	if !current || a.Epoch < w.dead {
		w.agree("complete put", err, registry.ErrFenced)
		w.must(w.FailPut(w.ctx(), a, "fenced"))
		if current {
			u.state = registry.UploadCreated
		}
		return
	}
	w.agree("complete put", err, nil)
	u.state = registry.UploadUploaded
}

func (w *world) finalize() {
	id, u := w.anyUpload()
	_, err := w.Finalize(w.ctx(), w.amy, acme, id, "")
	switch {
	case u == nil:
		w.agree("finalize", err, registry.ErrNotFound)
	case u.state == registry.UploadFinalized:
		w.agree("finalize", err, nil)
	case u.state == registry.UploadUploaded && w.Now().Before(u.expires):
		w.agree("finalize", err, nil)
		w.seq++
		u.state = registry.UploadFinalized
		o := w.objects[u.object]
		o.versioned = w.bucket(files).versioning == registry.VersioningEnabled
		o.state, o.seq, o.etag = registry.ObjectQuarantined, w.seq, stored("hello").MD5
	case u.state == registry.UploadUploaded, u.state == registry.UploadExpired:
		w.agree("finalize", err, registry.ErrUploadExpired)
	case u.state == registry.UploadAborted:
		w.agree("finalize", err, registry.ErrUploadAborted)
	default:
		w.agree("finalize", err, registry.ErrUploadNotReceived)
	}
}

func (w *world) abort() {
	id, u := w.anyUpload()
	err := w.AbortUpload(w.ctx(), w.amy, acme, id)
	switch {
	case u == nil:
		w.agree("abort", err, registry.ErrNotFound)
	case u.state == registry.UploadFinalized:
		w.agree("abort", err, registry.ErrUploadFinalized)
	case u.state == registry.UploadExpired:
		w.agree("abort", err, registry.ErrUploadExpired)
	default:
		w.agree("abort", err, nil)
		u.state = registry.UploadAborted
		w.objects[u.object].state = registry.ObjectDeleted
	}
}

func (w *world) claimOne() {
	c, err := w.ClaimScan(w.ctx(), "w", time.Minute)
	w.holdLapsed()
	due := false
	for _, o := range w.objects {
		due = due || o.state == registry.ObjectQuarantined && !o.held
	}
	w.forgetLapsed()
	if err != nil || c.Rescan {
		if due {
			w.Fatalf("nothing to claim (%v), the model has some", err)
		}
		if err == nil {
			w.claimedRescan(c)
		}
		return
	}
	o := w.objects[c.Object.ID]
	if o.held || o.state != registry.ObjectQuarantined && o.state != registry.ObjectScanning || o.moving {
		w.Fatalf("claimed an object that is %s, held %v, moving %v", o.state, o.held, o.moving)
	}
	if o.state == registry.ObjectScanning {
		o.lapses++
	}
	if c.Tries != o.lapses {
		w.Fatalf("a claim says %d tries, the model %d", c.Tries, o.lapses)
	}
	o.state, o.claim = registry.ObjectScanning, c.Number
	w.claims = append(w.claims, c)
}

// holdLapsed follows the ledger in holding what no claim came back from too often.
func (w *world) holdLapsed() {
	for id, o := range w.objects {
		if o.state != registry.ObjectScanning || o.moving || o.lapses < registry.MaxScanTries-1 {
			continue
		}
		row, err := w.Object(w.ctx(), acme, id)
		w.must(err)
		if row.Held {
			o.state, o.held = registry.ObjectQuarantined, true
		}
	}
}

// settleOne ends some claim, which may long be another's.
func (w *world) settleOne() {
	if len(w.claims) == 0 {
		return
	}
	i := w.random.IntN(len(w.claims))
	c := w.claims[i]
	w.claims = slices.Delete(w.claims, i, i+1)
	if c.Rescan {
		w.settleRescan(c)
		return
	}
	o := w.objects[c.Object.ID]
	current := o.state == registry.ObjectScanning && o.claim == c.Number && !o.moving
	if w.random.IntN(5) == 0 {
		err := w.PauseScan(w.ctx(), c)
		if !current {
			w.agree("pause", err, registry.ErrFenced)
			return
		}
		w.agree("pause", err, nil)
		o.state = registry.ObjectQuarantined
		return
	}
	results := []registry.VerdictResult{
		registry.VerdictClean, registry.VerdictClean, registry.VerdictClean, registry.VerdictInfected, registry.VerdictIncomplete,
	}
	v := registry.Verdict{Result: results[w.random.IntN(len(results))]}
	_, err := w.SettleScan(w.ctx(), c, v, "")
	if !current {
		w.agree("settle", err, registry.ErrFenced)
		return
	}
	w.agree("settle", err, nil)
	switch v.Result {
	case registry.VerdictInfected:
		w.reject(o)
		w.rejectTwins(o)
	case registry.VerdictIncomplete:
		o.state, o.held = registry.ObjectQuarantined, true
	case registry.VerdictClean:
		if c.Object.Upload != "" {
			o.moving = true // from staging
			return
		}
		w.show(o)
	}
}

func (w *world) publishOne() {
	list, _, err := w.Promoting(w.ctx(), registry.Page{Limit: 1000})
	w.must(err)
	moving := 0
	for _, o := range w.objects {
		if o.moving {
			moving++
		}
	}
	if len(list) != moving {
		w.Fatalf("%d objects are promoting, the model has %d", len(list), moving)
	}
	if len(list) == 0 {
		return
	}
	id := list[w.random.IntN(len(list))].ID
	_, err = w.Publish(w.ctx(), acme, id)
	w.must(err)
	o := w.objects[id]
	o.moving = false
	if o.state == registry.ObjectScanning {
		w.show(o)
	}
	w.learn(o)
}

func (w *world) review() {
	id, o := w.anyObject()
	d := pick(w, []registry.Decision{registry.Release, registry.Release, registry.RejectObject, registry.RejectObject, registry.Confirm})
	by, second := w.amy, w.random.IntN(2) == 0
	if second {
		by = w.bob
	}
	row, shared, err := w.Review(w.ctx(), by, id, registry.Ruling{Decision: d, Reason: "test"})
	if o == nil || o.marker {
		w.agree("review", err, registry.ErrNotFound)
		return
	}
	held := o.state == registry.ObjectQuarantined && o.held
	switch {
	case d == registry.Release && (held || o.state == registry.ObjectRejected):
		if o.buried || o.destroyed {
			w.agree("release", err, registry.ErrConflict)
			return
		}
		w.agree("release", err, nil)
		if o.bucket == "strict" && (o.proposer == "" || o.proposer == by.Principal) {
			if o.proposer = by.Principal; row.Proposal == nil || row.Proposal.By != by.Principal {
				w.Fatalf("a release that needs two is %+v", row.Proposal)
			}
			return
		}
		o.held = false
		o.moving = len(row.Targets) > 0
		w.show(o)
	case d == registry.Confirm && o.state == registry.ObjectRejected:
		w.agree("confirm", err, nil)
		o.proposer = ""
	case held && d != registry.Release || d == registry.RejectObject && o.state == registry.ObjectPublished:
		w.agree("reject", err, nil)
		w.reject(o)
		w.rejectSharing(o, shared)
	default:
		w.agree("review", err, registry.ErrConflict)
	}
}

func (w *world) deleteOne() {
	id, o := w.anyObject()
	err := w.DeleteObject(w.ctx(), w.amy, acme, id)
	switch {
	case o == nil:
		w.agree("delete", err, registry.ErrNotFound)
		return
	case o.state == registry.ObjectDeleted:
		w.agree("delete", err, nil)
		return
	case o.marker:
		w.agree("delete", err, registry.ErrNotFound)
		return
	case w.locked(o, false):
		w.agree("delete", err, registry.ErrLocked)
		return
	}
	w.agree("delete", err, nil)
	if o.state == registry.ObjectPending {
		for _, u := range w.uploads {
			if u.object == id {
				u.state = registry.UploadAborted
			}
		}
	}
	o.delete()
}

func (w *world) wait() {
	w.time.pass([]time.Duration{time.Second, 40 * time.Second, 50 * time.Minute}[w.random.IntN(3)])
	_, err := w.ExpireDue(w.ctx(), 1000)
	w.must(err)
	for _, u := range w.uploads {
		open := u.state == registry.UploadCreated || u.state == registry.UploadUploading || u.state == registry.UploadUploaded
		if open && !w.Now().Before(u.expires) && !w.holds(u) {
			u.state = registry.UploadExpired
			w.objects[u.object].state = registry.ObjectDeleted
		}
	}
}

func (w *world) restart() {
	if w.random.IntN(2) == 0 {
		w.reopen()
	} else {
		w.crash()
	}
	if w.random.IntN(2) == 0 {
		_, err := w.CondemnDeadIntents(w.ctx(), 10_000)
		w.must(err)
		w.dead = w.Epoch()
	}
	w.compareGarbage()
	list, err := w.Garbage(w.ctx(), 0, 5)
	w.must(err)
	for _, g := range list {
		w.must(w.GarbageGone(w.ctx(), []uint64{g.Seq}))
	}
}

func (w *world) compare() {
	w.Helper()
	for id, u := range w.uploads {
		got, err := w.Upload(w.ctx(), acme, id)
		w.must(err)
		if got.State != u.state || got.Attempt != u.attempt {
			w.Fatalf("upload %s is %s (attempt %d), the model says %s (%d)", id, got.State, got.Attempt, u.state, u.attempt)
		}
	}
	for id, o := range w.objects {
		got, err := w.Object(w.ctx(), acme, id)
		if o.marker {
			w.want(err, registry.ErrNotFound)
			continue
		}
		w.must(err)
		if got.State != o.state || got.Held != o.held || got.Overtaken != o.buried || got.Destroyed != o.destroyed || got.Versioned != o.versioned || len(got.Targets) > 0 != o.moving {
			w.Fatalf("object %s is %s (held %v, overtaken %v, versioned %v), the model says %+v",
				id, got.State, got.Held, got.Overtaken, got.Versioned, *o)
		}
	}
	w.compareGarbage()
	w.must(w.Check(w.ctx()))
}
