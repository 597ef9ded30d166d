package sigv4_test

import (
	"errors"

	"sallyport/sigv4"
)

func asError(err error) *sigv4.Error {
	var e *sigv4.Error
	errors.As(err, &e)
	return e
}
