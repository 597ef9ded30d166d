package hooks_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	reference "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"sallyport/registry"
	"sallyport/server/hooks"
)

// TestSignatures holds every message against the specification's own implementation,
// and against what it says written down once more.
func TestSignatures(t *testing.T) {
	r := newRig(t)
	v := startReceiver(t, nil)
	w, secret := r.hook(v.URL + "/a?token=hidden-in-the-url")
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_")); err != nil || !strings.HasPrefix(secret, "whsec_") || len(raw) < 24 || len(raw) > 64 {
		t.Fatalf("a secret of %d bytes, %v", len(raw), err)
	}
	r.run()
	b := r.begin()
	first := v.await(r, 1)[0]
	verify(t, secret, first)

	var body struct {
		Type      string         `json:"type"`
		Timestamp time.Time      `json:"timestamp"`
		Data      map[string]any `json:"data"`
	}
	r.must(json.Unmarshal(first.body, &body))
	want := map[string]any{
		"tenant": "acme", "upload_id": string(b.Upload.ID), "object_id": string(b.Upload.Object), "profile": "default", "state": "created", "size": 5.0,
	}
	if body.Type != "upload.created" || time.Since(body.Timestamp) > patience || !maps.Equal(body.Data, want) {
		t.Errorf("the body is %s", first.body)
	}
	if ct := first.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("it is %q", ct)
	}

	_, newer, err := r.RotateWebhookSecret(r.ctx(), r.amy, w.ID)
	r.must(err)
	r.end(b)
	second := v.await(r, 2)[1]
	verify(t, secret, second)
	verify(t, string(newer), second)
	if n := len(strings.Split(second.header.Get("webhook-signature"), " ")); n != 2 {
		t.Errorf("%d signatures while two secrets count", n)
	}
	_, newest, err := r.RotateWebhookSecret(r.ctx(), r.amy, w.ID)
	r.must(err)
	r.begin()
	third := v.await(r, 3)[2]
	verify(t, string(newest), third)
	if err := check(t, secret, third); err == nil {
		t.Error("a secret that was replaced twice still signs")
	}
	if first.id() == second.id() || second.id() == third.id() {
		t.Errorf("ids %s, %s, %s", first.id(), second.id(), third.id())
	}
	r.silent("hidden-in-the-url", secret, string(newer), "secret-plans")
}

func check(tb testing.TB, secret string, c call) error {
	tb.Helper()
	judge, err := reference.NewWebhook(secret)
	if err != nil {
		tb.Fatal(err)
	}
	return judge.Verify(c.body, c.header)
}

func verify(tb testing.TB, secret string, c call) {
	tb.Helper()
	if err := check(tb, secret, c); err != nil {
		tb.Errorf("the reference implementation: %v", err)
	}
	altered := c
	altered.body = append(slices.Clone(c.body), ' ')
	if check(tb, secret, altered) == nil {
		tb.Error("the reference implementation takes anything")
	}
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", c.header.Get("webhook-id"), c.header.Get("webhook-timestamp"), c.body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !slices.Contains(strings.Split(c.header.Get("webhook-signature"), " "), want) {
		tb.Errorf("signature %q, not %q", c.header.Get("webhook-signature"), want)
	}
	seconds, err := strconv.ParseInt(c.header.Get("webhook-timestamp"), 10, 64)
	if off := c.at.Sub(time.Unix(seconds, 0)); err != nil || off < -2*time.Second || off > 2*time.Second {
		tb.Errorf("timestamp %q, %s off", c.header.Get("webhook-timestamp"), off)
	}
	if strings.Contains(c.id(), ".") || !strings.HasPrefix(c.id(), "msg_") {
		tb.Errorf("id %q", c.id())
	}
}

// kinds are the types of the notices that came, in their order.
func kinds(calls []call) (types []string) {
	for _, c := range calls {
		var body struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(c.body, &body) != nil {
			body.Type = "?"
		}
		types = append(types, body.Type)
	}
	return types
}

// TestOnlyWhatWasAskedFor: the types of the webhook, of its own tenant, from its making
// on, in order.
func TestOnlyWhatWasAskedFor(t *testing.T) {
	r := newRig(t)
	bob := r.tenant("bolt")
	v := startReceiver(t, nil)
	r.begin() // before there was a webhook
	r.hook(v.URL + "/all")
	r.hook(v.URL+"/ends", registry.NoticeUploadAborted)
	r.hook(v.URL+"/published", registry.NoticeObjectPublished)
	r.run()
	for range 3 {
		r.beginAs(bob)
		r.end(r.begin())
	}
	r.eventually("nine calls", func() bool { return len(v.got()) == 9 })
	byPath := map[string][]call{}
	for _, c := range v.got() {
		byPath[c.path] = append(byPath[c.path], c)
		if strings.Contains(string(c.body), "bolt") {
			t.Errorf("another tenant's: %s", c.body)
		}
	}
	if got := strings.Join(kinds(byPath["/all"]), " "); got != strings.TrimSpace(strings.Repeat("upload.created upload.aborted ", 3)) {
		t.Errorf("all: %s", got)
	}
	if got := strings.Join(kinds(byPath["/ends"]), " "); got != strings.TrimSpace(strings.Repeat("upload.aborted ", 3)) {
		t.Errorf("ends: %s", got)
	}
}

// TestRetriesSurviveTheProcess fails a message to its death, over several processes,
// and replays it.
func TestRetriesSurviveTheProcess(t *testing.T) {
	r := newRig(t)
	v := startReceiver(t, status(500))
	w, secret := r.hook(v.URL)
	r.begin()
	for try := 1; try <= 3; try++ {
		r.run()
		v.await(r, try)
		r.eventually("the try is settled", func() bool { p := r.progress(w); return p.Failures == try })
		r.reopen()
	}
	p := r.progress(w)
	if p.Dead != 1 || p.Waiting != 0 || p.Status != 500 || p.Cause != "status" {
		t.Errorf("after the last try: %+v", p)
	}
	letters, _, err := r.Letters(r.ctx(), acme, w.ID, registry.Page{})
	r.must(err)
	if len(letters) != 1 || letters[0].Tries != 3 || letters[0].Dead.IsZero() || letters[0].Type != registry.NoticeUploadCreated {
		t.Errorf("letters: %+v", letters)
	}
	if n := r.count(registry.EventWebhookDead); n != 1 {
		t.Errorf("%d messages died by the audit log", n)
	}

	v.answers(nil)
	r.run()
	r.begin()
	v.await(r, 4) // what is dead stays dead
	_, err = r.ReplayWebhook(r.ctx(), r.amy, w.ID, registry.Replay{Dead: true})
	r.must(err)
	calls := v.await(r, 5)
	verify(t, secret, calls[4])
	if calls[4].id() != calls[0].id() || string(calls[4].body) != string(calls[0].body) {
		t.Errorf("replayed as %s %s, it was %s %s", calls[4].id(), calls[4].body, calls[0].id(), calls[0].body)
	}
	r.eventually("nothing is left", func() bool { return r.progress(w).Dead == 0 })
}

// count returns how many leaves of a type acme has.
func (r *rig) count(what registry.EventType) (n int) {
	r.Helper()
	leaves, err := r.Events(r.ctx(), acme, 0, 1000)
	r.must(err)
	for _, leaf := range leaves {
		if ev, err := leaf.Event(); err == nil && ev.Type == what {
			n++
		}
	}
	return n
}

// TestReplayOfASpan sends what happened in a span of time again, over a restart.
func TestReplayOfASpan(t *testing.T) {
	r := newRig(t)
	v := startReceiver(t, nil)
	w, _ := r.hook(v.URL)
	r.run()
	r.begin()
	first := v.await(r, 1)[0]
	pass()
	from := time.Now()
	b := r.begin()
	r.end(b)
	v.await(r, 3)
	pass()
	to := time.Now()
	pass()
	r.begin()
	all := v.await(r, 4)
	r.settled(w, all[3])

	r.reopen()
	w, err := r.ReplayWebhook(r.ctx(), r.amy, w.ID, registry.Replay{From: from, To: to})
	r.must(err)
	if !w.Progress.Replaying {
		t.Error("no replay is under way")
	}
	if _, err := r.ReplayWebhook(r.ctx(), r.amy, w.ID, registry.Replay{From: from}); err == nil {
		t.Error("a second replay was begun")
	}
	r.reopen()
	r.run()
	again := v.await(r, 6)[4:]
	if again[0].id() != all[1].id() || again[1].id() != all[2].id() {
		t.Errorf("replayed %s and %s, not %s and %s", again[0].id(), again[1].id(), all[1].id(), all[2].id())
	}
	r.eventually("the replay ends", func() bool { return !r.progress(w).Replaying })
	_, err = r.ReplayWebhook(r.ctx(), r.amy, w.ID, registry.Replay{})
	r.must(err)
	if whole := v.await(r, 10)[6:]; whole[0].id() != first.id() || whole[3].id() != all[3].id() {
		t.Errorf("replayed from %s to %s", whole[0].id(), whole[3].id())
	}
}

