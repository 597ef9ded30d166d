package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

func (k *killParted) settle() {
	k.s.t.Helper()
	for _, u := range k.all[k.checked:] {
		k.resolve(u)
		k.verifyOne(u)
	}
	for _, u := range k.all[:k.checked] {
		// What was left open goes on, so that its parts are seen.
		if u.open() && k.rng.IntN(2) == 0 {
			k.resume(u)
			if err := k.ask(&u.finalized, "POST", "/uploads/"+u.UploadID+"/finalize", http.StatusOK); err != nil {
				k.s.t.Error(err)
			}
			k.verifyOne(u)
		}
	}
	for range min(k.checked, 2) {
		k.verifyOne(k.all[k.rng.IntN(k.checked)])
	}
	k.checked = len(k.all)
}

func (k *killParted) verify() {
	k.s.t.Helper()
	for _, u := range k.all {
		k.verifyOne(u)
	}
}

func (u *partedSession) open() bool { return !u.finalized.acknowledged && !u.aborted.acknowledged }

func (u *partedSession) bytes() []byte {
	var all []byte
	for _, p := range u.parts {
		all = append(all, p.stored.bytes()...)
	}
	return all
}

// resume stores what is missing.
func (k *killParted) resume(u *partedSession) {
	k.s.t.Helper()
	for _, p := range u.parts {
		if p.stored != nil {
			continue
		}
		if err := k.put(u, p); err != nil {
			k.s.t.Errorf("a part from before a crash: %v", err)
		}
	}
}

// resolve finds out what became of the last step.
func (k *killParted) resolve(u *partedSession) {
	k.s.t.Helper()
	state := stateOf(k.call("GET", "/uploads/"+u.UploadID))
	if u.aborted.asked && !u.aborted.acknowledged {
		u.aborted.acknowledged = state == "aborted"
	}
	if u.finalized.asked && !u.finalized.acknowledged {
		u.finalized.acknowledged = state == "finalized"
	}
	if u.deleted.asked && !u.deleted.acknowledged {
		a := k.call("GET", "/objects/"+u.ObjectID)
		u.deleted.acknowledged = a.Status == http.StatusNotFound || stateOf(a) == "deleted"
	}
	listed := k.listed(u)
	for _, p := range u.parts {
		row := listed[p.number]
		if p.registered.asked && !p.registered.acknowledged {
			p.registered.acknowledged = row.Registered
		}
		if p.coming == nil {
			continue
		}
		k.lost++
		if row.ETag != p.coming.etag() {
			fresh := wholePiece(k.serial.Add(1), p.size)
			p.coming = &fresh
			if a, err := k.send(p, fresh); err != nil || a.Status != http.StatusOK {
				k.s.t.Errorf("the URL of an interrupted part: %s, %v", a, err)
			}
		}
		p.keep(u)
	}
}

// partedRow is a stored part as it is listed.
type partedRow struct {
	Number     int `json:"part_number"`
	Size       int
	ETag       string
	Registered bool
}

func (k *killParted) listed(u *partedSession) map[int]partedRow {
	k.s.t.Helper()
	a := k.call("GET", "/uploads/"+u.UploadID+"/parts")
	var list struct{ Parts []partedRow }
	if err := json.Unmarshal(a.Body, &list); a.Status != http.StatusOK || err != nil {
		k.s.t.Fatalf("parts of a session: %s, %v", a, err)
	}
	rows := map[int]partedRow{}
	for _, row := range list.Parts {
		rows[row.Number] = row
	}
	return rows
}

