package registry_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"sallyport/registry"
)

// What the model knows of keys with versions is one rule: the published write with
// the highest place is current. It has no flags and no indexes.

type modelBucket struct {
	name       registry.BucketName
	direct     bool
	versioning registry.Versioning
	lock       *registry.BucketLock
	becomes    string // what configure may make of it: "", "versioned" or "locked"
}

func (w *world) addBuckets() {
	w.buckets = []*modelBucket{
		{name: files, becomes: "versioned"}, {name: direct, direct: true},
		{name: "swift", direct: true, becomes: "versioned"}, {name: "slow", becomes: "versioned"},
		{name: "vault", becomes: "locked"}, {name: "strongroom", direct: true, becomes: "locked"},
		{name: "safe", direct: true, versioning: registry.VersioningEnabled, lock: &registry.BucketLock{
			Mode: registry.LockGovernance, Days: 1,
		}},
	}
	w.buckets = append(w.buckets, &modelBucket{name: "strict"})
	for _, b := range w.buckets[2:] {
		intake := registry.IntakeQuarantine
		if b.direct {
			intake = registry.IntakeDirect
		}
		w.must(w.CreateBucket(w.ctx(), w.amy, registry.Bucket{Name: b.name, Intake: intake, Lock: b.lock, Scan: registry.ScanRules{TwoPersons: b.name == "strict"}}))
	}
}

func (w *world) bucket(name registry.BucketName) *modelBucket {
	return w.buckets[slices.IndexFunc(w.buckets, func(b *modelBucket) bool { return b.name == name })]
}

// configure enables or suspends versioning, or turns object lock on.
func (w *world) configure() {
	b := pick(w, w.buckets)
	switch {
	case b.becomes == "":
	case b.becomes == "locked":
		if w.random.IntN(4) > 0 {
			return // later: what is there by then is the null version
		}
		b.versioning, b.lock = registry.VersioningEnabled, &registry.BucketLock{}
		w.must(w.SetVersioning(w.ctx(), w.amy, b.name, b.versioning))
		w.must(w.SetBucketLock(w.ctx(), w.amy, b.name, *b.lock))
	default:
		b.versioning = pick(w, []registry.Versioning{
			registry.VersioningEnabled, registry.VersioningEnabled, registry.VersioningSuspended,
		})
		w.must(w.SetVersioning(w.ctx(), w.amy, b.name, b.versioning))
	}
}

func pick[T any](w *world, from []T) T { return from[w.random.IntN(len(from))] }

// accepted returns what was accepted for a key and is left, in its order.
func (w *world) accepted(bucket registry.BucketName, key string) (list []*modelObject) {
	for _, o := range w.objects {
		if o.bucket == bucket && o.key == key && o.state != registry.ObjectPending && o.state != registry.ObjectDeleted {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b *modelObject) int { return cmp.Compare(a.seq, b.seq) })
	return list
}

// published returns what is published of a key, newest first.
func (w *world) published(bucket registry.BucketName, key string) (list []*modelObject) {
	for _, o := range w.accepted(bucket, key) {
		if o.state == registry.ObjectPublished {
			list = append(list, o)
		}
	}
	slices.Reverse(list)
	return list
}

// latest is the latest write or delete of a key that was not rejected, or nil.
func (w *world) latest(bucket registry.BucketName, key string) (last *modelObject) {
	for _, o := range w.accepted(bucket, key) {
		if o.state != registry.ObjectRejected {
			last = o
		}
	}
	return last
}

func (w *world) locked(o *modelObject, bypass bool) bool {
	if o.hold {
		return true
	}
	held := o.retention != nil && w.Now().Before(o.retention.Until)
	return held && (o.retention.Mode == registry.LockCompliance || !bypass)
}

// show publishes in the model. Of the null version only the latest is left.
func (w *world) show(o *modelObject) {
	o.state, o.proposer = registry.ObjectPublished, ""
	w.learn(o)
	if o.versioned {
		return
	}
	for _, x := range w.accepted(o.bucket, o.key) {
		switch {
		case x.versioned || x.seq >= o.seq:
		case x.state == registry.ObjectRejected:
			x.buried = true
		case w.locked(x, false):
			x.versioned = true
		default:
			x.delete()
		}
	}
}

