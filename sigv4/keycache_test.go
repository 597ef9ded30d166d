package sigv4_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sallyport/sigv4"
)

// ring is a cache with the count of derivations.
type ring struct {
	cache   sigv4.KeyCache
	derived int
}

func (r *ring) key(t testing.TB, id, date string, generation uint64) *sigv4.SigningKey {
	t.Helper()
	k, err := r.cache.Get([]byte(id), []byte(date), []byte(region), generation, func() ([]byte, error) {
		r.derived++
		return fmt.Appendf(nil, "secret %d", generation), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// use signs with a key, which proves it.
func use(t testing.TB, k *sigv4.SigningKey) string {
	t.Helper()
	at, err := time.Parse("20060102", k.Date())
	if err != nil {
		t.Fatal(err)
	}
	url, err := sigv4.PresignURL(nil, &sigv4.Presign{Method: "GET", URL: "http://h", Path: "/", Time: at, Expires: time.Second}, k)
	if err != nil {
		t.Fatal(err)
	}
	return string(url)
}

func TestKeyCacheKeepsProvedKeys(t *testing.T) {
	var r ring
	r.key(t, "a", day, 1)
	k := r.key(t, "a", day, 1)
	if r.derived != 2 || r.cache.Len() != 0 {
		t.Errorf("an unproved key is kept: %d derivations", r.derived)
	}
	first := use(t, k)
	for range 100 {
		if again := r.key(t, "a", day, 1); again != k {
			t.Fatal("a proved key is derived again")
		}
	}
	if r.cache.Len() != 1 {
		t.Errorf("%d keys", r.cache.Len())
	}
	rotated := r.key(t, "a", day, 2)
	if use(t, rotated) == first {
		t.Error("a new generation signs with the old secret")
	}
	if r.key(t, "a", day, 2) != rotated {
		t.Error("the new generation is not kept")
	}
	if r.cache.Len() != 1 || r.key(t, "a", day, 2) != rotated {
		t.Error("the old generation is kept beside the new")
	}
}

func TestKeyCacheIsNotFilledByStrangers(t *testing.T) {
	var r ring
	v := testVerifier()
	for i := range 100 {
		req := headerSigned(t)
		edit(header(req, "authorization"), accessKey, fmt.Sprint("AK", i))
		var c sigv4.Claim
		if err := sigv4.Parse(req, &c); err != nil {
			t.Fatal(err)
		}
		if err := v.Verify(req, &c, r.key(t, string(c.AccessKey), day, 1)); err == nil {
			t.Fatal("verifies")
		}
	}
	if n := r.cache.Len(); n != 0 {
		t.Errorf("%d keys", n)
	}
}

func TestKeyCacheIsBounded(t *testing.T) {
	r := ring{cache: sigv4.KeyCache{Max: 50}}
	for i := range 1000 {
		use(t, r.key(t, fmt.Sprint("AK", i), day, 1))
		if last := r.key(t, fmt.Sprint("AK", i), day, 1); i > 100 && last == nil {
			t.Fatal("nothing")
		}
	}
	if n := r.cache.Len(); n > 50 || n == 0 {
		t.Errorf("%d keys", n)
	}
	before := r.derived
	r.key(t, "AK999", day, 1)
	if r.derived != before {
		t.Error("the latest key is gone")
	}
}

func TestKeyCacheDropsOldDays(t *testing.T) {
	var r ring
	use(t, r.key(t, "a", "20260220", 1))
	use(t, r.key(t, "a", "20260226", 1)) // a URL of 7 days may still be alive on 4 March
	use(t, r.key(t, "a", day, 1))
	if n := r.cache.Len(); n != 2 {
		t.Errorf("%d keys", n)
	}
}

func TestKeyCacheWithoutSecret(t *testing.T) {
	var cache sigv4.KeyCache
	cause := errors.New("the vault is closed")
	_, err := cache.Get([]byte("a"), []byte(day), []byte(region), 1, func() ([]byte, error) { return nil, cause })
	wantCode(t, "get", err, sigv4.KeyUnavailable)
	if !errors.Is(err, cause) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestKeyCacheConcurrently(t *testing.T) {
	cache := sigv4.KeyCache{Max: 20}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 300 {
				id := fmt.Appendf(nil, "AK%d", (i*7+worker)%40)
				k, err := cache.Get(id, []byte(day), []byte(region), uint64(i/100), func() ([]byte, error) { return id, nil })
				if err != nil || k.AccessKey() != string(id) {
					t.Errorf("key %v, %v", k, err)
					return
				}
				use(t, k)
			}
		})
	}
	wg.Wait()
	if n := cache.Len(); n > 20 {
		t.Errorf("%d keys", n)
	}
}
