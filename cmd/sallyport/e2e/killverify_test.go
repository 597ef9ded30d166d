package e2e_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
)

// stateOf reads the state in an answer of the control API.
func stateOf(a answer) string {
	var row struct{ State string }
	if json.Unmarshal(a.Body, &row) != nil {
		return ""
	}
	return row.State
}

// verify holds the server, which has come back, against what it acknowledged:
// everything since the last time, a few older sessions, and all keys.
func (w *world) verify() {
	w.s.t.Helper()
	for _, u := range w.uploads[w.checked:] {
		w.resolve(u)
		w.verifyUpload(u)
	}
	for range min(w.checked, 5) {
		w.verifyUpload(w.uploads[w.rng.IntN(w.checked)])
	}
	w.checked = len(w.uploads)
	for _, d := range w.more {
		d.settle()
	}
	w.verifyKeys()
}

// verifyAll is verify for everything there ever was.
func (w *world) verifyAll() {
	w.s.t.Helper()
	for _, u := range w.uploads {
		w.verifyUpload(u)
	}
	for _, d := range w.more {
		d.verify()
	}
	for _, k := range w.keys {
		k.read = false
	}
	w.verifyKeys()
}

// call makes a call that must be answered.
func (w *world) call(method, path string) answer {
	w.s.t.Helper()
	a, err := w.s.root.call(method, path, nil)
	if err != nil {
		w.s.t.Fatal(err)
	}
	return a
}

// resolve finds out what became of an upload's last step, where no answer came:
// it happened or it did not, and from now on it is the one or the other. A put
// that did not happen is made up for, with other bytes.
func (w *world) resolve(u *killUpload) {
	w.s.t.Helper()
	a := w.call("GET", "/uploads/"+u.UploadID)
	if a.Status != http.StatusOK {
		w.s.t.Errorf("an acknowledged session: %s", a)
		return
	}
	state := stateOf(a)
	if u.aborted.asked && !u.aborted.acknowledged {
		u.aborted.acknowledged = state == "aborted"
	}
	if u.put.asked && !u.put.acknowledged {
		if state == "uploaded" {
			u.put.acknowledged = true
		} else {
			w.putAnew(u)
		}
	}
	if u.finalized.asked && !u.finalized.acknowledged {
		u.finalized.acknowledged = state == "finalized"
	}
	if u.deleted.asked && !u.deleted.acknowledged {
		a := w.call("GET", "/objects/"+u.ObjectID)
		u.deleted.acknowledged = a.Status == http.StatusNotFound || stateOf(a) == "deleted"
	}
}

// putAnew uses a URL whose put was interrupted. The session may have declared
// the digest of what was to come first: then those bytes are the only right ones.
func (w *world) putAnew(u *killUpload) {
	w.s.t.Helper()
	if _, bound := u.Headers["x-amz-checksum-sha256"]; !bound {
		u.data = w.serial.Add(1)
	}
	a, err := u.Session.put(u.content())
	if err != nil || a.Status != http.StatusOK {
		w.s.t.Errorf("the URL of an interrupted put: %s, %v", a, err)
		return
	}
	u.put.acknowledged = true
}

// verifyUpload looks whether an upload is what its history says.
func (w *world) verifyUpload(u *killUpload) {
	w.s.t.Helper()
	state := stateOf(w.call("GET", "/uploads/"+u.UploadID))
	want := "created"
	switch {
	case u.aborted.acknowledged:
		want = "aborted"
	case u.finalized.acknowledged:
		want = "finalized"
	case u.put.acknowledged:
		want = "uploaded"
	}
	if state != want {
		w.s.t.Errorf("a session is %s, want %s", state, want)
	}
	if u.put.acknowledged || u.aborted.acknowledged {
		w.verifySpent(u)
	}
	got := w.call("GET", "/objects/"+u.ObjectID+"/content")
	switch {
	case u.deleted.acknowledged:
		if got.Status != http.StatusNotFound && !got.is(http.StatusConflict, "OBJECT_NOT_PUBLISHED") {
			w.s.t.Errorf("a deleted object: %s", got)
		}
	case u.finalized.acknowledged:
		u.awaitState("published")
		got = w.call("GET", "/objects/"+u.ObjectID+"/content")
		if got.Status != http.StatusOK || !bytes.Equal(got.Body, u.content()) {
			w.s.t.Errorf("a published object of %d bytes: %s with %d", u.size, got, len(got.Body))
		}
	case got.Status == http.StatusOK:
		w.s.t.Error("an object is readable before it was published")
	}
}

// verifySpent tries a URL again that was used, or whose session was aborted.
func (w *world) verifySpent(u *killUpload) {
	w.s.t.Helper()
	a, err := u.Session.put(u.content())
	if err != nil || !a.is(http.StatusConflict, "UploadURLAlreadyUsed") && !a.is(http.StatusForbidden, "AccessDenied") {
		w.s.t.Errorf("a spent URL: %s, %v", a, err)
	}
}

