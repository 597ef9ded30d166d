package s3api_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"sallyport/server/s3api"
)

// TestPostSlots: nobody's forms hold no more than their room, and give it back. One
// address does not take that of all.
func TestPostSlots(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	kind, body := s.form(anyKey("k"))
	hold := func(address string) net.Conn {
		d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		nc, err := d.Dial("tcp", s.addr)
		s.must(err)
		t.Cleanup(func() { _ = nc.Close() })
		_, err = fmt.Fprintf(nc, "POST /photos HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body[:10])
		s.must(err)
		return nc
	}
	until := func(status int) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			if r := s.postBody("photos", kind, body); r.status == status {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("%d %s, want %d", r.status, r.body, status)
			}
		}
	}
	// Some more than there is room for: a trial may stand in the place of one, which is
	// refused then and does not come back.
	const more = 8
	release := func(held []net.Conn) {
		for _, nc := range held {
			s.must(nc.Close())
		}
	}
	var own []net.Conn
	for range s3api.MaxFormsOfOne + more {
		own = append(own, hold("127.0.0.1"))
	}
	until(503)
	release(own)
	until(204)
	// Those of others, until there is no room for anybody.
	var others []net.Conn
	for i := range s3api.MaxForms + more {
		others = append(others, hold(fmt.Sprintf("127.0.1.%d", 1+i/s3api.MaxFormsOfOne)))
	}
	until(503)
	release(others)
	until(204)
}