// learn notes where the bytes of an object are once they stay there.
func (w *world) learn(o *modelObject) {
	if o.blob != "" || o.moving || o.marker || o.state == registry.ObjectDeleted {
		return
	}
	row, err := w.Object(w.ctx(), acme, o.id)
	w.must(err)
	o.blob = row.Extents[0].Blob
}

// rejectSharing rejects what shares bytes with o.
func (w *world) rejectSharing(o *modelObject, told []registry.Object) {
	var want, got []registry.ObjectID
	want = w.rejectTwins(o)
	for _, x := range told {
		got = append(got, x.ID)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		w.Fatalf("rejecting withdrew %v, the model says %v", got, want)
	}
}

var someKeys = []string{"a", "b", "b/c", "b/c/d", "b\x00", "b\x01c", "c/"}

// kept is what some write says besides its bytes.
func (w *world) kept(b *modelBucket) (k registry.Kept) {
	if b.lock == nil && w.random.IntN(20) > 0 {
		return k
	}
	switch w.random.IntN(6) {
	case 0:
		k.LegalHold = true
	case 1:
		k.Retention = w.retention()
	}
	return k
}

func (w *world) retention() *registry.Retention {
	return &registry.Retention{
		Mode:  pick(w, []registry.LockMode{registry.LockGovernance, registry.LockCompliance}),
		Until: w.Now().Add(pick(w, []time.Duration{10 * time.Minute, time.Hour, 3 * time.Hour})),
	}
}

// conditions of some write, and what the model says to them.
func (w *world) conditions(bucket registry.BucketName, key string) (c registry.Conditions, refusal error) {
	last := w.latest(bucket, key)
	exists := last != nil && !last.marker
	etag := "0"
	if exists && w.random.IntN(4) > 0 {
		etag = last.etag
	}
	matches := exists && etag == last.etag
	switch w.random.IntN(12) {
	case 0:
		if exists {
			refusal = registry.ErrPrecondition
		}
		return registry.Conditions{IfNoneMatch: "*"}, refusal
	case 1:
		if matches {
			refusal = registry.ErrPrecondition
		}
		return registry.Conditions{IfNoneMatch: etag}, refusal
	case 2:
		c.IfMatch = "*"
		matches = exists
	case 3:
		c.IfMatch = etag
	default:
		return c, nil
	}
	switch {
	case !exists:
		refusal = registry.ErrNotFound
	case !matches:
		refusal = registry.ErrPrecondition
	}
	return c, refusal
}

func (w *world) putKey() {
	b, key := pick(w, w.buckets), pick(w, w.keys)
	k := w.kept(b)
	c, want := w.conditions(b.name, key)
	if want == nil && b.lock == nil && (k.LegalHold || k.Retention != nil) {
		want = registry.ErrConflict
	}
	i, err := w.ReserveBlob(w.ctx(), acme)
	w.must(err)
	content := fmt.Sprint(len(w.objects))
	o, err := w.PutObject(w.ctx(), w.amy, registry.NewObject{
		Intent: i, Bucket: b.name, Key: key, Kept: k, Stored: stored(content), Conditions: c, Verdict: clean,
	})
	w.agree("put", err, want)
	if err != nil {
		w.must(w.ReleaseBlob(w.ctx(), i))
		return
	}
	w.enter(b, o, k)
}

// enter follows the ledger in accepting a write.
func (w *world) enter(b *modelBucket, o registry.Object, k registry.Kept) {
	w.seq++
	m := &modelObject{
		id: o.ID, state: registry.ObjectQuarantined, bucket: b.name, key: o.Key, seq: w.seq, etag: o.ETag,
		versioned: b.versioning == registry.VersioningEnabled, hold: k.LegalHold, retention: k.Retention,
	}
	if m.retention == nil && b.lock != nil && b.lock.Mode != "" {
		m.retention = &registry.Retention{Mode: b.lock.Mode, Until: o.CreatedAt.AddDate(0, 0, b.lock.Days)}
	}
	w.objects[o.ID] = m
	w.learn(m)
	if b.direct {
		w.show(m)
	}
}

