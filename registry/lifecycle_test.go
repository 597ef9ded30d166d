package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
)

// The house's clock begins on 2026-03-01 at noon.
func march(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC) }

func TestExpiryOf(t *testing.T) {
	days := func(id string, n int) registry.LifecycleRule { return registry.LifecycleRule{ID: id, ExpireDays: n} }
	for name, c := range map[string]struct {
		rules []registry.LifecycleRule
		o     registry.Object
		at    time.Time // zero for never
		rule  string
	}{
		"None":     {nil, registry.Object{}, time.Time{}, ""},
		"Noon":     {[]registry.LifecycleRule{days("a", 1)}, registry.Object{ModifiedAt: march(1, 12)}, march(3, 0), "a"},
		"Late":     {[]registry.LifecycleRule{days("a", 1)}, registry.Object{ModifiedAt: march(1, 23)}, march(3, 0), "a"},
		"Midnight": {[]registry.LifecycleRule{days("a", 1)}, registry.Object{ModifiedAt: march(1, 0)}, march(3, 0), "a"},
		"OtherZone": {[]registry.LifecycleRule{days("a", 1)}, registry.Object{ModifiedAt: march(1, 23).In(time.FixedZone("", 3*3600))},
			march(3, 0), "a"},
		"First": {[]registry.LifecycleRule{days("later", 9), days("soon", 2), days("same", 2)}, registry.Object{ModifiedAt: march(1, 12)},
			march(4, 0), "soon"},
		"Date":        {[]registry.LifecycleRule{{ID: "d", ExpireDate: march(9, 0)}}, registry.Object{ModifiedAt: march(1, 12)}, march(9, 0), "d"},
		"PastDate":    {[]registry.LifecycleRule{{ID: "d", ExpireDate: march(1, 0)}}, registry.Object{ModifiedAt: march(5, 12)}, march(1, 0), "d"},
		"Disabled":    {[]registry.LifecycleRule{{ID: "d", ExpireDays: 1, Disabled: true}}, registry.Object{ModifiedAt: march(1, 12)}, time.Time{}, ""},
		"OtherAction": {[]registry.LifecycleRule{{ID: "d", NoncurrentDays: 1, AbortDays: 1}}, registry.Object{ModifiedAt: march(1, 12)}, time.Time{}, ""},
		"Noncurrent":  {[]registry.LifecycleRule{days("a", 1)}, registry.Object{Noncurrent: true, ModifiedAt: march(1, 12)}, time.Time{}, ""},
		"Marker":      {[]registry.LifecycleRule{days("a", 1)}, registry.Object{Marker: true, ModifiedAt: march(1, 12)}, time.Time{}, ""},
	} {
		at, rule, ok := registry.ExpiryOf(c.rules, &c.o)
		if !at.Equal(c.at) || rule != c.rule || ok == c.at.IsZero() {
			t.Errorf("%s: %v by %q (%v), want %v by %q", name, at, rule, ok, c.at, c.rule)
		}
	}
}

func TestWhatARuleIsAbout(t *testing.T) {
	o := registry.Object{Key: "logs/a", Size: 100, Tags: map[string]string{"k": "v", "l": "w"}, ModifiedAt: march(1, 12)}
	for name, c := range map[string]struct {
		spoil func(*registry.LifecycleRule)
		want  bool
	}{
		"Prefix":      {func(r *registry.LifecycleRule) { r.Prefix = "logs/" }, true},
		"OtherPrefix": {func(r *registry.LifecycleRule) { r.Prefix = "log/" }, false},
		"Tag":         {func(r *registry.LifecycleRule) { r.Tags = map[string]string{"k": "v"} }, true},
		"Tags":        {func(r *registry.LifecycleRule) { r.Tags = map[string]string{"k": "v", "l": "w"} }, true},
		"OtherTag":    {func(r *registry.LifecycleRule) { r.Tags = map[string]string{"k": "v", "m": ""} }, false},
		"OtherValue":  {func(r *registry.LifecycleRule) { r.Tags = map[string]string{"k": "V"} }, false},
		"Larger":      {func(r *registry.LifecycleRule) { r.LargerThan = 99 }, true},
		"NotLarger":   {func(r *registry.LifecycleRule) { r.LargerThan = 100 }, false},
		"Smaller":     {func(r *registry.LifecycleRule) { r.SmallerThan = 101 }, true},
		"NotSmaller":  {func(r *registry.LifecycleRule) { r.SmallerThan = 100 }, false},
		"NotEmpty":    {func(r *registry.LifecycleRule) { r.NotEmpty = true }, true},
		"All":         {func(r *registry.LifecycleRule) { r.Prefix, r.Tags, r.LargerThan, r.SmallerThan = "l", o.Tags, 1, 200 }, true},
		"AllButOne":   {func(r *registry.LifecycleRule) { r.Prefix, r.Tags, r.LargerThan, r.SmallerThan = "x", o.Tags, 1, 200 }, false},
	} {
		r := registry.LifecycleRule{ExpireDays: 1}
		c.spoil(&r)
		if _, _, ok := registry.ExpiryOf([]registry.LifecycleRule{r}, &o); ok != c.want {
			t.Errorf("%s: %v", name, ok)
		}
	}
	empty := registry.Object{ModifiedAt: march(1, 12)}
	if _, _, ok := registry.ExpiryOf([]registry.LifecycleRule{{ExpireDays: 1, NotEmpty: true}}, &empty); ok {
		t.Error("an empty object is larger than nothing")
	}
}

