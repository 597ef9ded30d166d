package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// wire is a bare connection, for what HTTP libraries do not do.
type wire struct {
	t    testing.TB
	seen *seen
	conn *net.TCPConn
	r    *bufio.Reader
}

func (s *Server) dial() *wire { return s.dialTo(s.S3) }

func (s *Server) dialTo(endpoint string) *wire {
	s.t.Helper()
	conn, err := net.DialTimeout("tcp", address(endpoint), patience)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return &wire{t: s.t, seen: s.seen, conn: conn.(*net.TCPConn), r: bufio.NewReader(conn)}
}

// head writes the head of a request for a URL.
func head(method, target string, header ...string) string {
	u, err := url.Parse(target)
	if err != nil {
		panic(err) // a URL that the server gave
	}
	return method + " " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n"
}

// putHead is the head of a PUT of so many bytes to the session's URL.
func (s *Session) putHead(size int, header ...string) string {
	for name, value := range s.Headers {
		if !strings.EqualFold(name, "Content-Length") {
			header = append(header, name+": "+value)
		}
	}
	return head("PUT", s.PutURL, append(header, fmt.Sprint("Content-Length: ", size))...)
}

const expects = "Expect: 100-continue"

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, text); err != nil {
		w.t.Fatal(err)
	}
}

// answer reads one answer to its end; 100 Continue is one.
func (w *wire) answer() (answer, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := answer{resp.StatusCode, resp.Header, body}
	if a.Status >= 400 {
		w.seen.refusal(a)
	}
	return a, err
}

func (w *wire) mustAnswer() answer {
	w.t.Helper()
	a, err := w.answer()
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// end reads what comes after the last answer: nothing, and then an orderly end.
func (w *wire) end() {
	w.t.Helper()
	if err := w.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	rest, err := io.ReadAll(w.r)
	if err != nil || len(rest) > 0 {
		w.t.Errorf("after the answer come %q, %v", rest, err)
	}
}

// reset drops the connection as a machine does that was unplugged.
func (w *wire) reset() {
	w.t.Helper()
	if err := errors.Join(w.conn.SetLinger(0), w.conn.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// quiet is a log for servers of net/http whose complaints are part of the test.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
