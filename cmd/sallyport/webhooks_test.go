package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	reference "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"sallyport/cmd/sallyport/client"
)

// target is a receiver of webhooks. What it takes goes into got.
type target struct {
	*httptest.Server
	got    chan message
	status atomic.Int64
	hold   chan struct{} // nil, or what an answer waits for
}

// message is one try that arrived.
type message struct {
	header http.Header
	body   string
}

func newTarget(t *testing.T) *target {
	t.Helper()
	v := &target{got: make(chan message, 100)}
	v.status.Store(http.StatusNoContent)
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		v.got <- message{req.Header.Clone(), string(body)}
		if v.hold != nil {
			select {
			case <-v.hold:
			case <-req.Context().Done():
			}
		}
		w.WriteHeader(int(v.status.Load()))
	}))
	t.Cleanup(v.Close)
	return v
}

// next returns the next try, which must be of a kind.
func (v *target) next(t *testing.T, kind string) message {
	t.Helper()
	select {
	case m := <-v.got:
		if !strings.Contains(m.body, `"type":"`+kind+`"`) {
			t.Fatalf("%s, not %s", m.body, kind)
		}
		return m
	case <-time.After(childTime):
		t.Fatalf("no %s", kind)
		return message{}
	}
}

// TestWebhookCommands walks through the life of a webhook, over a kill of the server.
func TestWebhookCommands(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	allow := []string{"SALLYPORT_WEBHOOKS_ALLOW_HOSTS=127.0.0.1"}
	s := serve(t, data, allow)
	root := s.root()
	v := newTarget(t)
	v.hold = make(chan struct{})

	for _, url := range []string{"http://localhost:1/", "https://10.0.0.1/", "ftp://127.0.0.1/"} {
		if r := sallyport(t, root, "webhook", "create", url); r.code == 0 || !strings.Contains(r.stderr, "not allowed") {
			t.Errorf("%s: %+v", url, r)
		}
	}
	var hook client.Webhook
	decode(t, mustSallyport(t, root, "webhook", "create", "--json", "--event", "object.published,object.deleted", v.URL), &hook)
	path, _ := randomFile(t, "a.bin", 100)
	var object client.Object
	decode(t, mustSallyport(t, root, "upload", "--json", path), &object)
	first := v.next(t, "object.published")
	verifier, err := reference.NewWebhook(hook.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify([]byte(first.body), first.header); err != nil || !strings.Contains(first.body, object.ObjectID) {
		t.Errorf("%v: %s", err, first.body)
	}

	// The target thinks about it while the server dies.
	s.ended = true
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait() // killed
	close(v.hold)
	s = serve(t, data, allow)
	root = s.root()
	again := v.next(t, "object.published")
	if again.header.Get("webhook-id") != first.header.Get("webhook-id") || again.body != first.body {
		t.Errorf("after the kill: %v %s", again.header, again.body)
	}

	v.status.Store(http.StatusGone)
	mustSallyport(t, root, "webhook", "replay", hook.ID, "--since", "1h")
	v.next(t, "object.published")
	waitFor(t, "it is disabled", func() bool { return strings.Contains(mustSallyport(t, root, "webhook", "ls"), "disabled") })
	if out := mustSallyport(t, root, "webhook", "messages", hook.ID); !strings.Contains(out, "object.published") || !strings.Contains(out, "again at") {
		t.Errorf("messages: %s", out)
	}
	v.status.Store(http.StatusOK)
	mustSallyport(t, root, "webhook", "enable", hook.ID)
	decode(t, mustSallyport(t, root, "upload", "--json", path), &object)
	if m := v.next(t, "object.published"); m.header.Get("webhook-id") == first.header.Get("webhook-id") {
		v.next(t, "object.published") // the one that found it gone came first
	}
	if out := mustSallyport(t, root, "webhook", "rotate", hook.ID); !strings.HasPrefix(out, "whsec_") || strings.Contains(out, hook.Secret) {
		t.Error("rotate shows no new secret")
	}
	if r := sallyport(t, root, "webhook", "replay", hook.ID, "--since", "yesterday"); r.code == 0 || !strings.Contains(r.stderr, "--since") {
		t.Errorf("%+v", r)
	}
	mustSallyport(t, root, "webhook", "rm", hook.ID)
	if out := mustSallyport(t, root, "webhook", "ls", "--json"); strings.Contains(out, hook.ID) {
		t.Errorf("it is still there: %s", out)
	}
	s.stop()
	if log := s.stderr.String(); strings.Contains(log, v.URL) || strings.Contains(log, hook.Secret) {
		t.Error("the log has a URL or a secret")
	}
	mustSallyport(t, nil, "fsck", "--data", data)
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(childTime); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %s", what, childTime)
		}
	}
}

// TestEventsCommand shows what happens until it is interrupted.
func TestEventsCommand(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), nil)
	cmd := command(t, s.root(), "events", "--after", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	path, _ := randomFile(t, "a.bin", 100)
	mustSallyport(t, s.root(), "upload", path)
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), `"type":"object.published"`) {
		if !strings.HasPrefix(lines.Text(), `{"type":"`) {
			t.Errorf("a line is %q", lines.Text())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("the server ends with %d", code)
	}
}