func (w *world) copyOne() {
	id, source := w.anyObject()
	b, key := pick(w, w.buckets), pick(w, w.keys)
	k := w.kept(b)
	c, want := w.conditions(b.name, key)
	switch {
	case want != nil:
	case source == nil || source.state != registry.ObjectPublished || source.marker:
		want = registry.ErrNotFound
	case source.moving, b.lock == nil && (k.LegalHold || k.Retention != nil):
		want = registry.ErrConflict
	}
	o, err := w.CopyObject(w.ctx(), w.amy, registry.NewCopy{
		Source: id, Bucket: b.name, Key: key, Kept: k, Conditions: c, Verdict: clean,
	})
	w.agree("copy", err, want)
	if err == nil {
		w.enter(b, o, k)
		if w.objects[o.ID].blob != source.blob {
			w.Fatalf("a copy has bytes of its own")
		}
	}
}

func (w *world) deleteKey() {
	b, key := pick(w, w.buckets), pick(w, w.keys)
	r, err := w.deletion(b.name, registry.Deletion{Key: key})
	if b.versioning == registry.VersioningOff {
		w.agree("delete key", err, w.deleteNulls(b.name, key, false))
		return
	}
	w.agree("delete key", err, nil)
	w.seq++
	page, err := w.ListVersions(w.ctx(), acme, b.name, registry.VersionsQuery{Prefix: key, Max: 1})
	w.must(err)
	top := page.Entries[0]
	m := &modelObject{
		id: top.Object, bucket: b.name, key: key, seq: w.seq, marker: true, versioned: b.versioning == registry.VersioningEnabled,
	}
	if !r.Marker || r.VersionID != m.version() {
		w.Fatalf("a delete gives %+v", r)
	}
	w.objects[m.id] = m
	w.show(m)
}

func (o *modelObject) version() string {
	if !o.versioned {
		return "null"
	}
	return strings.TrimPrefix(string(o.id), "obj_")
}

// deleteNulls deletes all that is left of the null version of a key.
func (w *world) deleteNulls(bucket registry.BucketName, key string, bypass bool) error {
	var nulls []*modelObject
	for _, o := range w.accepted(bucket, key) {
		if o.versioned {
			continue
		}
		if o.state != registry.ObjectRejected && w.locked(o, bypass) {
			return registry.ErrLocked
		}
		nulls = append(nulls, o)
	}
	for _, o := range nulls {
		o.end()
	}
	return nil
}

func (o *modelObject) end() {
	if o.state == registry.ObjectRejected {
		o.buried = true
		return
	}
	o.delete()
}

// delete deletes in the model.
func (o *modelObject) delete() {
	o.state, o.held, o.proposer = registry.ObjectDeleted, false, ""
	o.rescan, o.rescanClaim, o.rescanLapses = false, 0, 0
}

// someVersion names a version, which may be gone, of another key, or nonsense.
func (w *world) someVersion() (bucket registry.BucketName, key, version string) {
	_, o := w.anyObject()
	if o == nil {
		return files, "a", "null"
	}
	bucket, key, version = o.bucket, o.key, o.version()
	switch w.random.IntN(12) {
	case 0:
		version = "nonsense"
	case 1:
		key = pick(w, w.keys)
	case 2, 3:
		version = "null"
	case 4, 5:
		version = ""
	}
	return bucket, key, version
}

// named is the model's version by its id, in whatever state.
func (w *world) named(bucket registry.BucketName, key, version string) (*modelObject, error) {
	if version == "nonsense" {
		return nil, registry.ErrInvalid
	}
	for _, o := range w.accepted(bucket, key) {
		if o.version() == version && (o.versioned || o.state == registry.ObjectPublished) {
			return o, nil
		}
	}
	return nil, registry.ErrNotFound
}

// find is the model's published version of a key.
func (w *world) find(bucket registry.BucketName, key, version string) (*modelObject, error) {
	o, err := w.named(bucket, key, version)
	if version == "" {
		o, err = nil, registry.ErrNotFound
		if list := w.published(bucket, key); len(list) > 0 {
			o, err = list[0], nil
		}
	}
	switch {
	case err != nil:
		return nil, err
	case o.state != registry.ObjectPublished:
		return nil, registry.ErrNotFound
	case o.marker:
		return o, registry.ErrMarker
	}
	return o, nil
}

