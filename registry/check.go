package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"sallyport/registry/kv"
)

// ErrInconsistent is the class of what Check finds.
var ErrInconsistent = errors.New("ledger is inconsistent")

// maxFindings bounds what one Check reports.
const maxFindings = 20

// Check compares the ledger with itself: every index entry with the row it
// points at, uploads with their objects, names and versions with what is
// published, references, intents and garbage with what rows refer to, each row's
// state with its audit events, and the audit log with its signed head. It returns
// what it found, joined, as ErrInconsistent or ErrTampered. It holds one snapshot and walks everything:
// it is for tests and for fsck, on a ledger that nothing else is using.
func (l *Ledger) Check(ctx context.Context) error {
	err := l.view(ctx, func(t *txn) error {
		c := checker{txn: t, counts: make(map[kv.Table]int)}
		for _, part := range []func() error{c.uploads, c.sessionParts, c.objects, c.indexes, c.versions, c.references, c.multiparts, c.blobs, c.identities, c.webhooks} {
			if err := part(); err != nil {
				return err
			}
		}
		return errors.Join(c.found...)
	})
	if err == nil {
		_, err = l.VerifyAudit(ctx)
	}
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return nil
}

// checker gathers findings. Its methods return only errors that keep it from
// looking.
type checker struct {
	*txn
	counts map[kv.Table]int // entries that rows ask for
	seq    uint64           // the highest place in any key's history
	found  []error
}

func (c *checker) report(format string, args ...any) {
	if len(c.found) < maxFindings {
		c.found = append(c.found, fmt.Errorf("%w: "+format, append([]any{ErrInconsistent}, args...)...))
	}
}

func (c *checker) uploads() error {
	return c.Scan(tUploads, kv.Range{}, func(key, value []byte) error {
		var u Upload
		if err := decode(tUploads, value, &u); err != nil {
			return err
		}
		if _, k := u.row(); !bytes.Equal(k, key) {
			c.report("upload %s is under another's key", u.ID)
		}
		if err := c.entriesOf(string(u.ID), &u); err != nil {
			return err
		}
		o, err := c.object(u.Tenant, u.Object)
		if errors.Is(err, ErrNotFound) {
			c.report("upload %s has no object", u.ID)
			return nil
		}
		if err != nil {
			return err
		}
		c.pair(&u, &o)
		if known, err := c.has(tGrants, keyOf(u.Tenant, string(u.Grant))); err != nil {
			return err
		} else if !known && u.PartSize == 0 {
			c.report("the latest grant of upload %s is gone", u.ID)
		}
		return c.history(&o, &u)
	})
}

// pair checks that session and object are in states that go together.
func (c *checker) pair(u *Upload, o *Object) {
	open := u.State == UploadCreated || u.State == UploadUploading || u.State == UploadUploaded
	over := u.State == UploadAborted || u.State == UploadExpired
	switch {
	case o.Upload != u.ID:
		c.report("object %s is not of upload %s", o.ID, u.ID)
	case o.Size != u.Size:
		c.report("upload %s has %d bytes and object %s %d", u.ID, u.Size, o.ID, o.Size)
	case open != (o.State == ObjectPending):
		c.report("upload %s is %s and object %s is %s", u.ID, u.State, o.ID, o.State)
	case over && o.State != ObjectDeleted:
		c.report("upload %s is %s and object %s is %s", u.ID, u.State, o.ID, o.State)
	}
	if stored := u.State == UploadUploaded || u.State == UploadFinalized; stored != (u.Stored != nil) && !over {
		c.report("upload %s is %s, stored: %v", u.ID, u.State, u.Stored != nil)
	}
	if holds := u.PartSize == 0 && (u.State == UploadUploading || u.State == UploadUploaded); holds != (u.Staging != "") {
		c.report("upload %s is %s, staging key: %v", u.ID, u.State, u.Staging != "")
	}
}

