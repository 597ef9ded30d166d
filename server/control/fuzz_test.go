package control_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/server/control"
)

// FuzzDecode: what is accepted means the same to encoding/json, and holds no
// member that is unknown, in another case, or there twice.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", "[]", `"x"`, "{}{}", "{} x", `{"intake":"direct"}`, `{"Intake":"direct"}`, `{"intake":"direct","intake":"quarantine"}`,
		`{"max_size":1,"allowed_types":["a/b","c/d"],"session_ttl":"2h","allow_inline":true}`, `{"max_size":1e3}`, `{"max_size":9223372036854775808}`,
		`{"session_ttl":"-1s"}`, `{"session_ttl":7200}`, `{"session_ttl":null}`, `{"allowed_types":[{"intake":1}]}`, `{"allowed_types":["\"],\"intake\":"]}`,
		`{"int\u0061ke":"direct"}`, `{"intake":"\ud800"}`, "{\"intake\":\"\xff\"}", `{"":1}`, `{"-":1}`, "\ufeff{}", "\u00a0{}", `{"allowed_types":[[[[]]]]}`, `{"a":{"a":1,"a":2}}`,
		`{"max_ſize":1}`, `{"intake":"\\"}`, `{"intake":"a\\\"","intake":"b"}`,
	} {
		f.Add(seed)
	}
	var names []string
	for field := range reflect.TypeFor[control.ProfileBody]().Fields() {
		names = append(names, field.Tag.Get("json"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, want control.ProfileBody
		if err := control.Decode([]byte(text), &got); err != nil {
			if len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Errorf("repeats what was sent: %v", err)
			}
			return
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, encoding/json has %+v, %v", text, got, want, err)
		}
		if !utf8.ValidString(text) || !json.Valid([]byte(text)) {
			t.Errorf("takes %q", text)
		}
		var seen []string
		for _, name := range outerNames(t, text) {
			if !slices.Contains(names, name) || slices.Contains(seen, name) {
				t.Errorf("takes %q with %q", text, name)
			}
			seen = append(seen, name)
		}
	})
}

// outerNames reads the names of an object's members by way of encoding/json.
func outerNames(t *testing.T, text string) []string {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		t.Fatalf("takes %q: %v", text, err)
	}
	var names []string
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			t.Fatalf("takes %q: %v", text, err)
		}
		names = append(names, name.(string))
	}
	return names
}