// pass lets the ledger's clock, which counts milliseconds, go on.
func pass() { time.Sleep(3 * time.Millisecond) }

// TestCutTryIsMadeAgain ends the process while a target thinks about a message.
func TestCutTryIsMadeAgain(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	defer close(hold)
	v := startReceiver(t, func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-hold:
		case <-req.Context().Done():
		}
	})
	w, _ := r.hook(v.URL)
	r.begin()
	r.run()
	v.await(r, 1)
	r.reopen()
	if p := r.progress(w); p.Failures != 0 || p.Waiting != 0 {
		t.Errorf("a try that was cut counts: %+v", p)
	}
	v.answers(nil)
	r.run()
	calls := v.await(r, 2)
	if calls[0].id() != calls[1].id() {
		t.Errorf("ids %s and %s", calls[0].id(), calls[1].id())
	}
}

// TestGoneDisables: 410 is a target's word that it wants no more; nothing is lost by it.
func TestGoneDisables(t *testing.T) {
	r := newRig(t)
	v := startReceiver(t, status(http.StatusGone))
	w, _ := r.hook(v.URL)
	r.run()
	r.begin()
	v.await(r, 1)
	r.eventually("it is disabled", func() bool {
		w, err := r.Webhook(r.ctx(), acme, w.ID)
		r.must(err)
		return w.Disabled
	})
	r.begin()
	v.answers(nil)
	_, err := r.ChangeWebhook(r.ctx(), r.amy, w.ID, registry.WebhookTerms{URL: v.URL})
	r.must(err)
	calls := v.await(r, 3)
	if calls[0].id() != calls[1].id() && calls[0].id() != calls[2].id() {
		t.Errorf("the message that found it gone is lost: %s, %s, %s", calls[0].id(), calls[1].id(), calls[2].id())
	}
}

// TestDownTargetIsLeftAlone: once it has failed in a row it is asked seldom, and what
// happens meanwhile waits in the log and is delivered when it is back.
func TestDownTargetIsLeftAlone(t *testing.T) {
	r := newRig(t, func(c *hooks.Config) { c.Pause, c.Backoff = time.Hour, []time.Duration{time.Hour} })
	v := startReceiver(t, status(500))
	w, _ := r.hook(v.URL)
	r.run()
	for range 20 {
		r.begin()
	}
	r.eventually("it counts as down", func() bool { return !r.progress(w).NotBefore.IsZero() })
	if p := r.progress(w); p.Failures != 5 || p.Waiting != 5 || len(v.got()) != 5 {
		t.Errorf("%d calls, %+v", len(v.got()), p)
	}
	if until := r.progress(w).NotBefore; time.Until(until) > 70*time.Minute {
		t.Errorf("it is left alone until %s", until)
	}
	v.answers(nil)
	_, err := r.ChangeWebhook(r.ctx(), r.amy, w.ID, registry.WebhookTerms{URL: v.URL}) // an operator knows that it is back
	r.must(err)
	v.await(r, 20) // five were tried and wait for their hour, fifteen came
	if p := r.progress(w); p.Waiting != 5 {
		t.Errorf("%+v", p)
	}
}

// TestBusyTargetSaysWhenToComeBack by Retry-After.
func TestBusyTargetSaysWhenToComeBack(t *testing.T) {
	for _, value := range []string{"7200", time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat)} {
		r := newRig(t)
		v := startReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		w, _ := r.hook(v.URL)
		r.run()
		r.begin()
		r.begin()
		r.eventually("it waits", func() bool { return !r.progress(w).NotBefore.IsZero() })
		if wait := time.Until(r.progress(w).NotBefore); wait < 118*time.Minute || wait > 122*time.Minute || len(v.got()) != 1 {
			t.Errorf("Retry-After: %s is %s after %d calls", value, wait, len(v.got()))
		}
	}
}

