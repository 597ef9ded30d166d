//go:build unix && !linux

package diskblob

import (
	"errors"
	"os"
)

// These systems have no files without a name: puts go through tmp, and every
// folder is synced.

func openUnnamed(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func link(*os.File, string) error { return errors.ErrUnsupported }

func renameNew(from, to string) error { return relink(from, to) }

func reserve(*os.File, int64) error { return nil }

func flush(*os.File, int64, int64) {}

func fsyncSavesName(string) bool { return false }

func volatile(string) bool { return false }