// age carries all rules of all buckets out, limit ends at a time.
func (h *house) age(limit int) (total registry.AgeResult) {
	h.Helper()
	agings, err := h.Agings(h.ctx())
	h.must(err)
	for _, a := range agings {
		cursor := ""
		for {
			next, ended, err := h.Age(h.ctx(), a, cursor, limit)
			h.must(err)
			if n := ended.Expired + ended.Noncurrent + ended.Markers + ended.Multiparts; n > limit {
				h.Errorf("one call ended %d, at most %d were asked for", n, limit)
			}
			total.Expired += ended.Expired
			total.Noncurrent += ended.Noncurrent
			total.Markers += ended.Markers
			total.Multiparts += ended.Multiparts
			total.Gone = append(total.Gone, ended.Gone...)
			if next == "" {
				break
			}
			cursor = next
		}
	}
	return total
}

func (h *house) ended(r registry.AgeResult, expired, noncurrent, markers, multiparts int) {
	h.Helper()
	got := [4]int{r.Expired, r.Noncurrent, r.Markers, r.Multiparts}
	if want := [4]int{expired, noncurrent, markers, multiparts}; got != want {
		h.Errorf("ended %v, want %v (current, noncurrent, markers, multipart uploads)", got, want)
	}
}

func (h *house) lifecycle(rules ...registry.LifecycleRule) {
	h.Helper()
	h.must(h.SetLifecycle(h.ctx(), h.amy, direct, rules))
}

func (h *house) versioned() {
	h.Helper()
	h.must(h.SetVersioning(h.ctx(), h.amy, direct, registry.VersioningEnabled))
}

// versionsAre compares what a bucket holds: key and kind, newest first.
func (h *house) versionsAre(want ...string) {
	h.Helper()
	page, err := h.ListVersions(h.ctx(), acme, direct, registry.VersionsQuery{Max: 1000})
	h.must(err)
	got := []string{}
	for _, v := range page.Entries {
		s := v.Key
		if v.Marker {
			s += " marker"
		}
		if v.Latest {
			s += " latest"
		}
		got = append(got, s)
	}
	if !slices.Equal(got, want) {
		h.Errorf("the bucket holds %q, want %q", got, want)
	}
}

func TestAgeExpires(t *testing.T) {
	h := newHouse(t)
	h.lifecycle(registry.LifecycleRule{ID: "logs", Prefix: "logs/", ExpireDays: 1}, registry.LifecycleRule{ID: "off", ExpireDays: 1, Disabled: true})
	old := h.put(direct, "logs/a", "x")
	h.put(direct, "logs/b", "y")
	h.put(direct, "other", "z")
	h.put(files, "logs/a", "of another bucket")
	h.time.pass(24 * time.Hour) // March 2, noon
	h.put(direct, "logs/young", "x")
	h.ended(h.age(10), 0, 0, 0, 0)
	h.time.pass(12 * time.Hour)
	got := h.age(1)
	h.ended(got, 2, 0, 0, 0)
	if !slices.Contains(got.Gone, old.ID) || len(got.Gone) != 2 {
		t.Errorf("gone are %v", got.Gone)
	}
	h.versionsAre("logs/young latest", "other latest")
	events, err := h.Timeline(h.ctx(), acme, old.ID, 0, 10)
	h.must(err)
	if last := events[len(events)-1]; last.Type != registry.EventObjectDeleted || last.Reason != "lifecycle_expired" || last.Principal != "system" {
		t.Errorf("the log says %+v", last)
	}
	if len(h.garbage()) != 2 {
		t.Errorf("%d blobs are garbage", len(h.garbage()))
	}
	h.ended(h.age(10), 0, 0, 0, 0)
}

