package registry_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
)

func TestCreateUploadFailures(t *testing.T) {
	h := newHouse(t)
	tests := []struct {
		name string
		edit func(*registry.NewUpload, *registry.Actor)
		want error
	}{
		{"UnknownBucket", func(n *registry.NewUpload, _ *registry.Actor) { n.Bucket = "nowhere" }, registry.ErrNotFound},
		{"UnknownTenant", func(_ *registry.NewUpload, a *registry.Actor) { a.Tenant = "nobody" }, registry.ErrNotFound},
		{"NegativeSize", func(n *registry.NewUpload, _ *registry.Actor) { n.Size = -1 }, registry.ErrInvalid},
		{"NoSessionTTL", func(n *registry.NewUpload, _ *registry.Actor) { n.SessionTTL = 0 }, registry.ErrInvalid},
		{"NoURLTTL", func(n *registry.NewUpload, _ *registry.Actor) { n.URLTTL = 0 }, registry.ErrInvalid},
		{"ShortSHA256", func(n *registry.NewUpload, _ *registry.Actor) { n.SHA256 = "abc" }, registry.ErrInvalid},
		{"UpperSHA256", func(n *registry.NewUpload, _ *registry.Actor) { n.SHA256 = strings.ToUpper(digest("x")) }, registry.ErrInvalid},
		{"LongFilename", func(n *registry.NewUpload, _ *registry.Actor) { n.Filename = strings.Repeat("x", 2000) }, registry.ErrInvalid},
		{"LongIdempotencyKey", func(n *registry.NewUpload, _ *registry.Actor) { n.Idempotency.Key = strings.Repeat("x", 256) }, registry.ErrInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, by := sessionOf, h.amy
			test.edit(&n, &by)
			if _, err := h.CreateUpload(h.ctx(), by, n); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if list, _, err := h.Uploads(h.ctx(), acme, "", registry.Page{}); err != nil || len(list) != 0 {
		t.Errorf("refused sessions left %d rows (%v)", len(list), err)
	}
}

func TestURLNeverOutlivesItsSession(t *testing.T) {
	h := newHouse(t)
	n := sessionOf
	n.SessionTTL, n.URLTTL = time.Minute, time.Hour
	b, err := h.CreateUpload(h.ctx(), h.amy, n)
	h.must(err)
	if !b.Grant.ExpiresAt.Equal(b.Upload.ExpiresAt) {
		t.Errorf("url expires %v, session %v", b.Grant.ExpiresAt, b.Upload.ExpiresAt)
	}
}

func TestIdempotency(t *testing.T) {
	h := newHouse(t)
	n := sessionOf
	n.Idempotency = registry.Idempotency{Key: "k", Fingerprint: "f"}
	first, err := h.CreateUpload(h.ctx(), h.amy, n)
	h.must(err)

	other := n
	other.Idempotency.Fingerprint = "g"
	_, err = h.CreateUpload(h.ctx(), h.amy, other)
	h.want(err, registry.ErrIdempotencyConflict)

	h.reopen()
	again, err := h.CreateUpload(h.ctx(), h.amy, n)
	h.must(err)
	if !again.Replayed || again.Upload.ID != first.Upload.ID || again.Object.ID != first.Object.ID || again.Grant != first.Grant {
		t.Errorf("replay is %+v, first was %+v", again, first)
	}
	bob := h.actor(acme, "bob")
	his, err := h.CreateUpload(h.ctx(), bob, n)
	h.must(err)
	if his.Replayed {
		t.Error("a key of one principal answers another")
	}

	h.time.pass(24*time.Hour - time.Minute)
	_, err = h.ExpireDue(h.ctx(), 100)
	h.must(err)
	_, err = h.CreateUpload(h.ctx(), h.amy, other)
	h.want(err, registry.ErrIdempotencyConflict)
	h.time.pass(time.Minute)
	fresh, err := h.CreateUpload(h.ctx(), h.amy, other)
	h.must(err)
	if fresh.Replayed || fresh.Upload.ID == first.Upload.ID {
		t.Error("a key is remembered for more than a day")
	}
	// Forgetting the old use must not forget the new one.
	_, err = h.ExpireDue(h.ctx(), 100)
	h.must(err)
	again, err = h.CreateUpload(h.ctx(), h.amy, other)
	h.must(err)
	if !again.Replayed {
		t.Error("the sweep of an old use forgot the new one")
	}
}

// TestOneOfManyWins: whatever the concurrency, one attempt gets the turn.
func TestOneOfManyWins(t *testing.T) {
	h := newHouse(t)
	b := h.begin()
	var won, busy atomic.Int32
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			a, err := h.BeginPut(h.ctx(), registry.Actor{}, acme, b.Upload.ID, b.Grant.ID)
			switch {
			case err == nil:
				won.Add(1)
				if _, err := h.CompletePut(h.ctx(), a, stored("hello")); err != nil {
					t.Error(err)
				}
			case errors.Is(err, registry.ErrUploadInProgress), errors.Is(err, registry.ErrUploadAlreadyReceived):
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || busy.Load() != 63 {
		t.Errorf("%d won, %d were refused", won.Load(), busy.Load())
	}
	n := 0
	for _, e := range h.events(b.Object.ID) {
		if e == registry.EventUploadReceived {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d events of success", n)
	}
}

// TestPutRefusals walks what stands between a URL and its bytes: the ticket and
// BeginPut say the same.
func TestPutRefusals(t *testing.T) {
	tests := []struct {
		name string
		make func(h *house) (registry.Begun, registry.GrantID)
		want error
	}{
		{"UnknownGrant", func(h *house) (registry.Begun, registry.GrantID) { return h.begin(), "g_none" }, registry.ErrGrantRevoked},
		{"GetGrant", func(h *house) (registry.Begun, registry.GrantID) {
			o := h.published()
			g, err := h.IssueGetURL(h.ctx(), h.amy, o.ID, registry.Attachment, time.Minute)
			h.must(err)
			return h.begin(), g.ID
		}, registry.ErrGrantRevoked},
		{"RevokedGrant", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			h.must(h.RevokeGrant(h.ctx(), h.amy, acme, b.Grant.ID))
			return b, b.Grant.ID
		}, registry.ErrGrantRevoked},
		{"SupersededGrant", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			_, err := h.IssuePutURL(h.ctx(), h.amy, b.Upload.ID, time.Minute)
			h.must(err)
			return b, b.Grant.ID
		}, registry.ErrGrantSuperseded},
		{"ExpiredGrant", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			h.time.pass(2 * time.Minute)
			return b, b.Grant.ID
		}, registry.ErrGrantExpired},
		{"ExpiredSession", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			h.time.pass(2 * time.Hour)
			if n, err := h.ExpireDue(h.ctx(), 10); err != nil || n != 1 {
				h.Fatalf("expired %d (%v)", n, err)
			}
			return b, ""
		}, registry.ErrUploadExpired},
		{"SessionPastItsTime", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			h.time.pass(2 * time.Hour)
			return b, ""
		}, registry.ErrUploadExpired},
		{"AbortedSession", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			h.must(h.AbortUpload(h.ctx(), h.amy, acme, b.Upload.ID))
			return b, b.Grant.ID
		}, registry.ErrUploadAborted},
		{"RevokedKey", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			h.must(h.RevokeKey(h.ctx(), h.amy, acme, registry.AccessKeyID(h.amy.Credential)))
			return b, b.Grant.ID
		}, registry.ErrRevoked},
		{"RevokedPrincipal", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			h.must(h.RevokePrincipal(h.ctx(), h.amy, acme, h.amy.Principal))
			return b, b.Grant.ID
		}, registry.ErrRevoked},
		{"SuspendedTenant", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			h.must(h.SuspendTenant(h.ctx(), registry.System(registry.DefaultTenant), acme))
			return b, b.Grant.ID
		}, registry.ErrTenantSuspended},
		{"AlreadyStored", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.received()
			return b, b.Grant.ID
		}, registry.ErrUploadAlreadyReceived},
		{"Finalized", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.received()
			_, err := h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
			h.must(err)
			return b, b.Grant.ID
		}, registry.ErrUploadFinalized},
		{"InProgress", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.begin()
			h.take(b)
			return b, b.Grant.ID
		}, registry.ErrUploadInProgress},
		{"RevokedComesBeforeStored", func(h *house) (registry.Begun, registry.GrantID) {
			b := h.received()
			h.must(h.RevokeKey(h.ctx(), h.amy, acme, registry.AccessKeyID(h.amy.Credential)))
			return b, b.Grant.ID
		}, registry.ErrRevoked},
		{"OfAnotherUpload", func(h *house) (registry.Begun, registry.GrantID) {
			other := h.begin()
			return h.begin(), other.Grant.ID
		}, registry.ErrGrantRevoked},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			b, grant := test.make(h)
			_, err := h.BeginPut(h.ctx(), h.amy, acme, b.Upload.ID, grant)
			if !errors.Is(err, test.want) {
				t.Errorf("BeginPut: got %v, want %v", err, test.want)
			}
			if grant == "" || test.name == "OfAnotherUpload" { // no URL, or one that is good for something else
				return
			}
			if _, err := h.PutTicket(h.ctx(), acme, grant); !errors.Is(err, test.want) {
				t.Errorf("PutTicket: got %v, want %v", err, test.want)
			}
		})
	}
}

