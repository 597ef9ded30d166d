package hooks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
	"sallyport/server/hooks"
)

// TestFailuresHaveTheirCauses: what goes wrong on the way is told by a word, and never
// by an error's text, which holds the URL.
func TestFailuresHaveTheirCauses(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + free.Addr().String()
	_ = free.Close()
	plain := startReceiver(t, nil)
	secure := newReceiver(t, nil)
	secure.StartTLS()
	followed := startReceiver(t, nil)
	for _, c := range []struct {
		name, url string
		respond   func(http.ResponseWriter, *http.Request)
		status    int
		cause     string
	}{
		{"refused", "", status(400), 400, "status"},
		{"redirect", "", func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, followed.URL, http.StatusTemporaryRedirect)
		}, 307, "redirect"},
		{"hangs before the answer", "", func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, 0, "timeout"},
		{"hangs up", "", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, 0, "broken_answer"},
		{"no HTTP", "", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
				_ = conn.Close()
			}
		}, 0, "broken_answer"},
		{"switches protocols", "", func(w http.ResponseWriter, req *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
				t.Cleanup(func() { _ = conn.Close() })
			}
		}, 101, "status"},
		{"says nothing but 1xx", "", func(w http.ResponseWriter, req *http.Request) {
			for req.Context().Err() == nil {
				w.WriteHeader(http.StatusEarlyHints)
				time.Sleep(time.Millisecond)
			}
		}, 0, "timeout"},
		{"endless header", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
		}, 0, "broken_answer"},
		{"nobody there", closed, nil, 0, "no_connection"},
		{"unknown certificate", secure.URL, nil, 0, "tls"},
		{"TLS to a plain port", strings.Replace(plain.URL, "http:", "https:", 1), nil, 0, "tls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(cfg *hooks.Config) {
				cfg.Backoff = []time.Duration{time.Hour}
				if c.cause == "timeout" {
					cfg.Timeout = 300 * time.Millisecond
				}
			})
			url := c.url
			if url == "" {
				url = startReceiver(t, c.respond).URL
			}
			w, _ := r.hook(url + "/path-secret?q=query-secret")
			r.run()
			r.begin()
			r.eventually("it fails", func() bool { return r.progress(w).Failures > 0 })
			if p := r.progress(w); p.Cause != c.cause || p.Status != c.status {
				t.Errorf("%s %d, not %s %d", p.Cause, p.Status, c.cause, c.status)
			}
			r.silent("path-secret", "query-secret")
		})
	}
	if len(followed.got()) > 0 {
		t.Error("a redirect was followed")
	}
}

// TestAnswersAreNotKept: a 200 counts however long its body is, or would be.
func TestAnswersAreNotKept(t *testing.T) {
	r := newRig(t)
	v := startReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusOK)
		for req.Context().Err() == nil { // until the sender has enough
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	w, _ := r.hook(v.URL)
	r.run()
	r.begin()
	c := v.await(r, 1)[0]
	r.settled(w, c)
	if p := r.progress(w); p.Failures != 0 || time.Since(c.at) > 4*time.Second {
		t.Errorf("after %s: %+v", time.Since(c.at), p)
	}
}

// TestTLS to a target whose certificate is good.
func TestTLS(t *testing.T) {
	v := newReceiver(t, nil)
	v.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(v.Certificate())
	r := newRig(t, func(cfg *hooks.Config) { cfg.TLS = &tls.Config{RootCAs: roots} })
	_, secret := r.hook(v.URL)
	r.run()
	r.begin()
	verify(t, secret, v.await(r, 1)[0])
}

