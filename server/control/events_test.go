package control_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
)

// stream is an open stream of events.
type stream struct {
	tb     testing.TB
	status int
	header http.Header
	body   io.ReadCloser
	lines  *bufio.Scanner
	beats  int // comments so far
}

// event is one of them.
type event struct {
	id, kind string
	data     map[string]any
}

// watch opens a stream.
func (r *rig) watch(by who, path string, header map[string]string) *stream {
	r.tb.Helper()
	req, err := http.NewRequest("GET", r.url+path, http.NoBody)
	must(r.tb, err)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	by.sign(r.tb, req, request{method: "GET", path: path}, r.now())
	resp, err := r.http.Do(req)
	must(r.tb, err)
	s := &stream{tb: r.tb, status: resp.StatusCode, header: resp.Header, body: resp.Body, lines: bufio.NewScanner(resp.Body)}
	r.tb.Cleanup(func() { _ = s.body.Close() })
	return s
}

// next returns the next event; false when the stream has ended.
func (s *stream) next() (e event, ok bool) {
	s.tb.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			must(s.tb, json.Unmarshal([]byte(value), &e.data))
		case "":
			if s.lines.Text() == ":" {
				s.beats++
			}
			if e.id != "" {
				return e, true
			}
		}
	}
	if errors.Is(s.lines.Err(), http.ErrHandlerTimeout) || s.lines.Err() != nil && strings.Contains(s.lines.Err().Error(), "Timeout") {
		s.tb.Fatal("the stream does not end")
	}
	return e, false
}

func (s *stream) want(kinds ...string) (ids []string) {
	s.tb.Helper()
	for _, kind := range kinds {
		e, ok := s.next()
		if !ok || e.kind != kind || e.data["type"] != kind {
			s.tb.Fatalf("%+v, not %s (there is more: %v)", e, kind, ok)
		}
		ids = append(ids, e.id)
	}
	return ids
}

// ended fails the test if another event comes.
func (s *stream) ended() {
	s.tb.Helper()
	if e, ok := s.next(); ok {
		s.tb.Fatalf("%+v comes", e)
	}
}

// TestEventsAsTheyHappen, and again from any of them on.
func TestEventsAsTheyHappen(t *testing.T) {
	r := newRig(t)
	acme := r.tenant("acme")
	r.begin(r.root, "before")
	s := r.watch(r.root, "/events", nil)
	if s.status != 200 || s.header.Get("Content-Type") != "text/event-stream" || s.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", s.status, s.header)
	}
	r.begin(acme, "of another tenant")
	done := r.published(r.root, "hello")
	all := []string{"upload.created", "upload.received", "upload.finalized", "object.quarantined", "object.published"}
	ids := s.want(all...)
	r.do(r.root, "DELETE", "/objects/"+done.object, "").want(204, "")
	e, _ := s.next()
	if data := e.data["data"].(map[string]any); e.kind != "object.deleted" || data["object_id"] != done.object || data["upload_id"] != done.upload || data["tenant"] != "default" {
		t.Errorf("%+v", e)
	}
	for i, id := range ids {
		again := r.watch(r.root, "/events?wait=0", map[string]string{"Last-Event-ID": id})
		again.want(append(append([]string{}, all[i+1:]...), "object.deleted")...)
		again.ended()
		byQuery := r.watch(r.root, "/events?wait=0&after="+id, nil)
		byQuery.want(append(append([]string{}, all[i+1:]...), "object.deleted")...)
		byQuery.ended()
	}
	r.watch(r.root, "/events?wait=0", nil).ended()
}

// TestEventsOfOnesOwn are all that an uploader sees.
func TestEventsOfOnesOwn(t *testing.T) {
	r := newRig(t)
	mine, theirs, reader := r.key(r.root, "mine", "uploader"), r.key(r.root, "theirs", "uploader"), r.key(r.root, "reader", "reader")
	s, whole := r.watch(mine, "/events", nil), r.watch(reader, "/events", nil)
	r.begin(theirs, "x")
	own := r.finalized(mine, "hello")
	r.inspect()
	e, ok := s.next()
	if data := e.data["data"].(map[string]any); !ok || data["upload_id"] != own.upload {
		t.Errorf("%+v", e)
	}
	s.want("upload.received", "upload.finalized", "object.quarantined", "object.published") // the last one is the system's doing
	whole.want("upload.created", "upload.created", "upload.received")
}

