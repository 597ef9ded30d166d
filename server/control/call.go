package control

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
	"sallyport/server/auth"
)

// Bounds of a body that is read into memory, in bytes. Whoever has proved nothing
// before the body is there may cost no more than a connection does.
const (
	maxBody     = 1 << 20
	maxUnproved = 16 << 10
)

// call is one admitted request. It lives in the request's user values between
// Admit and the handler.
type call struct {
	*API
	route    *route
	params                     // of the path
	query    map[string]string // the parameters, each known to the route
	actor    registry.Actor
	proof    *auth.Proof // of a SigV4 signature; nil for a token
	unproved bool        // the signature waits for the body
	ticket   *pipeline.PutTicket

	ctx  *fasthttp.RequestCtx
	c    *fiber.Ctx // in the handler only
	body []byte     // if it was read into memory; in the handler only
}

// admit decides on the header. Whoever has no credential learns nothing but
// that, not even which paths there are.
func (k *call) admit() error {
	path, _ := auth.Target(k.ctx)
	route, p, allowed := find(string(k.ctx.Method()), string(path))
	k.route, k.params = route, p
	x := server.ExchangeOf(k.ctx)
	if route != nil {
		x.Op = route.op
	}
	if route == nil || !route.open {
		if err := k.authenticate(); err != nil {
			return err
		}
	}
	switch {
	case route == nil && len(allowed) > 0:
		return &methodError{allowed}
	case route == nil:
		return registry.ErrNotFound
	}
	k.label(x)
	if route.issues && !k.secure() {
		return errPlain
	}
	if err := k.readQuery(); err != nil {
		return err
	}
	return k.admitBody()
}

// label names in the exchange what the path names. It may be a thing that does
// not exist, but it is no more than an id.
func (k *call) label(x *server.Exchange) {
	prefix, tail, _ := strings.Cut(k.id, "_")
	if !isULID(tail) {
		return
	}
	switch prefix {
	case "upl":
		x.Upload = k.id
	case "obj":
		x.Object = k.id
	case "g":
		x.Grant = k.id
	}
}

// isULID tells whether s has the form of one: 26 digits of Crockford's base 32
// (https://github.com/ulid/spec).
func isULID(s string) bool {
	return len(s) == 26 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z' || strings.ContainsRune("ILOU", c))
	})
}

// admitBody settles what the header says of the body.
func (k *call) admitBody() error {
	length := server.ContentLength(k.ctx)
	switch {
	case k.route.body == noBody && length != 0 && length != server.NoLength:
		return fmt.Errorf("%w: this call takes no body", errInvalid)
	case k.route.body == contentBody && !k.unproved:
		return k.admitContent()
	case length > maxUnproved && k.unproved:
		return errUnproved
	case length > maxBody:
		return errTooLarge
	}
	return nil
}

// run answers an admitted call.
func (k *call) run() error {
	h := &k.ctx.Response.Header
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if k.route.body != contentBody || k.unproved {
		if err := k.readBody(); err != nil {
			return err
		}
	}
	if k.unproved && k.route.body == contentBody {
		if err := k.admitContent(); err != nil {
			return err
		}
	}
	return k.route.handle(k)
}

// readBody reads a small body into memory and holds it against the signature.
func (k *call) readBody() error {
	limit := int64(maxBody)
	if k.unproved {
		limit = maxUnproved
	}
	body, err := server.BodyOf(k.c).ReadAll(limit)
	switch {
	case k.unproved && errors.Is(err, server.ErrBodyTooLarge):
		return errUnproved
	case err != nil:
		return bodyFailure(err)
	}
	k.body = body
	if k.unproved {
		return k.prove(body)
	}
	return k.bodyIsSigned()
}

// context is what the verbs run under. It is not the request's own: fasthttp
// reuses that one after the handler, and ends it as soon as a shutdown begins,
// when running transfers are still to be finished.
func (k *call) context() context.Context { return context.Background() }
