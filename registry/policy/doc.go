// Package policy decides what is allowed: who may do what, how large, of which
// type and for how long. Every function is pure: it looks at what it is given,
// stores nothing and does nothing, so that a rule can be read and tested in one
// place and cannot be half applied.
//
// A limit asked for outside its bounds is refused, never clamped: a caller that
// asked for an hour must not find out later that it got a minute.
package policy

import "errors"

// Error classes. They arrive wrapped with the reason; compare with errors.Is.
var (
	// ErrForbidden: the actor's roles do not allow the action.
	ErrForbidden = errors.New("policy: not allowed for these roles")
	// ErrInvalid: a file name or media type breaks its rules.
	ErrInvalid = errors.New("policy: invalid request")
	// ErrTypeNotAllowed: the profile does not allow this media type.
	ErrTypeNotAllowed = errors.New("policy: type not allowed")
	// ErrSizeNotAllowed: the size is negative or above the profile's maximum.
	ErrSizeNotAllowed = errors.New("policy: size not allowed")
	// ErrInvalidTTL: a lifetime is outside its bounds.
	ErrInvalidTTL = errors.New("policy: lifetime out of range")
)
