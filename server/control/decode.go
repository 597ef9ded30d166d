package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/registry/policy"
)

// decode reads the JSON body into the struct that v points to, strictly: one
// object in UTF-8, each member known to the letter and given once, nothing after
// it. encoding/json alone would take "Size" for "size" and the last of two.
// Where the route leaves the body to the client, an absent one is an empty one.
func (k *call) decode(v any) error {
	body := bytes.TrimSpace(k.body)
	if len(body) == 0 {
		if k.route.body == optionalJSON {
			return nil
		}
		return fmt.Errorf("%w: a JSON body is needed", errInvalid)
	}
	if !utf8.Valid(body) {
		return fmt.Errorf("%w: body: not UTF-8", errInvalid)
	}
	if err := checkMembers(body, reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return jsonTrouble(err)
	}
	return nil
}

// checkMembers walks the outermost object; none of ours holds another.
func checkMembers(body []byte, into reflect.Type) error {
	d := json.NewDecoder(bytes.NewReader(body))
	open, err := d.Token()
	if err != nil {
		return jsonTrouble(err)
	}
	if open != json.Delim('{') {
		return fmt.Errorf("%w: body: not a JSON object", errInvalid)
	}
	seen := make([]string, 0, into.NumField())
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return jsonTrouble(err)
		}
		name, _ := token.(string) // the decoder takes nothing else here
		if !hasMember(into, name) {
			return fmt.Errorf("%w: body: unknown field%s", errInvalid, shown(name))
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("%w: body: field %q occurs twice", errInvalid, name)
		}
		seen = append(seen, name)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return jsonTrouble(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return jsonTrouble(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: body: more than one JSON value", errInvalid)
	}
	return nil
}

func hasMember(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("json") == name {
			return true
		}
	}
	return false
}

// shown repeats a name that a client sent, if it looks like one: what is longer
// or stranger may be a secret in the wrong place.
func shown(name string) string {
	if len(name) > 20 || strings.ContainsFunc(name, func(c rune) bool { return c != '_' && c != '-' && (c < 'a' || c > 'z') }) {
		return ""
	}
	return fmt.Sprintf(" %q", name)
}

// jsonTrouble says what is wrong without repeating what was sent.
func jsonTrouble(err error) error {
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case errors.Is(err, policy.ErrInvalidTTL):
		return err
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: body: not JSON at byte %d", errInvalid, syntax.Offset)
	case errors.As(err, &typed):
		return fmt.Errorf("%w: body: field %q is to be %s", errInvalid, typed.Field, kind(typed.Type))
	}
	return fmt.Errorf("%w: body: not JSON: it ends early", errInvalid)
}

// kind names a Go type in the words of JSON.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	default:
		return "a whole number"
	}
}

// duration is a lifetime in JSON, a Go duration like "120s"; 0 if absent.
type duration time.Duration

// UnmarshalJSON refuses what is no lifetime: zero must not pass for absent.
func (d *duration) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	v, parseErr := time.ParseDuration(s)
	if err != nil || parseErr != nil || v <= 0 {
		return fmt.Errorf("%w: a lifetime is a string like \"120s\", above zero", policy.ErrInvalidTTL)
	}
	*d = duration(v)
	return nil
}

// MarshalJSON writes it as it is read.
func (d duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }
