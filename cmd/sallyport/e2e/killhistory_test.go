package e2e_test

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"

	"sallyport/sigv4"
)

// Buckets with versions: one where a write is visible with its answer, one where
// inspection comes between.
const (
	historyBucket  = "/history"
	reviewedBucket = "/reviewed"
)

// mostVersions is how many a key has at most, or the lists grow long.
const mostVersions = 12

// killHistories are keys that keep their versions.
type killHistories struct {
	*world
	histories map[string]*killHistory // mu protects it
	done      map[string]int          // what was acknowledged, by name
	lost      map[string]int          // what was not
}

// killHistory is a key and its versions, oldest first. Only one worker writes it.
type killHistory struct {
	path     string
	versions []killVersion
	coming   *killVersion // asked for, with no answer yet
	removing string       // the version whose deletion was asked for, likewise
}

type killVersion struct {
	id     string
	marker bool
	data   matter
	seen   bool // its bytes were compared since it was written
}

func newKillHistories(w *world) *killHistories {
	w.s.root.must("PUT", "/profiles/reviewed", map[string]any{"intake": "quarantine"}, nil)
	w.s.mustObject("PUT", historyBucket, nil)
	on := []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	for _, bucket := range []string{historyBucket, reviewedBucket} {
		if a, err := w.s.root.object("PUT", bucket, "versioning=", on, nil); err != nil || a.Status != http.StatusOK {
			w.s.t.Fatalf("versioning of %s: %s, %v", bucket, a, err)
		}
	}
	return &killHistories{world: w, histories: map[string]*killHistory{}, done: map[string]int{}, lost: map[string]int{}}
}

// act writes, copies or deletes.
func (k *killHistories) act(r *rand.Rand, worker int) error {
	bucket := historyBucket
	if r.IntN(3) == 0 {
		bucket = reviewedBucket
	}
	path := fmt.Sprintf("%s/worker %d/key-%d", bucket, worker, r.IntN(3))
	k.mu.Lock()
	h := k.histories[path]
	if h == nil {
		h = &killHistory{path: path}
		k.histories[path] = h
	}
	k.mu.Unlock()
	what := r.IntN(7)
	if len(h.versions) >= mostVersions {
		what = 5 + r.IntN(2)
	}
	switch {
	case what == 4:
		return k.mark(h)
	case what >= 5 && len(h.versions) > 0:
		return k.remove(h, r.IntN(len(h.versions)))
	case what == 3 && bucket == historyBucket: // what waits for inspection has no copies
		if i := r.IntN(len(h.versions) + 1); i < len(h.versions) && !h.versions[i].marker {
			return k.copy(h, &h.versions[i])
		}
	}
	m := k.fresh()
	return k.add(h, "put", m, m.bytes(), nil)
}

func (k *killHistories) copy(h *killHistory, v *killVersion) error {
	return k.add(h, "copy", v.data, nil, http.Header{
		"X-Amz-Copy-Source":        {string(sigv4.AppendPath(nil, h.path)) + "?versionId=" + url.QueryEscape(v.id)},
		"X-Amz-Metadata-Directive": {"REPLACE"},
	})
}

// add makes a version by a PUT.
func (k *killHistories) add(h *killHistory, what string, m matter, body []byte, header http.Header) error {
	h.coming = &killVersion{data: m}
	a, err := k.s.root.object("PUT", h.path, "", body, header)
	if err != nil {
		return err
	}
	id := a.Header.Get("X-Amz-Version-Id")
	if a.Status != http.StatusOK || a.code() != "" || id == "" {
		return k.refuse(what+" a version", a)
	}
	k.keep(h, what, id)
	return nil
}

// keep notes that what was asked for is the newest.
func (k *killHistories) keep(h *killHistory, what, id string) {
	h.coming.id = id
	h.versions, h.coming = append(h.versions, *h.coming), nil
	k.count(what)
}

func (k *killHistories) count(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.done[what]++
}

// mark deletes the key, which leaves a marker.
func (k *killHistories) mark(h *killHistory) error {
	h.coming = &killVersion{marker: true}
	a, err := k.s.root.object("DELETE", h.path, "", nil, nil)
	if err != nil {
		return err
	}
	id := a.Header.Get("X-Amz-Version-Id")
	if a.Status != http.StatusNoContent || a.Header.Get("X-Amz-Delete-Marker") != "true" || id == "" {
		return k.refuse("a delete marker", a)
	}
	k.keep(h, "mark", id)
	return nil
}

// remove deletes a version for good.
func (k *killHistories) remove(h *killHistory, i int) error {
	h.removing = h.versions[i].id
	a, err := k.s.root.object("DELETE", h.path, "versionId="+url.QueryEscape(h.removing), nil, nil)
	if err != nil {
		return err
	}
	if a.Status != http.StatusNoContent {
		return k.refuse("delete a version", a)
	}
	h.versions, h.removing = slices.Delete(h.versions, i, i+1), ""
	k.count("remove")
	return nil
}

// versionRows are the versions of a bucket as they are listed.
type versionRows struct {
	IsTruncated bool
	Rows        []versionRow `xml:",any"`
}

// versionRow is a version, or a marker.
type versionRow struct {
	XMLName   xml.Name
	Key       string
	VersionId string
	IsLatest  bool
	Size      int
}
