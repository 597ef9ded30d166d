package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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
	body := bytes.Trim(k.body, " \t\r\n") // what JSON takes for space, not what Unicode does
	if len(body) == 0 {
		if k.route.body == optionalJSON {
			return nil
		}
		return fmt.Errorf("%w: a JSON body is needed", errInvalid)
	}
	if !utf8.Valid(body) {
		return fmt.Errorf("%w: body: not UTF-8", errInvalid)
	}
	if body[0] != '{' {
		return fmt.Errorf("%w: body: not a JSON object", errInvalid)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return jsonTrouble(err)
	}
	return checkMembers(body, reflect.TypeOf(v).Elem())
}

// checkMembers walks the names of the outermost object of valid JSON.
func checkMembers(body []byte, into reflect.Type) error {
	seen := make([]string, 0, 8)
	for name := range members(body) {
		if !hasMember(into, name) {
			return fmt.Errorf("%w: body: unknown field%s", errInvalid, shown(name))
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("%w: body: field %q occurs twice", errInvalid, name)
		}
		seen = append(seen, name)
	}
	return nil
}

// members yields the names of the outermost object of valid JSON, as they are
// written: an escape is not resolved, for no name of ours has one.
func members(body []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		depth, wantName := 0, false
		for i := 0; i < len(body); i++ {
			switch body[i] {
			case '{', '[':
				depth++
				wantName = depth == 1
			case '}', ']':
				depth--
			case ',':
				wantName = depth == 1
			case '"':
				start := i + 1
				for i++; body[i] != '"'; i++ {
					if body[i] == '\\' {
						i++
					}
				}
				if wantName && !yield(string(body[start:i])) {
					return
				}
				wantName = false
			}
		}
	}
}

func hasMember(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		if field, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); field == name {
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
	case errors.Is(err, policy.ErrInvalidTTL), errors.Is(err, errInvalid):
		return err
	case errors.As(err, &syntax) && strings.HasPrefix(syntax.Error(), "unexpected end"):
		return fmt.Errorf("%w: body: not JSON: it ends early", errInvalid)
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: body: not JSON at byte %d", errInvalid, syntax.Offset)
	case errors.As(err, &typed):
		return fmt.Errorf("%w: body: field %q is to be %s", errInvalid, typed.Field, kind(typed.Type))
	}
	return fmt.Errorf("%w: body: not what this call takes", errInvalid)
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
