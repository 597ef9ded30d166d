package registry_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sallyport/registry"
)

// multipartsOf lists all pages of a query, and checks that each is full but the last.
func (h *house) multipartsOf(q registry.MultipartsQuery) (found []string) {
	h.Helper()
	for {
		page, err := h.Multiparts(h.ctx(), acme, direct, q)
		h.must(err)
		var entries []string
		for _, u := range page.Uploads {
			entries = append(entries, fmt.Sprintf("%q %s", u.Key, u.ID))
		}
		for _, p := range page.Prefixes {
			entries = append(entries, fmt.Sprintf("%q", p))
		}
		slices.Sort(entries) // of a page; pages stand in their order
		found = append(found, entries...)
		if !page.Truncated {
			return found
		}
		if len(entries) != q.Max {
			h.Fatalf("a page of %d has %d entries", q.Max, len(entries))
		}
		q.AfterKey, q.AfterID = page.NextKey, page.NextID
	}
}

// TestMultipartsAgainstAModel compares lists of keys that are hard to keep apart
// with a plain sort.
func TestMultipartsAgainstAModel(t *testing.T) {
	h := newHouse(t)
	random := rand.New(rand.NewPCG(3, 4))
	letters := []string{"a", "b", "/", "\x00", "\x01", "\x02", "é"}
	text := func(most int) string {
		var b strings.Builder
		for range random.IntN(most) {
			b.WriteString(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	var all []registry.Multipart
	for range 80 {
		all = append(all, h.multipart(direct, text(5)+"k").Multipart)
	}
	h.multipart(files, "elsewhere")
	for i, m := range all { // what is aborted or completed is in no list
		switch i % 8 {
		case 0:
			h.must(h.AbortMultipart(h.ctx(), h.amy, direct, m.Key, m.ID))
		case 1:
			u := &upload{house: h, Multipart: m}
			u.part(1, "x", 1)
			u.complete()
		}
	}
	var open []registry.Multipart
	for i, m := range all {
		if i%8 > 1 {
			open = append(open, m)
		}
	}
	slices.SortFunc(open, func(a, b registry.Multipart) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID))
	})
	for range 300 {
		q := registry.MultipartsQuery{Prefix: text(3), Delimiter: []string{"", "/", "a", "\x00", "b/"}[random.IntN(5)], Max: 1 + random.IntN(9)}
		var want []string
		for _, m := range open {
			if !strings.HasPrefix(m.Key, q.Prefix) {
				continue
			}
			entry := fmt.Sprintf("%q %s", m.Key, m.ID)
			if q.Delimiter != "" {
				if i := strings.Index(m.Key[len(q.Prefix):], q.Delimiter); i >= 0 {
					entry = fmt.Sprintf("%q", m.Key[:len(q.Prefix)+i+len(q.Delimiter)])
				}
			}
			if !slices.Contains(want, entry) {
				want = append(want, entry)
			}
		}
		got := h.multipartsOf(q)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v lists\n%q, want\n%q", q, got, want)
		}
	}
}

func TestMultipartsMarkers(t *testing.T) {
	h := newHouse(t)
	var ids []registry.MultipartID
	for _, key := range []string{"a", "b", "b", "b", "b\x00", "c/1", "c/2", "d"} {
		ids = append(ids, h.multipart(direct, key).ID)
	}
	keys := func(l registry.MultipartListing) string {
		var s []string
		for _, u := range l.Uploads {
			s = append(s, fmt.Sprint(slices.Index(ids, u.ID)))
		}
		return strings.Join(append(s, l.Prefixes...), " ")
	}
	for _, c := range []struct {
		q    registry.MultipartsQuery
		want string
	}{
		{registry.MultipartsQuery{Max: 1000}, "0 1 2 3 4 5 6 7"},
		{registry.MultipartsQuery{}, ""},
		{registry.MultipartsQuery{Max: 9, AfterKey: "a"}, "1 2 3 4 5 6 7"},
		{registry.MultipartsQuery{Max: 9, AfterKey: "b"}, "4 5 6 7"},
		{registry.MultipartsQuery{Max: 9, AfterKey: "b", AfterID: ids[1]}, "2 3 4 5 6 7"},
		{registry.MultipartsQuery{Max: 9, AfterKey: "b", AfterID: ids[3]}, "4 5 6 7"},
		{registry.MultipartsQuery{Max: 9, AfterID: ids[3]}, "0 1 2 3 4 5 6 7"}, // no key, no marker
		{registry.MultipartsQuery{Max: 9, AfterKey: "bb"}, "5 6 7"},
		{registry.MultipartsQuery{Max: 9, AfterKey: "z"}, ""},
		{registry.MultipartsQuery{Max: 9, Delimiter: "/"}, "0 1 2 3 4 7 c/"},
		{registry.MultipartsQuery{Max: 9, Delimiter: "/", AfterKey: "c/"}, "7"},
		{registry.MultipartsQuery{Max: 9, Delimiter: "/", AfterKey: "c/1"}, "7 c/"},
		{registry.MultipartsQuery{Max: 9, Prefix: "b", AfterKey: "z"}, ""},
		{registry.MultipartsQuery{Max: 9, Prefix: "c/", AfterKey: "a"}, "5 6"},
	} {
		page, err := h.Multiparts(h.ctx(), acme, direct, c.q)
		h.must(err)
		if got := keys(page); got != c.want || page.Truncated {
			t.Errorf("%+v lists %q (%v), want %q", c.q, got, page.Truncated, c.want)
		}
	}
	for _, q := range []registry.MultipartsQuery{
		{Max: -1}, {Max: 1001}, {Prefix: strings.Repeat("x", 1025)}, {AfterKey: strings.Repeat("x", 1025)}, {AfterID: registry.MultipartID(strings.Repeat("x", 200))},
	} {
		_, err := h.Multiparts(h.ctx(), acme, direct, q)
		h.want(err, registry.ErrInvalid)
	}
	_, err := h.Multiparts(h.ctx(), acme, "nobody", registry.MultipartsQuery{Max: 1})
	h.want(err, registry.ErrNotFound)
}