func TestFencing(t *testing.T) {
	tests := []struct {
		name string
		lose func(h *house, b registry.Begun, a registry.Attempt)
	}{
		{"LapsedLease", func(h *house, b registry.Begun, _ registry.Attempt) {
			h.time.pass(61 * time.Second)
			h.take(b)
		}},
		{"DeadEpoch", func(h *house, b registry.Begun, _ registry.Attempt) {
			h.reopen()
			h.take(b)
		}},
		{"Aborted", func(h *house, b registry.Begun, _ registry.Attempt) {
			h.must(h.AbortUpload(h.ctx(), h.amy, acme, b.Upload.ID))
		}},
		{"GivenBack", func(h *house, _ registry.Begun, a registry.Attempt) {
			h.must(h.FailPut(h.ctx(), a, "test"))
		}},
		{"GivenBackAndTakenAgain", func(h *house, b registry.Begun, a registry.Attempt) {
			h.must(h.FailPut(h.ctx(), a, "test"))
			h.take(b)
		}},
		{"Completed", func(h *house, _ registry.Begun, a registry.Attempt) {
			_, err := h.CompletePut(h.ctx(), a, stored("hello"))
			h.must(err)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			b := h.begin()
			a := h.take(b)
			test.lose(h, b, a)
			before, err := h.Upload(h.ctx(), acme, b.Upload.ID)
			h.must(err)
			_, err = h.CompletePut(h.ctx(), a, stored("hello"))
			h.want(err, registry.ErrFenced)
			h.want(h.RenewLease(h.ctx(), a), registry.ErrFenced)
			if test.name != "Completed" {
				h.must(h.FailPut(h.ctx(), a, "fenced"))
				if !h.garbage()[a.Blob] {
					t.Error("the loser's bytes are not garbage")
				}
			}
			after, err := h.Upload(h.ctx(), acme, b.Upload.ID)
			h.must(err)
			if before.State != after.State || before.Attempt != after.Attempt || before.Staging != after.Staging {
				t.Errorf("the loser changed the row from %+v to %+v", before, after)
			}
		})
	}
}