// verifyKeys reads what was written, and a few of the others, and settles what it
// has become; the list has to agree.
func (w *world) verifyKeys() {
	w.s.t.Helper()
	there := map[string][]string{loadBucket: nil, onceBucket: nil}
	for path, k := range w.keys {
		if len(k.may) > 1 {
			w.s3Interrupted++
		}
		if !k.read || w.rng.IntN(16) == 0 {
			w.settleKey(k)
		}
		if k.now() != nil {
			bucket, key, _ := strings.Cut(path[1:], "/")
			there["/"+bucket] = append(there["/"+bucket], key)
		}
	}
	for bucket, keys := range there {
		slices.Sort(keys)
		if listed := w.list(bucket); !slices.Equal(listed, keys) {
			w.s.t.Errorf("listed are %v, there are %v", listed, keys)
		}
	}
}

// settleKey reads a key: it has to be one of what it may be, and is that then.
func (w *world) settleKey(k *killKey) {
	w.s.t.Helper()
	a, err := w.s.root.object("GET", k.path, "", nil, nil)
	if err != nil {
		w.s.t.Fatal(err)
	}
	i := slices.IndexFunc(k.may, func(m matter) bool {
		if m == nil {
			return a.is(http.StatusNotFound, "NoSuchKey")
		}
		return a.Status == http.StatusOK && bytes.Equal(a.Body, m.bytes())
	})
	if i < 0 {
		w.s.t.Errorf("%s: %s with %d bytes is none of the %d that it may be", k.path, a, len(a.Body), len(k.may))
		return
	}
	k.is(k.may[i])
	k.read = true
}

// list returns the keys of a bucket.
func (w *world) list(bucket string) []string {
	w.s.t.Helper()
	var listing struct {
		Contents []struct{ Key string }
	}
	w.get(bucket, "list-type=2", &listing)
	var keys []string
	for _, entry := range listing.Contents {
		keys = append(keys, entry.Key)
	}
	return keys
}

// get reads a document of the S3 port that has to be there.
func (w *world) get(path, query string, into any) {
	w.s.t.Helper()
	a, err := w.s.root.object("GET", path, query, nil, nil)
	if err != nil || a.Status != http.StatusOK {
		w.s.t.Fatalf("GET %s?%s: %s, %v", path, query, a, err)
	}
	if err := xml.Unmarshal(a.Body, into); err != nil {
		w.s.t.Fatal(err)
	}
}

// verifyBlobs counts: what lives has a blob for each put that it is made of, and
// nothing else has.
func (w *world) verifyBlobs() {
	w.s.t.Helper()
	seeds := map[uint64]bool{}
	see := func(p piece) { seeds[p.seed] = true }
	for _, u := range w.uploads {
		if u.put.acknowledged && !u.deleted.acknowledged && !u.aborted.acknowledged {
			see(piece{seed: u.data})
		}
	}
	for _, k := range w.keys {
		for _, p := range k.now() {
			see(p)
		}
	}
	for _, d := range w.more {
		d.live(see)
	}
	if got := len(w.s.blobs()); got != len(seeds) {
		w.s.t.Errorf("the backend holds %d blobs, want %d", got, len(seeds))
	}
}

// tally counts the events of the audit log, by type and by the id of the upload,
// or else the object, that they are about.
type tally map[logged]int

type logged struct{ kind, id string }

// verifyAudit recomputes the log and looks for the events of what happened.
func (w *world) verifyAudit() {
	w.s.t.Helper()
	if out, ok := w.s.cli("audit", "verify"); !ok {
		w.s.t.Errorf("audit verify: %s", out)
	}
	events := tally{}
	all, _ := w.s.audit()
	for i, e := range all {
		if e.Seq != uint64(i) {
			w.s.t.Fatalf("event %d has number %d", i, e.Seq)
		}
		id := e.Upload
		if id == "" {
			id = e.Object
		}
		events[logged{e.Type, id}]++
	}
	for _, d := range w.more {
		d.logged(events)
	}
	for _, u := range w.uploads {
		for kind, happened := range map[string]bool{
			"upload.created": true, "upload.received": u.put.acknowledged, "upload.finalized": u.finalized.acknowledged,
			"upload.aborted": u.aborted.acknowledged, "object.deleted": u.deleted.acknowledged || u.aborted.acknowledged,
		} {
			if n := events[logged{kind, u.UploadID}]; n > 1 || (n == 1) != happened {
				w.s.t.Errorf("%s is in the log %d times, and it is %t that it happened", kind, n, happened)
			}
		}
		n := events[logged{"object.published", u.UploadID}]
		if n > 1 || n == 1 && !u.finalized.acknowledged || n == 0 && u.finalized.acknowledged && !u.deleted.asked {
			w.s.t.Errorf("object.published is in the log %d times", n)
		}
	}
}