// TestTargetsThatAreNotAllowed are never connected to, whatever the ledger says: the
// operator may have allowed them once.
func TestTargetsThatAreNotAllowed(t *testing.T) {
	v := newReceiver(t, nil)
	v.StartTLS()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(v.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	dns := newNameServer(t, map[string][]string{"name.test.": {"127.0.0.1"}, "mapped.test.": {"127.0.0.1"}})
	for _, url := range []string{
		"https://127.0.0.1:" + port, "https://localhost:" + port, "https://name.test:" + port,
		"https://[::ffff:127.0.0.1]:" + port, "http://127.0.0.1:" + port, "ftp://127.0.0.1:" + port, "no URL",
	} {
		t.Run(url, func(t *testing.T) {
			r := newRig(t, func(cfg *hooks.Config) {
				cfg.Targets, cfg.Backoff, cfg.Resolver = policy.Targets{}, []time.Duration{time.Hour}, dns.resolver()
			})
			w, _ := r.hook(url)
			r.run()
			r.begin()
			r.eventually("it fails", func() bool { return r.progress(w).Failures > 0 })
			if p := r.progress(w); p.Cause != "target_not_allowed" && !strings.Contains(url, "localhost") {
				t.Errorf("%+v", p)
			}
		})
	}
	if n := v.connections(); n > 0 {
		t.Errorf("%d connections", n)
	}
}

// TestRebinding: a name has one address when it is looked up first and another one when
// it is looked up next. The one that is judged must be the one that is dialled.
func TestRebinding(t *testing.T) {
	v := newReceiver(t, nil)
	v.StartTLS()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(v.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(v.Certificate())
	allowed := netip.MustParsePrefix("127.0.0.2/32") // where nobody listens
	for _, c := range []struct {
		name    string
		answers []string
		targets policy.Targets
		arrives bool
	}{
		{"turns to a forbidden address", []string{"127.0.0.2", "127.0.0.1"}, policy.Targets{Networks: []netip.Prefix{allowed}}, false},
		{"begins with a forbidden address", []string{"127.0.0.1", "127.0.0.2"}, policy.Targets{Networks: []netip.Prefix{allowed}}, false},
		{"has both at once", []string{"127.0.0.2 127.0.0.1", "127.0.0.1 127.0.0.2"}, policy.Targets{Networks: []netip.Prefix{allowed}}, false},
		{"is allowed by its name", []string{"127.0.0.2", "127.0.0.1"}, policy.Targets{Hosts: []string{"example.com"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dns := newNameServer(t, map[string][]string{"example.com.": c.answers}) // the certificate's name
			r := newRig(t, func(cfg *hooks.Config) {
				cfg.Targets, cfg.Resolver, cfg.TLS = c.targets, dns.resolver(), &tls.Config{RootCAs: roots}
				cfg.Backoff = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond}
			})
			before := v.connections()
			w, _ := r.hook("https://example.com:" + port)
			r.run()
			r.begin()
			r.eventually("it is delivered or dead", func() bool {
				p := r.progress(w)
				return p.Dead == 1 || p.Waiting == 0 && !p.TriedAt.IsZero()
			})
			if arrived := v.connections() > before; arrived != c.arrives {
				t.Errorf("connected: %v, after %d look-ups", arrived, dns.count())
			}
			if n := dns.count(); n < 2 && !c.arrives {
				t.Errorf("%d look-ups: the name never turned", n)
			}
		})
	}
}

// TestProxiesAreNotUsed: what is checked would be the proxy's address.
func TestProxiesAreNotUsed(t *testing.T) {
	proxy := startReceiver(t, nil)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	dns := newNameServer(t, map[string][]string{"name.test.": {"127.0.0.1"}})
	v := startReceiver(t, nil)
	r := newRig(t, func(cfg *hooks.Config) {
		cfg.Targets, cfg.Resolver = policy.Targets{Hosts: []string{"name.test"}}, dns.resolver()
	})
	r.hook(strings.Replace(v.URL, "127.0.0.1", "name.test", 1))
	r.run()
	r.begin()
	v.await(r, 1)
	if len(proxy.got()) > 0 {
		t.Error("it went by the proxy")
	}
}

// TestTargetThatDripsIsLeft: the time of a try is bounded as a whole.
func TestTargetThatDripsIsLeft(t *testing.T) {
	r := newRig(t, func(cfg *hooks.Config) { cfg.Timeout, cfg.Backoff = 300*time.Millisecond, []time.Duration{time.Hour} })
	v := startReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for _, c := range "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1000) {
			if _, err := io.WriteString(conn, string(c)); err != nil {
				return
			}
			select {
			case <-req.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	w, _ := r.hook(v.URL, registry.NoticeUploadCreated)
	r.run()
	r.begin()
	r.eventually("it fails", func() bool { return r.progress(w).Failures > 0 })
	if p := r.progress(w); p.Cause != "timeout" {
		t.Errorf("%+v", p)
	}
}

// nameServer answers A queries by UDP: the n-th for a name with the n-th list of its
// addresses, and from its last on with that.
type nameServer struct {
	conn *net.UDPConn

	mu      sync.Mutex // protects the fields below
	answers map[string][]string
	asked   int
}

func newNameServer(tb testing.TB, answers map[string][]string) *nameServer {
	tb.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	s := &nameServer{conn: conn, answers: answers}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	tb.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return s
}

func (s *nameServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *nameServer) serve() {
	buf := make([]byte, 512)
	for {
		n, peer, err := s.conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		if reply := s.reply(buf[:n]); reply != nil {
			_, _ = s.conn.WriteToUDP(reply, peer)
		}
	}
}

// reply answers one question (RFC 1035, section 4).
func (s *nameServer) reply(query []byte) []byte {
	if len(query) < 12 {
		return nil
	}
	name, at := "", 12
	for at < len(query) && query[at] > 0 {
		n := int(query[at])
		if at+1+n >= len(query) {
			return nil
		}
		name += string(query[at+1:at+1+n]) + "."
		at += 1 + n
	}
	if at+5 > len(query) {
		return nil
	}
	question, kind := query[12:at+5], binary.BigEndian.Uint16(query[at+1:])
	const a = 1
	var addresses []string
	if kind == a {
		addresses = s.next(strings.ToLower(name))
	}
	reply := append([]byte{query[0], query[1], 0x85, 0x80, 0, 1, 0, byte(len(addresses)), 0, 0, 0, 0}, question...)
	for _, address := range addresses {
		ip := netip.MustParseAddr(address).As4()
		reply = append(reply, 0xc0, 12, 0, a, 0, 1, 0, 0, 0, 0, 0, 4, ip[0], ip[1], ip[2], ip[3])
	}
	return reply
}

func (s *nameServer) next(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lists := s.answers[name]
	if len(lists) == 0 {
		return nil
	}
	s.asked++
	if len(lists) > 1 {
		s.answers[name] = lists[1:]
	}
	return strings.Fields(lists[0])
}
