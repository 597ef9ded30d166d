package registry

import "time"

// join makes one whole of a session's parts, which are no more afterwards.
// ErrUploadNotReceived unless all of them are stored. One event says that all of
// it is received; it also registers what the client has not.
func (t *txn) join(by Actor, u *Upload, sha256 string) (gathered, error) {
	switch {
	case !u.open():
		_, err := next(uploadFinalize, u.place())
		return gathered{}, err
	case !u.complete():
		return gathered{}, ErrUploadNotReceived
	}
	got := gathered{extents: make([]Extent, 0, u.PartCount()), parts: make([]Part, 0, u.PartCount())}
	etags := make([]string, 0, u.PartCount())
	err := t.eachSessionPart(u, 1, func(p Part) error {
		if p.Extents == nil || p.Number != len(got.parts)+1 {
			return ErrUploadNotReceived
		}
		got.extents, got.parts, etags = append(got.extents, p.Extents...), append(got.parts, p), append(etags, p.ETag)
		return nil
	})
	if err == nil && len(got.parts) != u.PartCount() {
		err = ErrUploadNotReceived
	}
	if err != nil {
		return gathered{}, err
	}
	etag, err := multipartETag(etags)
	if err != nil {
		return gathered{}, err
	}
	notes := notesOf(got.parts)
	if err := t.put(tObjectParts, keyOf(u.Tenant, string(u.Object)), &notes); err != nil {
		return gathered{}, err
	}
	for _, p := range got.parts {
		if err := t.Delete(tParts, partKey(u.Tenant, string(u.ID), p.Number)); err != nil {
			return gathered{}, err
		}
	}
	ev := t.event(EventUploadReceived, by)
	ev.Size, ev.Part = &u.Size, len(got.parts)
	return got, t.apply(uploadComplete, u, ev, func() {
		u.Stored = &Stored{Size: u.Size, MD5: etag}
		u.LeaseUntil, u.Epoch = time.Time{}, 0
		if u.SHA256 == "" {
			u.SHA256 = sha256
		}
	})
}

// dropSessionParts makes garbage of a session's parts. A running attempt keeps its
// intent until it notices, through ErrFenced, that it lost.
func (t *txn) dropSessionParts(u *Upload) error {
	if u.PartSize == 0 {
		return nil
	}
	var parts []Part
	err := t.eachSessionPart(u, 1, func(p Part) error {
		parts = append(parts, p)
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range parts {
		for _, x := range p.Extents {
			if err := t.discard(x.Blob); err != nil {
				return err
			}
		}
		if p.Staging != "" {
			if err := t.discard(p.Staging); err != nil {
				return err
			}
		}
		if err := t.Delete(tParts, partKey(u.Tenant, string(u.ID), p.Number)); err != nil {
			return err
		}
	}
	return nil
}