func (w *world) deleteVersion() {
	bucket, key, version := w.someVersion()
	if version == "" {
		version = "null"
	}
	d := registry.Deletion{Key: key, Version: version, Bypass: w.random.IntN(2) == 0}
	o, want := w.named(bucket, key, version)
	if errors.Is(want, registry.ErrNotFound) {
		want = nil
	}
	there := o != nil && o.state != registry.ObjectRejected
	if w.random.IntN(4) == 0 && want == nil {
		d.IfMatch = "*"
		switch {
		case !there:
			want = registry.ErrNotFound
		case o.marker:
			want = registry.ErrPrecondition
		}
	}
	switch {
	case want != nil:
	case version == "null":
		want = w.deleteNulls(bucket, key, d.Bypass)
	case there && w.locked(o, d.Bypass):
		want = registry.ErrLocked
	case o != nil:
		o.end()
	}
	r, err := w.deletion(bucket, d)
	w.agree("delete version", err, want)
	if err == nil && (r.Marker != (there && o.marker) || (r.Gone != "") != there || r.VersionID != version) {
		w.Fatalf("deleting %s of %s/%s gives %+v", version, bucket, key, r)
	}
}

func (w *world) lookUp() {
	bucket, key, version := w.someVersion()
	want, refusal := w.find(bucket, key, version)
	got, err := w.Version(w.ctx(), acme, bucket, key, version)
	w.agree("version", err, refusal)
	var marker *registry.MarkerError
	if errors.As(err, &marker) && (marker.VersionID != want.version() || marker.Named != (version != "")) {
		w.Fatalf("%s of %s/%s is %+v, the model says %+v", version, bucket, key, marker, want)
	}
	if err != nil {
		return
	}
	same := got.ID == want.id && got.VersionID() == want.version() && got.LegalHold == want.hold && maps.Equal(got.Tags, want.tags)
	if !same || !reflect.DeepEqual(got.Retention, want.retention) {
		w.Fatalf("%s of %s/%s is %+v, the model says %+v", version, bucket, key, got, *want)
	}
}

func (w *world) tag() {
	bucket, key, version := w.someVersion()
	o, want := w.find(bucket, key, version)
	var tags map[string]string
	if w.random.IntN(3) > 0 {
		tags = map[string]string{"n": fmt.Sprint(w.random.IntN(9))}
	}
	_, err := w.SetTags(w.ctx(), w.amy, bucket, key, version, tags)
	w.agree("tag", err, want)
	if err == nil {
		o.tags = tags
	}
}

func (w *world) retain() {
	bucket, key, version := w.someVersion()
	o, want := w.find(bucket, key, version)
	if w.bucket(bucket).lock == nil {
		want = registry.ErrConflict
	}
	bypass := w.random.IntN(2) == 0
	r := w.retention()
	if w.random.IntN(4) == 0 {
		r = nil
	}
	if want == nil && o.retention != nil && w.Now().Before(o.retention.Until) {
		extends := r != nil && r.Mode == o.retention.Mode && !r.Until.Before(o.retention.Until)
		if !extends && (o.retention.Mode == registry.LockCompliance || !bypass) {
			want = registry.ErrLocked
		}
	}
	_, err := w.SetRetention(w.ctx(), w.amy, bucket, key, version, r, registry.Bypass(bypass))
	w.agree("retain", err, want)
	if err == nil {
		o.retention = r
	}
}

func (w *world) holdOne() {
	bucket, key, version := w.someVersion()
	o, want := w.find(bucket, key, version)
	if w.bucket(bucket).lock == nil {
		want = registry.ErrConflict
	}
	hold := w.random.IntN(3) == 0
	_, err := w.SetLegalHold(w.ctx(), w.amy, bucket, key, version, registry.Hold(hold))
	w.agree("hold", err, want)
	if err == nil {
		o.hold = hold
	}
}

// line is what a list has of a version, or of a common prefix.
type line struct {
	key, version   string
	object         registry.ObjectID
	latest, marker bool
}

