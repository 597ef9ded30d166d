package registry

import (
	"errors"
	"slices"
	"strings"
)

// withdrawParts drops the parts of open multipart uploads that share bytes with an
// object that was rejected: what the upload becomes is inspected anew, but a bucket
// that publishes at once looks at little of it. Completing it is ErrPart then.
func (t *txn) withdrawParts(o *Object) error {
	withdrawn := make(map[BlobKey]bool, len(o.Extents))
	uploads := make(map[MultipartID]bool)
	for _, x := range o.Extents {
		if withdrawn[x.Blob] {
			continue
		}
		withdrawn[x.Blob] = true
		holders, err := t.holders(x.Blob)
		if err != nil {
			return err
		}
		for _, id := range holders {
			uploads[MultipartID(prefixMultipart+strings.TrimPrefix(string(id), prefixObject))] = true
		}
	}
	for id := range uploads {
		m, err := t.multipartByID(o.Tenant, id)
		if errors.Is(err, ErrNoUpload) || err == nil && !m.CompletedAt.IsZero() {
			continue // an object, which sharing has found
		}
		if err == nil {
			err = t.withdrawPartsOf(&m, withdrawn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) withdrawPartsOf(m *Multipart, withdrawn map[BlobKey]bool) error {
	parts, err := t.parts(m.Tenant, string(m.ID))
	if err != nil {
		return err
	}
	for i := range parts {
		p := &parts[i]
		if !slices.ContainsFunc(p.Extents, func(x Extent) bool { return withdrawn[x.Blob] }) {
			continue
		}
		if _, err := m.count(&Part{}, p); err != nil {
			return err
		}
		if err := t.dropPart(m, p); err != nil {
			return err
		}
	}
	return t.putMultipart(m)
}
