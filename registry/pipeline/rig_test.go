package pipeline_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/blob/diskblob"
	"sallyport/registry/kv/boltkv"
	"sallyport/registry/pipeline"
	"sallyport/scanner"
	"sallyport/scanner/inspect"
)

var _ scanner.Queue = (*pipeline.Pipeline)(nil)

const rootKey = "ROOTKEY0000000000001"

// admin is the root key's actor.
var admin = registry.Actor{
	Tenant: registry.DefaultTenant, Principal: registry.RootPrincipal, Credential: rootKey, RequestID: "req",
	Roles: []registry.Role{registry.RoleOperator, registry.RoleAdmin, registry.RoleAnalyst},
}

// rig is a ledger on bbolt and a store on disk, both real, with a pipeline on
// top. Everything can be made to fail, and can be opened again.
type rig struct {
	tb     testing.TB
	dir    string
	faults *faults // of the ledger's store
	disk   *diskblob.Store
	blobs  *blobtest.Faulty
	ledger *registry.Ledger
	*pipeline.Pipeline
	worker *scanner.Worker
	config pipeline.Config
	offset atomic.Int64 // of the clock
	leap   atomic.Int64 // of the wall clock against the monotonic one
	start  time.Time
}

// newRig makes a rig; change, if any, sets up its pipeline.
func newRig(tb testing.TB, change ...func(*pipeline.Config)) *rig {
	r := &rig{tb: tb, dir: tb.TempDir(), start: time.Now()}
	r.config = pipeline.Config{
		Detect: inspect.Detect, Lineage: inspect.Lineage, Now: r.now,
		Linger: time.Nanosecond, // clearing up is looked at at once
	}
	for _, c := range change {
		c(&r.config)
	}
	r.open()
	if err := r.ledger.Bootstrap(r.ctx(), registry.RootCredentials{AccessKey: rootKey, SecretKey: "secret-secret"}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.finish)
	return r
}

func (r *rig) ctx() context.Context { return context.WithoutCancel(r.tb.Context()) }

func (r *rig) now() time.Time {
	return time.Now().Add(time.Duration(r.offset.Load() + r.leap.Load()))
}

func (r *rig) elapsed() time.Duration {
	return time.Since(r.start) + time.Duration(r.offset.Load())
}

// lease is the ledger's: the pipeline's, unless that would be too slow to renew.
func (r *rig) lease() time.Duration {
	if r.config.Lease == 0 {
		return 0
	}
	return min(r.config.Lease, time.Minute)
}

func (r *rig) advance(d time.Duration) { r.offset.Add(int64(d)) }

func (r *rig) open() {
	r.tb.Helper()
	if err := os.MkdirAll(filepath.Join(r.dir, "blobs"), 0o700); err != nil {
		r.tb.Fatal(err)
	}
	bolt, err := boltkv.Open(filepath.Join(r.dir, "ledger.db"), boltkv.Options{
		Tables: registry.Tables, AppendTables: registry.AppendTables, QuietTables: registry.QuietTables, NoSync: true})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.faults = &faults{Store: bolt}
	r.ledger, err = registry.Open(r.ctx(), registry.Config{Store: r.faults, Now: r.now, Elapsed: r.elapsed, IntentBlock: 1, UploadLease: r.lease()})
	if err != nil {
		r.tb.Fatal(err)
	}
	if r.disk, err = diskblob.Open(filepath.Join(r.dir, "blobs")); err != nil {
		r.tb.Fatal(err)
	}
	r.blobs = blobtest.NewFaulty(r.disk)
	r.config.Ledger, r.config.Blobs = r.ledger, r.blobs
	r.Pipeline = pipeline.New(r.config)
	r.worker = scanner.NewWorker(scanner.Config{
		Queue: r.Pipeline, Panel: scanner.NewPanel(scanner.PanelConfig{Inspect: []scanner.Engine{&inspect.Engine{}}, Now: r.now}), Now: r.now, Backoff: time.Millisecond})
}

