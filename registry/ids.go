package registry

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// Lengths and prefixes of the ids the ledger makes.
const (
	prefixUpload    = "upl_"
	prefixObject    = "obj_"
	prefixMultipart = "mpu_"
	prefixGrant     = "g_"
	prefixToken     = "tok_"
	prefixWebhook   = "whk_"
	prefixURLKey    = "SPU"
	prefixAccess    = "SP"

	accessKeyTail  = 18 // of A-Z0-9 behind "SP"
	accessAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

// idSource makes ULIDs that grow, also within a millisecond. It is safe for
// concurrent use.
type idSource struct {
	mu      sync.Mutex // protects the fields below
	entropy *ulid.MonotonicEntropy
	last    uint64
}

func newIDSource(random io.Reader) *idSource {
	return &idSource{entropy: ulid.Monotonic(random, 0)}
}

// next returns prefix and a ULID of the time at.
func (s *idSource) next(prefix string, at time.Time) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, millis(at))
	var id ulid.ULID
	if err := id.SetTime(s.last); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	if err := s.entropy.MonotonicRead(s.last, id[6:]); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	var b [32]byte
	n := copy(b[:], prefix)
	if err := id.MarshalTextTo(b[n : n+ulid.EncodedSize]); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return string(b[:n+ulid.EncodedSize]), nil
}

// accessKeyID returns SP and 18 random letters and digits.
func accessKeyID(random io.Reader) (AccessKeyID, error) {
	id := make([]byte, 0, len(prefixAccess)+accessKeyTail)
	id = append(id, prefixAccess...)
	var b [32]byte
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("make an access key: %w", err)
		}
		for _, c := range b {
			// 252 is the largest multiple of 36 in a byte: every letter as likely.
			if c < 252 && len(id) < cap(id) {
				id = append(id, accessAlphabet[c%36])
			}
		}
		if len(id) == cap(id) {
			return AccessKeyID(id), nil
		}
	}
}
