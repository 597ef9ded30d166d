package registry_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
)

var everything = registry.WebhookTerms{URL: "https://hooks.example/in"}

// hook makes a webhook of amy's.
func (h *house) hook(terms registry.WebhookTerms) registry.Webhook {
	h.Helper()
	w, _, err := h.CreateWebhook(h.ctx(), h.amy, terms)
	h.must(err)
	return w
}

func (h *house) progress(w registry.Webhook) registry.WebhookProgress {
	h.Helper()
	w, err := h.Webhook(h.ctx(), acme, w.ID)
	h.must(err)
	return w.Progress
}

// look returns what a webhook is to do next.
func (h *house) look(w registry.Webhook) registry.Outlook {
	h.Helper()
	var o registry.Outlook
	for {
		var err error
		o, err = h.NextMessage(h.ctx(), acme, w.ID, o.Looked)
		h.must(err)
		if o.Save {
			h.must(h.SaveLooked(h.ctx(), acme, w.ID, o.Looked))
		}
		if o.Message != nil || !o.Again.Equal(h.Now()) {
			return o
		}
	}
}

// message is what a webhook is to send now.
func (h *house) message(w registry.Webhook) registry.Message {
	h.Helper()
	o := h.look(w)
	if o.Message == nil {
		h.Fatalf("there is nothing to send until %s", o.Again)
	}
	return *o.Message
}

// nothing fails the test if there is something to send now.
func (h *house) nothing(w registry.Webhook) (again time.Time) {
	h.Helper()
	o := h.look(w)
	if o.Message != nil {
		h.Fatalf("%s is to be sent", o.Message.Notice.Type)
	}
	return o.Again
}

func TestWebhookTerms(t *testing.T) {
	h := newHouse(t)
	w := h.hook(everything)
	for _, c := range []struct {
		name  string
		terms registry.WebhookTerms
	}{
		{"no URL", registry.WebhookTerms{}},
		{"endless URL", registry.WebhookTerms{URL: "https://a.example/" + strings.Repeat("a", 2048)}},
		{"no such event", registry.WebhookTerms{URL: "https://a.example", Types: []registry.NoticeType{"key.created"}}},
		{"an event twice", registry.WebhookTerms{URL: "https://a.example", Types: []registry.NoticeType{"object.held", "object.held"}}},
	} {
		_, _, err := h.CreateWebhook(h.ctx(), h.amy, c.terms)
		if h.want(err, registry.ErrInvalid); err == nil {
			t.Errorf("%s is taken", c.name)
		}
		_, err = h.ChangeWebhook(h.ctx(), h.amy, w.ID, c.terms)
		h.want(err, registry.ErrInvalid)
	}
	for range registry.MaxWebhooks - 1 {
		h.hook(everything)
	}
	_, _, err := h.CreateWebhook(h.ctx(), h.amy, everything)
	h.want(err, registry.ErrConflict)
	h.must(h.DeleteWebhook(h.ctx(), h.amy, w.ID))
	h.hook(everything)
}

func TestForeignWebhookIsUnknown(t *testing.T) {
	h := newHouse(t)
	w := h.hook(everything)
	bob := h.tenant("bolt")
	for _, id := range []registry.WebhookID{w.ID, "whk_01ARZ3NDEKTSV4RRFFQ69G5FAV", "", "x\x00y"} {
		_, err := h.Webhook(h.ctx(), bob.Tenant, id)
		h.want(err, registry.ErrNotFound)
		_, err = h.ChangeWebhook(h.ctx(), bob, id, everything)
		h.want(err, registry.ErrNotFound)
		_, _, err = h.RotateWebhookSecret(h.ctx(), bob, id)
		h.want(err, registry.ErrNotFound)
		_, err = h.ReplayWebhook(h.ctx(), bob, id, registry.Replay{Dead: true})
		h.want(err, registry.ErrNotFound)
		_, _, err = h.Letters(h.ctx(), bob.Tenant, id, registry.Page{})
		h.want(err, registry.ErrNotFound)
		h.want(h.DeleteWebhook(h.ctx(), bob, id), registry.ErrNotFound)
	}
	if list, _, err := h.Webhooks(h.ctx(), bob.Tenant, registry.Page{}); err != nil || len(list) > 0 {
		t.Errorf("%d of another tenant, %v", len(list), err)
	}
	if list, _, err := h.AllWebhooks(h.ctx(), registry.Page{}); err != nil || len(list) != 1 {
		t.Errorf("%d in all, %v", len(list), err)
	}
}

