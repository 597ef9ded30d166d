package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
)

func TestGoldenPath(t *testing.T) {
	h := newHouse(t)
	o := h.published()
	want := []registry.EventType{
		registry.EventUploadCreated, registry.EventUploadReceiving, registry.EventUploadReceived,
		registry.EventUploadFinalized, registry.EventObjectQuarantined, registry.EventObjectScanning,
		registry.EventObjectVerdict, registry.EventObjectPublished,
	}
	if got := h.events(o.ID); !slices.Equal(got, want) {
		t.Errorf("timeline is %v, want %v", got, want)
	}
	if !strings.HasPrefix(string(o.Extents[0].Blob), "accepted/") || len(o.Targets) != 0 {
		t.Error("a published object is not where it belongs")
	}
	named, err := h.Named(h.ctx(), acme, files, string(o.ID))
	h.must(err)
	if named.ID != o.ID || named.DetectedType != "text/plain" || named.Verdict.Result != registry.VerdictClean {
		t.Errorf("named object is %+v", named)
	}
	g, err := h.IssueGetURL(h.ctx(), h.amy, o.ID, registry.Attachment, time.Minute)
	h.must(err)
	k, err := h.GetTicket(h.ctx(), acme, g.ID)
	h.must(err)
	if k.Object.ID != o.ID || k.Grant.Credential != h.amy.Credential {
		t.Errorf("ticket is %+v", k)
	}
	if n := len(h.garbage()); n != 0 {
		t.Errorf("%d blobs are garbage", n)
	}
}

func TestGetRefusals(t *testing.T) {
	tests := []struct {
		name string
		lose func(h *house, o registry.Object, g registry.GrantID)
		want error
	}{
		{"Unknown", func(*house, registry.Object, registry.GrantID) {}, registry.ErrGrantRevoked},
		{"Revoked", func(h *house, _ registry.Object, g registry.GrantID) {
			for range 2 {
				h.must(h.RevokeGrant(h.ctx(), h.amy, acme, g))
			}
		}, registry.ErrGrantRevoked},
		{"Expired", func(h *house, _ registry.Object, _ registry.GrantID) { h.time.pass(time.Minute) }, registry.ErrGrantExpired},
		{"KeyRevoked", func(h *house, _ registry.Object, _ registry.GrantID) {
			h.must(h.RevokeKey(h.ctx(), h.amy, acme, registry.AccessKeyID(h.amy.Credential)))
		}, registry.ErrRevoked},
		{"PrincipalRevoked", func(h *house, _ registry.Object, _ registry.GrantID) {
			h.must(h.RevokePrincipal(h.ctx(), h.amy, acme, "amy"))
		}, registry.ErrRevoked},
		{"TenantSuspended", func(h *house, _ registry.Object, _ registry.GrantID) {
			h.must(h.SuspendTenant(h.ctx(), registry.System(registry.DefaultTenant), acme))
		}, registry.ErrTenantSuspended},
		{"ObjectDeleted", func(h *house, o registry.Object, _ registry.GrantID) {
			h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID))
		}, registry.ErrNotPublished},
		{"ObjectWithdrawn", func(h *house, o registry.Object, _ registry.GrantID) {
			_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "late_find"})
			h.must(err)
		}, registry.ErrNotPublished},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			o := h.published()
			g, err := h.IssueGetURL(h.ctx(), h.amy, o.ID, registry.Attachment, time.Minute)
			h.must(err)
			_, err = h.GetTicket(h.ctx(), acme, g.ID)
			h.must(err)
			test.lose(h, o, g.ID)
			id := g.ID
			if test.name == "Unknown" {
				id = "g_00000000000000000000000000"
			}
			if _, err = h.GetTicket(h.ctx(), acme, id); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestIssueGetURLFailures(t *testing.T) {
	h := newHouse(t)
	for _, o := range []registry.Object{h.begin().Object, h.finalized(), {ID: "obj_none"}} {
		_, err := h.IssueGetURL(h.ctx(), h.amy, o.ID, registry.Attachment, time.Minute)
		want := registry.ErrNotPublished
		if o.ID == "obj_none" {
			want = registry.ErrNotFound
		}
		h.want(err, want)
	}
	_, err := h.IssueGetURL(h.ctx(), h.amy, "obj_none", registry.Attachment, 0)
	h.want(err, registry.ErrInvalid)
	_, err = h.IssueGetURL(h.ctx(), h.amy, "obj_none", "inline", time.Minute)
	h.want(err, registry.ErrInvalid)
}