func TestAgeByTagAndSize(t *testing.T) {
	h := newHouse(t)
	h.lifecycle(
		registry.LifecycleRule{ID: "tag", Tags: map[string]string{"tmp": "1"}, ExpireDate: march(2, 0)},
		registry.LifecycleRule{ID: "size", LargerThan: 5, ExpireDays: 1})
	h.put(direct, "tagged", "x")
	h.put(direct, "plain", "x")
	h.put(direct, "large", "large enough")
	_, err := h.SetTags(h.ctx(), h.amy, direct, "tagged", "", map[string]string{"tmp": "1"})
	h.must(err)
	h.ended(h.age(10), 0, 0, 0, 0)
	h.time.pass(12 * time.Hour)
	h.ended(h.age(10), 1, 0, 0, 0)
	h.versionsAre("large latest", "plain latest")
	h.time.pass(24 * time.Hour)
	h.ended(h.age(10), 1, 0, 0, 0)
	h.versionsAre("plain latest")
}

func TestAgeMarksVersions(t *testing.T) {
	h := newHouse(t)
	h.put(direct, "null", "x")
	h.versioned()
	h.put(direct, "k", "x")
	h.lifecycle(registry.LifecycleRule{ID: "a", ExpireDays: 1})
	h.time.pass(36 * time.Hour)
	h.ended(h.age(10), 2, 0, 0, 0)
	h.versionsAre("k marker latest", "k", "null marker latest", "null")
	h.ended(h.age(10), 0, 0, 0, 0)
	if n := h.countEvents(registry.EventObjectMarked); n != 2 {
		t.Errorf("%d events of markers", n)
	}
	// Suspended: the null version makes way for a null marker.
	h.must(h.SetVersioning(h.ctx(), h.amy, direct, registry.VersioningSuspended))
	h.put(direct, "s", "x")
	h.time.pass(48 * time.Hour)
	h.ended(h.age(10), 1, 0, 0, 0)
	h.versionsAre("k marker latest", "k", "null marker latest", "null", "s marker latest")
}

// TestAgeNoncurrent: days count from when the next version came, and the newest are kept.
func TestAgeNoncurrent(t *testing.T) {
	h := newHouse(t)
	h.put(direct, "k", "null")
	h.versioned()
	h.lifecycle(registry.LifecycleRule{ID: "n", NoncurrentDays: 2, NoncurrentKeep: 1})
	for range 3 {
		h.time.pass(24 * time.Hour)
		h.put(direct, "k", "x")
	}
	// Noncurrent since March 2, 3 and 4 at noon, so due on the 5th, 6th and 7th; the last is kept.
	h.versionsAre("k latest", "k", "k", "k")
	h.time.pass(12*time.Hour - time.Millisecond)
	h.ended(h.age(10), 0, 0, 0, 0)
	h.time.pass(time.Millisecond)
	h.ended(h.age(10), 0, 1, 0, 0)
	h.versionsAre("k latest", "k", "k")
	h.time.pass(24 * time.Hour)
	h.ended(h.age(10), 0, 1, 0, 0)
	h.time.pass(100 * day)
	h.ended(h.age(10), 0, 0, 0, 0)
	h.versionsAre("k latest", "k")
	h.lifecycle(registry.LifecycleRule{ID: "n", NoncurrentDays: 2})
	h.ended(h.age(10), 0, 1, 0, 0)
	h.versionsAre("k latest")
}

// TestAgeNoncurrentBehindNull: what followed may be the null version of a suspended bucket,
// which is no version of its own.
func TestAgeNoncurrentBehindNull(t *testing.T) {
	h := newHouse(t)
	h.versioned()
	h.put(direct, "k", "x")
	h.must(h.SetVersioning(h.ctx(), h.amy, direct, registry.VersioningSuspended))
	h.lifecycle(registry.LifecycleRule{ID: "n", NoncurrentDays: 1})
	h.time.pass(10 * day)
	h.put(direct, "k", "null")
	h.ended(h.age(10), 0, 0, 0, 0)
	h.time.pass(36 * time.Hour)
	h.ended(h.age(10), 0, 1, 0, 0)
	h.versionsAre("k latest")
}

