package registry

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LoadOrCreateRootKey returns the key in the file at path: 32 bytes, or 64 hex
// digits and white space around them. If there is no such file, it is made
// with a random key and mode 0600, durably: a key that seals rows must not be
// lost with the machine's cache.
func LoadOrCreateRootKey(path string) ([32]byte, error) {
	key, err := readRootKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if _, err := rand.Read(key[:]); err != nil {
		return key, fmt.Errorf("root key: %w", err)
	}
	if err := writeRootKey(path, key); err != nil {
		return [32]byte{}, fmt.Errorf("root key: %w", err)
	}
	return key, nil
}

func readRootKey(path string) (key [32]byte, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return key, fmt.Errorf("root key: %w", err)
	}
	if len(b) == len(key) {
		return [32]byte(b), nil
	}
	text := strings.TrimSpace(string(b))
	if len(text) != hex.EncodedLen(len(key)) {
		return key, fmt.Errorf("root key: %s holds neither 32 bytes nor 64 hex digits", path)
	}
	if _, err := hex.Decode(key[:], []byte(text)); err != nil {
		return [32]byte{}, fmt.Errorf("root key: %s holds neither 32 bytes nor 64 hex digits", path)
	}
	return key, nil
}

// writeRootKey goes through a temporary file: if we die here there is either
// no key or a whole one, and nothing was sealed yet.
func writeRootKey(path string, key [32]byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".root-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(hex.EncodeToString(key[:]) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	// Link, unlike rename, does not replace a key that someone else just made.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