func TestTurnIsGivenBack(t *testing.T) {
	h := newHouse(t)
	b := h.begin()
	first := h.take(b)
	h.must(h.FailPut(h.ctx(), first, "bad_digest"))
	second := h.take(b)
	if second.Number != 2 || second.Blob == first.Blob {
		t.Errorf("second attempt is %d, same key: %v", second.Number, second.Blob == first.Blob)
	}
	if s, err := h.Standing(h.ctx(), second.Blob); err != nil || s == registry.BlobUnknown {
		t.Errorf("the attempt's key is not known (%v)", err)
	}
	if !h.garbage()[first.Blob] || h.garbage()[second.Blob] {
		t.Error("garbage is not the failed attempt's key")
	}
}

func TestLeaseKeepsTheSessionAlive(t *testing.T) {
	h := newHouse(t)
	b := h.begin()
	a := h.take(b)
	for range 150 { // 2 h 30 min of a session of 2 h
		h.time.pass(time.Minute - time.Second)
		h.must(h.RenewLease(h.ctx(), a))
		h.time.pass(time.Second)
		if n, err := h.ExpireDue(h.ctx(), 10); err != nil || n != 0 {
			t.Fatalf("expired %d (%v) under a running attempt", n, err)
		}
	}
	_, err := h.CompletePut(h.ctx(), a, stored("hello"))
	h.must(err)
	_, err = h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
	h.want(err, registry.ErrUploadExpired)
	n, err := h.ExpireDue(h.ctx(), 10)
	h.must(err)
	if n != 1 || !h.garbage()[a.Blob] || h.state(b.Object.ID) != registry.ObjectDeleted {
		t.Errorf("expired %d, garbage %v, object %s", n, h.garbage()[a.Blob], h.state(b.Object.ID))
	}
}