func TestAgeManyVersionsInPages(t *testing.T) {
	h := newHouse(t)
	h.versioned()
	const many = 25
	for i := range many {
		h.put(direct, fmt.Sprintf("k%d", i%2), fmt.Sprint(i))
	}
	h.lifecycle(registry.LifecycleRule{ID: "n", NoncurrentDays: 1, NoncurrentKeep: 3})
	h.time.pass(3 * day)
	h.ended(h.age(2), 0, many-2-6, 0, 0)
	h.versionsAre("k0 latest", "k0", "k0", "k0", "k1 latest", "k1", "k1", "k1")
}

func TestAgeMarkers(t *testing.T) {
	h := newHouse(t)
	h.versioned()
	h.put(direct, "gone", "x")
	h.must(h.deleteKey(direct, "gone"))
	h.must(h.deleteKey(direct, "nothing"))
	h.lifecycle(registry.LifecycleRule{ID: "m", ExpireMarkers: true, NoncurrentDays: 1})
	h.ended(h.age(10), 0, 0, 1, 0)
	h.versionsAre("gone marker latest", "gone")
	h.time.pass(36 * time.Hour)
	r := h.age(10) // the version, and in this or the next round the marker
	again := h.age(10)
	if r.Noncurrent != 1 || r.Markers+again.Markers != 1 {
		t.Errorf("ended %+v, then %+v", r, again)
	}
	h.versionsAre()
	// Days of current versions end markers with nothing behind them, too.
	h.must(h.deleteKey(direct, "nothing"))
	h.lifecycle(registry.LifecycleRule{ID: "d", ExpireDays: 1})
	h.ended(h.age(10), 0, 0, 0, 0)
	h.time.pass(48 * time.Hour)
	h.ended(h.age(10), 0, 0, 1, 0)
	// A marker before which something waits for its inspection stays: it would come to light.
	h.lifecycle()
	h.must(h.SetVersioning(h.ctx(), h.amy, files, registry.VersioningEnabled))
	waits := h.put(files, "w", "x")
	h.must(h.deleteKey(files, "w"))
	h.must(h.SetLifecycle(h.ctx(), h.amy, files, []registry.LifecycleRule{{ID: "m", ExpireMarkers: true}}))
	h.ended(h.age(10), 0, 0, 0, 0)
	h.settle(waits, clean)
	_, err := h.Named(h.ctx(), acme, files, "w")
	h.want(err, registry.ErrNotFound)
}

func TestAgeMultiparts(t *testing.T) {
	h := newHouse(t)
	h.lifecycle(registry.LifecycleRule{ID: "m", Prefix: "tmp\x00/", AbortDays: 1})
	old := h.multipart(direct, "tmp\x00/a")
	part := old.part(1, "one", 5)
	kept := h.multipart(direct, "kept")
	done := h.multipart(direct, "tmp\x00/done")
	done.part(1, "one", 5)
	done.complete()
	h.time.pass(24 * time.Hour)
	young := h.multipart(direct, "tmp\x00/a")
	h.time.pass(12 * time.Hour)
	h.ended(h.age(10), 0, 0, 0, 1)
	page, err := h.Multiparts(h.ctx(), acme, direct, registry.MultipartsQuery{Max: 10})
	h.must(err)
	if len(page.Uploads) != 2 || page.Uploads[0].ID != kept.ID || page.Uploads[1].ID != young.ID {
		t.Errorf("%d uploads are left", len(page.Uploads))
	}
	if g := h.garbage(); len(g) != 1 || !g[part.Extents[0].Blob] {
		t.Errorf("%d blobs are garbage", len(g))
	}
}

