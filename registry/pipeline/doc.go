// Package pipeline moves: it is the only code that holds the ledger and the
// bytes together, and every way of a byte in or out leads through it.
//
// The order of a write is always the same, and so is what a crash leaves:
//
//	the ledger knows the key   we die: an intent of a dead epoch; Sweep deletes
//	bytes durable under it     we die: the same, and the bytes go with it
//	the ledger commits         we die: the object exists; the client may not know
//	the answer
//
// A delete goes the other way: the row goes first and its blobs onto the garbage
// list in the same transaction; Sweep deletes the bytes until the store confirms,
// and only then is the entry struck off. Recover, at start, is nothing but the
// work that the tickers of Run do.
//
// Copies, copied parts and the completion of a multipart upload move no bytes: the
// ledger lets one more object refer to what is there. They read only what they are
// asked to tell of it: a checksum that is not recorded, or the head of an assembled
// object, whose type is judged before the answer where its bucket publishes at once.
//
// Promotion is three steps, each of which can be repeated: the scan settles and
// records where each blob is to go, each blob is moved, the object is published
// under its new keys.
//
// Rights are policy's; this package asks before every verb. Signatures and
// protocols are not its business: an Actor is proved before it gets here.
package pipeline
