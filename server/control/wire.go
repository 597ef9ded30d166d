package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/server"
)

const jsonType = "application/json"

// json renders a success.
func (k *call) json(status int, v any) error {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	// A URL is to be read with its "&" by whatever reads it, a shell included.
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	k.render(status, jsonType, buf.Bytes())
	return nil
}

func (k *call) render(status int, contentType string, body []byte) {
	k.ctx.SetStatusCode(status)
	k.ctx.SetContentType(contentType)
	if k.ctx.IsHead() {
		server.SendHead(k.c, int64(len(body)))
		return
	}
	k.ctx.SetBody(body)
}

func (k *call) noContent() error {
	k.ctx.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// readQuery reads the parameters; one that stands twice is refused, as is one
// that the call does not know.
func (k *call) readQuery() error {
	args := k.ctx.QueryArgs()
	if args.Len() == 0 {
		return nil
	}
	k.query = make(map[string]string, args.Len())
	for name, value := range args.All() {
		n := string(name)
		if !slices.Contains(k.route.query, n) {
			return fmt.Errorf("%w: unknown query parameter%s", errInvalid, shown(n))
		}
		if _, twice := k.query[n]; twice {
			return fmt.Errorf("%w: query parameter %q occurs twice", errInvalid, n)
		}
		k.query[n] = string(value)
	}
	return nil
}

// Page sizes of lists.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// page reads limit and cursor.
func (k *call) page() (registry.Page, error) {
	p := registry.Page{Limit: defaultLimit, Cursor: k.query["cursor"]}
	if s, ok := k.query["limit"]; ok {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n < 1 || n > maxLimit {
			return p, fmt.Errorf("%w: limit is 1 to %d", errInvalid, maxLimit)
		}
		p.Limit = int(n)
	}
	return p, nil
}

// number reads an unsigned query parameter.
func (k *call) number(name string) (n uint64, given bool, err error) {
	s, given := k.query[name]
	if !given {
		return 0, false, nil
	}
	n, err = strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, true, fmt.Errorf("%w: %s is a number", errInvalid, name)
	}
	return n, true, nil
}

// following reads the place in the audit log that a page begins at: the one
// after "after".
func (k *call) following() (uint64, error) {
	after, given, err := k.number("after")
	if given {
		after++
	}
	return after, err
}

// stamp is how times are written: RFC 3339, UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func maybeStamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}
