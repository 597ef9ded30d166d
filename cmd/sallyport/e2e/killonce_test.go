package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// onceBucket lets every URL that a client signed itself work once.
const onceBucket = "/once"

// killOnce are puts to URLs that clients signed.
type killOnce struct {
	*world
	urls    []*killURL // mu protects it
	checked int        // those before were looked at once
	lost    int        // whose answer was lost
}

// killURL is such a URL, and what was put to it first.
type killURL struct {
	target string
	until  time.Time // it expires; a long run outlives its first ones
	key    *killKey
	data   matter
	used   step
}

func newKillOnce(w *world) *killOnce {
	w.s.root.must("PUT", "/profiles/once", map[string]any{"intake": "direct", "single_use": true}, nil)
	return &killOnce{world: w}
}

func (o *killOnce) act(r *rand.Rand, worker int) error {
	k := o.key(fmt.Sprintf("%s/worker %d/key-%d", onceBucket, worker, r.IntN(keysEach)))
	u := &killURL{key: k, data: o.unlike()}
	// No two are the same URL: that of a key is, within a second, but for its life.
	life := time.Hour - time.Duration(u.data[0].seed%1800)*time.Second
	u.target, u.until = o.s.root.presign("PUT", k.path, life), time.Now().Add(life)
	o.mu.Lock()
	o.urls = append(o.urls, u)
	o.mu.Unlock()
	u.used.asked = true
	if err := o.write(k, u.data, func() (answer, error) { return o.send(u, u.data) }); err != nil {
		return err
	}
	u.used.acknowledged = true
	if r.IntN(3) > 0 {
		return nil
	}
	a, err := o.send(u, o.fresh())
	if err == nil && !a.is(http.StatusConflict, "UploadURLAlreadyUsed") {
		return o.refuse("a second use", a)
	}
	return err
}

func (o *killOnce) send(u *killURL, m matter) (answer, error) {
	req, err := http.NewRequest(http.MethodPut, u.target, bytes.NewReader(m.bytes()))
	if err != nil {
		return answer{}, err
	}
	return o.s.do(req)
}

func (o *killOnce) settle() {
	o.s.t.Helper()
	for _, u := range o.urls[o.checked:] {
		if u.used.acknowledged {
			continue
		}
		o.lost++
		o.settleKey(u.key)
		if u.used.acknowledged = same(u.key.now(), u.data); !u.used.acknowledged {
			o.putAnew(u)
		}
	}
	for _, u := range o.urls[o.checked:] {
		o.verifyUsed(u)
	}
	for range min(o.checked, 3) {
		o.verifyUsed(o.urls[o.rng.IntN(o.checked)])
	}
	o.checked = len(o.urls)
}

// putAnew uses a URL whose put did not happen, with other bytes.
func (o *killOnce) putAnew(u *killURL) {
	o.s.t.Helper()
	u.data = o.unlike()
	a, err := o.send(u, u.data)
	if err != nil || a.Status != http.StatusOK {
		o.s.t.Errorf("the URL of an interrupted put: %s, %v", a, err)
		return
	}
	u.used.acknowledged = true
	u.key.is(u.data)
}

// verifyUsed tries a URL again; verifyKeys sees whether it wrote.
func (o *killOnce) verifyUsed(u *killURL) {
	o.s.t.Helper()
	if time.Until(u.until) < time.Minute {
		return
	}
	if a, err := o.send(u, o.fresh()); err != nil || !a.is(http.StatusConflict, "UploadURLAlreadyUsed") {
		o.s.t.Errorf("a used URL: %s, %v", a, err)
	}
}

func (o *killOnce) verify() {
	o.s.t.Helper()
	for _, u := range o.urls {
		o.verifyUsed(u)
	}
}

func (o *killOnce) live(func(piece)) {} // its keys are the world's

func (o *killOnce) logged(tally) {} // as those of any put

func (o *killOnce) report() (string, bool) {
	return fmt.Sprintf("%d URLs that work once, %d with an interrupted put", len(o.urls), o.lost), len(o.urls) > o.lost && o.lost > 0
}
