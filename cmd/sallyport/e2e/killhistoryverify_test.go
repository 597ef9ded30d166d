package e2e_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

func (k *killHistories) settle() {
	k.s.t.Helper()
	eventually(k.s.t, "all versions are inspected", func() bool {
		return k.s.metric("ledger_scans_waiting")+k.s.metric("ledger_scans_claimed")+k.s.metric("ledger_promotions") == 0
	})
	listed := map[string][]versionRow{}
	for _, bucket := range []string{historyBucket, reviewedBucket} {
		var list versionRows
		k.get(bucket, "versions=", &list)
		if list.IsTruncated {
			k.s.t.Fatal("there are more versions than a page has")
		}
		for _, row := range list.Rows {
			if row.XMLName.Local == "Version" || row.XMLName.Local == "DeleteMarker" {
				path := bucket + "/" + row.Key
				listed[path] = append(listed[path], row)
			}
		}
	}
	for path := range listed {
		if k.histories[path] == nil {
			k.s.t.Errorf("%s has versions, and nobody wrote it", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(k.histories)) {
		h, rows := k.histories[path], listed[path]
		slices.Reverse(rows) // oldest first
		k.resolve(h, rows)
		k.compare(h, rows)
	}
}

// verify reads every version again.
func (k *killHistories) verify() {
	k.s.t.Helper()
	for _, h := range k.histories {
		for i := range h.versions {
			h.versions[i].seen = false
		}
	}
	k.settle()
}

// resolve finds out whether the last write or deletion of a key happened.
func (k *killHistories) resolve(h *killHistory, rows []versionRow) {
	if h.removing != "" {
		k.lost["remove"]++
		if !slices.ContainsFunc(rows, func(row versionRow) bool { return row.VersionId == h.removing }) {
			h.versions = slices.DeleteFunc(h.versions, func(v killVersion) bool { return v.id == h.removing })
		}
		h.removing = ""
	}
	if h.coming == nil {
		return
	}
	k.lost["write"]++
	if len(rows) > len(h.versions) {
		k.keep(h, "found", rows[len(rows)-1].VersionId) // and compare looks at it
	}
	h.coming = nil
}

// compare holds what is listed of a key, and what can be read, against what was
// acknowledged, in its order.
func (k *killHistories) compare(h *killHistory, rows []versionRow) {
	k.s.t.Helper()
	if len(rows) != len(h.versions) {
		k.s.t.Errorf("%s has %d versions, want %d", h.path, len(rows), len(h.versions))
		return
	}
	for i := range h.versions {
		v, row := &h.versions[i], rows[i]
		last := i == len(rows)-1
		if row.VersionId != v.id || (row.XMLName.Local == "DeleteMarker") != v.marker || row.IsLatest != last || row.Size != v.data.len() {
			k.s.t.Errorf("version %d of %s is listed as %+v, want %s of %d bytes, marker %t, latest %t", i, h.path, row, v.id, v.data.len(), v.marker, last)
		}
		if !v.seen {
			k.read(h, v, "versionId="+url.QueryEscape(v.id))
			v.seen = true
		}
	}
	newest := &killVersion{marker: true} // a key without versions is not there, either
	if n := len(h.versions); n > 0 {
		newest = &h.versions[n-1]
	}
	k.read(h, newest, "")
}

// read fetches a version.
func (k *killHistories) read(h *killHistory, v *killVersion, query string) {
	k.s.t.Helper()
	a, err := k.s.root.object("GET", h.path, query, nil, nil)
	switch {
	case err != nil:
		k.s.t.Fatal(err)
	case v.marker && query != "" && a.Status != http.StatusMethodNotAllowed,
		v.marker && query == "" && !a.is(http.StatusNotFound, "NoSuchKey"),
		!v.marker && (a.Status != http.StatusOK || !bytes.Equal(a.Body, v.data.bytes())):
		k.s.t.Errorf("%s?%s, marker %t of %d bytes: %s with %d", h.path, query, v.marker, v.data.len(), a, len(a.Body))
	}
}

func (k *killHistories) live(see func(piece)) {
	for _, h := range k.histories {
		for _, v := range h.versions {
			for _, p := range v.data {
				see(p)
			}
		}
	}
}

// logged counts what only histories do.
func (k *killHistories) logged(events tally) {
	k.s.t.Helper()
	for _, h := range k.histories {
		for _, v := range h.versions {
			kinds := events[logged{"object.put", "obj_" + v.id}] + events[logged{"object.copied", "obj_" + v.id}] +
				2*events[logged{"object.marked", "obj_" + v.id}]
			if want := map[bool]int{false: 1, true: 2}[v.marker]; kinds != want && !k.inspected(h, v, events) {
				k.s.t.Errorf("how version %s came about is in the log %d times", v.id, kinds)
			}
		}
	}
}

// inspected tells whether the log has one intake and one publication of a version.
func (k *killHistories) inspected(h *killHistory, v killVersion, events tally) bool {
	return events[logged{"object.quarantined", "obj_" + v.id}] == 1 && events[logged{"object.published", "obj_" + v.id}] == 1
}

func (k *killHistories) report() (string, bool) {
	return fmt.Sprintf("versions: acknowledged %v, interrupted %v", k.done, k.lost),
		k.done["put"] > 0 && k.done["copy"] > 0 && k.done["mark"] > 0 && k.done["remove"] > 0 && k.lost["write"] > 0
}
