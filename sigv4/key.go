package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// SigningKey is a key derived from a secret for one access key, day, region and
// service: it can sign and prove nothing outside that scope. It is safe for
// concurrent use, and never shows itself in a log.
type SigningKey struct {
	accessKey, date, region, service string

	key  [sha256.Size]byte
	macs sync.Pool // of *mac: keyed, so that the two pads are hashed only once
	pool sync.Pool // of *scratch, for signing

	cache      *KeyCache // where it goes once proved; nil if it came from DeriveKey
	generation uint64
	cached     atomic.Bool
}

// mac is a keyed HMAC with room for its sum: a sum on the stack would escape
// through the interface.
type mac struct {
	hash.Hash
	sum [sha256.Size]byte
}

// DeriveKey derives the signing key of a day (YYYYMMDD).
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func DeriveKey(accessKey string, secret []byte, date, region, service string) *SigningKey {
	k := &SigningKey{accessKey: accessKey, date: date, region: region, service: service}
	step := append([]byte("AWS4"), secret...)
	for _, part := range [...]string{date, region, service, terminator} {
		h := hmac.New(sha256.New, step)
		h.Write([]byte(part))
		clear(step)
		step = h.Sum(step[:0])
	}
	copy(k.key[:], step)
	clear(step)
	return k
}

// AccessKey returns the access key it was derived for.
func (k *SigningKey) AccessKey() string { return k.accessKey }

// Date returns its day, YYYYMMDD.
func (k *SigningKey) Date() string { return k.date }

// Region returns its region.
func (k *SigningKey) Region() string { return k.region }

// String names the scope, not the key.
func (k *SigningKey) String() string { return "signing key " + k.accessKey + "/" + k.scope() }

// GoString is String, for %#v.
func (k *SigningKey) GoString() string { return k.String() }

// LogValue is String, for slog.
func (k *SigningKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

func (k *SigningKey) scope() string {
	return k.date + "/" + k.region + "/" + k.service + "/" + terminator
}

func (k *SigningKey) appendScope(dst []byte) []byte {
	dst = append(append(dst, k.date...), '/')
	dst = append(append(dst, k.region...), '/')
	return append(append(dst, k.service...), "/"+terminator...)
}

func (k *SigningKey) scratch() *scratch {
	s, _ := k.pool.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	return s
}

// sign returns the hex HMAC of a string to sign.
func (k *SigningKey) sign(stringToSign []byte) (sig [2 * sha256.Size]byte) {
	m, _ := k.macs.Get().(*mac)
	if m == nil {
		m = &mac{Hash: hmac.New(sha256.New, k.key[:])}
	}
	m.Reset()
	m.Write(stringToSign)
	hex.Encode(sig[:], m.Sum(m.sum[:0]))
	k.macs.Put(m)
	return sig
}

// proved puts the key into its cache, once. The time is asked for only then.
func (k *SigningKey) proved(now func() time.Time) {
	if k.cache != nil && !k.cached.Load() {
		k.provedAt(now())
	}
}

func (k *SigningKey) provedAt(now time.Time) {
	if k.cache != nil && !k.cached.Load() && k.cached.CompareAndSwap(false, true) {
		k.cache.add(k, now)
	}
}
