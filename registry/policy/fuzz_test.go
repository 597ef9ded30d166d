package policy_test

import (
	"errors"
	"mime"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/registry/policy"
)

// FuzzFilename: a name that is accepted stays in the folder it is saved to and
// can be sent and shown.
func FuzzFilename(f *testing.F) {
	for _, seed := range []string{
		"", ".", "..", "...", "a.txt", "../a", `..\a`, "a/b", "C:a", "a\x00b", "a\r\nb", "\u202egpj.exe", "\u2028", "\u0085", "文.txt", "\xff", "%2e%2e%2f",
		strings.Repeat("a", 255), strings.Repeat("a", 256), " ", "\u200f", "\ufeff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if err := policy.Filename(name); err != nil {
			if !errors.Is(err, policy.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		if folder := filepath.Join("/", "downloads"); filepath.Dir(filepath.Join(folder, name)) != folder || filepath.Base(name) != name {
			t.Errorf("%q leaves the folder", name)
		}
		if len(name) == 0 || len(name) > policy.MaxFilename || !utf8.ValidString(name) || strings.ContainsAny(name, "/\\\x00\r\n\x7f\u202e\u2066") {
			t.Errorf("takes %q", name)
		}
		sent := mime.FormatMediaType("attachment", map[string]string{"filename": name})
		if _, back, err := mime.ParseMediaType(sent); err != nil || back["filename"] != name {
			t.Errorf("%q is sent as %q: %v, %v", name, sent, back, err)
		}
	})
}

// FuzzMediaType: what is accepted is ASCII on one line that mime understands,
// and is of its own type in any case.
func FuzzMediaType(f *testing.F) {
	for _, seed := range []string{
		"", "text/plain", "Text/HTML; charset=utf-8", "text", "text/", "/plain", "a/b/c", "text/plain;", "text/plain; a", "text/plain; a=b; a=c", "*/*", "image/*",
		"text/plain\r\nX: y", "text/pläin", "application/octet-stream", "application/vnd.a+json;v=1", " text/plain ", "text /plain", "text/plain, a/b", strings.Repeat("a", 600) + "/b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := policy.MediaType(s); err != nil {
			if !errors.Is(err, policy.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		kind, _, err := mime.ParseMediaType(s)
		top, sub, _ := strings.Cut(kind, "/")
		if err != nil || top == "" || sub == "" || strings.Contains(sub, "/") {
			t.Errorf("takes %q: %q, %v", s, kind, err)
		}
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("takes %q", s)
		}
		if !policy.TypeMatches(policy.Content{Declared: s, Detected: kind, Size: 1}) {
			t.Errorf("%q is not of its own type", s)
		}
	})
}