// TestOneAtATime: a webhook sends one message after the other, and one that hangs holds
// nobody else up.
func TestOneAtATime(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	hanging := startReceiver(t, func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-hold:
		case <-req.Context().Done():
		}
	})
	defer close(hold)
	v := startReceiver(t, nil)
	r.hook(hanging.URL)
	r.hook(v.URL)
	r.run()
	for range 50 {
		r.begin()
	}
	calls := v.await(r, 50)
	if v.most != 1 || len(hanging.got()) != 1 {
		t.Errorf("%d at once; %d at the one that hangs", v.most, len(hanging.got()))
	}
	seen := map[string]bool{}
	for _, c := range calls {
		seen[c.id()] = true
	}
	if len(seen) != 50 {
		t.Errorf("%d different messages", len(seen))
	}
}

// TestTenantsDoNotHoldEachOtherUp: all of one tenant's webhooks hang, another's works.
func TestTenantsDoNotHoldEachOtherUp(t *testing.T) {
	r := newRig(t, func(c *hooks.Config) { c.Workers = 4 })
	bob := r.tenant("bolt")
	hold := make(chan struct{})
	hanging := startReceiver(t, func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-hold:
		case <-req.Context().Done():
		}
	})
	defer close(hold)
	v := startReceiver(t, nil)
	for range 8 {
		r.hook(hanging.URL)
	}
	_, _, err := r.CreateWebhook(r.ctx(), bob, registry.WebhookTerms{URL: v.URL})
	r.must(err)
	r.run()
	r.begin()
	hanging.await(r, 1)
	r.beginAs(bob)
	v.await(r, 1)
	if n := len(hanging.got()); n != 1 {
		t.Errorf("%d of four workers are one tenant's", n)
	}
}

// TestSlowTargetsHaveShortTurns: one that takes everything, and its time, does not keep a
// worker from others until it has had all that waits for it.
func TestSlowTargetsHaveShortTurns(t *testing.T) {
	var late atomic.Int64
	r := newRig(t, func(c *hooks.Config) {
		c.Workers = 1
		c.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	})
	const n = 20
	slow := startReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		late.Add(int64(10 * time.Second))
		w.WriteHeader(http.StatusNoContent)
	})
	r.hook(slow.URL + "/a")
	r.hook(slow.URL + "/b")
	for range n {
		r.begin()
	}
	r.run()
	calls := slow.await(r, 2*n)
	first := calls[0].path
	if !slices.ContainsFunc(calls[:n/2], func(c call) bool { return c.path != first }) {
		t.Errorf("%s got %d messages before the other one got any", first, n/2)
	}
}

// TestDeletedWhileSending: nothing is left of a webhook that is deleted, whatever was
// under way.
func TestDeletedWhileSending(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	v := startReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		<-hold
		w.WriteHeader(http.StatusInternalServerError)
	})
	w, _ := r.hook(v.URL)
	other, _ := r.hook(v.URL + "/other")
	r.run()
	r.begin()
	v.await(r, 2)
	r.must(r.DeleteWebhook(r.ctx(), r.amy, w.ID))
	close(hold)
	r.eventually("the other one is settled", func() bool { return r.progress(other).Dead == 1 })
	for _, c := range v.got()[2:] {
		if c.path != "/other" {
			t.Error("it went on after it was deleted")
		}
	}
}

// TestSuspendedTenantIsSilent until it is resumed.
func TestSuspendedTenantIsSilent(t *testing.T) {
	r := newRig(t)
	bob := r.tenant("bolt")
	v := startReceiver(t, nil)
	r.hook(v.URL + "/acme")
	_, _, err := r.CreateWebhook(r.ctx(), bob, registry.WebhookTerms{URL: v.URL + "/bolt"})
	r.must(err)
	r.begin()
	operator := registry.Actor{Tenant: "default", Principal: "root"}
	r.must(r.SuspendTenant(r.ctx(), operator, acme))
	r.run()
	r.beginAs(bob)
	if calls := v.await(r, 1); calls[0].path != "/bolt" {
		t.Errorf("called %s", calls[0].path)
	}
	r.must(r.ResumeTenant(r.ctx(), operator, acme))
	if calls := v.await(r, 2); calls[1].path != "/acme" {
		t.Errorf("called %s", calls[1].path)
	}
}
