package registry_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
)

const (
	versioned registry.BucketName = "versioned" // direct, versioning enabled
	vault     registry.BucketName = "vault"     // direct, with object lock
)

// versionedHouse has both.
func versionedHouse(t *testing.T) *house {
	h := newHouse(t)
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{
		Name: versioned, Intake: registry.IntakeDirect, Versioning: registry.VersioningEnabled,
	}))
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: vault, Intake: registry.IntakeDirect, Lock: &registry.BucketLock{}}))
	return h
}

func (h *house) versions(bucket registry.BucketName) []registry.VersionEntry {
	h.Helper()
	page, err := h.ListVersions(h.ctx(), acme, bucket, registry.VersionsQuery{Max: 1000})
	h.must(err)
	return page.Entries
}

func TestVersionRefusals(t *testing.T) {
	h := versionedHouse(t)
	o := h.put(versioned, "k", "one")
	waits := h.put(files, "k", "x")
	h.must(h.deleteKey(versioned, "k"))
	marker := h.versions(versioned)[0].VersionID
	tests := []struct {
		name         string
		bucket       registry.BucketName
		key, version string
		want         error
	}{
		{"NoBucket", "nowhere", "k", "", registry.ErrNotFound},
		{"NoKey", versioned, "other", "", registry.ErrNotFound},
		{"NoNull", versioned, "k", "null", registry.ErrNotFound},
		{"Nonsense", versioned, "k", "1", registry.ErrInvalid},
		{"LowerCase", versioned, "k", "01arz3ndektsv4rrffq69g5fav-", registry.ErrInvalid},
		{"Unknown", versioned, "k", "01ARZ3NDEKTSV4RRFFQ69G5FAV", registry.ErrNotFound},
		{"OtherKey", versioned, "other", o.VersionID(), registry.ErrNotFound},
		{"OtherBucket", direct, "k", o.VersionID(), registry.ErrNotFound},
		{"NullByItsObject", files, "k", string(waits.ID)[4:], registry.ErrNotFound},
		{"Marker", versioned, "k", "", registry.ErrNotFound},
		{"MarkerToo", versioned, "k", "", registry.ErrMarker},
		{"NamedMarker", versioned, "k", marker, registry.ErrMarker},
		{"Waits", files, "k", "", registry.ErrNotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := h.Version(h.ctx(), acme, test.bucket, test.key, test.version)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	_, err := h.Version(h.ctx(), acme, versioned, "k", marker)
	if errors.Is(err, registry.ErrNotFound) {
		t.Error("a marker that was named is not found")
	}
	if got, err := h.Version(h.ctx(), acme, versioned, "k", o.VersionID()); err != nil || got.ID != o.ID || !got.Noncurrent {
		t.Errorf("the version under the marker: %+v, %v", got, err)
	}
}

func TestListVersionsRefuses(t *testing.T) {
	h := versionedHouse(t)
	o := h.put(versioned, "k", "one")
	for what, q := range map[string]registry.VersionsQuery{
		"negative":          {Max: -1},
		"too many":          {Max: 1001},
		"version only":      {Max: 1, AfterVersion: o.VersionID()},
		"nonsense":          {Max: 1, AfterKey: "k", AfterVersion: "x"},
		"of another key":    {Max: 1, AfterKey: "l", AfterVersion: o.VersionID()},
		"key without bytes": {Max: 1, AfterKey: "\xff", AfterVersion: "null"},
	} {
		if _, err := h.ListVersions(h.ctx(), acme, versioned, q); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := h.ListVersions(h.ctx(), acme, "nowhere", registry.VersionsQuery{Max: 1})
	h.want(err, registry.ErrNotFound)
}

// TestPagesWhileDeleting empties a bucket page by page: each page begins behind a
// version that is gone by then.
func TestPagesWhileDeleting(t *testing.T) {
	h := versionedHouse(t)
	for i := range 7 {
		h.put(versioned, fmt.Sprint("k", i%2), fmt.Sprint(i))
	}
	q := registry.VersionsQuery{Max: 2}
	for range 10 {
		page, err := h.ListVersions(h.ctx(), acme, versioned, q)
		h.must(err)
		for _, e := range page.Entries {
			_, err := h.deletion(versioned, registry.Deletion{Key: e.Key, Version: e.VersionID})
			h.must(err)
		}
		q.AfterKey, q.AfterVersion = page.NextKey, page.NextVersion
		if !page.Truncated {
			break
		}
	}
	if left := h.versions(versioned); len(left) != 0 {
		t.Errorf("%d versions are left", len(left))
	}
}

func TestConditionalDeletes(t *testing.T) {
	h := versionedHouse(t)
	size, other := int64(3), int64(4)
	for _, bucket := range []registry.BucketName{direct, versioned, files} {
		t.Run(string(bucket), func(t *testing.T) {
			_, err := h.deletion(bucket, registry.Deletion{Key: "k", IfMatch: "*"})
			h.want(err, registry.ErrNotFound)
			o := h.put(bucket, "k", "one") // in files it waits, and counts all the same
			at, late := o.ModifiedAt, o.ModifiedAt.Add(time.Second)
			for _, d := range []registry.Deletion{{IfMatch: digest("two")[:32]}, {IfSize: &other}, {IfModified: &late}, {IfMatch: "*", IfSize: &other}} {
				d.Key = "k"
				_, err := h.deletion(bucket, d)
				h.want(err, registry.ErrPrecondition)
			}
			r, err := h.deletion(bucket, registry.Deletion{Key: "k", IfMatch: o.ETag, IfSize: &size, IfModified: &at})
			h.must(err)
			if bucket != files && r.Gone != o.ID {
				t.Errorf("a delete says %+v", r)
			}
			want := registry.ErrNotFound
			if bucket == versioned {
				want = registry.ErrPrecondition // a marker is there, and no object
			}
			_, err = h.deletion(bucket, registry.Deletion{Key: "k", IfMatch: "*"})
			h.want(err, want)
		})
	}
}

// TestOneOfManyCreatesVersions: a pending write, a version and a marker under it
// make no difference to who wins.
func TestOneOfManyCreatesVersions(t *testing.T) {
	h := versionedHouse(t)
	h.put(versioned, "k", "old")
	h.must(h.deleteKey(versioned, "k"))
	for _, bucket := range []registry.BucketName{versioned, files} {
		var mu sync.Mutex // protects won
		won := 0
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				_, err := h.tryPut(bucket, "k", fmt.Sprint(i), registry.Conditions{IfNoneMatch: "*"})
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
			t.Errorf("%s: %d writers created the key", bucket, won)
		}
	}
}

func TestBucketWithVersionsStays(t *testing.T) {
	h := versionedHouse(t)
	h.put(versioned, "k", "one")
	h.must(h.deleteKey(versioned, "k"))
	for i, e := range h.versions(versioned) { // first the marker, then what it hides
		h.want(h.DeleteBucket(h.ctx(), h.amy, acme, versioned), registry.ErrBucketNotEmpty)
		r, err := h.deletion(versioned, registry.Deletion{Key: "k", Version: e.VersionID})
		h.must(err)
		if r.Marker != (i == 0) || r.Gone != e.Object {
			t.Errorf("deleting %+v gives %+v", e, r)
		}
	}
	h.must(h.DeleteBucket(h.ctx(), h.amy, acme, versioned))
}

// TestLockedNullBecomesAVersion: what waits for its inspection takes the place of
// the null version before it, but for a locked one.
func TestLockedNullBecomesAVersion(t *testing.T) {
	h := newHouse(t)
	one, two := h.put(files, "k", "one"), h.put(files, "k", "two")
	h.settle(one, clean)
	h.must(h.SetVersioning(h.ctx(), h.amy, files, registry.VersioningEnabled))
	h.must(h.SetBucketLock(h.ctx(), h.amy, files, registry.BucketLock{}))
	_, err := h.SetLegalHold(h.ctx(), h.amy, files, "k", "null", true)
	h.must(err)
	h.settle(two, clean)
	got := h.versions(files)
	if len(got) != 2 || got[0].Object != two.ID || got[0].VersionID != "null" || got[1].Object != one.ID || got[1].VersionID == "null" {
		t.Errorf("versions are %+v", got)
	}
}

// TestReleaseIntoItsPlace: a version that was rejected goes back to where it was in
// its key's history.
func TestReleaseIntoItsPlace(t *testing.T) {
	h := versionedHouse(t)
	one, two := h.put(versioned, "k", "one"), h.put(versioned, "k", "two")
	for _, o := range []registry.Object{two, one} {
		_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "late_find"})
		h.must(err)
	}
	three := h.put(versioned, "k", "three")
	h.must(h.deleteKey(versioned, "k"))
	_, _, err := h.Review(h.ctx(), h.amy, two.ID, registry.Ruling{Decision: registry.Release, Reason: "false_alarm"})
	h.must(err)
	got := h.versions(versioned)
	if len(got) != 3 || !got[0].Marker || got[1].Object != three.ID || got[2].Object != two.ID || got[2].Latest {
		t.Errorf("versions are %+v", got)
	}
	// A delete of the version itself is the end of its chances.
	_, err = h.deletion(versioned, registry.Deletion{Key: "k", Version: one.VersionID()})
	h.must(err)
	_, _, err = h.Review(h.ctx(), h.amy, one.ID, registry.Ruling{Decision: registry.Release, Reason: "false_alarm"})
	h.want(err, registry.ErrConflict)
}

