package registry

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a secret in the clear. It prints as "…"; convert with string(s)
// where its bytes are meant.
type Secret string

// String returns "…".
func (Secret) String() string { return "…" }

// GoString returns "…".
func (Secret) GoString() string { return "…" }

// LogValue implements slog.LogValuer and is "…".
func (Secret) LogValue() slog.Value { return slog.StringValue("…") }

// MarshalJSON refuses: a secret is never part of a row or an event.
func (Secret) MarshalJSON() ([]byte, error) {
	return nil, errors.New("registry: a secret has no JSON form")
}

// errSeal: a sealed secret cannot be opened: another root key, another row's
// secret, or damage.
var errSeal = errors.New("sealed secret does not open under this root key")

// sealer keeps secrets at rest under the root key (AES-256-GCM), and makes
// the keyed hashes that stand for names. Keys for each use are derived from
// the root key with HKDF-SHA-256, so that none gives away another.
type sealer struct {
	aead   cipher.AEAD
	hashes []byte
	random io.Reader
}

func newSealer(root [32]byte, random io.Reader) (*sealer, error) {
	key, err := hkdf.Key(sha256.New, root[:], nil, "sallyport seal", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	hashes, err := hkdf.Key(sha256.New, root[:], nil, "sallyport names", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the hashing key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("sealing cipher: %w", err)
	}
	return &sealer{aead: aead, hashes: hashes, random: random}, nil
}

// seal encrypts plain for the row that label names: it opens for no other.
func (s *sealer) seal(plain []byte, label string) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return s.aead.Seal(nonce, nonce, plain, []byte(label)), nil
}

// open decrypts what seal made under the same label.
func (s *sealer) open(sealed []byte, label string) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errSeal
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(label))
	if err != nil {
		return nil, errSeal
	}
	return plain, nil
}

// hash returns the first n bytes, as hex, of a keyed hash of purpose and name.
func (s *sealer) hash(purpose, name string, n int) string {
	h := hmac.New(sha256.New, s.hashes)
	h.Write([]byte(purpose))
	h.Write([]byte{0})
	h.Write([]byte(name))
	return hex.EncodeToString(h.Sum(nil)[:n])
}
