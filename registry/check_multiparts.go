package registry

import (
	"bytes"
	"errors"
	"strings"

	"sallyport/registry/kv"
)

// multiparts checks that each multipart upload stands in the list of the open or of
// the completed ones, that parts belong to open ones, that what is remembered of an
// object's parts is what it is made of, and that each used URL has its age.
func (c *checker) multiparts() error {
	for _, part := range []func() error{c.multipartLists, c.multipartParts, c.objectParts, c.usedURLs} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// multipartLists counts on what it finds: the lists hold nothing else.
func (c *checker) multipartLists() error {
	err := c.Scan(tMultiparts, kv.Range{}, func(key, value []byte) error {
		var m Multipart
		if err := decode(tMultiparts, value, &m); err != nil {
			return err
		}
		if !bytes.Equal(key, keyOf(m.Tenant, string(m.ID))) {
			c.report("multipart upload %s is under another's key", m.ID)
			return nil
		}
		table, entry := tMultipartNames, multipartName(&m)
		if !m.CompletedAt.IsZero() {
			table, entry = tMultipartsDone, timed(m.CompletedAt, m.Tenant, string(m.ID))
		}
		c.counts[table]++
		known, err := c.has(table, entry)
		if err == nil && !known {
			c.report("multipart upload %s is missing from %s", m.ID, table)
		}
		return err
	})
	for _, table := range []kv.Table{tMultipartNames, tMultipartsDone} {
		n, sizeErr := c.size(table, kv.Range{})
		if err = errors.Join(err, sizeErr); err == nil && n != c.counts[table] {
			c.report("%s has %d entries, multipart uploads ask for %d", table, n, c.counts[table])
		}
	}
	return err
}

func (c *checker) multipartParts() error {
	return c.Scan(tParts, kv.Range{}, func(key, value []byte) error {
		tenant, rest, _ := strings.Cut(string(key), "\x00")
		id, _, _ := strings.Cut(rest, "\x00")
		if !strings.HasPrefix(id, prefixMultipart) {
			return nil // of a session
		}
		var p Part
		if err := decode(tParts, value, &p); err != nil {
			return err
		}
		var size int64
		for _, x := range p.Extents {
			size += x.Length
		}
		if size != p.Size || len(p.Extents) == 0 || !bytes.Equal(key, partKey(TenantName(tenant), id, p.Number)) {
			c.report("multipart upload %s has a part %d of %d bytes, and %d are there", id, p.Number, p.Size, size)
		}
		m, err := c.multipartByID(TenantName(tenant), MultipartID(id))
		if err == nil && !m.CompletedAt.IsZero() {
			c.report("multipart upload %s is completed and has part %d", id, p.Number)
		}
		if errors.Is(err, ErrNoUpload) {
			c.report("part %d belongs to no multipart upload", p.Number)
			return nil
		}
		return err
	})
}

// objectParts checks the notes against their objects.
func (c *checker) objectParts() error {
	noted := 0
	err := c.Scan(tObjects, kv.Range{}, func(key, value []byte) error {
		var o Object
		if err := decode(tObjects, value, &o); err != nil || o.PartCount == 0 || o.State == ObjectDeleted {
			return err
		}
		var notes partNotes
		err := c.load(tObjectParts, key, &notes)
		if errors.Is(err, ErrNotFound) {
			c.report("object %s has %d parts, and nothing is known of them", o.ID, o.PartCount)
			return nil
		}
		noted++
		var size int64
		for _, p := range notes.Parts {
			size += p.Size
		}
		if size != o.Size || len(notes.Parts) != o.PartCount {
			c.report("object %s has %d bytes in %d parts, its notes say %d in %d", o.ID, o.Size, o.PartCount, size, len(notes.Parts))
		}
		return err
	})
	if err != nil {
		return err
	}
	n, err := c.size(tObjectParts, kv.Range{})
	if err == nil && n != noted {
		c.report("%s has %d rows, objects ask for %d", tObjectParts, n, noted)
	}
	return err
}

func (c *checker) usedURLs() error {
	return errors.Join(
		c.Scan(tUsedURLs, kv.Range{}, func(key, value []byte) error {
			tenant, hash, _ := strings.Cut(string(key), "\x00")
			known, err := c.has(tUsedURLAge, timed(fromMillis(lastNumber(value)), TenantName(tenant), hash))
			if err == nil && !known {
				c.report("a used URL of %s has no age", tenant)
			}
			return err
		}),
		c.sameSize(tUsedURLs, tUsedURLAge),
	)
}

func (c *checker) sameSize(a, b kv.Table) error {
	n, err := c.size(a, kv.Range{})
	if err != nil {
		return err
	}
	m, err := c.size(b, kv.Range{})
	if err == nil && n != m {
		c.report("%s has %d rows, %s %d", a, n, b, m)
	}
	return err
}
