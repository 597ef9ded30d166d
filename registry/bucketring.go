package registry

import (
	"sync/atomic"

	"sallyport/registry/kv"
)

// bucketring keeps the buckets that requests asked for lately, and their lifecycle
// rules: every read and write through the S3 port looks at both. It counts as a
// keyring does.
type bucketring struct {
	writes     atomic.Uint64 // to the tables of buckets
	rows       remembered[bucketID, Bucket]
	lifecycles remembered[bucketID, []LifecycleRule] // nil: it has none
}

type bucketID struct {
	tenant TenantName
	name   BucketName
}

// ofBuckets tells whether a bucketring depends on a table.
func ofBuckets(table kv.Table) bool { return table == tBuckets || table == tBucketDocs }