func TestDirectPut(t *testing.T) {
	h := newHouse(t)
	first := h.put(direct, "a/b", "one")
	if first.State != registry.ObjectPublished || first.ETag != digest("one")[:32] {
		t.Errorf("object is %+v", first)
	}
	second := h.put(direct, "a/b", "two")
	if second.Seq <= first.Seq || h.state(first.ID) != registry.ObjectDeleted || !h.garbage()[first.Extents[0].Blob] {
		t.Error("what was replaced is still there")
	}
	now, err := h.Named(h.ctx(), acme, direct, "a/b")
	h.must(err)
	if now.ID != second.ID {
		t.Error("the key shows an older write")
	}
	if got := h.events(first.ID); got[len(got)-1] != registry.EventObjectDeleted {
		t.Errorf("timeline of what was replaced is %v", got)
	}
}

func TestPutObjectFailures(t *testing.T) {
	h := newHouse(t)
	ctx := h.ctx()
	reserve := func() registry.Intent {
		i, err := h.ReserveBlob(ctx, acme)
		h.must(err)
		return i
	}
	ok := registry.NewObject{Bucket: direct, Key: "k", Stored: stored("x"), Verdict: clean}
	tests := []struct {
		name string
		edit func(*registry.NewObject)
		want error
	}{
		{"NoKey", func(n *registry.NewObject) { n.Key = "" }, registry.ErrInvalid},
		{"LongKey", func(n *registry.NewObject) { n.Key = strings.Repeat("k", 1025) }, registry.ErrInvalid},
		{"NotUTF8", func(n *registry.NewObject) { n.Key = "\xff" }, registry.ErrInvalid},
		{"UnknownBucket", func(n *registry.NewObject) { n.Bucket = "nowhere" }, registry.ErrNotFound},
		{"NoIntent", func(n *registry.NewObject) { n.Intent = registry.Intent{Tenant: acme, Key: "accepted/x"} }, registry.ErrFenced},
		{"ReleasedIntent", func(n *registry.NewObject) { h.must(h.ReleaseBlob(ctx, n.Intent)) }, registry.ErrFenced},
		{"UsedIntent", func(n *registry.NewObject) {
			other := ok
			other.Intent, other.Key = n.Intent, "other"
			_, err := h.PutObject(ctx, h.amy, other)
			h.must(err)
		}, registry.ErrFenced},
		{"AnothersIntent", func(n *registry.NewObject) { n.Intent.Tenant = "default" }, registry.ErrFenced},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := ok
			n.Intent = reserve()
			held := n.Intent
			test.edit(&n)
			if _, err := h.PutObject(ctx, h.amy, n); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			h.must(h.ReleaseBlob(ctx, held))
		})
	}
	_, err := h.Named(ctx, acme, direct, "k")
	h.want(err, registry.ErrNotFound)
	other, err := h.Named(ctx, acme, direct, "other")
	h.must(err)
	if h.garbage()[other.Extents[0].Blob] {
		t.Error("releasing a used intent made garbage of an object's bytes")
	}
	_, err = h.ReserveBlob(ctx, "nobody")
	h.want(err, registry.ErrNotFound)
}

// TestDirectNeedsAVerdict: nothing is published without one.
func TestDirectNeedsAVerdict(t *testing.T) {
	h := newHouse(t)
	i, err := h.ReserveBlob(h.ctx(), acme)
	h.must(err)
	o, err := h.PutObject(h.ctx(), h.amy, registry.NewObject{Intent: i, Bucket: direct, Key: "k", Stored: stored("x")})
	h.must(err)
	if o.State != registry.ObjectQuarantined {
		t.Errorf("object is %s", o.State)
	}
}

