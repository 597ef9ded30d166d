package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
)

// settle finds out what became of the steps whose answers were lost, finishes what was
// begun, and waits until nothing is left to inspect.
func (w *scanWorld) settle() {
	w.s.t.Helper()
	for _, u := range w.uploads[w.checked.uploads:] {
		if u.finalized.acknowledged {
			continue
		}
		w.lost++
		var row struct{ State string }
		w.s.root.must("GET", "/uploads/"+u.UploadID, nil, &row)
		switch {
		case row.State == "finalized" && u.finalized.asked:
			u.finalized.acknowledged = true
		case row.State == "uploaded" && u.put.asked:
			if o := w.row(u.ObjectID); o.Verdict != nil {
				w.s.t.Errorf("what nobody finalized is %s", o)
			}
			if err := w.finalize(u); err != nil {
				w.s.t.Error(err)
			}
		case row.State == "created" && !u.put.acknowledged:
			w.s.root.must("DELETE", "/uploads/"+u.UploadID, nil, nil)
		default:
			w.s.t.Errorf("a session is %s after %+v and %+v", row.State, u.put, u.finalized)
		}
	}
	eventually(w.s.t, "everything is inspected", func() bool {
		return w.s.metric("ledger_scans_waiting")+w.s.metric("ledger_scans_claimed")+w.s.metric("ledger_promotions") == 0
	})
}

func (w *scanWorld) row(object string) (o scanned) {
	w.s.t.Helper()
	w.s.root.must("GET", "/objects/"+object, nil, &o)
	return o
}

// verify looks whether everything since the last time has become what it should.
func (w *scanWorld) verify() {
	w.s.t.Helper()
	for _, u := range w.uploads[w.checked.uploads:] {
		if u.finalized.acknowledged {
			w.verifyUpload(u)
		}
	}
	for _, p := range w.puts[w.checked.puts:] {
		w.verifyPut(p)
	}
	w.checked.uploads, w.checked.puts = len(w.uploads), len(w.puts)
}

func (w *scanWorld) verifyUpload(u *scanUpload) {
	w.s.t.Helper()
	o := w.row(u.ObjectID)
	if o.Verdict == nil {
		w.s.t.Errorf("%s is %s", u.name, o)
		return
	}
	w.verdicts[o.Verdict.Result]++
	w.blobs += 1 + u.renditions()
	content, err := w.s.root.call("GET", "/objects/"+u.ObjectID+"/content", nil)
	if err != nil {
		w.s.t.Fatal(err)
	}
	switch u.fate {
	case clean:
		w.published++
		if o.State != "published" || o.Verdict.Result != "clean" || !o.heard("clamd") {
			w.s.t.Errorf("%s is clean and %s", u.name, o)
		}
		if content.Status != http.StatusOK || !bytes.Equal(content.Body, u.content) {
			w.s.t.Errorf("%s of %d bytes: %s with %d", u.name, len(u.content), content, len(content.Body))
		}
		list := w.s.root.renditions(u.ObjectID)
		if len(list) != u.renditions() {
			w.s.t.Errorf("%s has the renditions %+v", u.name, list)
		}
		for _, r := range list {
			a, err := w.s.root.call("GET", "/objects/"+u.ObjectID+"/renditions/"+r.Name+"/content", nil)
			if err != nil || a.Status != http.StatusOK || int64(len(a.Body)) != r.Size {
				w.s.t.Errorf("%s of %s: %s with %d bytes for %d, %v", r.Name, u.name, a, len(a.Body), r.Size, err)
			}
		}
		return
	case infected:
		if o.State != "rejected" || o.Verdict.Result != "infected" {
			w.s.t.Errorf("%s is infected and %s", u.name, o)
		}
	case unjudged:
		if o.State != "quarantined" || !o.Held || o.Verdict.Result != "incomplete" {
			w.s.t.Errorf("%s cannot be inspected and is %s", u.name, o)
		}
	}
	if content.Status == http.StatusOK {
		w.s.t.Errorf("%s can be read: %s", u.name, o)
	}
}

