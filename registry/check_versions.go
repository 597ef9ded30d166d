package registry

import (
	"errors"
	"slices"
	"strings"

	"sallyport/registry/kv"
)

// versions checks that of what is published of a key the newest is current and
// nothing else, that there is one null version at most, and that the index stands
// in the order that lists are in: by key, then newest first.
func (c *checker) versions() error {
	var h keyHistory
	return c.Scan(tVersions, kv.Range{}, func(k, value []byte) error {
		v, err := decodeVersion(value)
		if err != nil {
			return err
		}
		part := strings.SplitN(string(k[:len(k)-9]), "\x00", 3)
		if len(part) != 3 || escaped(unescaped(part[2])) != part[2] || ^lastNumber(k) != v.Seq {
			c.report("a row of versions for %s is under a wrong key", v.Object)
			return nil
		}
		next := keyHistory{bucket: part[0] + "\x00" + part[1], key: unescaped(part[2])}
		if next.bucket == h.bucket && next.key == h.key {
			next = h
		} else {
			if next.bucket == h.bucket && next.key < h.key {
				c.report("versions is out of order before %s", v.Object)
			}
			if err := next.begin(c, v.Seq); err != nil {
				return err
			}
		}
		next.add(c, &v)
		h = next
		return nil
	})
}

// keyHistory is the history of one key, as far as it is published.
type keyHistory struct {
	bucket, key string
	latest      uint64 // of the published versions; it must be current
	nulls       int
	last        uint64 // the version that was added last
}

// begin takes up what names says of the key, which has versions up to first.
func (h *keyHistory) begin(c *checker, first uint64) error {
	h.latest, h.last = first, ^uint64(0)
	b, err := c.get(tNames, []byte(h.bucket+"\x00"+h.key))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	e, err := decodeName(b)
	switch {
	case err != nil:
		return err
	case e.Seq < first:
		c.report("%s is current, a later version is published", e.Object)
	case e.Seq > first: // the null version, which is in no other index
		h.latest, h.nulls = e.Seq, 1
	}
	return nil
}

func (h *keyHistory) add(c *checker, v *versionEntry) {
	if current := v.Seq == h.latest; current == v.Noncurrent {
		c.report("%s is noncurrent: %v, the newest: %v", v.Object, v.Noncurrent, current)
	}
	if v.Seq >= h.last {
		c.report("%s is not in the order of its key's history", v.Object)
	}
	h.last = v.Seq
	if !v.Versioned {
		if h.nulls++; h.nulls > 1 {
			c.report("%s is one null version of several", v.Object)
		}
	}
}

// references checks that every blob has as many references as there are extents,
// of objects and of the parts of open multipart uploads, and that there are no others.
func (c *checker) references() error {
	err := c.Scan(tObjects, kv.Range{}, func(_, value []byte) error {
		var o Object
		if err := decode(tObjects, value, &o); err != nil || len(o.Extents) == 0 {
			return err
		}
		made, err := c.rendered(&o)
		if err != nil {
			return err
		}
		return c.held(o.ID, slices.Concat(o.Extents, made))
	})
	if err != nil {
		return err
	}
	err = c.Scan(tMultiparts, kv.Range{}, func(_, value []byte) error {
		var m Multipart
		if err := decode(tMultiparts, value, &m); err != nil || !m.CompletedAt.IsZero() {
			return err
		}
		var extents []Extent
		parts := 0
		err := c.Scan(tParts, under(m.Tenant, string(m.ID)), func(_, value []byte) error {
			var p Part
			err := decode(tParts, value, &p)
			extents, parts = append(extents, p.Extents...), parts+1
			return err
		})
		if err != nil {
			return err
		}
		if m.Pieces != len(extents)-parts {
			c.report("multipart upload %s has %d pieces more than parts and counts %d", m.ID, len(extents)-parts, m.Pieces)
		}
		return c.held(m.Object(), extents)
	})
	if err != nil {
		return err
	}
	n, err := c.size(tReferences, kv.Range{})
	if err == nil && n != c.counts[tReferences] {
		c.report("%s has %d rows, objects and parts ask for %d", tReferences, n, c.counts[tReferences])
	}
	return err
}

// held checks the references of one holder. A blob without rows is held by the
// object that its key names, once.
func (c *checker) held(holder ObjectID, extents []Extent) error {
	counts := make(map[BlobKey]uint64, len(extents))
	for _, x := range extents {
		counts[x.Blob]++
	}
	for blob, n := range counts {
		have, err := c.txn.references(blob, holder)
		if err != nil {
			return err
		}
		if have > 0 {
			c.counts[tReferences]++
			if have != n {
				c.report("%s refers to a blob %d times, %d are counted", holder, n, have)
			}
			continue
		}
		shared, err := c.shared(blob)
		if err != nil {
			return err
		}
		owner, err := c.ownerOf(blob)
		if err != nil {
			return err
		}
		if shared || owner != holder || n != 1 {
			c.report("%s refers to a blob %d times, uncounted; shared: %v, named by its key: %v", holder, n, shared, owner == holder)
		}
	}
	return nil
}
