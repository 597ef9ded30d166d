// Package sigv4 proves requests signed with AWS Signature Version 4 as S3 uses
// it, and signs them. It works on a request as it came on the wire and knows no
// HTTP library.
//
// # Verifying
//
//	request  what came               [Request]: raw path, raw query, header lines
//	   │ Parse                       no secret needed; proves nothing
//	claim    what it says of itself  [Claim]: access key, scope, time, payload kind
//	   │ KeyCache.Get                the secret is asked for at most once a day
//	key      derived for that scope  [SigningKey]
//	   │ Verifier.Verify             scope, time, signature
//	proved
//
// [Verifier.Verify] is three checks in S3's order. A caller with an order of its
// own calls [Verifier.CheckScope], [Verifier.CheckSignature] and
// [Verifier.CheckTime] itself; a request is proved when all three have returned
// nil. Every refusal is an [*Error] with a [Code] of a closed set.
//
// After that the claim's slices, [Claim.Value] for x-amz-* settings, and
// [Request.Param] may be trusted. Headers that are not signed may not: of those
// only x-amz-* are refused, for a proxy may add others. Ask
// [Claim.SignedHeaders] where it matters.
//
// # Paths
//
// The canonical path is the path that came. Nothing is decoded, no dot segment
// or double slash is removed, and "%2F" is never "/". There are two readings,
// tried in this order; SDKs send paths for which both are the same:
//
//   - as AWS encodes: bytes that should have been escaped and were not are
//     escaped, "%7E" and other escapes of unreserved characters are undone. So
//     a client may sign "%28" and send "(".
//   - as sent. curl --aws-sigv4 signs so.
//
// An escape with lower-case hex is what it is: "%2f" does not verify where
// "%2F" was signed. Two paths that verify with one signature therefore always
// decode to the same bytes, and never differ in one bit.
//
// # Queries
//
// Parameters are brought to AWS's encoding by the same rules, "+" being a
// space, and sorted by encoded name and value; a name without "=" has an empty
// value; ";" separates nothing. Only X-Amz-Signature stays out, by its exact
// name. Order and encoding are thus free, as clients need it, and every other
// change is refused.
//
// # Headers
//
// Values are trimmed and runs of spaces in them collapsed; lines of one name
// are joined with commas in their order. Host must be signed and be there once.
// Every x-amz-* header that came must be signed (x-amz-content-sha256 ends the
// canonical request and is covered so); each signed header must have come.
//
// # Bodies
//
// What a signature says of the body is in [Claim.Payload]:
//
//   - PayloadHash: compare [Claim.SHA256] with that of the bytes.
//   - PayloadUnsigned: nothing.
//   - the streaming kinds: read it through a [ChunkReader], whose bytes are
//     those of the object.
//   - PayloadAbsent: a header-signed request without x-amz-content-sha256, as
//     curl before version 8 sends it. S3 refuses it, and so does CheckSignature
//     unless the caller has read the body and put its hash into
//     [Claim.ContentSHA256].
//
// A ChunkReader hands out bytes before they are proved; only io.EOF proves them.
//
// # Forms
//
// A browser's POST is proved by its policy, a document in base64 that is the
// string to sign: see [Form] and [ParseForm].
//
// # Signing
//
// [PresignURL] writes a URL, [SignHeader] an Authorization header. Either signs
// for the day, region and access key of the [SigningKey] it is given, from
// [KeyCache.Get] or [DeriveKey].
package sigv4