func (w *scanWorld) verifyPut(p *scanPut) {
	w.s.t.Helper()
	a, err := w.s.root.object("GET", p.path, "", nil, nil)
	if err != nil {
		w.s.t.Fatal(err)
	}
	if !p.answered {
		w.lost++
	}
	there := a.Status == http.StatusOK && bytes.Equal(a.Body, p.content)
	absent := a.is(http.StatusNotFound, "NoSuchKey")
	switch {
	case p.fate != clean && !absent:
		w.s.t.Errorf("%s should not be there: %s", p.path, a)
	case p.fate == clean && !there && (p.answered || !absent):
		w.s.t.Errorf("%s of %d bytes, answered %t: %s with %d", p.path, len(p.content), p.answered, a, len(a.Body))
	case there:
		w.published++
		w.blobs += 1 + p.renditions()
	}
}

// verifyRows reads every object there is: none is published without the verdict of all
// engines, and none is left on its way.
func (w *scanWorld) verifyRows() {
	w.s.t.Helper()
	published, pending := 0, int64(0)
	for cursor := ""; ; {
		var page struct {
			Objects []scanned
			Next    string `json:"next_cursor"`
		}
		w.s.root.must("GET", "/objects?limit=1000&cursor="+url.QueryEscape(cursor), nil, &page)
		for _, o := range page.Objects {
			switch {
			case o.State == "published":
				published++
				if o.Verdict == nil || o.Verdict.Result != "clean" || !o.heard("clamd") {
					w.s.t.Errorf("an object is %s", o)
				}
			case o.State == "pending" && o.Verdict == nil:
				pending++
			case o.State == "rejected" || o.State == "deleted" || o.State == "quarantined" && o.Held:
			default:
				w.s.t.Errorf("an object is left: %s", o)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if pending > w.unknown.Load() {
		w.s.t.Errorf("%d objects are pending, and %d sessions may be unknown to their clients", pending, w.unknown.Load())
	}
	if published != w.published {
		w.s.t.Errorf("%d objects are published, want %d", published, w.published)
	}
}

// verifyAudit recomputes the log, and looks that each object was judged once, before it
// was published.
func (w *scanWorld) verifyAudit() {
	w.s.t.Helper()
	if out, ok := w.s.cli("audit", "verify"); !ok {
		w.s.t.Errorf("audit verify: %s", out)
	}
	events, _ := w.s.audit()
	for _, u := range w.uploads {
		if !u.finalized.acknowledged {
			continue
		}
		want := map[fate]string{clean: "object.published", infected: "object.rejected", unjudged: "object.held"}[u.fate]
		for _, kind := range []string{"object.published", "object.rejected", "object.held"} {
			if n := count(events, kind, u.UploadID); n > 1 || (n == 1) != (kind == want) {
				w.s.t.Errorf("%s: %s is in the log %d times, want %s once", u.name, kind, n, want)
			}
		}
		w.interrupted += count(events, "object.scanning", u.UploadID) - 1
	}
}

// report fails where a part of the load did not happen: then nothing is shown of it. In a
// few rounds not everything can.
func (w *scanWorld) report(many bool) {
	w.s.t.Helper()
	text, err := json.Marshal(w.verdicts)
	if err != nil {
		w.s.t.Fatal(err)
	}
	w.s.t.Logf("%d sessions: %s; %d PUTs; %d published in all; %d answers lost; %d inspections interrupted",
		len(w.uploads), text, len(w.puts), w.published, w.lost, w.interrupted)
	if many && (w.verdicts["clean"] == 0 || w.verdicts["infected"] == 0 || w.verdicts["incomplete"] == 0 || w.lost == 0 || w.interrupted == 0) {
		w.s.t.Error("the load was too thin")
	}
}
