package registry

import "time"

// Conditions of a write on the latest accepted write of its key, visible or
// not. "" asks for nothing, "*" for any, else an ETag without quotes.
type Conditions struct {
	IfMatch     string
	IfNoneMatch string
}

// holds is ErrPrecondition if the conditions do not hold; an If-Match on a key
// that nothing, or a delete marker, is under is ErrNotFound. See
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
func (t *txn) holds(c Conditions, tenant TenantName, bucket BucketName, key string) error {
	if c == (Conditions{}) {
		return nil
	}
	last, err := t.latest(tenant, bucket, key)
	if err != nil {
		return err
	}
	exists := last != nil && !last.marker
	switch {
	case c.IfMatch != "" && !exists:
		return ErrNotFound
	case c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != last.ETag:
		return ErrPrecondition
	case c.IfNoneMatch != "" && exists && (c.IfNoneMatch == "*" || c.IfNoneMatch == last.ETag):
		return ErrPrecondition
	}
	return nil
}

// asks tells whether the deletion has conditions.
func (d *Deletion) asks() bool { return d.IfMatch != "" || d.IfSize != nil || d.IfModified != nil }

// holdsFor is ErrPrecondition if the conditions do not hold for what is to be
// deleted: nil for nothing, which is ErrNotFound. See
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html.
func (d *Deletion) holdsFor(last *standing) error {
	switch {
	case !d.asks():
		return nil
	case last == nil:
		return ErrNotFound
	case last.marker,
		d.IfMatch != "" && d.IfMatch != "*" && d.IfMatch != last.ETag,
		d.IfSize != nil && *d.IfSize != last.Size,
		d.IfModified != nil && !d.IfModified.Truncate(time.Second).Equal(last.ModifiedAt.Truncate(time.Second)):
		return ErrPrecondition
	}
	return nil
}
