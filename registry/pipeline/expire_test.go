package pipeline_test

import (
	"errors"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
)

func TestExpiry(t *testing.T) {
	r := newRig(t)
	created, received := r.begin(len(text)), r.received(text)
	r.advance(121 * time.Second)
	if err := r.put(created, text); !errors.Is(err, registry.ErrGrantExpired) {
		t.Errorf("url past its time: %v, want ErrGrantExpired", err)
	}
	g, _, err := r.ReissuePut(t.Context(), admin, created.Upload.ID, 0)
	if err != nil {
		t.Fatalf("the session outlives its url: %v", err)
	}
	if err := r.put(created, text); !errors.Is(err, registry.ErrGrantSuperseded) {
		t.Errorf("url replaced by a later one: %v, want ErrGrantSuperseded", err)
	}
	r.advance(2 * time.Hour)
	created.Grant = g
	if err := r.put(created, text); err == nil {
		t.Error("a PUT after the session's end succeeded")
	}
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, b := range []registry.Begun{created, received} {
		if u := r.upload(b.Upload.ID); u.State != registry.UploadExpired {
			t.Errorf("session is %s, want expired", u.State)
		}
		r.mustBe(b.Object.ID, registry.ObjectDeleted)
	}
	if _, err := r.Finalize(t.Context(), admin, received.Upload.ID, ""); !errors.Is(err, registry.ErrUploadExpired) {
		t.Errorf("finalize after expiry: %v, want ErrUploadExpired", err)
	}
}

// A session whose turn is held does not expire under the attempt.
func TestAHeldTurnDoesNotExpire(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.Lease = 900 * time.Millisecond })
	b := r.begin(len(text))
	g := gated(text)
	done := make(chan error, 1)
	go func() {
		_, err := r.putBody(r.ctx(), putRequest(b, len(text)), g)
		done <- err
	}()
	await(t, "body", g.reached)
	old := r.upload(b.Upload.ID).LeaseUntil
	r.advance(2 * time.Hour)
	extend(t, r, b.Upload.ID, old)
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u := r.upload(b.Upload.ID); u.State != registry.UploadUploading {
		t.Fatalf("session is %s under a running attempt", u.State)
	}
	close(g.open)
	if err := <-done; err != nil {
		t.Errorf("the attempt: %v", err)
	}
}

// extend waits until the running attempt has renewed its lease past old.
func extend(t *testing.T, r *rig, id registry.UploadID, old time.Time) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if r.upload(id).LeaseUntil.After(old.Add(time.Hour)) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the lease was not renewed while bytes moved")
}

// An attempt that lost its turn stops, and what it wrote does not count.
func TestFencing(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.Lease = time.Hour }) // it does not renew in time
	b := r.begin(len(text))
	first := gated(text)
	done := make(chan error, 1)
	go func() {
		_, err := r.putBody(r.ctx(), putRequest(b, len(text)), first)
		done <- err
	}()
	await(t, "body", first.reached)
	r.advance(61 * time.Second) // the ledger's lease is over, the url is not
	second := []byte("THE SECOND ATTEMPT TAKES THE TURN OF THE 1ST\n")
	if err := r.put(b, second[:len(text)]); err != nil {
		t.Fatalf("taking over a dead turn: %v", err)
	}
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(first.open)
	if err := <-done; !errors.Is(err, registry.ErrFenced) {
		t.Errorf("the first attempt: %v, want ErrFenced", err)
	}
	if _, err := r.Finalize(t.Context(), admin, b.Upload.ID, hexSHA256(second[:len(text)])); err != nil {
		t.Errorf("the second attempt's bytes: %v", err)
	}
}

// Invariant 13: a forward leap of the wall clock expires nothing until accepted.
func TestAClockThatLeapsAheadExpiresNothing(t *testing.T) {
	r := newRig(t)
	b, gone := r.begin(len(text)), r.published(text)
	if err := r.Delete(t.Context(), admin, gone.Object.ID); err != nil {
		t.Fatal(err)
	}
	r.leap.Store(int64(3 * time.Hour))
	if err := r.Sweep(t.Context()); !errors.Is(err, registry.ErrClockJumped) {
		t.Errorf("sweep: %v, want ErrClockJumped", err)
	}
	if u := r.upload(b.Upload.ID); u.State != registry.UploadCreated {
		t.Errorf("session is %s", u.State)
	}
	if left, err := r.ledger.Garbage(t.Context(), 0, 10); err != nil || len(left) != 0 {
		t.Errorf("%d blobs of garbage, %v: nobody doubts that they can go", len(left), err)
	}
	if err := r.ledger.AcceptClock(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	if err := r.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if u := r.upload(b.Upload.ID); u.State != registry.UploadExpired {
		t.Errorf("session is %s once the clock was accepted", u.State)
	}
}

func TestAbortDuringAPutLeavesNothing(t *testing.T) {
	r := newRig(t)
	b := r.begin(len(text))
	g := gated(text)
	done := make(chan error, 1)
	go func() {
		_, err := r.putBody(r.ctx(), putRequest(b, len(text)), g)
		done <- err
	}()
	await(t, "body", g.reached)
	if err := r.Abort(t.Context(), admin, b.Upload.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(g.open)
	if err := <-done; err == nil {
		t.Error("a PUT into an aborted session succeeded")
	}
	if err := r.Abort(t.Context(), admin, b.Upload.ID); err != nil {
		t.Errorf("aborting again: %v", err)
	}
	// newRig's clean-up finds bytes that were left over.
}
