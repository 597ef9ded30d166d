package policy_test

import (
	"testing"

	"sallyport/registry/policy"
)

// tree is a small detector's tree, shaped like the real one.
func tree(t string) []string {
	parents := map[string]string{
		"application/zip":  "application/octet-stream",
		"application/docx": "application/zip",
		"image/png":        "application/octet-stream",
		"image/apng":       "image/png",
		"text/plain":       "application/octet-stream",
		"text/html":        "text/plain",
		"application/json": "text/plain",
	}
	if t == "application/x-zip" { // an alias
		t = "application/zip"
	}
	if t != "application/octet-stream" && parents[t] == "" {
		return nil
	}
	var line []string
	for ; t != ""; t = parents[t] {
		line = append(line, t)
	}
	return line
}

func TestTypeMatches(t *testing.T) {
	png := []string{"image/png"}
	for _, c := range []struct {
		name               string
		declared, detected string
		size               int64
		allowed            []string
		want               bool
	}{
		{"another type", "image/png", "application/zip", 1, nil, false},
		{"text as image", "image/png", "text/plain", 1, nil, false},
		{"image as text", "text/plain", "image/png", 1, nil, false},
		{"siblings that are not text", "application/zip", "image/png", 1, nil, false},
		{"type the tree does not know", "application/x-odd", "application/zip", 1, nil, false},
		{"not a declaration", "", "text/plain", 1, nil, false},
		{"not a declaration, empty", "", "", 0, nil, false},
		{"not detected", "image/png", "", 1, nil, false},
		{"undeclared and not allowed", "application/octet-stream", "application/zip", 1, png, false},
		{"undeclared and not recognised", "application/octet-stream", "application/octet-stream", 1, png, false},
		{"the root is nobody's pass", "application/octet-stream", "application/zip", 1, []string{"application/octet-stream"}, false},

		{"equal", "image/png", "image/png", 1, nil, true},
		{"equal but for case and parameters", "Text/HTML; charset=x", "text/html; charset=utf-8", 1, nil, true},
		{"ancestor", "application/docx", "application/zip", 1, nil, true},
		{"descendant", "application/zip", "application/docx", 1, nil, true},
		{"alias", "application/x-zip", "application/docx", 1, nil, true},
		{"both text", "text/markdown", "text/html", 1, nil, true},
		{"text that is not called so", "application/json", "text/html", 1, nil, true},
		{"not recognised", "image/png", "application/octet-stream", 1, nil, true},
		{"empty", "image/png", "text/plain", 0, nil, true},
		{"undeclared", "application/octet-stream", "application/zip", 1, nil, true},
		{"undeclared as S3 does", "binary/octet-stream", "image/png", 1, png, true},
		{"undeclared and allowed", "application/octet-stream", "image/png", 1, png, true},
		{"undeclared and a kind of what is allowed", "application/octet-stream", "image/apng", 1, png, true},
		{"undeclared and allowed by wildcard", "application/octet-stream", "image/apng", 1, []string{"image/*"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := policy.TypeMatches(policy.Content{
				Declared: c.declared, Detected: c.detected, Size: c.size, Allowed: c.allowed, Lineage: tree})
			if got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestTypeMatchesWithoutATree(t *testing.T) {
	c := policy.Content{Declared: "application/zip", Detected: "application/zip", Size: 1}
	if !policy.TypeMatches(c) {
		t.Error("equal types do not match")
	}
	c.Detected = "application/docx"
	if policy.TypeMatches(c) {
		t.Error("unrelated types match")
	}
}