func TestExpireSkipsNothingBehindAHeldTurn(t *testing.T) {
	h := newHouse(t)
	held := h.begin()
	h.time.pass(time.Second)
	free := h.begin()
	h.time.pass(time.Minute)
	a := h.take(held)
	for range 125 {
		h.time.pass(time.Minute - time.Second)
		h.must(h.RenewLease(h.ctx(), a))
	}
	n, err := h.ExpireDue(h.ctx(), 10)
	h.must(err)
	if u, _ := h.Upload(h.ctx(), acme, free.Upload.ID); n != 1 || u.State != registry.UploadExpired {
		t.Errorf("expired %d, the free session is %s", n, u.State)
	}
	h.time.pass(2 * time.Minute) // the lease lapses
	n, err = h.ExpireDue(h.ctx(), 10)
	h.must(err)
	if n != 1 || !h.garbage()[a.Blob] {
		t.Errorf("expired %d; a lapsed attempt's key is garbage: %v", n, h.garbage()[a.Blob])
	}
}

func TestCompletePutGuards(t *testing.T) {
	h := newHouse(t)
	n := sessionOf
	n.SHA256 = digest("hello")
	b, err := h.CreateUpload(h.ctx(), h.amy, n)
	h.must(err)
	a := h.take(b)
	_, err = h.CompletePut(h.ctx(), a, stored("hello!"))
	h.want(err, registry.ErrInvalid)
	_, err = h.CompletePut(h.ctx(), a, stored("hullo"))
	h.want(err, registry.ErrChecksumMismatch)
	u, err := h.CompletePut(h.ctx(), a, stored("hello"))
	h.must(err)
	if u.State != registry.UploadUploaded || u.Stored.SHA256 != digest("hello") {
		t.Errorf("upload is %+v", u)
	}
}

