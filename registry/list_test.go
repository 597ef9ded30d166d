package registry_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sallyport/registry"
)

// modelList is what a page must be, by looking at every key.
func modelList(keys []string, q registry.ListQuery) (entries, prefixes []string, truncated bool) {
	n := 0
	for _, key := range keys {
		if !strings.HasPrefix(key, q.Prefix) || key <= q.After {
			continue
		}
		group := ""
		if i := strings.Index(key[len(q.Prefix):], q.Delimiter); q.Delimiter != "" && i >= 0 {
			group = key[:len(q.Prefix)+i+len(q.Delimiter)]
			if group == q.After || len(prefixes) > 0 && prefixes[len(prefixes)-1] == group {
				continue
			}
		}
		if n == q.Max {
			return entries, prefixes, q.Max > 0
		}
		n++
		if group != "" {
			prefixes = append(prefixes, group)
		} else {
			entries = append(entries, key)
		}
	}
	return entries, prefixes, false
}

func keysOf(page registry.Listing) []string {
	var keys []string
	for _, e := range page.Entries {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestListAgainstModel(t *testing.T) {
	h := newHouse(t)
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "b", "/", "//", "é", "\x00", "\x01", "-", "\U0010ffff"}
	text := func(most int) string {
		var b strings.Builder
		for range random.IntN(most + 1) {
			b.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		return b.String()
	}
	set := make(map[string]bool)
	for len(set) < 200 {
		if key := text(6); key != "" && !set[key] {
			set[key] = true
			h.put(direct, key, "x")
		}
	}
	keys := make([]string, 0, len(set))
	for key := range set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for i := range 2000 {
		q := registry.ListQuery{Prefix: text(2), Delimiter: []string{"", "/", "a", "//"}[i%4], After: text(3), Max: random.IntN(20)}
		page, err := h.List(h.ctx(), acme, direct, q)
		h.must(err)
		entries, prefixes, truncated := modelList(keys, q)
		if !slices.Equal(keysOf(page), entries) || !slices.Equal(page.Prefixes, prefixes) || page.Truncated != truncated {
			t.Fatalf("%+v:\ngot  %q %q %v\nwant %q %q %v", q, keysOf(page), page.Prefixes, page.Truncated, entries, prefixes, truncated)
		}
	}
	// Walking page by page visits each key or prefix once.
	for _, q := range []registry.ListQuery{{Max: 7}, {Delimiter: "/", Max: 3}, {Prefix: "a", Delimiter: "/", Max: 1}} {
		wantEntries, wantPrefixes, _ := modelList(keys, registry.ListQuery{Prefix: q.Prefix, Delimiter: q.Delimiter, Max: 1 << 30})
		var entries, prefixes []string
		for {
			page, err := h.List(h.ctx(), acme, direct, q)
			h.must(err)
			entries, prefixes = append(entries, keysOf(page)...), append(prefixes, page.Prefixes...)
			if !page.Truncated {
				break
			}
			q.After = page.Next
		}
		if !slices.Equal(entries, wantEntries) || !slices.Equal(prefixes, wantPrefixes) {
			t.Errorf("%+v: walked %d entries and %d prefixes, want %d and %d", q, len(entries), len(prefixes), len(wantEntries), len(wantPrefixes))
		}
	}
}

func TestListShowsOnlyWhatIsPublished(t *testing.T) {
	h := newHouse(t)
	h.finalized()
	h.begin()
	h.put(files, "waits", "x")
	o := h.judged()
	page, err := h.List(h.ctx(), acme, files, registry.ListQuery{Max: 10})
	h.must(err)
	if len(page.Entries) != 0 {
		t.Errorf("list shows %q", keysOf(page))
	}
	_, err = h.Publish(h.ctx(), acme, o.ID)
	h.must(err)
	page, err = h.List(h.ctx(), acme, files, registry.ListQuery{Max: 10})
	h.must(err)
	if len(page.Entries) != 1 {
		t.Fatalf("list shows %q", keysOf(page))
	}
	if e := page.Entries[0]; e.Object != o.ID || e.Size != 5 || e.ETag != o.ETag || !e.ModifiedAt.Equal(o.ModifiedAt) {
		t.Errorf("entry is %+v, object %+v", e, o)
	}
}

func TestListFailures(t *testing.T) {
	h := newHouse(t)
	for _, q := range []registry.ListQuery{{Max: -1}, {Max: 1001}, {Max: 1, Prefix: strings.Repeat("x", 1025)}} {
		_, err := h.List(h.ctx(), acme, direct, q)
		h.want(err, registry.ErrInvalid)
	}
	_, err := h.List(h.ctx(), acme, "nowhere", registry.ListQuery{Max: 1})
	h.want(err, registry.ErrNotFound)
	_, err = h.List(h.ctx(), acme, "nowhere", registry.ListQuery{})
	h.want(err, registry.ErrNotFound)
	page, err := h.List(h.ctx(), acme, direct, registry.ListQuery{})
	h.must(err)
	if page.Truncated {
		t.Error("a page of nothing is truncated")
	}
}

// TestNamesAreKeptApart: no tenant, bucket or key can be spelled so that it is
// another's.
func TestNamesAreKeptApart(t *testing.T) {
	h := newHouse(t)
	for i, key := range []string{"k", "k\x00", "k\x00k", "\x00", "k/", "K"} {
		h.put(direct, key, fmt.Sprint(i))
		h.put(files, key, fmt.Sprint(i))
	}
	h.must(h.deleteKey(files, "k"))
	d, err := h.QueueDepth(h.ctx())
	h.must(err)
	if d.Waiting != 5 {
		t.Errorf("deleting one key of six left %d", d.Waiting)
	}
	for i, key := range []string{"k", "k\x00", "k\x00k", "\x00", "k/", "K"} {
		o, err := h.Named(h.ctx(), acme, direct, key)
		h.must(err)
		if o.SHA256 != digest(fmt.Sprint(i)) || o.Key != key {
			t.Errorf("%q shows %q", key, o.Key)
		}
	}
	for _, bucket := range []registry.BucketName{"direct\x00k", "direct\x00", "direct\x00k\x00"} {
		for _, key := range []string{"", "k", "\x00"} {
			_, err = h.Named(h.ctx(), acme, bucket, key)
			h.want(err, registry.ErrNotFound)
		}
	}
}