func TestConditions(t *testing.T) {
	h := newHouse(t)
	none, match := registry.Conditions{IfNoneMatch: "*"}, func(content string) registry.Conditions {
		return registry.Conditions{IfMatch: digest(content)[:32]}
	}
	for _, bucket := range []registry.BucketName{direct, files} { // in files writes stay pending
		t.Run(string(bucket), func(t *testing.T) {
			_, err := h.tryPut(bucket, "k", "one", match("one"))
			h.want(err, registry.ErrNotFound)
			_, err = h.tryPut(bucket, "k", "one", none)
			h.must(err)
			_, err = h.tryPut(bucket, "k", "two", none)
			h.want(err, registry.ErrPrecondition)
			_, err = h.tryPut(bucket, "k", "two", match("three"))
			h.want(err, registry.ErrPrecondition)
			_, err = h.tryPut(bucket, "k", "two", match("one"))
			h.must(err)
			_, err = h.tryPut(bucket, "k", "three", match("one"))
			h.want(err, registry.ErrPrecondition)
			_, err = h.tryPut(bucket, "k", "three", registry.Conditions{IfNoneMatch: digest("two")[:32]})
			h.want(err, registry.ErrPrecondition)
			_, err = h.tryPut(bucket, "k", "three", registry.Conditions{IfMatch: "*", IfNoneMatch: digest("one")[:32]})
			h.must(err)
			h.must(h.deleteKey(bucket, "k"))
			_, err = h.tryPut(bucket, "k", "four", none)
			h.must(err)
		})
	}
}

func TestOneOfManyCreates(t *testing.T) {
	h := newHouse(t)
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			_, err := h.tryPut(direct, "k", fmt.Sprint(i), registry.Conditions{IfNoneMatch: "*"})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, registry.ErrPrecondition) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d writers created the key", won)
	}
}

// settle claims until it has the object, gives it the verdict and publishes.
func (h *house) settle(o registry.Object, v registry.Verdict) registry.Object {
	h.Helper()
	for {
		c := h.claim()
		if c.Object.ID != o.ID {
			continue // its claim lapses or is given up with the test
		}
		o, err := h.SettleScan(h.ctx(), c, v, "text/plain")
		h.must(err)
		return o
	}
}

// TestOrderIsThatOfTheAnswers: what was accepted later stays later, in
// whatever order inspection ends.
func TestOrderIsThatOfTheAnswers(t *testing.T) {
	shown := func(h *house) registry.ObjectID {
		o, err := h.Named(h.ctx(), acme, files, "k")
		if errors.Is(err, registry.ErrNotFound) {
			return ""
		}
		h.must(err)
		return o.ID
	}
	infected := registry.Verdict{Result: registry.VerdictInfected, Reason: "eicar"}

	t.Run("LaterPublishesFirst", func(t *testing.T) {
		h := newHouse(t)
		one, two := h.put(files, "k", "one"), h.put(files, "k", "two")
		c1 := h.claim()
		if c1.Object.ID != one.ID {
			t.Fatal("the queue is not in order")
		}
		h.settle(two, clean)
		if _, err := h.SettleScan(h.ctx(), c1, clean, ""); !errors.Is(err, registry.ErrFenced) {
			t.Errorf("settling what was overtaken: %v", err)
		}
		if shown(h) != two.ID || h.state(one.ID) != registry.ObjectDeleted {
			t.Errorf("the key shows %s; the first is %s", shown(h), h.state(one.ID))
		}
	})
	t.Run("LaterIsRejected", func(t *testing.T) {
		h := newHouse(t)
		one, two := h.put(files, "k", "one"), h.put(files, "k", "two")
		c1 := h.claim()
		h.settle(two, infected)
		_, err := h.SettleScan(h.ctx(), c1, clean, "")
		h.must(err)
		if shown(h) != one.ID {
			t.Error("a rejected write hides the one before it")
		}
		// Released, it takes its place behind the first, which makes way.
		_, _, err = h.Review(h.ctx(), h.amy, two.ID, registry.Ruling{Decision: registry.Release, Reason: "false_alarm"})
		h.must(err)
		if shown(h) != two.ID || h.state(one.ID) != registry.ObjectDeleted {
			t.Error("a released write is not the latest")
		}
	})
	t.Run("DeletedMeanwhile", func(t *testing.T) {
		h := newHouse(t)
		h.put(files, "k", "one")
		c := h.claim()
		h.must(h.deleteKey(files, "k"))
		_, err := h.SettleScan(h.ctx(), c, clean, "")
		h.want(err, registry.ErrFenced)
		if shown(h) != "" {
			t.Error("a write shows after a later delete")
		}
	})
	t.Run("ReleasedTooLate", func(t *testing.T) {
		h := newHouse(t)
		one := h.put(files, "k", "one")
		h.settle(one, infected)
		two := h.put(files, "k", "two")
		h.settle(two, clean)
		_, _, err := h.Review(h.ctx(), h.amy, one.ID, registry.Ruling{Decision: registry.Release, Reason: ""})
		h.want(err, registry.ErrConflict)
		h.must(h.deleteKey(files, "k"))
		_, _, err = h.Review(h.ctx(), h.amy, one.ID, registry.Ruling{Decision: registry.Release, Reason: ""})
		h.want(err, registry.ErrConflict)
		if shown(h) != "" {
			t.Error("a write shows after a later delete")
		}
	})
	t.Run("DeletedByIDThenReleased", func(t *testing.T) {
		h := newHouse(t)
		one := h.put(files, "k", "one")
		h.settle(one, infected)
		two := h.settle(h.put(files, "k", "two"), clean)
		h.must(h.DeleteObject(h.ctx(), h.amy, acme, two.ID))
		_, _, err := h.Review(h.ctx(), h.amy, one.ID, registry.Ruling{Decision: registry.Release, Reason: ""})
		h.want(err, registry.ErrConflict)
	})
	t.Run("LaterDeletedBeforeItShows", func(t *testing.T) {
		h := newHouse(t)
		one := h.settle(h.put(files, "k", "one"), clean)
		two, three := h.put(files, "k", "two"), h.put(files, "k", "three")
		h.settle(three, infected)
		h.must(h.DeleteObject(h.ctx(), h.amy, acme, two.ID))
		h.must(h.DeleteObject(h.ctx(), h.amy, acme, three.ID))
		if shown(h) != one.ID {
			t.Error("deleting what nobody saw took what everybody saw")
		}
	})
}

