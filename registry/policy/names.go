package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxFilename is the longest file name in bytes: what a file system takes.
const MaxFilename = 255

// MaxKey is the longest S3 key in bytes, see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html.
const MaxKey = 1024

// Key returns ErrInvalid unless key is 1 to MaxKey bytes of UTF-8. Everything
// else is allowed: a key is a name and never a path.
func Key(key string) error {
	if key == "" || len(key) > MaxKey || !utf8.ValidString(key) {
		return fmt.Errorf("%w: a key is 1 to %d bytes of UTF-8", ErrInvalid, MaxKey)
	}
	return nil
}

// Filename returns ErrInvalid unless name can be shown to people and sent in a
// Content-Disposition: 1 to MaxFilename bytes of UTF-8, neither "." nor "..",
// without path separators, control characters, line separators or characters
// that turn the direction of text (they make "gpj.exe" read as "exe.jpg").
func Filename(name string) error {
	if name == "" || len(name) > MaxFilename {
		return fmt.Errorf("%w: filename is 1 to %d bytes", ErrInvalid, MaxFilename)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%w: filename is not UTF-8", ErrInvalid)
	}
	if name == "." || name == ".." {
		return fmt.Errorf("%w: filename names a folder", ErrInvalid)
	}
	if strings.ContainsAny(name, `/\`) {
		return fmt.Errorf("%w: filename has a path separator", ErrInvalid)
	}
	return showable("filename", name)
}

// MaxTokenName is the longest name of a bearer token in bytes.
const MaxTokenName = 128

// TokenName returns ErrInvalid unless name can be shown to people: 1 to
// MaxTokenName bytes of UTF-8 without the characters that Filename refuses for
// what they do to a text.
func TokenName(name string) error {
	if name == "" || len(name) > MaxTokenName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: the name of a token is 1 to %d bytes of UTF-8", ErrInvalid, MaxTokenName)
	}
	return showable("the name of a token", name)
}

// showable refuses what does something to a line of text instead of standing in
// it.
func showable(what, s string) error {
	for _, r := range s {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return fmt.Errorf("%w: %s has a control character", ErrInvalid, what)
		case unicode.Is(unicode.Bidi_Control, r):
			return fmt.Errorf("%w: %s has a text direction character", ErrInvalid, what)
		}
	}
	return nil
}