// compareHistories lists each bucket in pages of a random size and holds them
// against the model.
func (w *world) compareHistories() {
	w.Helper()
	for _, b := range w.buckets {
		q := registry.VersionsQuery{
			Max: 1 + w.random.IntN(9), Prefix: pick(w, []string{"", "", "b", "b/"}), Delimiter: pick(w, []string{"", "/", "c"}),
		}
		wantVersions, wantKeys := w.lines(b.name, q)
		if got := w.allVersions(b.name, q); !slices.Equal(got, wantVersions) {
			w.Fatalf("versions of %s (%+v):\n%+v\nthe model says\n%+v", b.name, q, got, wantVersions)
		}
		if got := w.allKeys(b.name, q); !slices.Equal(got, wantKeys) {
			w.Fatalf("keys of %s (%+v):\n%+v\nthe model says\n%+v", b.name, q, got, wantKeys)
		}
	}
}

// lines are the model's versions and keys.
func (w *world) lines(bucket registry.BucketName, q registry.VersionsQuery) (versions, keys []line) {
	names := make(map[string]bool)
	for _, o := range w.objects {
		if o.bucket == bucket && o.state == registry.ObjectPublished && strings.HasPrefix(o.key, q.Prefix) {
			names[o.key] = true
		}
	}
	add := func(to *[]line, l line) {
		if i := strings.Index(l.key[len(q.Prefix):], q.Delimiter); q.Delimiter != "" && i >= 0 {
			l = line{key: l.key[:len(q.Prefix)+i+len(q.Delimiter)]}
			if n := len(*to); n > 0 && (*to)[n-1] == l {
				return
			}
		}
		*to = append(*to, l)
	}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		for i, o := range w.published(bucket, key) {
			add(&versions, line{key, o.version(), o.id, i == 0, o.marker})
			if i == 0 && !o.marker {
				add(&keys, line{key: key, object: o.id})
			}
		}
	}
	return versions, keys
}

func (w *world) allVersions(bucket registry.BucketName, q registry.VersionsQuery) (all []line) {
	for {
		page, err := w.ListVersions(w.ctx(), acme, bucket, q)
		w.must(err)
		var some []line
		for _, e := range page.Entries {
			some = append(some, line{e.Key, e.VersionID, e.Object, e.Latest, e.Marker})
		}
		for _, p := range page.Prefixes {
			some = append(some, line{key: p})
		}
		slices.SortStableFunc(some, func(a, b line) int { return cmp.Compare(a.key, b.key) })
		all = append(all, some...)
		if page.Truncated && len(some) != q.Max {
			w.Fatalf("a page of %d has %d", q.Max, len(some))
		}
		if !page.Truncated {
			return all
		}
		q.AfterKey, q.AfterVersion = page.NextKey, page.NextVersion
	}
}

func (w *world) allKeys(bucket registry.BucketName, v registry.VersionsQuery) (all []line) {
	q := registry.ListQuery{Prefix: v.Prefix, Delimiter: v.Delimiter, Max: v.Max}
	for {
		page, err := w.List(w.ctx(), acme, bucket, q)
		w.must(err)
		var some []line
		for _, e := range page.Entries {
			some = append(some, line{key: e.Key, object: e.Object})
		}
		for _, p := range page.Prefixes {
			some = append(some, line{key: p})
		}
		slices.SortStableFunc(some, func(a, b line) int { return cmp.Compare(a.key, b.key) })
		all = append(all, some...)
		if !page.Truncated {
			return all
		}
		q.After = page.Next
	}
}

// compareGarbage holds that a blob is garbage as soon as nothing refers to it. What
// the sweeper took before a comparison is not looked for.
func (w *world) compareGarbage() {
	w.Helper()
	living, known := make(map[registry.BlobKey]bool), make(map[registry.BlobKey]bool)
	for _, o := range w.objects {
		known[o.blob] = true
		if o.state != registry.ObjectDeleted && !o.destroyed || o.moving {
			living[o.blob] = true
		}
	}
	garbage := w.garbage()
	for blob := range known {
		switch {
		case blob == "" || w.dropped[blob]:
		case !living[blob]:
			w.dropped[blob] = true
			if !garbage[blob] {
				w.Fatalf("a blob that nothing refers to is no garbage")
			}
		case garbage[blob]:
			w.Fatalf("a blob that is referred to is garbage")
		}
	}
}