func (c *checker) objects() error {
	err := c.Scan(tObjects, kv.Range{}, func(key, value []byte) error {
		var o Object
		if err := decode(tObjects, value, &o); err != nil {
			return err
		}
		if _, k := o.row(); !bytes.Equal(k, key) {
			c.report("object %s is under another's key", o.ID)
		}
		c.seq = max(c.seq, o.Seq)
		c.bytesOf(&o)
		if err := c.entriesOf(string(o.ID), &o); err != nil {
			return err
		}
		if err := errors.Join(c.partsOf(&o), c.renditionsOf(&o)); err != nil {
			return err
		}
		if o.Upload == "" {
			return c.history(&o, nil)
		}
		if known, err := c.has(tUploads, keyOf(o.Tenant, string(o.Upload))); err != nil {
			return err
		} else if !known {
			c.report("object %s has no upload", o.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	last, err := c.number(metaSeq)
	if err == nil && last < c.seq {
		c.report("seq %d was given, the counter says %d", c.seq, last)
	}
	return err
}

// bytesOf checks that an object has bytes exactly when its state says so, and
// was judged before it became visible.
func (c *checker) bytesOf(o *Object) {
	var size int64
	for _, x := range o.Extents {
		size += x.Length
	}
	none := o.Marker || o.State == ObjectPending || o.Destroyed || o.State == ObjectDeleted && len(o.Targets) == 0
	switch {
	case none && len(o.Extents) > 0:
		c.report("object %s is %s and has bytes", o.ID, o.State)
	case !none && (len(o.Extents) == 0 || size != o.Size):
		c.report("object %s is %s with %d of %d bytes", o.ID, o.State, size, o.Size)
	case o.Marker && (o.Size != 0 || o.ETag != "" || o.Metadata != nil || o.Tags != nil || o.Retention != nil):
		c.report("delete marker %s has content", o.ID)
	case o.Noncurrent && o.State != ObjectPublished:
		c.report("object %s is %s and noncurrent", o.ID, o.State)
	case o.State == ObjectPublished && o.Verdict == nil && !o.Marker:
		c.report("object %s was published without a verdict", o.ID)
	case len(o.Targets) > 0 && len(o.Targets) != len(o.Extents):
		c.report("object %s has %d targets for %d extents", o.ID, len(o.Targets), len(o.Extents))
	case o.Destroyed && o.State != ObjectRejected && o.State != ObjectDeleted:
		c.report("object %s is %s and destroyed", o.ID, o.State)
	case (o.State == ObjectRejected) == o.RejectedAt.IsZero():
		c.report("object %s is %s, time of its rejection: %v", o.ID, o.State, !o.RejectedAt.IsZero())
	case o.Rescan != nil && (o.State != ObjectPublished || o.Marker):
		c.report("object %s is %s and waits for a rescan", o.ID, o.State)
	case o.Proposal != nil && o.State != ObjectRejected && !o.Held:
		c.report("object %s is %s and its release is proposed", o.ID, o.State)
	case o.Held && o.State != ObjectQuarantined:
		c.report("object %s is %s and held", o.ID, o.State)
	case o.State == ObjectQuarantined && o.Held == (o.Scan != nil):
		c.report("object %s is quarantined, held: %v, queued: %v", o.ID, o.Held, o.Scan != nil)
	}
}

// partsOf checks that what is remembered of an object's parts lives as long as it.
func (c *checker) partsOf(o *Object) error {
	if o.PartCount == 0 || o.State == ObjectDeleted {
		return nil
	}
	c.counts[tObjectParts]++
	known, err := c.has(tObjectParts, keyOf(o.Tenant, string(o.ID)))
	if err == nil && !known {
		c.report("the parts of object %s are forgotten", o.ID)
	}
	return err
}

// entriesOf checks that every index entry the row asks for is there.
func (c *checker) entriesOf(id string, x stateful) error {
	var want entries
	x.index(want.add)
	for _, e := range want {
		c.counts[e.table]++
		value, err := c.get(e.table, e.key)
		if errors.Is(err, ErrNotFound) {
			c.report("%s is missing from %s", id, e.table)
			continue
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(value, e.value) {
			c.report("%s has another value in %s", id, e.table)
		}
	}
	return nil
}

// indexes checks that there is no entry that no row asks for: each one asked
// for was found, so the counts tell.
func (c *checker) indexes() error {
	for _, table := range []kv.Table{
		tUploadsBy, tUploadExpiry, tObjectStates, tNames, tPendingNames, tVersions, tObjectParts, tRenditions, tScanDue, tScanClaims, tPromoting, tRescans, tRejected,
	} {
		n, err := c.size(table, kv.Range{})
		if err != nil {
			return err
		}
		if n != c.counts[table] {
			c.report("%s has %d entries, rows ask for %d", table, n, c.counts[table])
		}
	}
	return nil
}

// blobs checks that what is to be deleted is referred to by nothing, and that
// an intent is only referred to by the attempt that writes under it.
func (c *checker) blobs() error {
	seq, err := c.number(metaSeq)
	if err != nil {
		return err
	}
	err = c.Scan(tGarbage, kv.Range{}, func(key, value []byte) error {
		if n := lastNumber(key); n > seq {
			c.report("garbage %d is beyond the counter", n)
		}
		referred, err := c.referred(BlobKey(value))
		if referred {
			c.report("garbage %d is referred to", lastNumber(key))
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.Scan(tUploads, kv.Range{}, func(_, value []byte) error {
		var u Upload
		if err := decode(tUploads, value, &u); err != nil || u.Staging == "" {
			return err
		}
		intent, err := c.has(tIntents, intentKey(u.Epoch, u.Staging))
		switch {
		case err != nil:
			return err
		case intent && u.State == UploadUploaded:
			c.report("the bytes of upload %s are still an intent", u.ID)
		case !intent && u.State == UploadUploading && u.Epoch == c.l.epoch:
			c.report("upload %s is being received without an intent", u.ID)
		}
		return nil
	})
}

// history checks an object's timeline: the states in its events follow one
// another and end in those of the rows.
func (c *checker) history(o *Object, u *Upload) error {
	seqs, err := c.leaves(o, 0, math.MaxInt)
	if err != nil {
		return err
	}
	events, err := leavesAt(c.Tx, o.Tenant, seqs)
	if err != nil {
		return err
	}
	if len(events) != len(seqs) {
		c.report("the timeline of %s has leaves of another tenant", o.ID)
	}
	upload, object := unborn, unborn
	if u != nil {
		object = string(ObjectPending) // born with its session, which one event tells of
	}
	for _, ev := range events {
		if ev.Object != o.ID {
			c.report("the timeline of %s has leaf %d of another object", o.ID, ev.Seq)
		}
		at := &object
		if isUploadEvent(ev.Type) {
			at = &upload
		}
		if ev.From == "" && ev.To == "" {
			continue
		}
		if ev.From != *at {
			c.report("leaf %d says %s was %q, it was %q", ev.Seq, o.ID, ev.From, *at)
		}
		*at = ev.To
	}
	if object != string(o.State) {
		c.report("object %s is %s, its events say %s", o.ID, o.State, object)
	}
	if u != nil && upload != string(u.State) {
		c.report("upload %s is %s, its events say %s", u.ID, u.State, upload)
	}
	return nil
}

func isUploadEvent(t EventType) bool {
	switch t {
	case EventUploadCreated, EventUploadURLIssued, EventUploadReceiving, EventUploadReceived,
		EventUploadPutFailed, EventUploadFinalized, EventUploadAborted, EventUploadExpired,
		EventUploadPartReceived, EventUploadPartRegistered:
		return true
	}
	return false
}

// identities checks that the lists of keys and tokens and what is blocked say
// what their rows say.
func (c *checker) identities() error {
	for _, pair := range [...]struct{ rows, list kv.Table }{
		{tKeys, tKeyList}, {tTokens, tTokenList}, {tURLKeys, tURLKeyList}, {tTenants, tPathHashes},
	} {
		rows, err := c.size(pair.rows, kv.Range{})
		if err != nil {
			return err
		}
		listed, err := c.size(pair.list, kv.Range{})
		if err != nil {
			return err
		}
		if rows != listed {
			c.report("%s has %d rows, %s %d", pair.rows, rows, pair.list, listed)
		}
	}
	return c.Scan(tKeys, kv.Range{}, func(_, value []byte) error {
		var k keyRow
		if err := decode(tKeys, value, &k); err != nil {
			return err
		}
		if _, err := c.l.seals.open(k.Sealed, keyLabel(k.ID)); err != nil {
			c.report("the secret of key %s does not open", k.ID)
		}
		blocked, err := c.has(tBlocked, blockedCredential(string(k.ID)))
		if err == nil && blocked != k.Revoked {
			c.report("key %s, revoked: %v, blocked: %v", k.ID, k.Revoked, blocked)
		}
		return err
	})
}
