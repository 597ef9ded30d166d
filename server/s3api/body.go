package s3api

import (
	"crypto/sha256"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry/pipeline"
	"sallyport/server"
	"sallyport/sigv4"
)

// body returns the content of the request's body, without any framing.
func (a *API) body(c *fiber.Ctx, r *request) (pipeline.Body, error) {
	wire := server.BodyOf(c)
	claim := &r.proof.Claim
	if !claim.Payload.Streaming() {
		return wire, nil
	}
	length, err := claim.DecodedLength(&r.proof.Request)
	if err != nil {
		return nil, err
	}
	cfg := sigv4.ChunkConfig{
		Kind: claim.Payload, Key: r.proof.Key, Seed: claim.Signature, Time: claim.Time,
		DecodedLength: length,
	}
	if claim.Payload != sigv4.PayloadStreamingSigned {
		cfg.Trailers = claim.TrailerNames(&r.proof.Request)
	}
	return &chunkedBody{ChunkReader: sigv4.NewChunkReader(wire, cfg), wire: wire}, nil
}

// chunkedBody is the content of an aws-chunked body.
type chunkedBody struct {
	*sigv4.ChunkReader
	wire *server.Body
}

var _ pipeline.TrailerBody = (*chunkedBody)(nil)

// Interrupt implements pipeline.Body.
func (b *chunkedBody) Interrupt() { b.wire.Interrupt() }

// Trailer implements pipeline.TrailerBody.
func (b *chunkedBody) Trailer(name string) (string, bool) {
	for _, f := range b.Trailers() {
		if string(f.Name) == name {
			return string(f.Value), true
		}
	}
	return "", false
}

// contentLength returns how long the content of the body is declared to be,
// negative if it is not. It refuses a framed body that cannot hold what it
// announces.
func (r *request) contentLength(ctx *fasthttp.RequestCtx) (int64, error) {
	wire := server.ContentLength(ctx)
	if !r.proof.Claim.Payload.Streaming() {
		return wire, nil
	}
	if wire == server.NoLength {
		return -1, nil
	}
	n, err := r.proof.Claim.DecodedLength(&r.proof.Request)
	if err == nil && wire >= 0 && wire <= n {
		err = refuse(codeIncompleteBody)
	}
	return n, err
}

// maxDocument bounds an XML document in a request, in bytes: a thousand keys of
// 1,024 bytes with their elements and, as keys go, some escapes.
const maxDocument = 2 << 20

// documentMemory is what all documents together may hold where the configuration
// leaves it to us, in bytes.
const documentMemory = 64 << 20

// admitDocument is the admission of a request whose body is a small document.
func (r *request) admitDocument(ctx *fasthttp.RequestCtx) error {
	return r.admitSized(ctx, maxDocument)
}

// admitSized is admitDocument with a limit of its own, in bytes.
func (r *request) admitSized(ctx *fasthttp.RequestCtx, limit int64) error {
	switch n := server.ContentLength(ctx); {
	case n == server.Chunked:
		return refuse(codeMissingContentLength)
	case n > limit:
		return refuse(codeMessageTooLong)
	}
	return nil
}

// document reads a small body whole and holds it against what the signature
// covers. Its room is given back with the request; while there is none, clients
// are told to come later.
func (a *API) document(c *fiber.Ctx, r *request) ([]byte, error) {
	return a.sizedDocument(c, r, maxDocument)
}

// sizedDocument is document with a limit of its own, in bytes.
func (a *API) sizedDocument(c *fiber.Ctx, r *request, limit int64) ([]byte, error) {
	n := max(server.ContentLength(c.Context()), 0) // the admission has seen it
	if !a.documents.TryAcquire(n) {
		return nil, refuse(codeSlowDown)
	}
	r.held = n
	b, err := server.BodyOf(c).ReadAll(limit)
	if err != nil {
		return nil, err
	}
	if want, ok := r.proof.Claim.SHA256(); ok && sha256.Sum256(b) != want {
		return nil, refuse(codePayloadMismatch)
	}
	return b, nil
}

// forget gives the room of a request's document back before its request ends.
func (a *API) forget(r *request) {
	a.documents.Release(r.held)
	r.held = 0
}
