package control

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/server"
)

const jsonType = "application/json"

// json renders a success, or anything else that is said in JSON.
func (k *call) json(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	k.ctx.SetStatusCode(status)
	k.ctx.SetContentType(jsonType)
	if k.ctx.IsHead() {
		server.SendHead(k.c, int64(len(body)+1))
		return nil
	}
	k.ctx.SetBody(append(body, '\n'))
	return nil
}

func (k *call) noContent() error {
	k.ctx.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// decode reads the JSON body strictly: one value, no unknown field, nothing
// after it. An absent body is the zero value where the call allows that.
func (k *call) decode(v any, optional bool) error {
	if len(bytes.TrimSpace(k.body)) == 0 {
		if optional {
			return nil
		}
		return fmt.Errorf("%w: a JSON body is needed", errInvalid)
	}
	d := json.NewDecoder(bytes.NewReader(k.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: body: %s", errInvalid, jsonTrouble(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: body: more than one JSON value", errInvalid)
	}
	return nil
}

// jsonTrouble says what is wrong without repeating what was sent, which may be
// a secret in the wrong place; a field's name may be repeated.
func jsonTrouble(err error) string {
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("not JSON at byte %d", syntax.Offset)
	case errors.As(err, &typed):
		return fmt.Sprintf("field %q is not a %s", typed.Field, typed.Type)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "not JSON: it ends early"
	}
	return err.Error() // json: unknown field "name"
}

// bodyIsSigned compares a small body with what the signature covers.
func (k *call) bodyIsSigned(body []byte) error {
	if k.proof == nil {
		return nil
	}
	want, ok := k.proof.Claim.SHA256()
	if ok && sha256.Sum256(body) != want {
		return fmt.Errorf("%w: the body is not the one that was signed", errUnauthorized)
	}
	return nil
}

// query reads a parameter; twice is refused, as is one the call does not know.
func (k *call) query(known ...string) (map[string]string, error) {
	values := map[string]string{}
	var err error
	for name, value := range k.ctx.QueryArgs().All() {
		n := string(name)
		if _, twice := values[n]; twice {
			err = fmt.Errorf("%w: query parameter %q occurs twice", errInvalid, n)
		}
		values[n] = string(value)
	}
	for name := range values {
		if !contains(known, name) {
			return nil, fmt.Errorf("%w: unknown query parameter %q", errInvalid, name)
		}
	}
	return values, err
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// Page sizes of lists.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func page(q map[string]string) (registry.Page, error) {
	p := registry.Page{Limit: defaultLimit, Cursor: q["cursor"]}
	if s, ok := q["limit"]; ok {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLimit {
			return p, fmt.Errorf("%w: limit is 1 to %d", errInvalid, maxLimit)
		}
		p.Limit = n
	}
	return p, nil
}

// number reads an unsigned query parameter.
func number(q map[string]string, name string) (n uint64, given bool, err error) {
	s, given := q[name]
	if !given {
		return 0, false, nil
	}
	n, err = strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, true, fmt.Errorf("%w: %s is a number", errInvalid, name)
	}
	return n, true, nil
}

// duration is a Go duration in JSON.
type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("a duration is a string like \"120s\"")
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("a duration is a string like \"120s\"")
	}
	*d = duration(v)
	return nil
}

func (d duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// stamp is how times are written: RFC 3339, UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func maybeStamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}
