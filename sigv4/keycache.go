package sigv4

import (
	"sync"
	"sync/atomic"
	"time"
)

// KeyCache keeps derived signing keys: a derivation costs four HMACs, a hit one
// map look-up without a lock. The zero value is ready. It is safe for
// concurrent use and must not be copied.
//
// A key is valid for the generation of the secret that it was derived from, and
// for no time: whoever asks names the generation that is right by now, so that
// nothing has to be dropped when a secret changes. Whether the access key is still
// good at all is for the caller to know.
//
// A key enters the cache when a signature was checked with it and found right,
// or made with it; so a stranger who knows an access key cannot fill the cache
// with days and regions of his own.
type KeyCache struct {
	// Service is that of all its keys; "" is "s3".
	Service string
	// Max bounds the number of keys; 0 is 4096. Keys of days that no presigned
	// URL can name any more are dropped in any case; above Max those of today
	// and those added last stay.
	Max int

	read atomic.Pointer[map[string]*SigningKey] // never written to once stored

	mu     sync.Mutex
	recent map[string]*SigningKey // guarded by mu: added since read was stored
	now    time.Time              // guarded by mu: the latest time anybody added at
	misses int                    // guarded by mu: looks that recent answered
}

// Get returns the signing key of an access key for a day and region. The
// generation is that of the secret: when it differs from the cached key's, the
// key is derived anew. The secret is asked for only then; what that fails with
// is wrapped in KeyUnavailable. Get does not keep the secret.
func (kc *KeyCache) Get(accessKey, date, region []byte, generation uint64, secret func() ([]byte, error)) (*SigningKey, error) {
	var buf [192]byte
	id := appendKeyID(buf[:0], accessKey, date, region)
	if k := kc.lookup(id, generation); k != nil {
		return k, nil
	}
	s, err := secret()
	if err != nil {
		return nil, &Error{Code: KeyUnavailable, Err: err}
	}
	service := kc.Service
	if service == "" {
		service = "s3"
	}
	k := DeriveKey(string(accessKey), s, string(date), string(region), service)
	k.cache, k.generation = kc, generation
	return k, nil
}

// Len returns the number of keys held.
func (kc *KeyCache) Len() int {
	kc.mu.Lock()
	defer kc.mu.Unlock()
	kc.merge()
	return len(*kc.read.Load())
}

// appendKeyID joins the parts. The date has a fixed width and a region no
// slash, so that no two triples meet although an access key may hold slashes.
func appendKeyID[T []byte | string](dst []byte, accessKey, date, region T) []byte {
	dst = append(append(dst, date...), '/')
	dst = append(append(dst, region...), '/')
	return append(dst, accessKey...)
}

func (kc *KeyCache) lookup(id []byte, generation uint64) *SigningKey {
	if m := kc.read.Load(); m != nil {
		if k := (*m)[string(id)]; k != nil && k.generation == generation {
			return k
		}
	}
	kc.mu.Lock()
	defer kc.mu.Unlock()
	k := kc.recent[string(id)]
	if k == nil || k.generation != generation {
		return nil
	}
	// Merging costs the length of the map: do it once the looks that had to
	// take the lock have paid for it.
	if kc.misses++; kc.misses > 16+len(kc.recent) {
		kc.merge()
	}
	return k
}

func (kc *KeyCache) add(k *SigningKey, now time.Time) {
	kc.mu.Lock()
	defer kc.mu.Unlock()
	if kc.recent == nil {
		kc.recent = make(map[string]*SigningKey)
	}
	if now.After(kc.now) {
		kc.now = now
	}
	kc.recent[string(appendKeyID(nil, k.accessKey, k.date, k.region))] = k
	held := 0
	if m := kc.read.Load(); m != nil {
		held = len(*m)
	}
	if len(kc.recent) > 16+held/4 { // so that n additions copy O(n) keys in all
		kc.merge()
	}
}

// merge replaces the read map by what is worth keeping of both. The caller
// holds mu.
func (kc *KeyCache) merge() {
	limit := kc.Max
	if limit <= 0 {
		limit = 4096
	}
	var old map[string]*SigningKey
	if m := kc.read.Load(); m != nil {
		old = *m
	}
	today := kc.now.UTC().Format(dayLayout)
	oldest := kc.now.UTC().Add(-week).AddDate(0, 0, -1).Format(dayLayout)
	next := make(map[string]*SigningKey, min(limit, len(old)+len(kc.recent)))
	keep := func(from map[string]*SigningKey, since string) {
		for id, k := range from {
			if len(next) >= limit {
				return
			}
			if _, newer := next[id]; !newer && k.date >= since {
				next[id] = k
			}
		}
	}
	keep(kc.recent, oldest)
	keep(old, today)
	keep(old, oldest)
	kc.read.Store(&next)
	clear(kc.recent)
	kc.misses = 0
}
