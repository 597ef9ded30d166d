package diskblob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"sallyport/registry/blob"
)

// cause strips err of the wrappings that carry a path.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// failed gives a failed system call on a blob's file the class blob promises.
func failed(op string, err error) error {
	err = cause(err)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("diskblob: %s: %w", op, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return fmt.Errorf("diskblob: %s: %w: %w", op, blob.ErrFull, err)
	}
	return fmt.Errorf("diskblob: %s: %w: %w", op, blob.ErrUnavailable, err)
}

// unavailable is failed where absence is no answer about a blob but means that
// the store's own folders are gone. The error code is shown but not wrapped.
func unavailable(op string, err error) error {
	if err = cause(err); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("diskblob: %s: %w: %v", op, blob.ErrUnavailable, err)
	}
	return failed(op, err)
}

// retry repeats a system call that a signal broke off.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
