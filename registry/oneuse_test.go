package registry_test

import (
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
)

func (h *house) oneUse(signature string, ttl time.Duration) registry.OneUse {
	sum := sha256.Sum256([]byte(signature))
	return registry.OneUse{Hash: string(sum[:]), Expires: h.Now().Add(ttl)}
}

func (h *house) used(u registry.OneUse) bool {
	h.Helper()
	used, err := h.URLUsed(h.ctx(), acme, u)
	h.must(err)
	return used
}

// putOnce writes content with a URL that works once.
func (h *house) putOnce(key string, u registry.OneUse) error {
	i, err := h.ReserveBlob(h.ctx(), acme)
	if err != nil {
		return err
	}
	_, err = h.PutObject(h.ctx(), h.amy, registry.NewObject{
		Intent: i, Bucket: direct, Key: key, Stored: stored(key), Verdict: clean, OneUse: u,
	})
	if err != nil {
		return errors.Join(err, h.ReleaseBlob(h.ctx(), i))
	}
	return nil
}

func TestURLsWorkOnce(t *testing.T) {
	h := newHouse(t)
	u := h.oneUse("signature", time.Minute)
	if h.used(u) || h.used(registry.OneUse{}) {
		t.Error("used before its first use")
	}
	// A write that is refused uses nothing up.
	_, err := h.PutObject(h.ctx(), h.amy, registry.NewObject{Bucket: direct, Key: "k", Stored: stored("x"), OneUse: u})
	h.want(err, registry.ErrFenced)
	if h.used(u) {
		t.Error("used by a write that did not count")
	}
	const clients = 8
	results := make(chan error, clients)
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() { results <- h.putOnce("k", u) })
	}
	wait.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
			continue
		}
		h.want(err, registry.ErrURLUsed)
	}
	if won != 1 || !h.used(u) {
		t.Errorf("%d writes counted", won)
	}
	h.reopen()
	h.want(h.putOnce("k", u), registry.ErrURLUsed)
	m := h.multipart(direct, "k")
	n := m.newPart(1, "one", 5)
	n.OneUse = u
	_, err = m.tryPart(n)
	h.want(err, registry.ErrURLUsed)
	n = m.newPart(1, "one", 5)
	n.OneUse = h.oneUse("another", time.Minute)
	_, err = m.tryPart(n)
	h.must(err)
	if used, err := h.URLUsed(h.ctx(), "evil", u); used || err != nil {
		t.Errorf("another tenant's URL of the same signature: %v, %v", used, err)
	}
	h.must(h.putOnce("free", registry.OneUse{}))
	h.must(h.putOnce("free", registry.OneUse{}))
}

// TestForgetURLs: they are remembered for a day after their end, in which a slow body may
// still come to its commit.
func TestForgetURLs(t *testing.T) {
	h := newHouse(t)
	const many = 7
	for i := range many {
		h.must(h.putOnce("k", h.oneUse(string(rune('a'+i)), time.Hour)))
	}
	a := h.oneUse("a", time.Hour)
	h.time.pass(day + 59*time.Minute)
	if n := h.forgetAll(3); n != 0 || !h.used(a) {
		t.Errorf("%d URLs were forgotten before their time", n)
	}
	h.time.pass(time.Minute)
	if n := h.forgetAll(3); n != many || h.used(a) {
		t.Errorf("%d of %d URLs were forgotten", n, many)
	}
}
