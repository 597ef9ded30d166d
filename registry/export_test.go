package registry

import (
	"context"
	"fmt"

	"sallyport/registry/kv"
)

// StoreOf opens the ledger's store to tests that break things.
func StoreOf(l *Ledger) kv.Store { return l.store }

// Tell writes n leaves of a tenant that are no notices.
func Tell(ctx context.Context, l *Ledger, tenant TenantName, n int) error {
	return l.update(ctx, func(t *txn) error {
		for range n {
			if _, err := t.record(t.event(EventBucketConfigured, System(tenant))); err != nil {
				return err
			}
		}
		return nil
	})
}

// FillKey is the S3 key of the i-th object that Fill makes: 1,000 to a folder.
func FillKey(i int) string { return fmt.Sprintf("folder-%04d/object-%03d.jpg", i/1000, i%1000) }

// Fill writes n published objects straight into the tables, for measuring a
// large ledger. Their audit events are left out: Check would complain.
func Fill(ctx context.Context, l *Ledger, tenant TenantName, bucket BucketName, n int) error {
	for start := 0; start < n; start += 5000 {
		err := l.update(ctx, func(t *txn) error {
			for i := start; i < min(start+5000, n); i++ {
				id, err := l.ids.next(prefixObject, t.now)
				if err != nil {
					return err
				}
				o := Object{
					ID: ObjectID(id), Tenant: tenant, Principal: "amy", Bucket: bucket, Key: FillKey(i), Seq: uint64(i) + 1,
					State: ObjectPublished, ContentType: "image/jpeg", DetectedType: "image/jpeg", Size: 4096,
					SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", ETag: "5d41402abc4b2a76b9719d911017c592",
					Extents:   []Extent{{Blob: acceptedKey("0123456789abcdef0123456789abcdef", t.now, ObjectID(id)), Length: 4096}},
					Verdict:   &Verdict{Result: VerdictClean, Engines: []EngineNote{{Name: "inspect", Result: "clean"}}, At: t.now},
					CreatedAt: t.now, ModifiedAt: t.now, PublishedAt: t.now,
				}
				if err := t.write(&o, nil); err != nil {
					return err
				}
			}
			return t.setNumber(metaSeq, uint64(n))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