func TestRejectingWithdrawsCopies(t *testing.T) {
	h := versionedHouse(t)
	o := h.put(direct, "k", "one")
	clone := func(bucket registry.BucketName, key string) registry.Object {
		c, err := h.CopyObject(h.ctx(), h.amy, registry.NewCopy{Source: o.ID, Bucket: bucket, Key: key, Verdict: clean})
		h.must(err)
		return c
	}
	shown, queued, scanning := clone(versioned, "k"), clone(files, "k"), clone(files, "l")
	h.put(direct, "same content", "one") // other bytes
	claim := h.claim()
	_, shared, err := h.Review(h.ctx(), h.amy, shown.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "late_find"})
	h.must(err)
	if len(shared) != 3 {
		t.Errorf("%d objects were withdrawn with it", len(shared))
	}
	for _, x := range []registry.Object{o, shown, queued, scanning} {
		if h.state(x.ID) != registry.ObjectRejected {
			t.Errorf("a copy is %s", h.state(x.ID))
		}
	}
	_, err = h.SettleScan(h.ctx(), claim, clean, "")
	h.want(err, registry.ErrFenced)
	if len(h.garbage()) != 0 {
		t.Error("bytes of rejected objects are garbage")
	}
}

func TestLocks(t *testing.T) {
	h := versionedHouse(t)
	until := func(d time.Duration) *registry.Retention {
		return &registry.Retention{Mode: registry.LockGovernance, Until: h.Now().Add(d)}
	}
	retain := func(key string, r *registry.Retention, bypass registry.Bypass) error {
		_, err := h.SetRetention(h.ctx(), h.amy, vault, key, "", r, bypass)
		return err
	}
	o := h.put(vault, "k", "one")
	h.want(retain("k", until(-time.Second), false), registry.ErrInvalid)
	h.want(retain("k", &registry.Retention{Mode: "STRICT", Until: h.Now().Add(time.Hour)}, false), registry.ErrInvalid)
	h.want(retain("other", until(time.Hour), false), registry.ErrNotFound)
	_, err := h.SetRetention(h.ctx(), h.amy, versioned, "k", "", until(time.Hour), false)
	h.want(err, registry.ErrConflict)
	h.must(retain("k", until(time.Hour), false))
	h.want(retain("k", until(time.Minute), false), registry.ErrLocked)

	version := registry.Deletion{Key: "k", Version: o.VersionID()}
	_, err = h.deletion(vault, version)
	h.want(err, registry.ErrLocked)
	h.want(h.DeleteObject(h.ctx(), h.amy, acme, o.ID), registry.ErrLocked)

	// A clock that leapt ahead ends no retention.
	h.time.set(2 * time.Hour)
	_, err = h.deletion(vault, version)
	h.want(err, registry.ErrLocked)
	h.must(h.AcceptClock(h.ctx(), h.amy))

	_, err = h.SetLegalHold(h.ctx(), h.amy, vault, "k", o.VersionID(), true)
	h.must(err)
	version.Bypass = true
	_, err = h.deletion(vault, version)
	h.want(err, registry.ErrLocked)
	_, err = h.SetLegalHold(h.ctx(), h.amy, vault, "k", o.VersionID(), false)
	h.must(err)
	h.must(retain("k", until(time.Hour), false))
	_, err = h.deletion(vault, version)
	h.must(err)
	events, err := h.Timeline(h.ctx(), acme, o.ID, 0, 100)
	h.must(err)
	if last := events[len(events)-1]; last.Type != registry.EventObjectDeleted || last.Reason != "retention_bypassed" {
		t.Errorf("the log says %+v", last)
	}
}

