package policy

import (
	"fmt"
	"mime"
	"slices"
	"strings"
)

// AnyContent is the type that declares nothing.
const AnyContent = "application/octet-stream"

// S3Default is what S3 takes a PUT without a Content-Type for; it declares
// nothing either.
const S3Default = "binary/octet-stream"

// plainText is the detector's name for text of no particular kind.
const plainText = "text/plain"

// maxMediaType is the longest media type in bytes: two names of 127 (RFC 6838
// section 4.2) with room for parameters.
const maxMediaType = 512

// MediaType returns ErrInvalid unless s is a media type of RFC 9110 section
// 8.3.1, with or without parameters. A range of types (section 12.5.1), such as
// "image/*", is what somebody accepts and not what something is.
func MediaType(s string) error {
	t, err := essence(s)
	if err == nil && strings.Contains(t, "*") {
		err = fmt.Errorf("%w: a range of media types is not a media type", ErrInvalid)
	}
	return err
}

// essence returns type/subtype in lower case, without parameters.
func essence(s string) (string, error) {
	if len(s) > maxMediaType {
		return "", fmt.Errorf("%w: media type is too long", ErrInvalid)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return "", fmt.Errorf("%w: media type has a character outside ASCII", ErrInvalid)
		}
	}
	t, _, err := mime.ParseMediaType(s)
	if err != nil || strings.Count(t, "/") != 1 {
		return "", fmt.Errorf("%w: not a media type", ErrInvalid)
	}
	return t, nil
}

// typePattern checks an entry of a profile's allowed types: a media type
// without parameters, or a top-level type and "/*".
func typePattern(p string) error {
	t := p
	if top, wild := strings.CutSuffix(p, "/*"); wild {
		t = top + "/any"
	}
	if e, err := essence(t); err != nil || e != t || strings.Contains(t, "*") {
		return fmt.Errorf("%w: allowed type %q is neither a media type nor like image/*", ErrInvalid, p)
	}
	return nil
}

// allowed tells whether a profile's patterns cover a type; no patterns allow
// all.
func allowed(t string, patterns []string) bool {
	if len(patterns) == 0 {
		return true
	}
	top, _, _ := strings.Cut(t, "/")
	return slices.Contains(patterns, t) || slices.Contains(patterns, top+"/*")
}

// declarable tells whether an upload may be declared as contentType.
// Declaring nothing is always possible: the content itself is judged then.
func declarable(contentType string, patterns []string) bool {
	t, err := essence(contentType)
	return err == nil && (declaresNothing(t) || allowed(t, patterns))
}

func declaresNothing(t string) bool { return t == AnyContent || t == S3Default }

// Content is what the rule for types looks at.
type Content struct {
	Declared string // by the client, with or without parameters
	Detected string // by the detector, from the bytes
	Size     int64
	Allowed  []string // of the profile; empty allows all
	// Lineage returns a type's place in the detector's tree: the type under
	// the detector's own name for it, then its ancestors up to the root. It
	// returns nothing for a type the tree does not know. nil knows none.
	Lineage func(mediaType string) []string
}

// TypeMatches tells whether content is what it was declared to be:
//
//   - empty content is anything;
//   - AnyContent (or S3Default) matches whatever the profile allows;
//   - else the detected type must equal the declared one, be its ancestor or
//     descendant in the detector's tree, or both must be text.
//
// The root of the tree, which the detector reports for bytes it does not
// recognise, is an ancestor of every type: not recognising contradicts nothing.
func TypeMatches(c Content) bool {
	declared, err := essence(c.Declared)
	if err != nil {
		return false
	}
	if c.Size == 0 {
		return true
	}
	detected, err := essence(c.Detected)
	if err != nil {
		return false
	}
	down := c.lineage(detected)
	if declaresNothing(declared) {
		return c.profileAllows(down)
	}
	up := c.lineage(declared)
	return detected == AnyContent ||
		slices.Contains(down, up[0]) || slices.Contains(up, down[0]) ||
		isText(down) && isText(up)
}

// profileAllows tells whether the detected type or an ancestor short of the
// root, which is everybody's, is one the profile allows.
func (c Content) profileAllows(line []string) bool {
	for i, t := range line {
		if allowed(t, c.Allowed) && (i == 0 || t != AnyContent) {
			return true
		}
	}
	return false
}

// lineage is never empty: a type the tree does not know stands alone.
func (c Content) lineage(t string) []string {
	if c.Lineage == nil {
		return []string{t}
	}
	tree := c.Lineage(t)
	if len(tree) == 0 {
		return []string{t}
	}
	line := make([]string, 0, len(tree)+1)
	for _, name := range tree {
		if e, err := essence(name); err == nil {
			line = append(line, e)
		}
	}
	if len(line) == 0 {
		return []string{t}
	}
	return line
}

func isText(line []string) bool {
	return strings.HasPrefix(line[0], "text/") || slices.Contains(line, plainText)
}
