package s3api

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/sigv4"
)

// maxMetadata is how many bytes of x-amz-meta-* names and values an object may
// have, as in S3.
const maxMetadata = 2 << 10

const (
	metadataPrefix = "x-amz-meta-"
	checksumPrefix = "x-amz-checksum-"
)

// standardClass is the storage class of what was written without one.
const standardClass = "STANDARD"

// storageClasses are those that a client may ask for and is told again. Those that
// S3 would have to restore first are refused: clients that hear of them do not even
// try to read.
var storageClasses = [...]string{standardClass, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}

// admitObject is PutObject's look at the headers.
func (a *API) admitObject(ctx *fasthttp.RequestCtx, r *request) error {
	declared, err := r.declared(ctx)
	if err != nil {
		return err
	}
	kept, err := a.kept(r)
	if err != nil {
		return err
	}
	conditions, err := r.writeConditions()
	if err != nil {
		return err
	}
	r.object, err = a.pipeline.AdmitObject(background(), r.actor(), pipeline.ObjectRequest{
		Bucket: r.bucket, Key: r.key, Declared: declared, Kept: kept, Conditions: conditions, OneUse: r.oneUse(),
	})
	return r.digestError(declared, a.writeError(r, err))
}

// kept is what a write says about an object besides its bytes, but for the content
// type, which is declared with the bytes.
func (a *API) kept(r *request) (registry.Kept, error) {
	k := registry.Kept{Headers: r.storedHeaders()}
	err := r.refuseEncryption()
	if err != nil {
		return k, err
	}
	if k.Metadata, err = r.metadata(); err != nil {
		return k, err
	}
	if k.StorageClass, err = r.storageClass(); err != nil {
		return k, err
	}
	if k.Tags, err = r.taggingHeader(); err != nil {
		return k, err
	}
	k.Retention, k.LegalHold, err = a.lockHeaders(r)
	return k, err
}

// storageClass reads x-amz-storage-class; "" is the standard one.
func (r *request) storageClass() (string, error) {
	class := r.header(settingStorageClass)
	switch {
	case class == "" || class == standardClass:
		return "", nil
	case !slices.Contains(storageClasses[:], class):
		return "", refuse(codeInvalidStorageClass, element{"StorageClassRequested", class})
	}
	return class, nil
}

// classOf is a storage class by its name.
func classOf(class string) string {
	if class == "" {
		return standardClass
	}
	return class
}

const noEncryption = "Server-side encryption is not offered."

// refuseEncryption refuses every kind of encryption at rest that a client can ask
// for: there is none, and a client that asks must not believe that there is.
func (r *request) refuseEncryption() error {
	for name, value := range r.amz() {
		switch {
		case !strings.HasPrefix(name, settingEncryption):
		case name == settingEncryption && value != "AES256" && value != "aws:kms" && value != "aws:kms:dsse":
			return refuse(codeInvalidEncryption, element{"ArgumentName", name}, element{"ArgumentValue", value})
		default:
			return say(codeNotImplemented, noEncryption, element{"Header", name})
		}
	}
	return nil
}

// oneUse says how to remember a presigned request, where its bucket wants each to
// work once.
func (r *request) oneUse() registry.OneUse {
	claim := &r.proof.Claim
	if claim.Kind != sigv4.QueryAuth {
		return registry.OneUse{}
	}
	sum := sha256.Sum256(claim.Signature)
	return registry.OneUse{Hash: string(sum[:]), Expires: claim.Time.Add(claim.Expires)}
}

// putObject receives an object.
func (a *API) putObject(c *fiber.Ctx, r *request) error {
	body, err := a.body(c, r)
	if err != nil {
		return err
	}
	o, err := a.pipeline.PutObject(background(), r.object, body)
	if err != nil {
		return a.writeError(r, err)
	}
	h := &c.Context().Response.Header
	setChecksums(h, o.Checksums, o.ChecksumType)
	return a.setWritten(h, r, &o)
}

// setWritten says what a write made.
func (a *API) setWritten(h *fasthttp.ResponseHeader, r *request, o *registry.Object) error {
	r.exchange.Object = string(o.ID)
	h.Set("ETag", quoted(o.ETag))
	if err := a.setVersion(h, o); err != nil {
		return err
	}
	return a.setExpiration(h, r, o)
}

