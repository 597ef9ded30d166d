package registry_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
)

func TestVersioningOfABucket(t *testing.T) {
	h := newHouse(t)
	set := func(v registry.Versioning) error { return h.SetVersioning(h.ctx(), h.amy, direct, v) }
	h.want(h.SetVersioning(h.ctx(), h.amy, "nobody", registry.VersioningEnabled), registry.ErrNotFound)
	h.want(set(registry.VersioningOff), registry.ErrInvalid)
	h.want(set("on"), registry.ErrInvalid)
	h.must(set(registry.VersioningEnabled))
	h.must(set(registry.VersioningEnabled)) // changes nothing, and is no event
	h.must(set(registry.VersioningSuspended))
	b, err := h.Bucket(h.ctx(), acme, direct)
	if err != nil || b.Versioning != registry.VersioningSuspended {
		t.Errorf("versioning is %q (%v)", b.Versioning, err)
	}
	if n := h.countEvents(registry.EventBucketConfigured); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

func TestLockOfABucket(t *testing.T) {
	h := newHouse(t)
	set := func(l registry.BucketLock) error { return h.SetBucketLock(h.ctx(), h.amy, direct, l) }
	h.want(set(registry.BucketLock{}), registry.ErrConflict) // needs versioning
	h.must(h.SetVersioning(h.ctx(), h.amy, direct, registry.VersioningEnabled))
	h.want(h.SetBucketLock(h.ctx(), h.amy, "nobody", registry.BucketLock{}), registry.ErrNotFound)
	const mode = registry.LockGovernance
	for name, l := range map[string]registry.BucketLock{
		"NoMode": {Days: 1}, "OtherMode": {Mode: "STRICT", Days: 1}, "NoPeriod": {Mode: mode}, "Both": {Mode: mode, Days: 1, Years: 1},
		"Negative": {Mode: mode, Days: -1}, "NegativeYears": {Mode: mode, Days: 1, Years: -1}, "Long": {Mode: mode, Days: 36501}, "LongYears": {Mode: mode, Years: 101},
	} {
		if err := set(l); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.must(set(registry.BucketLock{}))
	h.must(set(registry.BucketLock{Mode: registry.LockCompliance, Years: 1}))
	h.must(set(registry.BucketLock{Mode: registry.LockCompliance, Years: 1}))
	h.want(h.SetVersioning(h.ctx(), h.amy, direct, registry.VersioningSuspended), registry.ErrConflict)
	// The profile's policy is another thing.
	h.must(h.PutProfile(h.ctx(), h.amy, registry.Bucket{Name: direct, Intake: registry.IntakeDirect, MaxSize: 9, SingleUse: true}))
	h.reopen()
	b, err := h.Bucket(h.ctx(), acme, direct)
	h.must(err)
	if b.Lock == nil || *b.Lock != (registry.BucketLock{Mode: registry.LockCompliance, Years: 1}) || b.Versioning != registry.VersioningEnabled ||
		b.MaxSize != 9 || !b.SingleUse || !b.Listed {
		t.Errorf("the bucket is %+v", b)
	}
	if n := h.countEvents(registry.EventBucketConfigured); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func TestCreateBucketWithLock(t *testing.T) {
	h := newHouse(t)
	n := registry.Bucket{Name: "locked", Intake: registry.IntakeDirect, Lock: &registry.BucketLock{}}
	h.must(h.CreateBucket(h.ctx(), h.amy, n))
	b, err := h.Bucket(h.ctx(), acme, "locked")
	if err != nil || b.Lock == nil || b.Versioning != registry.VersioningEnabled {
		t.Errorf("the bucket is %+v (%v)", b, err)
	}
	n.Name, n.Lock = "wrong", &registry.BucketLock{Days: 1}
	h.want(h.CreateBucket(h.ctx(), h.amy, n), registry.ErrInvalid)
	n.Lock, n.Versioning = nil, "on"
	h.want(h.CreateBucket(h.ctx(), h.amy, n), registry.ErrInvalid)
	n.Versioning, n.PresignMaxTTL = "", -1
	h.want(h.CreateBucket(h.ctx(), h.amy, n), registry.ErrInvalid)
}

func TestBucketDocuments(t *testing.T) {
	h := newHouse(t)
	cors := []registry.CORSRule{{AllowedOrigins: []string{"https://*.example.com"}, AllowedMethods: []string{"GET"}, ExposeHeaders: []string{"ETag"}, MaxAge: 60}}
	rules := []registry.LifecycleRule{
		{ID: "old", Prefix: "logs/", ExpireDays: 30, Tags: map[string]string{"k": "v"}, Form: "and"},
		{ID: "then", ExpireDate: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	tags := map[string]string{"team": "blue"}
	for _, doc := range []struct {
		name string
		get  func(registry.TenantName, registry.BucketName) (any, error)
		set  func(b registry.BucketName, none bool) error
		want any
	}{
		{"CORS", func(n registry.TenantName, b registry.BucketName) (any, error) { return h.CORS(h.ctx(), n, b) },
			func(b registry.BucketName, none bool) error { return h.SetCORS(h.ctx(), h.amy, b, unless(none, cors)) }, cors},
		{"Lifecycle", func(n registry.TenantName, b registry.BucketName) (any, error) { return h.Lifecycle(h.ctx(), n, b) },
			func(b registry.BucketName, none bool) error {
				return h.SetLifecycle(h.ctx(), h.amy, b, unless(none, rules))
			}, rules},
		{"Tags", func(n registry.TenantName, b registry.BucketName) (any, error) { return h.BucketTags(h.ctx(), n, b) },
			func(b registry.BucketName, none bool) error {
				return h.SetBucketTags(h.ctx(), h.amy, b, unless(none, tags))
			}, tags},
	} {
		t.Run(doc.name, func(t *testing.T) {
			before := h.countEvents(registry.EventBucketConfigured)
			_, err := doc.get(acme, "nobody")
			h.want(err, registry.ErrNotFound)
			_, err = doc.get(acme, direct)
			h.want(err, registry.ErrNotConfigured)
			h.want(doc.set("nobody", false), registry.ErrNotFound)
			h.must(doc.set(direct, true)) // nothing to remove
			h.must(doc.set(direct, false))
			h.must(doc.set(direct, false)) // nothing changes
			got, err := doc.get(acme, direct)
			h.must(err)
			if !reflect.DeepEqual(got, doc.want) {
				t.Errorf("got %+v, want %+v", got, doc.want)
			}
			_, err = doc.get(acme, files)
			h.want(err, registry.ErrNotConfigured)
			_, err = doc.get("default", direct)
			h.want(err, registry.ErrNotFound)
			h.must(doc.set(direct, true))
			_, err = doc.get(acme, direct)
			h.want(err, registry.ErrNotConfigured)
			if n := h.countEvents(registry.EventBucketConfigured) - before; n != 2 {
				t.Errorf("%d events, want 2", n)
			}
		})
	}
}

func unless[T any](none bool, v T) T {
	if none {
		var zero T
		return zero
	}
	return v
}

func TestBucketDocumentsEndWithTheBucket(t *testing.T) {
	h := newHouse(t)
	h.must(h.SetBucketTags(h.ctx(), h.amy, direct, map[string]string{"a": "b"}))
	h.must(h.SetBucketTags(h.ctx(), h.amy, files, map[string]string{"c": "d"}))
	u := h.multipart(direct, "k")
	part := u.part(1, "one", 5)
	h.multipart(direct, "l")
	h.must(h.DeleteBucket(h.ctx(), h.amy, acme, direct))
	if g := h.garbage(); len(g) != 1 || !g[part.Extents[0].Blob] {
		t.Errorf("%d blobs are garbage, want the part of the upload", len(g))
	}
	if n := h.countEvents(registry.EventMultipartAborted); n != 2 {
		t.Errorf("%d uploads were aborted with the bucket", n)
	}
	h.must(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: direct, Intake: registry.IntakeDirect}))
	_, err := h.BucketTags(h.ctx(), acme, direct)
	h.want(err, registry.ErrNotConfigured)
	if _, err := h.BucketTags(h.ctx(), acme, files); err != nil {
		t.Errorf("the other bucket's: %v", err)
	}
	// Versions keep a bucket, also where nothing is current.
	h.must(h.SetVersioning(h.ctx(), h.amy, direct, registry.VersioningEnabled))
	h.put(direct, "k", "x")
	h.must(h.deleteKey(direct, "k"))
	h.multipart(direct, "kept")
	h.want(h.DeleteBucket(h.ctx(), h.amy, acme, direct), registry.ErrBucketNotEmpty)
	if page, err := h.Multiparts(h.ctx(), acme, direct, registry.MultipartsQuery{Max: 9}); err != nil || len(page.Uploads) != 1 {
		t.Errorf("a bucket that stays lost its upload (%v)", err)
	}
}

func TestCORSRefused(t *testing.T) {
	h := newHouse(t)
	good := func() registry.CORSRule {
		return registry.CORSRule{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"GET", "PUT", "POST", "DELETE", "HEAD"}, AllowedHeaders: []string{"x-amz-*"}}
	}
	for name, spoil := range map[string]func(*registry.CORSRule){
		"NoOrigin":     func(r *registry.CORSRule) { r.AllowedOrigins = nil },
		"EmptyOrigin":  func(r *registry.CORSRule) { r.AllowedOrigins = []string{""} },
		"TwoStars":     func(r *registry.CORSRule) { r.AllowedOrigins = []string{"http://*.*"} },
		"NoMethod":     func(r *registry.CORSRule) { r.AllowedMethods = nil },
		"OtherMethod":  func(r *registry.CORSRule) { r.AllowedMethods = []string{"PATCH"} },
		"HeaderStars":  func(r *registry.CORSRule) { r.AllowedHeaders = []string{"*-*"} },
		"ExposedStar":  func(r *registry.CORSRule) { r.ExposeHeaders = []string{"*"} },
		"LineInHeader": func(r *registry.CORSRule) { r.ExposeHeaders = []string{"a\r\nb"} },
		"LongID":       func(r *registry.CORSRule) { r.ID = strings.Repeat("i", 256) },
		"NegativeAge":  func(r *registry.CORSRule) { r.MaxAge = -1 },
	} {
		r := good()
		spoil(&r)
		if err := h.SetCORS(h.ctx(), h.amy, direct, []registry.CORSRule{r}); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	rules := make([]registry.CORSRule, 101)
	for i := range rules {
		rules[i] = good()
	}
	h.want(h.SetCORS(h.ctx(), h.amy, direct, rules), registry.ErrInvalid)
	h.must(h.SetCORS(h.ctx(), h.amy, direct, rules[:100]))
}

func TestTagsRefused(t *testing.T) {
	h := newHouse(t)
	many := func(n int) map[string]string {
		tags := make(map[string]string)
		for i := range n {
			tags[fmt.Sprint("key ", i)] = "värde 日本 +-=._:/@"
		}
		return tags
	}
	for name, tags := range map[string]map[string]string{
		"NoKey": {"": "v"}, "LongKey": {strings.Repeat("k", 129): ""}, "LongValue": {"k": strings.Repeat("é", 257)}, "Reserved": {"aws:x": ""},
		"ReservedInCapitals": {"AWS:x": ""}, "Sign": {"k": "a<b"}, "Control": {"k\n": ""}, "NoText": {"k": "\xff"}, "TooMany": many(51),
	} {
		if err := h.SetBucketTags(h.ctx(), h.amy, direct, tags); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.must(h.SetBucketTags(h.ctx(), h.amy, direct, many(50)))
	h.must(h.SetBucketTags(h.ctx(), h.amy, direct, map[string]string{strings.Repeat("é", 128): strings.Repeat("é", 256)}))
}

func TestLifecycleRefused(t *testing.T) {
	h := newHouse(t)
	midnight := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, r := range map[string]registry.LifecycleRule{
		"NoAction":        {Prefix: "a"},
		"NegativeDays":    {ExpireDays: -1},
		"DaysAndDate":     {ExpireDays: 1, ExpireDate: midnight},
		"DaysAndMarkers":  {ExpireDays: 1, ExpireMarkers: true},
		"DateAndMarkers":  {ExpireDate: midnight, ExpireMarkers: true},
		"NotMidnight":     {ExpireDate: midnight.Add(time.Second)},
		"KeepAlone":       {ExpireDays: 1, NoncurrentKeep: 1},
		"KeepTooMany":     {NoncurrentDays: 1, NoncurrentKeep: 101},
		"MarkersByTag":    {ExpireMarkers: true, Tags: map[string]string{"a": "b"}},
		"AbortByTag":      {AbortDays: 1, Tags: map[string]string{"a": "b"}},
		"AbortBySize":     {AbortDays: 1, SmallerThan: 5},
		"SizesCross":      {ExpireDays: 1, LargerThan: 5, SmallerThan: 5},
		"NegativeSize":    {ExpireDays: 1, LargerThan: -5},
		"LongID":          {ExpireDays: 1, ID: strings.Repeat("i", 256)},
		"LongPrefix":      {ExpireDays: 1, Prefix: strings.Repeat("p", 1025)},
		"PrefixNoText":    {ExpireDays: 1, Prefix: "\xff"},
		"Form":            {ExpireDays: 1, Form: "other"},
		"Tag":             {ExpireDays: 1, Tags: map[string]string{"": "b"}},
		"EndOfTheWorld":   {ExpireDays: 1 << 31},
		"NegativeVersion": {NoncurrentDays: 1, NoncurrentKeep: -1},
	} {
		if err := h.SetLifecycle(h.ctx(), h.amy, direct, []registry.LifecycleRule{r}); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	twice := []registry.LifecycleRule{{ID: "a", ExpireDays: 1}, {ID: "a", ExpireDays: 2}}
	h.want(h.SetLifecycle(h.ctx(), h.amy, direct, twice), registry.ErrInvalid)
	many := make([]registry.LifecycleRule, 1001)
	for i := range many {
		many[i] = registry.LifecycleRule{Prefix: fmt.Sprint(i), ExpireDays: 1}
	}
	h.want(h.SetLifecycle(h.ctx(), h.amy, direct, many), registry.ErrInvalid)
	h.must(h.SetLifecycle(h.ctx(), h.amy, direct, many[:1000]))
	got, err := h.Lifecycle(h.ctx(), acme, direct)
	if err != nil || len(got) != 1000 || got[0].ID == "" || got[0].ID == got[1].ID || many[0].ID != "" {
		t.Errorf("%d rules (%v): each has an id, and the caller's stay as they are", len(got), err)
	}
}

func TestPresignMax(t *testing.T) {
	h := newHouse(t)
	root := registry.Actor{Tenant: "default", Principal: "root"}
	_, err := h.SetPresignMax(h.ctx(), root, "nobody", time.Hour)
	h.want(err, registry.ErrNotFound)
	_, err = h.SetPresignMax(h.ctx(), root, acme, -time.Hour)
	h.want(err, registry.ErrInvalid)
	for range 2 {
		row, err := h.SetPresignMax(h.ctx(), root, acme, time.Hour)
		if err != nil || row.PresignMaxTTL != time.Hour {
			t.Errorf("got %v (%v)", row.PresignMaxTTL, err)
		}
	}
	if row, err := h.Tenant(h.ctx(), acme); err != nil || row.PresignMaxTTL != time.Hour {
		t.Errorf("kept %v (%v)", row.PresignMaxTTL, err)
	}
	if n := h.countEvents(registry.EventTenantChanged); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}
