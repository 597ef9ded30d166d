package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
)

// bytesLost is an object in the midst of its promotion whose bytes are nowhere.
func (r *rig) bytesLost() registry.ObjectID {
	r.tb.Helper()
	must := func(err error) {
		r.tb.Helper()
		if err != nil {
			r.tb.Fatal(err)
		}
	}
	b, err := r.ledger.CreateUpload(r.ctx(), admin, registry.NewUpload{
		Bucket: registry.DefaultBucket, Filename: "a", ContentType: "text/plain", Size: 1,
		SessionTTL: time.Hour, URLTTL: time.Minute})
	must(err)
	a, err := r.ledger.BeginPut(r.ctx(), admin, admin.Tenant, b.Upload.ID, "")
	must(err)
	_, err = r.ledger.CompletePut(r.ctx(), a, registry.Stored{Size: 1, SHA256: hexSHA256([]byte("a"))})
	must(err)
	_, err = r.ledger.Finalize(r.ctx(), admin, admin.Tenant, b.Upload.ID, "")
	must(err)
	claim, err := r.ledger.ClaimScan(r.ctx(), "w", time.Minute)
	must(err)
	_, err = r.ledger.SettleScan(r.ctx(), claim, registry.Verdict{Result: registry.VerdictClean}, "text/plain")
	must(err)
	return b.Object.ID
}

// More promotions than a round takes at once can never succeed; the one behind
// them does.
func TestBrokenPromotionsStarveNobody(t *testing.T) {
	r := newRig(t)
	var broken []registry.ObjectID
	for range pipeline.Batch + 1 {
		broken = append(broken, r.bytesLost())
	}
	b := r.finalized(text)
	r.blobs.Inject(blobtest.Fault{Op: blobtest.Move, When: blobtest.Before, Nth: 1})
	r.scan()
	r.mustBe(b.Object.ID, registry.ObjectScanning)
	if err := r.PromoteAll(t.Context()); !errors.Is(err, pipeline.ErrBytesMissing) {
		t.Errorf("a round over lost bytes: %v, want ErrBytesMissing", err)
	}
	r.mustBe(b.Object.ID, registry.ObjectPublished)
	// Bytes that are lost do not keep their objects from being deleted, either.
	for _, id := range broken {
		if err := r.Delete(t.Context(), admin, id); err != nil {
			t.Fatal(err)
		}
	}
	r.settled()
}

// What failed waits for twice as many rounds each time, at most for twelve.
func TestPromotionsBackOff(t *testing.T) {
	const period = time.Hour // which no real time adds up to
	r := newRig(t, func(c *pipeline.Config) { c.PromoteEvery = period })
	id := r.bytesLost()
	var tries []int
	for round := range 40 {
		before := r.blobs.Calls(blobtest.Move)
		if err := r.PromoteDue(t.Context()); err != nil && !errors.Is(err, pipeline.ErrBytesMissing) {
			t.Fatal(err)
		}
		if r.blobs.Calls(blobtest.Move) > before {
			tries = append(tries, round)
		}
		r.advance(period)
	}
	want := []int{0, 1, 3, 7, 15, 27, 39}
	if len(tries) != len(want) {
		t.Fatalf("tried in rounds %v, want %v", tries, want)
	}
	for i := range want {
		if tries[i] != want[i] {
			t.Fatalf("tried in rounds %v, want %v", tries, want)
		}
	}
	if err := r.Delete(t.Context(), admin, id); err != nil {
		t.Fatal(err)
	}
}

// Each blob of a session in parts moves to a key of its own; what was moved before a
// crash is not moved again, and nothing is scanned twice.
func TestPromotionOfManyBlobs(t *testing.T) {
	const size = 8<<20 + 5
	content := bytes.Repeat([]byte("many blobs "), size/11+1)[:size]
	for _, nth := range []int{1, 2} {
		for _, when := range []blobtest.When{blobtest.Before, blobtest.Midway, blobtest.After} {
			t.Run(fmt.Sprintf("move %d %s", nth, when), func(t *testing.T) {
				r := newRig(t)
				b := r.receivedInParts(content)
				if _, err := r.Finalize(t.Context(), admin, b.Upload.ID, ""); err != nil {
					t.Fatal(err)
				}
				r.blobs.Inject(blobtest.Fault{Op: blobtest.Move, When: when, Nth: nth})
				if _, err := r.worker.Once(t.Context()); err != nil {
					t.Fatal(err)
				}
				o := r.mustBe(b.Object.ID, registry.ObjectScanning)
				if len(o.Extents) != 2 || len(o.Targets) != 2 || o.Targets[0] == o.Targets[1] {
					t.Fatalf("%d extents move to %d targets", len(o.Extents), len(o.Targets))
				}
				r.crash()
				if err := r.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.mustBe(b.Object.ID, registry.ObjectPublished)
				if got, err := r.read(b.Object.ID); err != nil || !bytes.Equal(got, content) {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
				if n := r.events(registry.EventObjectScanning); n != 1 {
					t.Errorf("scanned %d times", n)
				}
			})
		}
	}
}

// receivedInParts returns a session in two parts whose bytes are there.
func (r *rig) receivedInParts(content []byte) registry.Begun {
	r.tb.Helper()
	b := r.beginAs(admin, pipeline.BeginRequest{
		Filename: "a.txt", ContentType: "text/plain", Size: int64(len(content)), InParts: true})
	for number, rest := 1, content; len(rest) > 0; number++ {
		n := min(int64(len(rest)), b.Upload.PartSize)
		u, err := r.IssuePart(r.ctx(), admin, b.Upload.ID, number, 0)
		if err != nil {
			r.tb.Fatal(err)
		}
		req := putRequest(b, int(n))
		req.Grant, req.Part = u.Grant.ID, number
		if _, err := r.putBody(r.ctx(), req, bodyOf(rest[:n])); err != nil {
			r.tb.Fatal(err)
		}
		rest = rest[n:]
	}
	return b
}
