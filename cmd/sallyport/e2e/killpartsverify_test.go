package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
)

func (k *killMultiparts) settle() {
	k.s.t.Helper()
	touched := k.all[k.checked:]
	for _, u := range touched {
		k.resolve(u)
		k.verifyOne(u)
	}
	for _, u := range k.all[:k.checked] {
		// What was left open goes on, so that its parts are seen.
		if !u.over() && len(u.parts) > 0 && k.rng.IntN(2) == 0 {
			if err := k.complete(u, k.choose(k.rng, u)); err != nil || !u.completed.acknowledged {
				k.s.t.Errorf("an upload from before a crash is not completed: %v", err)
				return
			}
			k.settleKey(u.key)
			k.verifyOne(u)
		}
	}
	for range min(k.checked, 3) {
		k.verifyOne(k.all[k.rng.IntN(k.checked)])
	}
	k.checked = len(k.all)
	k.verifyList()
}

func (k *killMultiparts) verify() {
	k.s.t.Helper()
	for _, u := range k.all {
		k.verifyOne(u)
	}
	k.verifyList()
}

func (u *killMultipart) over() bool { return u.completed.acknowledged || u.aborted.acknowledged }

// resolve finds out what became of the last step.
func (k *killMultiparts) resolve(u *killMultipart) {
	k.s.t.Helper()
	rows, open := k.listed(u)
	if u.aborted.asked && !u.aborted.acknowledged {
		k.lost["abort"]++
		u.aborted.acknowledged = !open
	}
	if u.completed.asked && !u.completed.acknowledged {
		k.lost["complete"]++
		// The upload and its object have to agree.
		if u.completed.acknowledged = !open; open {
			u.key.may = u.key.may[:1]
		} else {
			u.key.is(u.completion.data)
		}
		k.settleKey(u.key)
	}
	if u.coming == nil {
		return
	}
	k.lost["part"]++
	row, before := rows[u.number], u.parts[u.number]
	switch {
	case row.ETag != "" && row.ETag == before.etag, row.ETag == "" && before.etag == "":
		u.coming = nil
	case u.coming.etag == "": // copied: only the server knows
		u.coming.etag = row.ETag
		u.keep()
	default:
		u.keep() // and verifyOne compares
	}
}

// multipartRow is a part as it is listed.
type multipartRow struct {
	PartNumber, Size int
	ETag             string
}

// listed returns the parts of an upload, unless it is over.
func (k *killMultiparts) listed(u *killMultipart) (map[int]multipartRow, bool) {
	k.s.t.Helper()
	a, err := k.s.root.object("GET", u.key.path, "uploadId="+u.id, nil, nil)
	if err != nil {
		k.s.t.Fatal(err)
	}
	if a.is(http.StatusNotFound, "NoSuchUpload") {
		return nil, false
	}
	var list struct{ Part []multipartRow }
	k.get(u.key.path, "uploadId="+u.id, &list)
	rows := map[int]multipartRow{}
	for _, row := range list.Part {
		row.ETag = strings.Trim(row.ETag, `"`)
		rows[row.PartNumber] = row
	}
	return rows, true
}

// verifyOne looks whether an upload is what its history says.
func (k *killMultiparts) verifyOne(u *killMultipart) {
	k.s.t.Helper()
	rows, open := k.listed(u)
	if open == u.over() {
		k.s.t.Errorf("a multipart upload is open: %t, completed %t, aborted %t", open, u.completed.acknowledged, u.aborted.acknowledged)
		return
	}
	if u.completed.acknowledged {
		if err := k.repeat(u); err != nil {
			k.s.t.Error(err)
		}
	}
	if !open {
		return
	}
	if len(rows) != len(u.parts) {
		k.s.t.Errorf("%d parts are listed, %d are stored", len(rows), len(u.parts))
	}
	for n, p := range u.parts {
		if row := rows[n]; row.ETag != p.etag || row.Size != p.data.len() {
			k.s.t.Errorf("part %d is listed as %+v, want %s of %d", n, row, p.etag, p.data.len())
		}
	}
}

// verifyList compares the list of open uploads. One that it has too many is one
// whose creation was not answered.
func (k *killMultiparts) verifyList() {
	k.s.t.Helper()
	want := map[string]*killMultipart{}
	for _, u := range k.all {
		if !u.over() {
			want[u.id] = u
		}
	}
	var list struct {
		IsTruncated bool
		Upload      []struct{ Key, UploadId string }
	}
	k.get(loadBucket, "uploads=", &list)
	if list.IsTruncated {
		k.s.t.Fatal("more uploads are open than a page has")
	}
	for _, row := range list.Upload {
		if want[row.UploadId] != nil {
			delete(want, row.UploadId)
			continue
		}
		if k.nameless--; k.nameless < 0 {
			k.s.t.Errorf("%s is listed as open, and nobody asked for it", row.UploadId)
		}
		k.lost["create"]++
		if err := k.abort(&killMultipart{id: row.UploadId, key: &killKey{path: loadBucket + "/" + row.Key}}); err != nil {
			k.s.t.Error(err)
		}
	}
	for id := range want {
		k.s.t.Errorf("%s is open and not listed", id)
	}
}

func (k *killMultiparts) live(see func(piece)) {
	for _, u := range k.all {
		if u.over() {
			continue
		}
		for _, p := range u.parts {
			for _, x := range p.data {
				see(x)
			}
		}
	}
}

func (k *killMultiparts) logged(events tally) {
	k.s.t.Helper()
	for _, u := range k.all {
		once := map[bool]int{true: 1}
		object := "obj_" + u.id[strings.IndexByte(u.id, '_')+1:]
		for kind, want := range map[string]int{
			"multipart.created": 1, "multipart.aborted": once[u.aborted.acknowledged], "object.put": once[u.completed.acknowledged],
		} {
			if n := events[logged{kind, object}]; n != want {
				k.s.t.Errorf("%s of a multipart upload is in the log %d times, want %d", kind, n, want)
			}
		}
	}
}

func (k *killMultiparts) report() (string, bool) {
	var completed, aborted, open, copied int
	for _, u := range k.all {
		switch {
		case u.completed.acknowledged:
			completed++
		case u.aborted.acknowledged:
			aborted++
		default:
			open++
		}
		for _, p := range u.parts {
			if p.data.len() > 0 && p.data[0].len() < p.data[0].size {
				copied++
			}
		}
	}
	return fmt.Sprintf("multipart uploads: %d completed, %d aborted, %d left open; %d copied parts; interrupted: %v", completed, aborted, open, copied, k.lost),
		completed > 0 && aborted > 0 && copied > 0 && k.lost["part"] > 0 && k.lost["complete"] > 0
}