func TestFinalize(t *testing.T) {
	t.Run("ErrNotFound", func(t *testing.T) {
		h := newHouse(t)
		_, err := h.Finalize(h.ctx(), h.amy, acme, "upl_none", "")
		h.want(err, registry.ErrNotFound)
	})
	t.Run("ErrNotReceived", func(t *testing.T) {
		h := newHouse(t)
		b := h.begin()
		_, err := h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, digest("hello"))
		h.want(err, registry.ErrUploadNotReceived)
		h.take(b)
		_, err = h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
		h.want(err, registry.ErrUploadNotReceived)
	})
	t.Run("ErrAborted", func(t *testing.T) {
		h := newHouse(t)
		b := h.received()
		h.must(h.AbortUpload(h.ctx(), h.amy, acme, b.Upload.ID))
		_, err := h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
		h.want(err, registry.ErrUploadAborted)
	})
	t.Run("ErrChecksumMismatch", func(t *testing.T) {
		h := newHouse(t)
		b := h.received()
		for range 2 {
			o, err := h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, digest("other"))
			h.want(err, registry.ErrChecksumMismatch)
			if o.State != registry.ObjectRejected || o.Verdict.Reason != registry.ReasonChecksum {
				t.Errorf("object is %+v", o)
			}
		}
		_, err := h.ClaimScan(h.ctx(), "w", time.Minute)
		h.want(err, registry.ErrNotFound)
	})
	t.Run("Idempotent", func(t *testing.T) {
		h := newHouse(t)
		b := h.received()
		first, err := h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, digest("hello"))
		h.must(err)
		if first.State != registry.ObjectQuarantined || first.SHA256 != digest("hello") || first.Seq == 0 {
			t.Errorf("object is %+v", first)
		}
		events := len(h.events(first.ID))
		again, err := h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
		h.must(err)
		if again.State != first.State || len(h.events(first.ID)) != events {
			t.Error("finalizing again changed something")
		}
		// A wrong digest now is refused and rejects nothing.
		_, err = h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, digest("other"))
		h.want(err, registry.ErrChecksumMismatch)
		if h.state(first.ID) != registry.ObjectQuarantined {
			t.Error("a late mismatch changed the object")
		}
	})
}

func TestAbort(t *testing.T) {
	h := newHouse(t)
	h.want(h.AbortUpload(h.ctx(), h.amy, acme, "upl_none"), registry.ErrNotFound)
	b := h.received()
	u, err := h.Upload(h.ctx(), acme, b.Upload.ID)
	h.must(err)
	for range 2 {
		h.must(h.AbortUpload(h.ctx(), h.amy, acme, b.Upload.ID))
	}
	if !h.garbage()[u.Staging] || h.state(b.Object.ID) != registry.ObjectDeleted {
		t.Error("an aborted session left bytes or an object")
	}
	o := h.finalized()
	h.want(h.AbortUpload(h.ctx(), h.amy, acme, o.Upload), registry.ErrUploadFinalized)
}

// TestFailPutSparesWhatCompleted: a caller that was told of a failure which was
// none, as a commit of unknown outcome is, must not cost anybody the bytes.
func TestFailPutSparesWhatCompleted(t *testing.T) {
	for _, finalized := range []bool{false, true} {
		h := newHouse(t)
		b := h.begin()
		a := h.take(b)
		_, err := h.CompletePut(h.ctx(), a, stored("hello"))
		h.must(err)
		state := registry.UploadUploaded
		if finalized {
			_, err = h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
			h.must(err)
			state = registry.UploadFinalized
		}
		for range 2 {
			h.must(h.FailPut(h.ctx(), a, "unknown_outcome"))
		}
		if h.garbage()[a.Blob] {
			t.Errorf("the bytes of a session that is %s are garbage", state)
		}
		if u, err := h.Upload(h.ctx(), acme, b.Upload.ID); err != nil || u.State != state {
			t.Errorf("the session is %s (%v), want %s", u.State, err, state)
		}
	}
}

// Whoever reads a session knows at once that the process of its attempt is gone.
func TestStateNowAfterAnEpoch(t *testing.T) {
	h := newHouse(t)
	u := registry.Upload{State: registry.UploadUploading, Epoch: h.Epoch(), LeaseUntil: h.Now().Add(time.Minute), ExpiresAt: h.Now().Add(time.Hour)}
	if s := h.StateNow(&u); s != registry.UploadUploading {
		t.Errorf("a running attempt: %s", s)
	}
	u.Epoch--
	if s := h.StateNow(&u); s != registry.UploadCreated {
		t.Errorf("an attempt of an earlier process: %s", s)
	}
}
