package control_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// spec is the OpenAPI document, by which answers are judged.
type spec struct {
	doc      map[string]any
	compiler *jsonschema.Compiler

	mu      sync.Mutex // protects the fields below
	schemas map[string]*jsonschema.Schema
	seen    map[string]bool // "POST /uploads 201"
}

const specURL = "https://sallyport.test/openapi.json"

func loadSpec(tb testing.TB) *spec {
	tb.Helper()
	raw, err := os.ReadFile("openapi.json")
	must(tb, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	must(tb, err)
	s := &spec{doc: doc.(map[string]any), schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	for _, schema := range s.at("components", "schemas").(map[string]any) {
		closed(schema)
	}
	s.compiler = jsonschema.NewCompiler()
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	s.compiler.AssertFormat()
	must(tb, s.compiler.AddResource(specURL, doc))
	return s
}

// closed makes fields that are not in the document errors. The document itself
// leaves room for fields to come.
func closed(schema any) {
	switch v := schema.(type) {
	case map[string]any:
		if _, isObject := v["properties"]; isObject && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closed(inner)
		}
	case []any:
		for _, inner := range v {
			closed(inner)
		}
	}
}

// at walks the document, through references.
func (s *spec) at(path ...string) any {
	var v any = s.doc
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = s.follow(m[name])
	}
	return v
}

func (s *spec) follow(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if to, ok := m["$ref"].(string); ok {
		return s.at(strings.Split(strings.TrimPrefix(to, "#/"), "/")...)
	}
	return v
}

// operation returns the pattern in the document that a path matches.
func (s *spec) operation(path string) string {
	path, _, _ = strings.Cut(path, "?")
	got := strings.Split(path, "/")
	for pattern := range s.doc["paths"].(map[string]any) {
		want := strings.Split(pattern, "/")
		if len(want) != len(got) {
			continue
		}
		same := true
		for i := range want {
			param := strings.HasPrefix(want[i], "{")
			same = same && (want[i] == got[i] || param && got[i] != "")
		}
		if same {
			return pattern
		}
	}
	return ""
}

// check judges one answer. Paths and methods that are not in the document may
// be refused and nothing else.
func (s *spec) check(tb testing.TB, method, path string, a answer) {
	tb.Helper()
	lookup := method
	if method == "HEAD" {
		lookup = "GET"
	}
	pattern := s.operation(path)
	op, documented := s.at("paths", pattern, strings.ToLower(lookup)).(map[string]any)
	if a.header.Get("X-Request-Id") == "" {
		tb.Errorf("%s %s: no X-Request-Id", method, path)
	}
	if !documented || method == "HEAD" && a.status == 405 {
		if a.status < 400 {
			tb.Errorf("%s %s is not in the document and answers %d", method, path, a.status)
		}
		s.validate(tb, method+" "+path, a, "#/components/schemas/Error")
		return
	}
	status := strconv.Itoa(a.status)
	if s.at("paths", pattern, strings.ToLower(lookup), "responses", status) == nil {
		tb.Errorf("%s %s answers %d, which is not in the document: %s", method, pattern, a.status, a.body)
		return
	}
	s.mu.Lock()
	s.seen[method+" "+pattern+" "+status] = true
	s.mu.Unlock()
	contentType, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	content, _ := s.at("paths", pattern, strings.ToLower(lookup), "responses", status, "content").(map[string]any)
	switch {
	case content == nil:
		if len(a.body) > 0 || contentType != "" {
			tb.Errorf("%s %s %s has a body", method, pattern, status)
		}
		return
	case content["*/*"] != nil:
		return
	case content[contentType] == nil:
		tb.Errorf("%s %s %s is %q, which is not in the document", method, pattern, status, contentType)
		return
	case contentType != "application/json" || method == "HEAD":
		return
	}
	at := "#/paths/" + escape(pattern) + "/" + strings.ToLower(lookup) + "/responses/" + status
	if to, ok := op["responses"].(map[string]any)[status].(map[string]any)["$ref"].(string); ok {
		at = to
	}
	s.validate(tb, method+" "+pattern+" "+status, a, at+"/content/"+escape(contentType)+"/schema")
}

func escape(s string) string {
	return url.PathEscape(strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1"))
}

func (s *spec) validate(tb testing.TB, what string, a answer, at string) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	schema := s.schemas[at]
	if schema == nil {
		var err error
		if schema, err = s.compiler.Compile(specURL + at); err != nil {
			tb.Fatalf("the document's %s: %v", at, err)
		}
		s.schemas[at] = schema
	}
	if len(a.body) == 0 && strings.HasPrefix(what, "HEAD ") {
		return
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
	if err != nil || !json.Valid(a.body) {
		tb.Errorf("%s: not JSON (%v): %q", what, err, a.body)
		return
	}
	if err := schema.Validate(v); err != nil {
		tb.Errorf("%s: %v\nin %s", what, err, a.body)
	}
}