func TestSingleUse(t *testing.T) {
	h := newHouse(t)
	once := registry.OneUse{Hash: string(bytes.Repeat([]byte{7}, 32)), Expires: h.Now().Add(time.Hour)}
	for i, want := range []error{nil, registry.ErrURLUsed} {
		intent, err := h.ReserveBlob(h.ctx(), acme)
		h.must(err)
		_, err = h.PutObject(h.ctx(), h.amy, registry.NewObject{
			Intent: intent, Bucket: direct, Key: fmt.Sprint(i), Stored: stored("x"), Verdict: clean, OneUse: once,
		})
		h.want(err, want)
		if err != nil {
			h.must(h.ReleaseBlob(h.ctx(), intent))
		}
	}
}

// TestCheckFindsDamageToVersions is TestCheckFindsDamage for histories and shared
// bytes.
func TestCheckFindsDamageToVersions(t *testing.T) {
	h := versionedHouse(t)
	h.put(direct, "k", "null")
	one := h.put(versioned, "k", "one")
	h.put(versioned, "k", "two")
	_, err := h.CopyObject(h.ctx(), h.amy, registry.NewCopy{Source: one.ID, Bucket: versioned, Key: "copy", Verdict: clean})
	h.must(err)
	h.must(h.deleteKey(versioned, "copy"))
	h.must(h.Check(h.ctx()))
	for _, table := range []kv.Table{"versions", "references"} {
		h.damaged(string(table)+" lost", table, func(tx kv.Tx, key, _ []byte) error { return tx.Delete(table, key) })
		h.damaged(string(table)+" stray", table, func(tx kv.Tx, key, value []byte) error {
			stray := bytes.Clone(key)
			stray[len(stray)-1] ^= 1
			return tx.Put(table, stray, value)
		})
	}
	h.damaged("counted twice", "references", func(tx kv.Tx, key, _ []byte) error {
		return tx.Put("references", key, binary.BigEndian.AppendUint64(nil, 2))
	})
	h.damaged("flags", "versions", func(tx kv.Tx, key, value []byte) error {
		return tx.Put("versions", key, append([]byte{value[0] ^ 2}, value[1:]...))
	})
}