// crash ends the process as far as anybody can tell: nothing is closed properly,
// and what was promised to be done later is not done.
func (r *rig) crash() {
	r.tb.Helper()
	if err := r.faults.Store.Close(); err != nil {
		r.tb.Fatal(err)
	}
	if err := r.disk.Close(); err != nil {
		r.tb.Fatal(err)
	}
	r.open()
}

// finish clears up and looks whether everything is in order.
func (r *rig) finish() {
	r.blobs.Heal()
	r.faults.heal()
	if r.tb.Failed() {
		_ = r.ledger.Close(r.ctx())
		return
	}
	r.settled()
	if err := errors.Join(r.ledger.Close(r.ctx()), r.disk.Close()); err != nil {
		r.tb.Error(err)
	}
}

// settled recovers and then finds no leftovers: the ledger agrees with itself and,
// both ways, with the bytes.
func (r *rig) settled() {
	r.tb.Helper()
	if err := r.Recover(r.ctx()); err != nil {
		r.tb.Errorf("recover: %v", err)
	}
	if err := r.ledger.Check(r.ctx()); err != nil {
		r.tb.Error(err)
	}
	if free := r.FreeLanes(); free != runtime.GOMAXPROCS(0) {
		r.tb.Errorf("%d lanes are free of %d", free, runtime.GOMAXPROCS(0))
	}
	if n := r.Running(); n != 0 {
		r.tb.Errorf("%d transfers stand in the table", n)
	}
	refs := map[registry.BlobKey]bool{}
	for key, err := range r.ledger.BlobRefs(r.ctx()) {
		if err != nil {
			r.tb.Fatal(err)
		}
		refs[key] = true
		if _, err := r.disk.Stat(r.ctx(), blob.Key(key)); err != nil {
			r.tb.Errorf("the ledger vouches for bytes that are not there: %v", err)
		}
	}
	for entry, err := range r.disk.List(r.ctx(), "") {
		if err != nil {
			r.tb.Fatal(err)
		}
		if !refs[registry.BlobKey(entry.Key)] {
			r.tb.Errorf("bytes left over under %s", string(entry.Key))
		}
	}
	if left, err := r.ledger.Garbage(r.ctx(), 0, 10); err != nil || len(left) > 0 {
		r.tb.Errorf("%d blobs left on the garbage list (%v)", len(left), err)
	}
}

func await(tb testing.TB, what string, c <-chan struct{}) {
	tb.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		tb.Fatalf("%s: waited too long", what)
	}
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// text is content that is detected as text/plain.
var text = []byte("The quick brown fox jumps over the lazy dog.\n")

func (r *rig) begin(size int) registry.Begun {
	r.tb.Helper()
	return r.beginAs(admin, pipeline.BeginRequest{Filename: "a.txt", ContentType: "text/plain", Size: int64(size)})
}

func (r *rig) beginAs(actor registry.Actor, req pipeline.BeginRequest) registry.Begun {
	r.tb.Helper()
	b, err := r.Begin(r.ctx(), actor, req)
	if err != nil {
		r.tb.Fatal(err)
	}
	return b
}

func putRequest(b registry.Begun, size int) pipeline.PutRequest {
	return pipeline.PutRequest{
		Tenant: b.Upload.Tenant, Upload: b.Upload.ID, Grant: b.Grant.ID, RequestID: "req",
		Declared: pipeline.Declared{Length: int64(size)},
	}
}

// put admits and receives, as one request does.
func (r *rig) put(b registry.Begun, data []byte) error {
	_, err := r.putBody(r.ctx(), putRequest(b, len(data)), bodyOf(data))
	return err
}

func (r *rig) putBody(ctx context.Context, req pipeline.PutRequest, b pipeline.Body) (registry.Stored, error) {
	t, err := r.AdmitPut(ctx, req)
	if err != nil {
		return registry.Stored{}, err
	}
	return r.Receive(ctx, t, b)
}