func TestDeleteEveryState(t *testing.T) {
	tests := map[registry.ObjectState]func(h *house) registry.Object{
		registry.ObjectPending:     func(h *house) registry.Object { return h.begin().Object },
		registry.ObjectQuarantined: func(h *house) registry.Object { return h.finalized() },
		registry.ObjectScanning: func(h *house) registry.Object {
			h.finalized()
			return h.claim().Object
		},
		registry.ObjectPublished: func(h *house) registry.Object { return h.published() },
		registry.ObjectRejected: func(h *house) registry.Object {
			h.finalized()
			o, err := h.SettleScan(h.ctx(), h.claim(), registry.Verdict{Result: registry.VerdictRefused, Reason: "type_mismatch"}, "")
			h.must(err)
			return o
		},
	}
	for state, make := range tests {
		t.Run(string(state), func(t *testing.T) {
			h := newHouse(t)
			o := make(h)
			if o.State != state {
				t.Fatalf("object is %s", o.State)
			}
			for range 2 {
				h.must(h.DeleteObject(h.ctx(), h.amy, acme, o.ID))
			}
			after, err := h.Object(h.ctx(), acme, o.ID)
			h.must(err)
			if after.State != registry.ObjectDeleted || len(after.Extents) != 0 {
				t.Errorf("object is %+v", after)
			}
			if len(o.Extents) > 0 && !h.garbage()[o.Extents[0].Blob] {
				t.Error("its bytes are not garbage")
			}
			n := 0
			for _, e := range h.events(o.ID) {
				if e == registry.EventObjectDeleted {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d events of its deletion", n)
			}
			u, err := h.Upload(h.ctx(), acme, o.Upload)
			h.must(err)
			if state == registry.ObjectPending && u.State != registry.UploadAborted {
				t.Errorf("its session is %s", u.State)
			}
		})
	}
}

func TestDeleteKeys(t *testing.T) {
	h := newHouse(t)
	_, err := h.DeleteVersions(h.ctx(), h.amy, "nowhere", []registry.Deletion{{Key: "k"}})
	h.want(err, registry.ErrNotFound)
	var keys []string
	for i := range 250 { // more than a batch
		keys = append(keys, fmt.Sprintf("k%d", i))
		if i%2 == 0 {
			h.put(direct, keys[i], "x")
		}
	}
	keys = append(keys, "", "\xff", "k0")
	list := make([]registry.Deletion, len(keys))
	for i, key := range keys {
		list[i].Key = key
	}
	results, err := h.DeleteVersions(h.ctx(), h.amy, direct, list)
	h.must(err)
	if len(results) != len(keys) {
		t.Fatalf("%d results", len(results))
	}
	for i, r := range results {
		if r.Err != nil || r.VersionID != "" || r.Marker || (r.Gone != "") != (i < 250 && i%2 == 0) {
			t.Errorf("%q: %+v", keys[i], r)
		}
	}
	page, err := h.List(h.ctx(), acme, direct, registry.ListQuery{Max: 10})
	h.must(err)
	if len(page.Entries) != 0 || len(h.garbage()) != 125 {
		t.Errorf("%d keys are left, %d blobs are garbage", len(page.Entries), len(h.garbage()))
	}
}

func TestObjectsFilter(t *testing.T) {
	h := newHouse(t)
	var ids []registry.ObjectID
	for range 7 {
		ids = append(ids, h.begin().Object.ID)
	}
	h.must(h.DeleteObject(h.ctx(), h.amy, acme, ids[2]))
	put := h.put(direct, "k", "x")
	list := func(f registry.ObjectFilter) (found []registry.ObjectID) {
		page := registry.Page{Limit: 2}
		for {
			objects, next, err := h.Objects(h.ctx(), acme, f, page)
			h.must(err)
			for _, o := range objects {
				found = append(found, o.ID)
			}
			if next == "" {
				return found
			}
			page.Cursor = next
		}
	}
	pending := []registry.ObjectID{ids[6], ids[5], ids[4], ids[3], ids[1], ids[0]}
	tests := []struct {
		name   string
		filter registry.ObjectFilter
		want   []registry.ObjectID
	}{
		{"All", registry.ObjectFilter{}, append([]registry.ObjectID{put.ID}, pending...)},
		{"Pending", registry.ObjectFilter{State: registry.ObjectPending}, pending},
		{"PendingInBucket", registry.ObjectFilter{State: registry.ObjectPending, Bucket: files}, pending},
		{"PendingElsewhere", registry.ObjectFilter{State: registry.ObjectPending, Bucket: direct}, nil},
		{"Deleted", registry.ObjectFilter{State: registry.ObjectDeleted}, []registry.ObjectID{ids[2]}},
		{"Bucket", registry.ObjectFilter{Bucket: direct}, []registry.ObjectID{put.ID}},
		{"Principal", registry.ObjectFilter{Principal: "bob"}, nil},
	}
	for _, test := range tests {
		if got := list(test.filter); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
	for _, page := range []registry.Page{{Limit: -1}, {Limit: 1001}, {Cursor: "!"}, {Cursor: strings.Repeat("A", 4000)}} {
		_, _, err := h.Objects(h.ctx(), acme, registry.ObjectFilter{}, page)
		h.want(err, registry.ErrInvalid)
	}
	// A cursor of another tenant's list leads nowhere but into one's own.
	h.tenant("evil")
	_, next, err := h.Objects(h.ctx(), acme, registry.ObjectFilter{}, registry.Page{Limit: 1})
	h.must(err)
	objects, _, err := h.Objects(h.ctx(), "evil", registry.ObjectFilter{}, registry.Page{Limit: 1, Cursor: next})
	h.must(err)
	if len(objects) != 0 {
		t.Error("a cursor showed another tenant's objects")
	}
}

// TestTimelinePages reads a timeline event by event: the first is the one that the
// object's row names.
func TestTimelinePages(t *testing.T) {
	h := newHouse(t)
	for _, o := range []registry.Object{h.put(direct, "k", "x"), h.finalized()} {
		all, err := h.Timeline(h.ctx(), acme, o.ID, 0, 100)
		h.must(err)
		if len(all) == 0 {
			t.Fatalf("object %s has no events", o.ID)
		}
		from := uint64(0)
		for i, want := range all {
			page, err := h.Timeline(h.ctx(), acme, o.ID, from, 1)
			h.must(err)
			if len(page) != 1 || page[0].Seq != want.Seq {
				t.Fatalf("from %d: %+v, want leaf %d", from, page, want.Seq)
			}
			if from = want.Seq + 1; i == 0 && want.Object != o.ID {
				t.Errorf("the first event is of %s, want %s", want.Object, o.ID)
			}
		}
		if page, err := h.Timeline(h.ctx(), acme, o.ID, from, 1); err != nil || len(page) != 0 {
			t.Errorf("behind the last: %+v, %v", page, err)
		}
	}
}
