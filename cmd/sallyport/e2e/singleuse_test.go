package e2e_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// callers is how many clients race for one URL.
const callers = 64

// TestSingleUse races many clients for one URL, and again after crashes and
// broken connections.
func TestSingleUse(t *testing.T) {
	onBackends(t, func(t *testing.T, on backend) {
		s := serve(t, on)
		t.Run("race", func(t *testing.T) {
			s.in(t)
			race(t, s, s.root.begin(256<<10))
		})
		t.Run("after a crash", func(t *testing.T) {
			s.in(t)
			u := s.root.begin(256 << 10)
			crashMidway(t, s, u)
			race(t, s, u)
		})
		t.Run("after lost connections", func(t *testing.T) {
			s.in(t)
			u := s.root.begin(256 << 10)
			dieAfterAdmission(s, u)
			u.putWhenFree(noise(99, 256<<10))
			a, err := u.put(noise(99, 256<<10))
			if err != nil || !a.is(http.StatusConflict, "UploadURLAlreadyUsed") {
				t.Errorf("the second use: %s, %v", a, err)
			}
		})
		s.holds(3)
	})
}

// race lets every caller put bytes of its own to one URL at the same time.
func race(t *testing.T, s *Server, u *Session) {
	t.Helper()
	before := len(s.blobs())
	answers := make([]answer, callers)
	failures := make([]error, callers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		data := noise(uint64(i)+1, int(u.size))
		wg.Go(func() {
			<-start
			answers[i], failures[i] = u.put(data)
		})
	}
	close(start)
	wg.Wait()
	winner := -1
	for i, a := range answers {
		switch {
		case failures[i] != nil:
			t.Errorf("caller %d: %v", i, failures[i])
		case a.Status == http.StatusOK && winner >= 0:
			t.Errorf("callers %d and %d won", winner, i)
		case a.Status == http.StatusOK:
			winner = i
		case !a.is(http.StatusConflict, "UploadURLAlreadyUsed") && !a.is(http.StatusConflict, "OperationAborted"):
			t.Errorf("caller %d: %s", i, a)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	s.holds(before + 1)
	events, _ := s.audit()
	if n := count(events, "upload.received", u.UploadID); n != 1 {
		t.Errorf("the audit log has upload.received %d times", n)
	}
	u.publish()
	s.mustGet(s.root.downloadURL(u.ObjectID).GetURL, noise(uint64(winner)+1, int(u.size)))
}

// crashMidway kills the server while it receives the bytes of u.
func crashMidway(t *testing.T, s *Server, u *Session) {
	t.Helper()
	w := s.dial()
	w.send(u.putHead(int(u.size)) + strings.Repeat("x", int(u.size/2)))
	eventually(t, "the transfer runs", func() bool { return s.metric("transfers_running") == 1 })
	if a, err := u.put(noise(1, int(u.size))); err != nil || !a.is(http.StatusConflict, "OperationAborted") {
		t.Errorf("a put beside a running one: %s, %v", a, err)
	}
	s.Restart()
	eventually(t, "what the crash left is gone", func() bool {
		return s.metric("ledger_intents")+s.metric("ledger_garbage") == 0
	})
	if a, err := s.root.call("GET", "/uploads/"+u.UploadID, nil); err != nil || !bytes.Contains(a.Body, []byte(`"received":0`)) {
		t.Errorf("after the crash the session is %s, %v", a.Body, err)
	}
}

// dieAfterAdmission lets many connections end between the admission of a put and
// its first byte.
func dieAfterAdmission(s *Server, u *Session) {
	s.t.Helper()
	for i := range 200 {
		w := s.dial()
		w.send(u.putHead(int(u.size), expects))
		switch i % 4 {
		case 0: // before the server can say anything
			w.reset()
		case 1:
			w.conn.Close()
		case 2: // told to go on, and gone
			_, _ = w.answer() // 100, or 409 while the one before still has the turn
			w.reset()
		case 3:
			_, _ = w.answer()
			w.conn.Close()
		}
	}
}