// setExpiration says when the bucket's lifecycle will end a current version.
func (a *API) setExpiration(h *fasthttp.ResponseHeader, r *request, o *registry.Object) error {
	if o.Noncurrent {
		return nil
	}
	rules, err := a.ledger.Lifecycle(background(), o.Tenant, o.Bucket)
	switch {
	case errors.Is(err, registry.ErrNotConfigured) || errors.Is(err, registry.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	if at, rule, ok := registry.ExpiryOf(rules, o); ok {
		h.Set("x-amz-expiration", `expiry-date="`+httpDate(at)+`", rule-id="`+string(sigv4.AppendPath(nil, rule))+`"`)
	}
	return nil
}

// writeError says what is missing, which condition failed, or that the bucket
// cannot lock.
func (a *API) writeError(r *request, err error) error {
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return a.missing(r) // the bucket, or what If-Match asks for
	case errors.Is(err, registry.ErrPrecondition):
		return refuse(codePreconditionFailed, element{"Condition", r.writeCondition()})
	case errors.Is(err, registry.ErrConflict):
		return lockError(err)
	}
	return err
}

// declared is what the headers say about the body.
func (r *request) declared(ctx *fasthttp.RequestCtx) (pipeline.Declared, error) {
	d := pipeline.Declared{ContentType: r.header("content-type")}
	var err error
	if d.Length, err = r.contentLength(ctx); err != nil {
		return d, err
	}
	claim := &r.proof.Claim
	if claim.Payload == sigv4.PayloadHash {
		d.PayloadSHA256 = string(claim.ContentSHA256)
	}
	if v, ok := r.proof.Request.HeaderValue("content-md5"); ok {
		if d.ContentMD5 = string(v); d.ContentMD5 == "" {
			return d, refuse(codeInvalidDigest)
		}
	}
	d.Checksums = r.checksumHeaders()
	d.Trailers = claim.TrailerNames(&r.proof.Request)
	if len(d.Trailers) > 0 && !hasTrailer(claim.Payload) {
		return d, say(codeInvalidRequest, "x-amz-trailer announces a trailer, and the payload is of a kind without one.")
	}
	return d, nil
}

func hasTrailer(k sigv4.PayloadKind) bool {
	return k == sigv4.PayloadStreamingSignedTrailer || k == sigv4.PayloadStreamingUnsignedTrailer
}

// digestError says which header a malformed digest was in, and which digest was
// wrong: S3 has a code of its own for Content-MD5.
func (r *request) digestError(d pipeline.Declared, err error) error {
	if errors.Is(err, pipeline.ErrInvalidDigest) && d.ContentMD5 != "" {
		if sum, bad := base64.StdEncoding.Strict().DecodeString(d.ContentMD5); bad != nil || len(sum) != 16 {
			return refuse(codeInvalidDigest)
		}
	}
	return err
}

// metadata returns the x-amz-meta-* settings. Lines of one name are joined, as
// HTTP has it.
func (r *request) metadata() (map[string]string, error) {
	var m map[string]string
	size := 0
	for name, value := range r.amz() {
		name, ok := strings.CutPrefix(name, metadataPrefix)
		if !ok || name == "" {
			continue
		}
		// What was hoisted into a query may hold anything; it comes back as a header.
		if strings.ContainsFunc(name, notInName) || strings.ContainsFunc(value, unicode.IsControl) || !utf8.ValidString(value) {
			return nil, say(codeInvalidArgument, "Metadata cannot be sent as a header.", element{"ArgumentName", "x-amz-meta"})
		}
		if size += len(name) + len(value); size > maxMetadata {
			return nil, refuse(codeMetadataTooLarge, element{"MaxSizeAllowed", itoa(maxMetadata)})
		}
		if m == nil {
			m = map[string]string{}
		}
		if before, twice := m[name]; twice {
			value = before + "," + value
		}
		m[name] = value
	}
	return m, nil
}

// notInName tells whether c cannot stand in a header's name (RFC 9110, section
// 5.6.2), here in lower case.
func notInName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// kept are the headers of a write that come back with each read.
var kept = [...]string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

func (r *request) storedHeaders() map[string]string {
	var m map[string]string
	for _, name := range kept {
		value := r.header(strings.ToLower(name))
		if name == "Content-Encoding" {
			value = withoutChunked(value)
		}
		if value == "" {
			continue
		}
		if m == nil {
			m = map[string]string{}
		}
		m[name] = strings.ToValidUTF8(value, "\uFFFD")
	}
	return m
}

// withoutChunked takes aws-chunked out of a Content-Encoding: it is about the
// transfer, the rest about the content.
func withoutChunked(encoding string) string {
	if !strings.Contains(encoding, "aws-chunked") {
		return encoding
	}
	var rest []string
	for e := range strings.SplitSeq(encoding, ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			rest = append(rest, e)
		}
	}
	return strings.Join(rest, ",")
}

// setChecksums shows the checksums of an object.
func setChecksums(h *fasthttp.ResponseHeader, sums map[string]string, kind registry.ChecksumType) {
	for algorithm, value := range sums {
		h.Set(checksumPrefix+algorithm, value)
	}
	if len(sums) > 0 {
		h.Set(checksumPrefix+"type", string(checksumType(kind)))
	}
}

// checksumType is a checksum's type as S3 says it.
func checksumType(kind registry.ChecksumType) registry.ChecksumType {
	if kind == "" {
		return registry.FullObject
	}
	return kind
}

func quoted(etag string) string { return `"` + etag + `"` }

// missing tells a missing key from a missing bucket. The ledger does not say,
// because a key that is there needs no look at its bucket.
func (a *API) missing(r *request) error {
	_, err := a.ledger.Bucket(background(), r.actor().Tenant, r.bucket)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return refuse(codeNoSuchBucket)
	case err != nil:
		return err
	}
	return refuse(codeNoSuchKey)
}
