package control

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
	"sallyport/sigv4"
)

type createUploadBody struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        *int64 `json:"size"`
	SHA256      string `json:"sha256"`
	Profile     string `json:"profile"`
	Multipart   bool   `json:"multipart"`
}

type reissueBody struct {
	TTL duration `json:"ttl"`
}

type finalizeBody struct {
	SHA256 string `json:"sha256"`
}

// putURL is a session with a URL to put its bytes to.
type putURL struct {
	UploadID         registry.UploadID    `json:"upload_id"`
	ObjectID         registry.ObjectID    `json:"object_id"`
	State            registry.UploadState `json:"state"`
	Method           string               `json:"method"`
	PutURL           string               `json:"put_url"`
	URLID            registry.GrantID     `json:"url_id"`
	Headers          map[string]string    `json:"headers"`
	URLExpiresAt     string               `json:"url_expires_at"`
	SessionExpiresAt string               `json:"session_expires_at"`
}

// inParts is a session whose bytes come in parts, each to a URL of its own.
type inParts struct {
	UploadID         registry.UploadID    `json:"upload_id"`
	ObjectID         registry.ObjectID    `json:"object_id"`
	State            registry.UploadState `json:"state"`
	PartSize         int64                `json:"part_size"`
	PartCount        int                  `json:"part_count"`
	SessionExpiresAt string               `json:"session_expires_at"`
}

// uploadRow is a session as its owner sees it.
type uploadRow struct {
	UploadID         registry.UploadID      `json:"upload_id"`
	ObjectID         registry.ObjectID      `json:"object_id"`
	State            registry.UploadState   `json:"state"`
	Filename         string                 `json:"filename"`
	ContentType      string                 `json:"content_type"`
	Size             int64                  `json:"size"`
	Received         int64                  `json:"received"`
	SHA256           *string                `json:"sha256"` // of what was received
	Profile          registry.BucketName    `json:"profile"`
	Principal        registry.PrincipalName `json:"principal"`
	URLID            registry.GrantID       `json:"url_id,omitempty"`
	PartSize         int64                  `json:"part_size,omitempty"`
	PartCount        int                    `json:"part_count,omitempty"`
	CreatedAt        string                 `json:"created_at"`
	URLExpiresAt     string                 `json:"url_expires_at,omitempty"` // of one session only, not in lists
	SessionExpiresAt string                 `json:"session_expires_at"`
}

func (k *call) uploadRow(u registry.Upload) uploadRow {
	row := uploadRow{
		UploadID: u.ID, ObjectID: u.Object, State: k.cfg.Ledger.StateNow(&u), Filename: u.Filename,
		ContentType: u.ContentType, Size: u.Size, Profile: u.Bucket, Principal: u.Principal, URLID: u.Grant,
		PartSize: u.PartSize, PartCount: u.PartCount(), Received: u.Received,
		CreatedAt: stamp(u.CreatedAt), SessionExpiresAt: stamp(u.ExpiresAt),
	}
	if u.Stored != nil {
		row.Received = u.Stored.Size
		if u.Stored.SHA256 != "" { // in parts, it is known once the object is inspected
			row.SHA256 = &u.Stored.SHA256
		}
	}
	return row
}

func createUpload(k *call) error {
	var in createUploadBody
	if err := k.decode(&in); err != nil {
		return err
	}
	if in.Size == nil {
		return fmt.Errorf("%w: size is required", errInvalid)
	}
	sum, err := digest(in.SHA256)
	if err != nil {
		return err
	}
	idem, err := k.idempotency()
	if err != nil {
		return err
	}
	begun, err := k.cfg.Pipeline.Begin(k.context(), k.actor, pipeline.BeginRequest{
		Filename: in.Filename, ContentType: in.ContentType, Size: *in.Size, SHA256: sum,
		Profile: registry.BucketName(in.Profile), InParts: in.Multipart, Idempotency: idem,
	})
	if err != nil {
		return err
	}
	x := server.ExchangeOf(k.ctx)
	x.Upload, x.Object, x.Grant = string(begun.Upload.ID), string(begun.Object.ID), string(begun.Grant.ID)
	if u := begun.Upload; u.PartSize > 0 {
		return k.json(fasthttp.StatusCreated, inParts{
			UploadID: u.ID, ObjectID: u.Object, State: k.cfg.Ledger.StateNow(&u),
			PartSize: u.PartSize, PartCount: u.PartCount(), SessionExpiresAt: stamp(u.ExpiresAt),
		})
	}
	out, err := k.putURL(begun.Upload, begun.Grant)
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusCreated, out)
}