// TestEventsEndWithTheirCredential, whichever way that ends.
func TestEventsEndWithTheirCredential(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(r *rig, by who, token string)
	}{
		{"key revoked", func(r *rig, by who, _ string) { r.do(r.root, "DELETE", "/keys/"+by.key, "").want(204, "") }},
		{"principal revoked", func(r *rig, by who, _ string) { r.do(r.root, "DELETE", "/principals/"+by.name, "").want(204, "") }},
		{"token revoked", func(r *rig, _ who, token string) { r.do(r.root, "DELETE", "/tokens/"+token, "").want(204, "") }},
		{"token expired", func(r *rig, _ who, _ string) { r.advance(2 * time.Hour) }},
		{"tenant suspended", func(r *rig, _ who, _ string) { r.do(r.root, "POST", "/tenants/acme/suspend", "").want(204, "") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(s *setup) { s.api.EventBeat = 50 * time.Millisecond })
			boss := r.root
			if strings.HasPrefix(c.name, "tenant") {
				boss = r.tenant("acme")
			}
			by, token := r.key(boss, "worker", "admin"), ""
			if strings.HasPrefix(c.name, "token") {
				a := r.do(by, "POST", "/tokens", `{"name":"t","roles":["reader"],"ttl":"1h"}`).want(201, "")
				by.token, token = a.text("token"), a.text("id")
			}
			s, other := r.watch(by, "/events", nil), r.watch(r.root, "/events", nil)
			r.begin(boss, "x")
			s.want("upload.created")
			began := time.Now()
			c.stop(r, by, token)
			s.ended()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			r.begin(r.root, "x")
			if boss.key == r.root.key {
				other.want("upload.created")
			}
			other.want("upload.created") // nobody else's stream ended
		})
	}
}

// TestBusyStreamsEndWithTheirToken: whoever has it gets nothing that happens after its
// time, however much does.
func TestBusyStreamsEndWithTheirToken(t *testing.T) {
	r := newRig(t)
	by := r.root
	by.token = r.do(r.root, "POST", "/tokens", `{"name":"t","roles":["reader"],"ttl":"1h"}`).want(201, "").text("token")
	s := r.watch(by, "/events", nil)
	r.begin(r.root, "x")
	s.want("upload.created")
	r.advance(2 * time.Hour)
	r.begin(r.root, "too late")
	s.ended()
}

// TestQuietStreamsBeat, so that nobody on the way takes them for dead.
func TestQuietStreamsBeat(t *testing.T) {
	r := newRig(t, func(s *setup) { s.api.EventBeat = 150 * time.Millisecond })
	s := r.watch(r.root, "/events?wait=1", nil)
	s.ended()
	if s.beats < 3 || s.beats > 7 {
		t.Errorf("%d beats in a second", s.beats)
	}
}

// TestTooManyStreams of one tenant are refused; others have theirs.
func TestTooManyStreams(t *testing.T) {
	r := newRig(t, func(s *setup) { s.api.EventBeat = 20 * time.Millisecond })
	acme := r.tenant("acme")
	var open []*stream
	for range 64 {
		open = append(open, r.watch(acme, "/events", nil))
	}
	r.do(acme, "GET", "/events?wait=0", "").want(429, "RATE_LIMITED")
	r.do(r.root, "GET", "/events?wait=0", "").want(200, "")
	for _, s := range open[:8] {
		must(t, s.body.Close())
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		a := r.do(acme, "GET", "/events?wait=0", "")
		if a.status == 200 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("those that left still count: %d", a.status)
		}
	}
}

// TestShutdownEndsStreams: a server that stops waits for transfers, and not for those
// who only listen. The rig's own end fails the test if it takes long.
func TestShutdownEndsStreams(t *testing.T) {
	r := newRig(t)
	s := r.watch(r.root, "/events", nil)
	r.begin(r.root, "x")
	s.want("upload.created")
	began := time.Now()
	r.shutdown()
	s.ended()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestEventRequests(t *testing.T) {
	r := newRig(t)
	for _, q := range []string{"?after=-1", "?after=x", "?wait=x", "?wait=86401", "?wait=0&wait=1", "?since=1"} {
		r.do(r.root, "GET", "/events"+q, "").want(400, "INVALID_REQUEST")
	}
	for _, id := range []string{"x", "-1", "1.5", "99999999999999999999", "1\t2"} {
		r.send(r.root, request{method: "GET", path: "/events?wait=0", header: map[string]string{"Last-Event-ID": id}}).want(400, "INVALID_REQUEST")
	}
	if a := r.do(r.root, "HEAD", "/events", ""); a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	r.do(who{}, "GET", "/events", "").want(401, "")
	// What is beyond the log's end has not happened yet.
	r.begin(r.root, "x")
	r.watch(r.root, "/events?wait=0&after=1000000", nil).ended()
}

// TestManyEvents come all, in order, and once.
func TestManyEvents(t *testing.T) {
	r := newRig(t)
	actor := registry.Actor{Tenant: registry.DefaultTenant, Principal: "root", Roles: []registry.Role{registry.RoleAdmin}}
	s := r.watch(r.root, "/events", nil)
	const n = 400
	for i := range n {
		_, err := r.ledger.CreateUpload(t.Context(), actor, registry.NewUpload{
			Bucket: registry.DefaultBucket, Filename: fmt.Sprint(i), ContentType: "text/plain", Size: int64(i), SessionTTL: time.Hour, URLTTL: time.Minute,
		})
		must(t, err)
	}
	for i := range n {
		e, ok := s.next()
		if size := e.data["data"].(map[string]any)["size"]; !ok || size != float64(i) {
			t.Fatalf("event %d is of %v", i, size)
		}
	}
}
