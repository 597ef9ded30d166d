package policy_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/registry/policy"
)

func TestTokenName(t *testing.T) {
	for name, want := range map[string]error{
		"":                       policy.ErrInvalid,
		"two\nlines":             policy.ErrInvalid,
		"colour\x1b[31m":         policy.ErrInvalid,
		"c1\u009b31m":            policy.ErrInvalid,
		"delete\x7f":             policy.ErrInvalid,
		"line\u2028separator":    policy.ErrInvalid,
		"turned\u202eround":      policy.ErrInvalid,
		"not\xffutf8":            policy.ErrInvalid,
		strings.Repeat("a", 129): policy.ErrInvalid,
		strings.Repeat("a", 128): nil,
		"build server / nightly": nil,
		"Bärbel's laptop":        nil,
	} {
		if err := policy.TokenName(name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}