// TestAgeLooksAgain: what changed between the walk and the end of a version counts.
func TestAgeLooksAgain(t *testing.T) {
	h := newHouse(t)
	h.lifecycle(registry.LifecycleRule{ID: "a", ExpireDays: 1})
	h.put(direct, "k", "x")
	h.time.pass(48 * time.Hour)
	agings, err := h.Agings(h.ctx())
	h.must(err)
	h.lifecycle(registry.LifecycleRule{ID: "a", ExpireDays: 1000})
	_, ended, err := h.Age(h.ctx(), agings[0], "", 10)
	h.must(err)
	h.ended(ended, 0, 0, 0, 0)
	h.lifecycle()
	_, ended, err = h.Age(h.ctx(), agings[0], "", 10)
	h.must(err)
	h.ended(ended, 0, 0, 0, 0)
	// A write that waits to replace it will decide what becomes of the key.
	h.must(h.SetLifecycle(h.ctx(), h.amy, files, []registry.LifecycleRule{{ID: "a", ExpireDays: 1}}))
	o := h.settle(h.put(files, "k", "first"), clean)
	h.put(files, "k", "second")
	h.time.pass(48 * time.Hour)
	h.ended(h.age(10), 0, 0, 0, 0)
	if s := h.state(o.ID); s != registry.ObjectPublished {
		t.Errorf("the first is %s", s)
	}
	agings, err = h.Agings(h.ctx())
	h.must(err)
	gone := registry.Aging{Tenant: acme, Bucket: "nobody", Rules: agings[0].Rules}
	next, ended, err := h.Age(h.ctx(), gone, "", 10)
	h.ended(ended, 0, 0, 0, 0)
	if err != nil || next != "" {
		t.Errorf("a bucket that is gone: %q, %v", next, err)
	}
}

// TestAgeLeavesWhatIsLocked: retention and legal hold win; a delete marker hides, but ends nothing.
func TestAgeLeavesWhatIsLocked(t *testing.T) {
	h := newHouse(t)
	h.versioned()
	h.must(h.SetBucketLock(h.ctx(), h.amy, direct, registry.BucketLock{}))
	h.lifecycle(registry.LifecycleRule{ID: "n", ExpireDays: 1, NoncurrentDays: 1})
	held := h.put(direct, "k", "held")
	_, err := h.SetLegalHold(h.ctx(), h.amy, direct, "k", held.VersionID(), true)
	h.must(err)
	retained := h.put(direct, "k", "retained")
	_, err = h.SetRetention(h.ctx(), h.amy, direct, "k", retained.VersionID(),
		&registry.Retention{Mode: registry.LockCompliance, Until: h.Now().Add(10 * day)}, false)
	h.must(err)
	h.put(direct, "k", "free")
	h.put(direct, "k", "now")
	h.time.pass(3 * day)
	h.ended(h.age(10), 1, 1, 0, 0) // "now" is marked, "free" ends
	h.versionsAre("k marker latest", "k", "k", "k")
	h.time.pass(9 * day)
	h.ended(h.age(10), 0, 2, 0, 0) // "now" and what was retained
	h.versionsAre("k marker latest", "k")
	_, err = h.SetLegalHold(h.ctx(), h.amy, direct, "k", held.VersionID(), false)
	h.must(err)
	h.ended(h.age(10), 0, 1, 0, 0)
	h.ended(h.age(10), 0, 0, 1, 0)
	h.versionsAre()
}

func TestAgeRefused(t *testing.T) {
	h := newHouse(t)
	h.lifecycle(registry.LifecycleRule{ID: "a", ExpireDays: 1})
	h.put(direct, "k", "x")
	agings, err := h.Agings(h.ctx())
	h.must(err)
	for _, cursor := range []string{"x", "0", "0.9.", "-1.0.", "0.0.***", "0.0.", "7.0."} {
		_, _, err := h.Age(h.ctx(), agings[0], cursor, 10)
		if fine := cursor == "0.0." || cursor == "7.0."; fine != (err == nil) || !fine && !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	_, _, err = h.Age(h.ctx(), agings[0], "0.0."+strings.Repeat("A", 1<<20), 10)
	h.want(err, registry.ErrInvalid)
	_, _, err = h.Age(h.ctx(), agings[0], "", 0)
	h.want(err, registry.ErrInvalid)
	h.time.set(100 * day)
	_, _, err = h.Age(h.ctx(), agings[0], "", 10)
	h.want(err, registry.ErrClockJumped)
	h.must(h.AcceptClock(h.ctx(), h.amy))
	h.ended(h.age(10), 1, 0, 0, 0)
}

func TestAgings(t *testing.T) {
	h := newHouse(t)
	eve := h.tenant("evil")
	h.must(h.SetLifecycle(h.ctx(), eve, "default", []registry.LifecycleRule{{ID: "a", AbortDays: 1}}))
	h.lifecycle(registry.LifecycleRule{ID: "a", ExpireDays: 1, Disabled: true})
	h.must(h.SetBucketTags(h.ctx(), h.amy, direct, map[string]string{"a": "b"}))
	agings, err := h.Agings(h.ctx())
	if err != nil || len(agings) != 1 || agings[0].Tenant != "evil" || agings[0].Bucket != "default" || len(agings[0].Rules) != 1 {
		t.Errorf("%+v (%v)", agings, err)
	}
}
