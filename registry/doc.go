// Package registry is the ledger: it remembers who may do what, every upload
// and object and where in its life each is, which URLs were issued, which bytes
// are spoken for, and, in an append-only log, everything that happened.
//
// Its methods are verbs, not setters: BeginPut, CompletePut, Finalize, Publish.
// Each is one transaction on registry/kv that reads, asks the state table,
// writes row and index entries, appends the audit event and queues the work. A
// caller cannot forget the audit, and the audit cannot tell what did not happen.
// The ledger moves no bytes and knows no HTTP; rights are policy's to judge, so
// an Actor here is only who it was.
//
// # The states
//
// An upload, which is a session:
//
//	             fail, or a dead attempt
//	           ┌──────────────┐  ┌─┐ take over
//	           ▼              │  ▼ │
//	create → created ─begin→ uploading ─complete→ uploaded ─finalize→ finalized
//	           │              │                     │
//	           └──────────────┴─────────┬───────────┘
//	                                    └─ abort → aborted · expire → expired
//
// A session in parts is uploading from its first part on, and uploaded only on the
// way to finalized. Each part has a turn of its own, in its row.
//
// An object:
//
//	           create              intake                    put (direct bucket)
//	             ▼                   ▼                              ▼
//	          pending ─accept→ quarantined ─claim→ scanning ─publish→ published
//	             │                │  ▲                │  │            ▲  │
//	             │                │  └─ return, hold ─┘  │ reject,    │  │
//	             │                │                      ▼ withdraw   │  │
//	             └─ refuse ───────┴─ withdraw (held) → rejected ──────┘  │
//	                                                     ▲   release     │
//	                                                     └─ withdraw ────┘
//
//	quarantined (held) ─release→ published         any of them ─delete→ deleted
//	                   ─requeue→ quarantined       (a rescan of what is published is no step)
//	                     mark → published (a delete marker)
//
// A clean verdict ("judge") leaves the object scanning until its blobs are at
// their targets; states.go holds both machines as one table.
//
// # The keys
//
// Rows belong to a tenant by their key, so that another tenant's id is simply
// not there and a tenant's newest rows are a scan from the end. Parts are joined
// by a zero byte (0); numbers are 8 bytes big-endian, times milliseconds. Values
// are JSON where nothing else is said; those marked * are packed (codec.go).
//
//	meta                  "schema" "epoch" "clock" "seq" → number · "root" → access key id
//
//	tenants               tenant                           → Tenant
//	path_hashes           hash in blob keys                → tenant
//	principals            tenant 0 principal               → made when
//	blocked               "t" 0 tenant                     → "": suspended
//	                      "p" 0 tenant 0 principal         → "": revoked
//	                      "c" 0 access key or token id     → "": revoked
//	keys                  access key id                    → AccessKey, sealed secret *
//	key_list              tenant 0 seq                     → access key id
//	tokens                SHA-256 of the token             → Token
//	token_list            tenant 0 token id                → SHA-256 of the token
//	url_keys              URL key id                       → tenant, generation, sealed secret
//	url_key_list          tenant 0 generation              → URL key id; the last one signs
//	buckets               tenant 0 bucket                  → Bucket *
//	bucket_documents      tenant 0 bucket 0 kind           → CORS rules, lifecycle rules, tags
//
//	webhooks              tenant 0 webhook                 → Webhook, sealed secrets
//	webhook_states        tenant 0 webhook                 → its place in the audit log, counts
//	webhook_messages      tenant 0 webhook 0 audit seq     → Letter: was tried and not delivered
//	webhook_due           tenant 0 webhook 0 due 0 seq     → "": that one waits for another try
//
//	uploads               tenant 0 upload                  → Upload *
//	uploads_by_principal  tenant 0 principal 0 upload      → ""
//	upload_expiry         expiry tenant 0 upload           → "" while it can expire
//	idempotency           tenant 0 principal 0 client key  → fingerprint, upload, grant
//	idempotency_age       end tenant 0 upload              → key in idempotency
//	grants                tenant 0 grant                   → Grant *
//
//	objects               tenant 0 object                  → Object *
//	object_states         tenant 0 state 0 object          → bucket; not published, not deleted
//	names                 tenant 0 bucket 0 S3 key         → seq, time, size, object, ETag (names.go)
//	names_pending         tenant 0 bucket 0 S3 key 0 seq   → state, object: accepted, not visible
//	versions              tenant 0 bucket 0 key^ 0 ~seq    → published versions of versioned keys, newest first (versions.go)
//	object_parts          tenant 0 object                  → what parts it was uploaded in *
//	renditions            tenant 0 object                  → clean copies that an engine made of it *
//	timeline              tenant 0 object 0 audit seq      → "" (but for the first, which the object names)
//
//	multiparts            tenant 0 multipart               → Multipart *
//	multipart_names       tenant 0 bucket 0 key^ 0 id      → "": not completed
//	multiparts_done       time tenant 0 multipart          → "": completed, kept for repetitions
//	parts                 tenant 0 upload or multipart 0 n → Part *
//	used_urls             tenant 0 hash of signature       → end: a presigned PUT that was used
//	used_url_age          end tenant 0 hash                → ""
//
//	scan_due              due tenant 0 object              → "": waits for a worker
//	scan_claims           lease end tenant 0 object        → epoch: a worker has it
//	promoting             tenant 0 object                  → "": its blobs are on the move
//
//	rescans               ~time tenant 0 object            → due, epoch: published, to be inspected again
//	rescan_runs           "r" 0 tenant                     → how far a run over all its objects has come
//	                      "s" 0 engine                     → the signatures it was last seen with
//	                      "t"                              → when the last run began
//	rejected              time tenant 0 object             → bucket: bytes that are kept for review
//
//	intents               epoch blob key                   → "": bytes may be written under it
//	garbage               seq                              → blob key: bytes to delete
//	references            blob key 0 object                → how often that object refers to a shared blob (refs.go)
//
// and those of the audit log, drawn in audit.go. uploads_by_principal,
// upload_expiry, object_states, names, names_pending, versions, scan_due,
// scan_claims, promoting, rescans and rejected are indexes: a pure function of the row they point at
// (entries.go), which is what Check compares them with. Only names (and versions,
// where there are some) is written at random; what an object costs besides appends.
//
// Rows of uploads and objects stay, as their audit events do. Forget takes away
// what only a client's repetition would ask for: idempotency and completed
// multipart uploads after a day, and, a day after they expired, used URLs and
// grants, except each upload's latest.
//
// key^ is an S3 key with its zero bytes escaped, ~seq a number's complement, so
// that keys stand in their order and the newest version of one first.
//
// Whatever is accepted for a key has its place in the key's history (history.go).
// Of what is published there the newest is current and stands in names, unless it
// is a delete marker; versions has the noncurrent ones, the markers, and whatever
// has a version id. A bucket that never had versioning has no row there.
//
// A blob is garbage in the transaction that drops its last reference. Most blobs
// have one all their life, which their key tells; only shared ones have rows.
//
// Whoever changes the schema adds a line to migrations and redraws this.
package registry
