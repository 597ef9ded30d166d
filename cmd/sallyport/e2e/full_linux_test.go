package e2e_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

const mib = 1 << 20

// TestDiskFull fills the file system that the data directory is on.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=96m,mode=0700"); err != nil {
		need(t, "a tmpfs cannot be mounted ("+err.Error()+"); run the tests as root")
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := serveProgram(t, program(t), filepath.Join(dir, "hidden-data"), disk{}, "DATA_MIN_FREE=4MiB")
	s.mustObject("PUT", "/full", nil)
	s.mustObject("PUT", "/full/kept", noise(1, 2*mib))
	kept := s.root.begin(2 * mib)
	kept.mustPut(noise(1, 2*mib))
	kept.publish()

	// What can be seen not to fit is refused on its headers.
	s.root.refused(http.StatusInsufficientStorage, "STORAGE_FULL", "POST", "/uploads",
		newUpload{Filename: "x", ContentType: octets, Size: 200 * mib})
	req, err := s.root.objectRequest(t.Context(), "PUT", "/full/more", "", nil, http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}})
	if err != nil {
		t.Fatal(err)
	}
	w := s.dial()
	w.send(headOf(req, "Content-Length: 209715200", expects))
	if a := w.mustAnswer(); !a.is(http.StatusServiceUnavailable, "ServiceUnavailable") {
		t.Errorf("more than there is: %s", a)
	}
	waiting := s.root.begin(mib)

	// What fits when it begins and no more when it goes on is refused then.
	ballast := filepath.Join(dir, "ballast")
	leave(t, dir, ballast, 20*mib)
	racers := []*Session{s.root.begin(14 * mib), s.root.begin(14 * mib)}
	won := raceForSpace(t, s, racers)

	// Below the minimum nothing new is taken, and all else goes on.
	leave(t, dir, ballast, 3*mib)
	s.checkFull(waiting)
	s.root.must("GET", "/objects/"+kept.ObjectID, nil, nil)
	s.mustGet(s.root.downloadURL(kept.ObjectID).GetURL, noise(1, 2*mib))
	if a := s.mustObject("GET", "/full/kept", nil); !bytes.Equal(a.Body, noise(1, 2*mib)) {
		t.Error("another content comes back")
	}
	if a := s.mustObject("DELETE", "/full/kept", nil); a.Status != http.StatusNoContent {
		t.Error(a)
	}

	// Without a byte left not even the ledger can be written to.
	leave(t, dir, ballast, 0)
	a, err := s.root.call("POST", "/uploads", newUpload{Filename: "x", ContentType: octets, Size: 1})
	if err != nil || a.Status < 500 && a.Status != http.StatusCreated { // there may be room inside the ledger's file
		t.Errorf("a session on a full disk: %s, %v", a, err)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.mustGet(s.root.downloadURL(kept.ObjectID).GetURL, noise(1, 2*mib))
	for i, u := range racers {
		if i != won {
			u.putWhenFree(noise(uint64(i)+10, 14*mib))
		}
		u.publish()
		s.mustGet(s.root.downloadURL(u.ObjectID).GetURL, noise(uint64(i)+10, 14*mib))
	}
	s.mustObject("PUT", "/full/kept", noise(2, 2*mib))
	waiting.mustPut(noise(1, mib))
	s.holds(5)
	if out, ok := s.cli("audit", "verify"); !ok {
		t.Errorf("audit verify: %s", out)
	}
	s.Stop()
	s.mustFsck()
}

// leave writes or cuts a file so that so many bytes stay free beside it.
func leave(t *testing.T, dir, file string, free int64) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	more := int64(s.Bavail)*s.Bsize - free
	info, err := os.Stat(file)
	if err == nil && more < 0 {
		if err := os.Truncate(file, info.Size()+more); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for more > 0 {
		n, err := f.Write(make([]byte, min(more, mib)))
		if more -= int64(n); err != nil {
			if free == 0 && errors.Is(err, syscall.ENOSPC) {
				return
			}
			t.Fatal(err)
		}
	}
}

// raceForSpace puts both sessions where only one has room, and returns which won.
func raceForSpace(t *testing.T, s *Server, racers []*Session) (won int) {
	t.Helper()
	var wires []*wire
	for _, u := range racers { // both are admitted before either takes room
		w := s.dial()
		w.send(u.putHead(14*mib, expects))
		if a := w.mustAnswer(); a.Status != http.StatusContinue {
			t.Fatalf("it is not admitted: %s", a)
		}
		wires = append(wires, w)
	}
	answers := make([]answer, 2)
	var wg sync.WaitGroup
	for i, w := range wires {
		wg.Go(func() {
			_, _ = w.conn.Write(noise(uint64(i)+10, 14*mib)) // the loser may be answered amid it
			var err error
			if answers[i], err = w.answer(); err != nil {
				t.Errorf("racer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	won = -1
	for i, a := range answers {
		switch {
		case a.Status == http.StatusOK:
			won = i
		case !a.is(http.StatusServiceUnavailable, "ServiceUnavailable"):
			t.Errorf("racer %d: %s", i, a)
		}
	}
	if answers[0].Status == http.StatusOK && answers[1].Status == http.StatusOK {
		t.Error("both had room, so nothing was tried")
	}
	return won
}

// checkFull puts bodies in each way where there is no room for any.
func (s *Server) checkFull(u *Session) {
	s.t.Helper()
	if a, err := u.put(noise(1, mib)); err != nil || !a.is(http.StatusServiceUnavailable, "ServiceUnavailable") {
		s.t.Errorf("a put: %s, %v", a, err)
	}
	if a, err := s.root.object("PUT", "/full/new", "", noise(1, mib), nil); err != nil || !a.is(http.StatusServiceUnavailable, "ServiceUnavailable") {
		s.t.Errorf("an S3 put: %s, %v", a, err)
	}
	req, err := http.NewRequest("PUT", s.Control+"/uploads/"+u.UploadID+"/content", bytes.NewReader(noise(1, mib)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", octets)
	if err := s.root.sign(req, payloadHash(noise(1, mib))); err != nil {
		s.t.Fatal(err)
	}
	if a, err := s.do(req); err != nil || !a.is(http.StatusInsufficientStorage, "STORAGE_FULL") {
		s.t.Errorf("a proxied put: %s, %v", a, err)
	}
}