// digest reads the hex of a SHA-256, in either case; "" if none was given. The
// ledger's is in lower case.
func digest(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	sum, err := registry.ParseSHA256(s)
	if err != nil {
		return "", fmt.Errorf("%w: sha256 is 64 hex digits", errInvalid)
	}
	return sum, nil
}

// maxIdempotencyKey is the longest Idempotency-Key, in bytes.
const maxIdempotencyKey = 255

// idempotency reads the Idempotency-Key. The fingerprint is that of the body as
// it was sent: a repeat is a repeat to the byte.
func (k *call) idempotency() (registry.Idempotency, error) {
	keys := k.ctx.Request.Header.PeekAll("Idempotency-Key")
	if len(keys) == 0 {
		return registry.Idempotency{}, nil
	}
	key := string(keys[0])
	unprintable := strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' })
	if len(keys) > 1 || key == "" || len(key) > maxIdempotencyKey || unprintable {
		return registry.Idempotency{}, fmt.Errorf("%w: Idempotency-Key is 1 to %d printable characters", errInvalid, maxIdempotencyKey)
	}
	sum := sha256.Sum256(k.body)
	return registry.Idempotency{Key: key, Fingerprint: hex.EncodeToString(sum[:])}, nil
}

// putURL signs the URL that a grant stands for. It is signed for the moment of
// the grant's issue: whoever asks again for the same grant gets the same URL.
func (k *call) putURL(u registry.Upload, g registry.Grant) (putURL, error) {
	headers := map[string]string{"Content-Type": u.ContentType}
	signed := []sigv4.Param{{Name: "content-type", Value: u.ContentType}}
	if u.SHA256 != "" {
		sum, err := hex.DecodeString(u.SHA256)
		if err != nil {
			return putURL{}, fmt.Errorf("sign put url: %w", err)
		}
		b64 := base64.StdEncoding.EncodeToString(sum)
		headers["x-amz-checksum-sha256"] = b64
		signed = append(signed, sigv4.Param{Name: "x-amz-checksum-sha256", Value: b64})
	}
	url, err := k.sign("PUT", "/_/uploads/"+string(u.ID), g, signed)
	if err != nil {
		return putURL{}, err
	}
	return putURL{
		UploadID: u.ID, ObjectID: u.Object, State: k.cfg.Ledger.StateNow(&u), Method: "PUT", PutURL: url, URLID: g.ID, Headers: headers,
		URLExpiresAt: stamp(g.ExpiresAt), SessionExpiresAt: stamp(u.ExpiresAt),
	}, nil
}

// sign makes the URL of a grant. Signatures count whole seconds: the URL begins
// at the first one after the grant's issue and ends with or just after the grant,
// whose own expiry is the exact one.
func (k *call) sign(method, path string, g registry.Grant, headers []sigv4.Param) (string, error) {
	key, err := k.cfg.Ledger.SigningURLKey(k.context(), g.Tenant)
	if err != nil {
		return "", fmt.Errorf("sign url: %w", err)
	}
	at := g.IssuedAt.UTC().Add(time.Second - 1).Truncate(time.Second)
	derived, err := k.cfg.Auth.Key(key, at)
	if err != nil {
		return "", fmt.Errorf("sign url: %w", err)
	}
	query := []sigv4.Param{{Name: "X-Sp-Grant", Value: string(g.ID)}}
	if g.Part > 0 {
		query = append(query, sigv4.Param{Name: "partNumber", Value: strconv.Itoa(g.Part)})
	}
	life := max(time.Second, (g.ExpiresAt.Sub(at) + time.Second - 1).Truncate(time.Second))
	base := k.cfg.S3URL
	if g.Disposition == registry.Inline {
		base = k.cfg.InlineURL
	}
	url, err := sigv4.PresignURL(make([]byte, 0, 512), &sigv4.Presign{
		Method: method, URL: base, Path: path, Headers: headers,
		Query: query, Time: at, Expires: life,
	}, derived)
	return string(url), err
}

func listUploads(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	list, next, err := k.cfg.Pipeline.Uploads(k.context(), k.actor, p)
	if err != nil {
		return err
	}
	out := struct {
		Uploads []uploadRow `json:"uploads"`
		Next    string      `json:"next_cursor,omitempty"`
	}{make([]uploadRow, 0, len(list)), next}
	for _, u := range list {
		out.Uploads = append(out.Uploads, k.uploadRow(u))
	}
	return k.json(fasthttp.StatusOK, out)
}