// verifyOne looks whether a session is what its history says.
func (k *killParted) verifyOne(u *partedSession) {
	k.s.t.Helper()
	for _, p := range u.parts {
		k.verifySpent(u, p)
	}
	if u.open() {
		k.verifyParts(u)
	} else if rows := k.listed(u); len(rows) > 0 {
		k.s.t.Errorf("a session that is over has %d parts", len(rows))
	}
	if u.finalized.acknowledged && !u.deleted.acknowledged {
		eventually(k.s.t, "a session in parts is published", func() bool { return k.s.root.objectState(u.ObjectID) == "published" })
	}
	got := k.call("GET", "/objects/"+u.ObjectID+"/content")
	switch {
	case u.deleted.acknowledged:
		if got.Status != http.StatusNotFound && !got.is(http.StatusConflict, "OBJECT_NOT_PUBLISHED") {
			k.s.t.Errorf("a deleted object of parts: %s", got)
		}
	case u.finalized.acknowledged:
		if got.Status != http.StatusOK || !bytes.Equal(got.Body, u.bytes()) {
			k.s.t.Errorf("a published object of %d parts and %d bytes: %s with %d", len(u.parts), u.size, got, len(got.Body))
		}
	case got.Status == http.StatusOK:
		k.s.t.Error("an object of parts is readable before it was published")
	}
}

// verifyParts compares what is listed of a session that waits.
func (k *killParted) verifyParts(u *partedSession) {
	k.s.t.Helper()
	rows := k.listed(u)
	for _, p := range u.parts {
		row, there := rows[p.number]
		switch {
		case there != (p.stored != nil):
			k.s.t.Errorf("part %d is listed: %t, and stored: %t", p.number, there, p.stored != nil)
		case there && (row.ETag != p.stored.etag() || row.Size != p.size || row.Registered != p.registered.acknowledged):
			k.s.t.Errorf("part %d is listed as %+v, want %s of %d, registered %t", p.number, row, p.stored.etag(), p.size, p.registered.acknowledged)
		}
	}
}

// verifySpent tries a URL again that was used, or whose session is over.
func (k *killParted) verifySpent(u *partedSession, p *partedPart) {
	k.s.t.Helper()
	if p.url.URL == "" || u.open() && !p.used.acknowledged {
		return
	}
	a, err := k.send(p, wholePiece(k.serial.Add(1), 1)) // that it is too short is told later
	if err != nil || !a.is(http.StatusConflict, "UploadURLAlreadyUsed") && !a.is(http.StatusForbidden, "AccessDenied") {
		k.s.t.Errorf("a part's spent URL: %s, %v", a, err)
	}
}

func (k *killParted) live(see func(piece)) {
	for _, u := range k.all {
		for _, p := range u.parts {
			if p.stored != nil && !u.aborted.acknowledged && !u.deleted.acknowledged {
				see(*p.stored)
			}
		}
	}
}

func (k *killParted) logged(events tally) {
	k.s.t.Helper()
	for _, u := range k.all {
		once := map[bool]int{true: 1}
		for kind, want := range map[string]int{
			"upload.created": 1, "upload.part_received": u.received, "upload.received": once[u.finalized.acknowledged],
			"upload.finalized": once[u.finalized.acknowledged], "upload.aborted": once[u.aborted.acknowledged],
		} {
			if n := events[logged{kind, u.UploadID}]; n != want {
				k.s.t.Errorf("%s of a session in parts is in the log %d times, want %d", kind, n, want)
			}
		}
	}
}

func (k *killParted) report() (string, bool) {
	var finalized, long, replaced, registered, aborted int
	for _, u := range k.all {
		switch {
		case u.aborted.acknowledged:
			aborted++
		case u.finalized.acknowledged:
			finalized++
			if len(u.parts) > 1 {
				long++
			}
		}
		replaced += max(0, u.received-len(u.parts))
		for _, p := range u.parts {
			if p.registered.acknowledged {
				registered++
			}
		}
	}
	return fmt.Sprintf("sessions in parts: %d finalized, %d of them of several parts, %d aborted; %d parts replaced, %d registered, %d interrupted",
			finalized, long, aborted, replaced, registered, k.lost),
		long > 0 && aborted > 0 && replaced > 0 && registered > 0 && k.lost > 0
}