// received returns a session whose bytes are there.
func (r *rig) received(data []byte) registry.Begun {
	r.tb.Helper()
	b := r.begin(len(data))
	if err := r.put(b, data); err != nil {
		r.tb.Fatal(err)
	}
	return b
}

// finalized returns a session whose object waits for its scan.
func (r *rig) finalized(data []byte) registry.Begun {
	r.tb.Helper()
	b := r.received(data)
	if _, err := r.Finalize(r.ctx(), admin, b.Upload.ID, ""); err != nil {
		r.tb.Fatal(err)
	}
	return b
}

// published returns a session whose object can be read.
func (r *rig) published(data []byte) registry.Begun {
	r.tb.Helper()
	b := r.finalized(data)
	r.scan()
	r.mustBe(b.Object.ID, registry.ObjectPublished)
	return b
}

// scan judges everything that is due.
func (r *rig) scan() {
	r.tb.Helper()
	for {
		did, err := r.worker.Once(r.ctx())
		if err != nil {
			r.tb.Fatal(err)
		}
		if !did {
			return
		}
	}
}

func (r *rig) state(id registry.ObjectID) registry.Object {
	r.tb.Helper()
	o, err := r.ledger.Object(r.ctx(), admin.Tenant, id)
	if err != nil {
		r.tb.Fatal(err)
	}
	return o
}

func (r *rig) mustBe(id registry.ObjectID, want registry.ObjectState) registry.Object {
	r.tb.Helper()
	o := r.state(id)
	if o.State != want {
		r.tb.Fatalf("object is %s (held %t, verdict %+v); want %s", o.State, o.Held, o.Verdict, want)
	}
	return o
}

func (r *rig) upload(id registry.UploadID) registry.Upload {
	r.tb.Helper()
	u, err := r.ledger.Upload(r.ctx(), admin.Tenant, id)
	if err != nil {
		r.tb.Fatal(err)
	}
	return u
}

// read returns a published object's bytes.
func (r *rig) read(id registry.ObjectID) ([]byte, error) {
	f, err := r.FindObject(r.ctx(), admin, id)
	if err != nil {
		return nil, err
	}
	return readAll(f.Open(r.ctx(), 0, -1, nil))
}

func readAll(rd *pipeline.Reading, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(rd)
	return b, errors.Join(err, rd.Close())
}

// putKey writes an object through the S3 port.
func (r *rig) putKey(bucket registry.BucketName, key string, data []byte) (registry.Object, error) {
	t, err := r.AdmitObject(r.ctx(), admin, pipeline.ObjectRequest{
		Bucket: bucket, Key: key, Declared: pipeline.Declared{Length: int64(len(data)), ContentType: "text/plain"}})
	if err != nil {
		return registry.Object{}, err
	}
	return r.PutObject(r.ctx(), t, bodyOf(data))
}

// deleteKeys deletes what is current under each key.
func (r *rig) deleteKeys(bucket registry.BucketName, keys ...string) error {
	list := make([]registry.Deletion, len(keys))
	for i, key := range keys {
		list[i].Key = key
	}
	results, err := r.DeleteVersions(r.ctx(), admin, bucket, list)
	for _, result := range results {
		err = errors.Join(err, result.Err)
	}
	return err
}

func (r *rig) bucket(name registry.BucketName) {
	r.tb.Helper()
	if err := r.CreateBucket(r.ctx(), admin, name); err != nil {
		r.tb.Fatal(err)
	}
}

func (r *rig) events(what registry.EventType) int {
	r.tb.Helper()
	n, from := 0, uint64(0)
	for {
		leaves, err := r.ledger.Events(r.ctx(), "", from, 1000)
		if err != nil {
			r.tb.Fatal(err)
		}
		if len(leaves) == 0 {
			return n
		}
		for _, leaf := range leaves {
			ev, err := leaf.Event()
			if err != nil {
				r.tb.Fatal(err)
			}
			if ev.Type == what {
				n++
			}
			from = leaf.Seq + 1
		}
	}
}