// TestWebhookSecretsAtRest are sealed, and count as long as they are to.
func TestWebhookSecretsAtRest(t *testing.T) {
	h := newHouse(t)
	w, first, err := h.CreateWebhook(h.ctx(), h.amy, everything)
	h.must(err)
	keys := func() (texts []string) {
		t.Helper()
		w, err := h.Webhook(h.ctx(), acme, w.ID)
		h.must(err)
		all, err := h.SigningKeys(w)
		h.must(err)
		for _, k := range all {
			texts = append(texts, "whsec_"+base64.StdEncoding.EncodeToString(k))
		}
		return texts
	}
	if got := keys(); len(got) != 1 || got[0] != string(first) {
		t.Errorf("%d keys at first", len(got))
	}
	_, second, err := h.RotateWebhookSecret(h.ctx(), h.amy, w.ID)
	h.must(err)
	h.time.pass(24*time.Hour - time.Second)
	if got := keys(); len(got) != 2 || got[0] != string(second) || got[1] != string(first) {
		t.Errorf("%d keys within a day", len(got))
	}
	h.time.pass(2 * time.Second)
	if got := keys(); len(got) != 1 || got[0] != string(second) {
		t.Errorf("%d keys after a day", len(got))
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(second), "whsec_"))
	h.must(err)
	h.must(registry.StoreOf(h.Ledger).View(h.ctx(), func(tx kv.Tx) error {
		for _, table := range registry.Tables {
			err := tx.Scan(table, kv.Range{}, func(_, value []byte) error {
				if bytes.Contains(value, raw) || bytes.Contains(value, []byte(strings.TrimPrefix(string(second), "whsec_"))) {
					t.Errorf("%s holds the secret in the clear", table)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestNotices: what leads an object through its life is told, once each, and what does
// not is not.
func TestNotices(t *testing.T) {
	h := newHouse(t)
	w := h.hook(everything)
	h.published()
	h.put(direct, "k", "hello")
	refused := h.finalized()
	_, err := h.SettleScan(h.ctx(), h.claim(), registry.Verdict{Result: registry.VerdictInfected, Engines: []registry.EngineNote{
		{Name: "inspect", Result: "clean"}, {Name: "clamd", Result: "infected", Signature: "Eicar"}}}, "")
	h.must(err)
	h.finalized()
	_, err = h.SettleScan(h.ctx(), h.claim(), registry.Verdict{Result: registry.VerdictIncomplete, Reason: "too_deep"}, "")
	h.must(err)
	_, _, err = h.Review(h.ctx(), h.amy, refused.ID, registry.Ruling{Decision: registry.Release, Reason: "false_alarm"})
	h.must(err)
	_, _, err = h.Review(h.ctx(), h.amy, refused.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "after_all"})
	h.must(err)
	h.must(h.deleteKey(direct, "k"))
	h.must(h.AbortUpload(h.ctx(), h.amy, acme, h.begin().Upload.ID))
	h.begin()
	h.time.pass(3 * time.Hour)
	_, err = h.ExpireDue(h.ctx(), 10)
	h.must(err)

	const begun = "upload.created upload.received upload.finalized object.quarantined "
	want := begun + "object.published " +
		"object.published " +
		begun + "object.rejected=infected/Eicar " +
		begun + "object.held=incomplete too_deep " +
		"object.published false_alarm object.withdrawn after_all object.deleted key_deleted " +
		"upload.created upload.aborted upload.created upload.expired"
	var got []string
	for {
		o := h.look(w)
		if o.Message == nil {
			break
		}
		n := o.Message.Notice
		text := string(n.Type)
		if n.Result != "" && n.Result != registry.VerdictClean {
			text += "=" + string(n.Result)
		}
		if n.Signature != "" {
			text += "/" + n.Signature
		}
		if n.Reason != "" {
			text += " " + n.Reason
		}
		if n.Object == "" || n.Tenant != acme {
			t.Errorf("%+v", n)
		}
		got = append(got, text)
		h.must(h.Delivered(h.ctx(), *o.Message))
	}
	if text := strings.Join(got, " "); text != want {
		t.Errorf("told\n%s\nnot\n%s", text, want)
	}
}

// TestNoticeBody is what outside programs are written against.
func TestNoticeBody(t *testing.T) {
	size := int64(5)
	n := registry.Notice{
		Seq: 7, Type: registry.NoticeObjectRejected, Time: time.Date(2026, 3, 1, 13, 0, 0, 5e6, time.FixedZone("", 3600)), Tenant: acme,
		Bucket: files, Upload: "upl_1", Object: "obj_1", State: "rejected", Size: &size, SHA256: "ab", DetectedType: "text/plain",
		Result: registry.VerdictInfected, Reason: "malware", Signature: "Eicar",
	}
	const want = `{"type":"object.rejected","timestamp":"2026-03-01T12:00:00.005Z","data":{"tenant":"acme","upload_id":"upl_1","object_id":"obj_1",` +
		`"profile":"files","state":"rejected","size":5,"sha256":"ab","detected_type":"text/plain","result":"infected","reason":"malware","signature":"Eicar"}}`
	if got, err := n.Body(); err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	n = registry.Notice{Type: registry.NoticeUploadExpired, Time: n.Time, Tenant: acme, Upload: "upl_1"}
	if got, err := n.Body(); err != nil || string(got) != `{"type":"upload.expired","timestamp":"2026-03-01T12:00:00.005Z","data":{"tenant":"acme","upload_id":"upl_1"}}` {
		t.Errorf("%s, %v", got, err)
	}
}

// TestLettersAreTriedWhenTheyAreDue, before what is new, and die after their last try.
func TestLettersAreTriedWhenTheyAreDue(t *testing.T) {
	h := newHouse(t)
	w := h.hook(everything)
	h.begin()
	m := h.message(w)
	id := m.ID()
	h.must(h.Undelivered(h.ctx(), m, registry.Failure{Status: 500, Cause: "status", Retry: time.Minute}))
	if again := h.nothing(w); again.Sub(h.Now()) != time.Minute {
		t.Errorf("it is due in %s", again.Sub(h.Now()))
	}
	h.begin()
	if m := h.message(w); m.ID() == id {
		t.Error("it is tried before it is due")
	}
	h.time.pass(time.Minute)
	h.reopen()
	if m = h.message(w); m.ID() != id || m.Tries != 1 || m.Failures != 1 {
		t.Errorf("%s with %d tries is first, not %s", m.ID(), m.Tries, id)
	}
	h.must(h.Undelivered(h.ctx(), m, registry.Failure{Cause: "no word/at all"}))
	if m := h.message(w); m.ID() == id {
		t.Error("it is tried after its last time")
	}
	letters, _, err := h.Letters(h.ctx(), acme, w.ID, registry.Page{})
	h.must(err)
	if len(letters) != 1 || letters[0].Tries != 2 || letters[0].Dead.IsZero() || letters[0].Cause != "other" {
		t.Errorf("%+v", letters)
	}
	// A replay that delivers it takes it off the list.
	h.must(h.Delivered(h.ctx(), h.message(w)))
	_, err = h.ReplayWebhook(h.ctx(), h.amy, w.ID, registry.Replay{})
	h.must(err)
	if m := h.message(w); m.ID() != id || m.Tries != 0 {
		t.Errorf("%s is replayed first, not %s", m.ID(), id)
	}
	h.must(h.Delivered(h.ctx(), h.message(w)))
	if p := h.progress(w); p.Dead != 0 || !p.Replaying {
		t.Errorf("%+v", p)
	}
	h.must(h.Delivered(h.ctx(), h.message(w)))
	h.nothing(w)
	if p := h.progress(w); p.Replaying {
		t.Error("the replay does not end")
	}
}

// TestPausedWebhookWaits, and a change of its terms ends that.
func TestPausedWebhookWaits(t *testing.T) {
	h := newHouse(t)
	w := h.hook(everything)
	h.begin()
	h.begin()
	h.must(h.Undelivered(h.ctx(), h.message(w), registry.Failure{Cause: "timeout", Retry: time.Second, Pause: time.Hour}))
	if again := h.nothing(w); again.Sub(h.Now()) != time.Hour {
		t.Errorf("it waits for %s", again.Sub(h.Now()))
	}
	_, err := h.ChangeWebhook(h.ctx(), h.amy, w.ID, everything)
	h.must(err)
	h.must(h.Delivered(h.ctx(), h.message(w)))
	_, err = h.ChangeWebhook(h.ctx(), h.amy, w.ID, registry.WebhookTerms{URL: everything.URL, Disabled: true})
	h.must(err)
	h.time.pass(time.Hour)
	if again := h.nothing(w); !again.IsZero() {
		t.Errorf("a disabled one is looked at again at %s", again)
	}
	_, err = h.ChangeWebhook(h.ctx(), h.amy, w.ID, everything)
	h.must(err)
	h.message(w)
}

// TestReplaySpanOfTime ends where it is to end, and before what was not sent yet.
func TestReplaySpanOfTime(t *testing.T) {
	h := newHouse(t)
	w := h.hook(everything)
	start := h.Now()
	var ids []string
	for range 5 {
		h.time.pass(time.Minute)
		h.begin()
		m := h.message(w)
		ids = append(ids, m.ID())
		h.must(h.Delivered(h.ctx(), m))
	}
	h.time.pass(time.Minute)
	h.begin() // not sent yet
	for _, c := range []struct {
		name     string
		from, to time.Duration // since the start
		want     []string
		err      error
	}{
		{"turned round", 3 * time.Minute, 2 * time.Minute, nil, registry.ErrInvalid},
		{"empty", 2 * time.Minute, 2 * time.Minute, nil, registry.ErrInvalid},
		{"before everything", -time.Hour, -time.Minute, nil, nil},
		{"in the middle", 2 * time.Minute, 4 * time.Minute, ids[1:3], nil},
		{"between two", 61 * time.Second, 119 * time.Second, nil, nil},
		{"all of them", -time.Hour, 330 * time.Second, ids, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun, err := h.ReplayWebhook(h.ctx(), h.amy, w.ID, registry.Replay{From: start.Add(c.from), To: start.Add(c.to)})
			h.want(err, c.err)
			if begun.Progress.Replaying {
				_, err := h.ReplayWebhook(h.ctx(), h.amy, w.ID, registry.Replay{})
				h.want(err, registry.ErrConflict)
			}
			fresh := h.message(w) // what is new comes first
			if fresh.ID() == ids[4] {
				t.Fatalf("%s is first", fresh.ID())
			}
			h.must(h.Delivered(h.ctx(), fresh))
			for _, want := range c.want {
				m := h.message(w)
				if m.ID() != want {
					t.Errorf("%s, not %s", m.ID(), want)
				}
				h.must(h.Delivered(h.ctx(), m))
			}
			h.nothing(w)
			if h.progress(w).Replaying {
				t.Error("the replay does not end")
			}
			h.begin() // for the next one
		})
	}
}

// TestLettersAreBounded: a target that fails now and then neither fills the ledger nor
// keeps what it would take from it.
func TestLettersAreBounded(t *testing.T) {
	h := newHouse(t)
	const bound = 10
	h.letters = bound
	h.reopen()
	w := h.hook(everything)
	again := registry.Failure{Cause: "timeout", Retry: time.Hour}
	for range 2*bound + 5 {
		h.begin()
	}
	for range bound {
		h.must(h.Undelivered(h.ctx(), h.message(w), again))
	}
	if p := h.progress(w); p.Waiting != bound || p.Dead != 0 {
		t.Errorf("%+v", p)
	}
	for range bound + 5 {
		h.must(h.Undelivered(h.ctx(), h.message(w), again))
	}
	if p := h.progress(w); p.Waiting != bound || p.Dead != bound {
		t.Errorf("%+v", p)
	}
	h.begin()
	h.must(h.Delivered(h.ctx(), h.message(w)))
	h.time.pass(2 * time.Hour)
	for range bound {
		h.must(h.Undelivered(h.ctx(), h.message(w), registry.Failure{Cause: "timeout"}))
	}
	letters, _, err := h.Letters(h.ctx(), acme, w.ID, registry.Page{})
	h.must(err)
	if p := h.progress(w); p.Waiting != 0 || p.Dead != bound || len(letters) != bound {
		t.Errorf("%d letters, %+v", len(letters), p)
	}
	h.nothing(w)
	w, err = h.ReplayWebhook(h.ctx(), h.amy, w.ID, registry.Replay{Dead: true})
	h.must(err)
	if p := w.Progress; p.Dead != 0 || p.Waiting != bound {
		t.Errorf("%+v", p)
	}
	if m := h.message(w); m.Tries != 0 {
		t.Errorf("revived with %d tries", m.Tries)
	}
	h.must(h.DeleteWebhook(h.ctx(), h.amy, w.ID))
}

// TestWebhookFarBehind looks at a long log a part at a time, and keeps where it was.
func TestWebhookFarBehind(t *testing.T) {
	h := newHouse(t)
	w := h.hook(registry.WebhookTerms{URL: everything.URL, Types: []registry.NoticeType{registry.NoticeObjectHeld}})
	h.must(registry.Tell(h.ctx(), h.Ledger, acme, 9000))
	h.finalized()
	_, err := h.SettleScan(h.ctx(), h.claim(), registry.Verdict{Result: registry.VerdictIncomplete}, "")
	h.must(err)
	o, err := h.NextMessage(h.ctx(), acme, w.ID, registry.Looked{})
	h.must(err)
	if o.Message != nil || !o.Again.Equal(h.Now()) {
		t.Fatalf("one look finds %+v", o)
	}
	if m := h.message(w); m.Notice.Type != registry.NoticeObjectHeld {
		t.Errorf("%+v", m.Notice)
	}
}

// TestNews rings for leaves, before whoever made them knows that they are there.
func TestNews(t *testing.T) {
	h := newHouse(t)
	news := h.News()
	select {
	case <-news:
		t.Fatal("there are news of nothing")
	default:
	}
	h.begin()
	select {
	case <-news:
	default:
		t.Error("no news of a session")
	}
}
