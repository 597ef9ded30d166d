package registry

import (
	"encoding/binary"
	"slices"
	"time"

	"sallyport/registry/kv"
)

// The tables; doc.go draws what their keys and values are. Nothing else in
// the package spells a table's name.
const (
	tMeta kv.Table = "meta"

	tTenants    kv.Table = "tenants"
	tPathHashes kv.Table = "path_hashes"
	tPrincipals kv.Table = "principals"
	tBlocked    kv.Table = "blocked"
	tKeys       kv.Table = "keys"
	tKeyList    kv.Table = "key_list"
	tTokens     kv.Table = "tokens"
	tTokenList  kv.Table = "token_list"
	tURLKeys    kv.Table = "url_keys"
	tURLKeyList kv.Table = "url_key_list"
	tBuckets    kv.Table = "buckets"
	tBucketDocs kv.Table = "bucket_documents"

	tUploads        kv.Table = "uploads"
	tUploadsBy      kv.Table = "uploads_by_principal"
	tUploadExpiry   kv.Table = "upload_expiry"
	tIdempotency    kv.Table = "idempotency"
	tIdempotencyAge kv.Table = "idempotency_age"
	tGrants         kv.Table = "grants"

	tObjects      kv.Table = "objects"
	tObjectStates kv.Table = "object_states"
	tNames        kv.Table = "names"
	tPendingNames kv.Table = "names_pending"
	tVersions     kv.Table = "versions"
	tObjectParts  kv.Table = "object_parts"
	tRenditions   kv.Table = "renditions"
	tTimeline     kv.Table = "timeline"

	tMultiparts     kv.Table = "multiparts"
	tMultipartNames kv.Table = "multipart_names"
	tMultipartsDone kv.Table = "multiparts_done"
	tParts          kv.Table = "parts"

	tUsedURLs   kv.Table = "used_urls"
	tUsedURLAge kv.Table = "used_url_age"

	tScanDue    kv.Table = "scan_due"
	tScanClaims kv.Table = "scan_claims"
	tPromoting  kv.Table = "promoting"
	tRescans    kv.Table = "rescans"
	tRescanRuns kv.Table = "rescan_runs"
	tRejected   kv.Table = "rejected"

	tWebhooks        kv.Table = "webhooks"
	tWebhookStates   kv.Table = "webhook_states"
	tWebhookMessages kv.Table = "webhook_messages"
	tWebhookDue      kv.Table = "webhook_due"

	tIntents    kv.Table = "intents"
	tGarbage    kv.Table = "garbage"
	tReferences kv.Table = "references"
)

// ledgerTables are the tables of the ledger itself; the audit log adds its
// own.
var ledgerTables = []kv.Table{
	tMeta,
	tTenants, tPathHashes, tPrincipals, tBlocked, tKeys, tKeyList, tTokens, tTokenList, tURLKeys, tURLKeyList, tBuckets, tBucketDocs,
	tUploads, tUploadsBy, tUploadExpiry, tIdempotency, tIdempotencyAge, tGrants,
	tObjects, tObjectStates, tNames, tPendingNames, tVersions, tObjectParts, tRenditions, tTimeline,
	tMultiparts, tMultipartNames, tMultipartsDone, tParts, tUsedURLs, tUsedURLAge,
	tScanDue, tScanClaims, tPromoting, tRescans, tRescanRuns, tRejected, tIntents, tGarbage, tReferences,
	tWebhooks, tWebhookStates, tWebhookMessages, tWebhookDue,
}

// ledgerAppendTables are those whose keys grow, at least within a tenant.
var ledgerAppendTables = []kv.Table{
	tUploads, tUploadsBy, tUploadExpiry, tIdempotencyAge, tGrants,
	tObjects, tObjectStates, tObjectParts, tRenditions, tTimeline, tMultiparts, tMultipartsDone, tParts, tUsedURLAge,
	tScanDue, tRejected, tIntents, tGarbage, tReferences,
}

// ledgerQuietTables are those that few commits write: who there is, and what their
// buckets are like.
var ledgerQuietTables = []kv.Table{
	tTenants, tPathHashes, tPrincipals, tBlocked, tKeys, tKeyList, tTokens, tTokenList, tURLKeys, tURLKeyList, tBuckets, tBucketDocs,
	tWebhooks, tWebhookStates, tWebhookMessages, tWebhookDue,
}

// Keys of the meta table.
var (
	metaSchema = []byte("schema")
	metaEpoch  = []byte("epoch")
	metaClock  = []byte("clock") // the latest committed time, milliseconds
	metaSeq    = []byte("seq")   // the last place given in any key's history
	metaRoot   = []byte("root")  // access key id of the first start
)

// keyOf joins parts with a zero byte between them. No name or id holds a zero
// byte; a client's S3 key may, and so stands last or is followed by a part of
// fixed length.
func keyOf[T ~string](first T, rest ...string) []byte {
	n := len(first)
	for _, p := range rest {
		n += 1 + len(p)
	}
	k := make([]byte, 0, n+9) // room for a number behind it
	k = append(k, first...)
	for _, p := range rest {
		k = append(k, 0)
		k = append(k, p...)
	}
	return k
}

// under returns the range of the keys that have more parts behind these.
func under[T ~string](first T, rest ...string) kv.Range {
	return kv.Prefix(append(keyOf(first, rest...), 0))
}

// numbered puts n, big-endian, behind k and a zero byte.
func numbered(k []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(k, 0), n)
}

// timed is a key ordered by time first: milliseconds, then tenant and id.
func timed(at time.Time, tenant TenantName, id string) []byte {
	k := make([]byte, 8, 9+len(tenant)+len(id))
	binary.BigEndian.PutUint64(k, millis(at))
	k = append(k, tenant...)
	k = append(k, 0)
	return append(k, id...)
}

// until is the range of timed keys up to and including a moment.
func until(at time.Time) kv.Range {
	return kv.Range{To: timed(at.Add(time.Millisecond), "", "")}
}

// untimed takes a key made by timed apart.
func untimed(k []byte) (at time.Time, tenant TenantName, id string) {
	if len(k) < 9 {
		return time.Time{}, "", ""
	}
	at = fromMillis(binary.BigEndian.Uint64(k))
	i := slices.Index(k[8:], 0)
	if i < 0 {
		return at, "", ""
	}
	return at, TenantName(k[8 : 8+i]), string(k[8+i+1:])
}

func millis(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) }

func fromMillis(ms uint64) time.Time { return time.UnixMilli(int64(ms)).UTC() }

// lastPart returns what stands behind the last zero byte of a key.
func lastPart(k []byte) string {
	for i := len(k) - 1; i >= 0; i-- {
		if k[i] == 0 {
			return string(k[i+1:])
		}
	}
	return string(k)
}