func getUpload(k *call) error {
	u, err := k.cfg.Pipeline.Upload(k.context(), k.actor, registry.UploadID(k.id))
	if err != nil {
		return err
	}
	row := k.uploadRow(u)
	if u.Grant == "" {
		return k.json(fasthttp.StatusOK, row)
	}
	g, err := k.cfg.Ledger.Grant(k.context(), u.Tenant, u.Grant)
	if err != nil {
		return fmt.Errorf("grant of %s: %w", u.ID, err)
	}
	row.URLExpiresAt = stamp(g.ExpiresAt)
	return k.json(fasthttp.StatusOK, row)
}

func abortUpload(k *call) error {
	if err := k.cfg.Pipeline.Abort(k.context(), k.actor, registry.UploadID(k.id)); err != nil {
		return err
	}
	return k.noContent()
}

func reissueUpload(k *call) error {
	var in reissueBody
	if err := k.decode(&in); err != nil {
		return err
	}
	g, u, err := k.cfg.Pipeline.ReissuePut(k.context(), k.actor, registry.UploadID(k.id), time.Duration(in.TTL))
	if err != nil {
		return err
	}
	server.ExchangeOf(k.ctx).Grant = string(g.ID)
	out, err := k.putURL(u, g)
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, out)
}

// unaskedType is what curl says of whatever --data-binary sends: it declares
// nothing.
const unaskedType = "application/x-www-form-urlencoded"

// declared is what the header says of an object's bytes.
func (k *call) declared() pipeline.Declared {
	h := &k.ctx.Request.Header
	d := pipeline.Declared{
		Length:      server.ContentLength(k.ctx),
		ContentType: string(h.ContentType()),
		ContentMD5:  string(h.Peek("Content-MD5")),
		Checksums:   map[string]string{},
	}
	if d.ContentType == unaskedType {
		d.ContentType = ""
	}
	for _, algorithm := range pipeline.Checksums() {
		if v := h.Peek("x-amz-checksum-" + algorithm); len(v) > 0 {
			d.Checksums[algorithm] = string(v)
		}
	}
	if k.proof != nil {
		if sum, ok := k.proof.Claim.SHA256(); ok {
			d.PayloadSHA256 = hex.EncodeToString(sum[:])
		}
	}
	return d
}

// admitContent looks at everything that the header of a body for a session can
// be refused for.
func (k *call) admitContent() error {
	t, err := k.cfg.Pipeline.AdmitContent(k.context(), k.actor, registry.UploadID(k.id), k.declared())
	if err != nil {
		return err
	}
	k.ticket = t
	return nil
}

// inMemory is a body that was read already.
type inMemory struct{ *bytes.Reader }

// Interrupt has nothing to interrupt: no read waits.
func (inMemory) Interrupt() {}

func putContent(k *call) error {
	var body pipeline.Body = server.BodyOf(k.c)
	if k.unproved {
		body = inMemory{bytes.NewReader(k.body)}
	}
	stored, err := k.cfg.Pipeline.Receive(k.context(), k.ticket, body)
	if err != nil {
		return err
	}
	u := k.ticket.Upload
	server.ExchangeOf(k.ctx).Object = string(u.Object)
	return k.json(fasthttp.StatusOK, struct {
		UploadID registry.UploadID    `json:"upload_id"`
		ObjectID registry.ObjectID    `json:"object_id"`
		State    registry.UploadState `json:"state"`
		Received int64                `json:"received"`
		SHA256   string               `json:"sha256"`
		ETag     string               `json:"etag"`
	}{u.ID, u.Object, registry.UploadUploaded, stored.Size, stored.SHA256, stored.MD5})
}

func finalizeUpload(k *call) error {
	var in finalizeBody
	if err := k.decode(&in); err != nil {
		return err
	}
	sum, err := digest(in.SHA256)
	if err != nil {
		return err
	}
	o, err := k.cfg.Pipeline.Finalize(k.context(), k.actor, registry.UploadID(k.id), sum)
	if o.ID != "" {
		server.ExchangeOf(k.ctx).Object = string(o.ID)
	}
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, struct {
		UploadID registry.UploadID    `json:"upload_id"`
		ObjectID registry.ObjectID    `json:"object_id"`
		State    registry.ObjectState `json:"state"`
	}{registry.UploadID(k.id), o.ID, o.State})
}
