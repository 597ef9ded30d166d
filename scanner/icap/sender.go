package icap

import (
	"bytes"
	"fmt"
	"hash"
	"io"
	"strconv"
	"sync/atomic"

	"sallyport/registry"
	"sallyport/scanner"
)

// chunkSize is how much of a body is sent at once.
const chunkSize = 64 << 10

// sender sends a body while its connection is read.
type sender struct {
	conn *conn
	r    io.Reader
	left int64 // that may still be sent

	// Until done is closed these are the sender's own.
	sum  hash.Hash // of what was sent
	sent int64
	err  error

	finishing atomic.Bool   // set before the body's end is sent
	done      chan struct{} // closed when nobody reads r any more
}

// run sends head, what is left of the body, and the end. An error of r, or a body over the limit, also
// ends the connection, so that whoever waits for an answer hears of it.
func (s *sender) run(head string) {
	defer close(s.done)
	if s.err = s.send(head); s.err != nil {
		_ = s.conn.Close()
	}
}

func (s *sender) send(head string) error {
	buf := make([]byte, chunkSize)
	var out bytes.Buffer
	out.WriteString(head)
	for last := false; !last; out.Reset() {
		n, err := io.ReadFull(s.r, buf)
		last = err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return fmt.Errorf("read: %w", err)
		}
		if err := s.count(buf[:n]); err != nil {
			return err
		}
		if n > 0 {
			appendChunk(&out, buf[:n])
		}
		if last {
			s.finishing.Store(true)
			out.WriteString("0\r\n\r\n")
		}
		if _, err := s.conn.Write(out.Bytes()); err != nil {
			return down(err)
		}
	}
	return nil
}

// count adds what is about to be sent.
func (s *sender) count(p []byte) error {
	if s.left -= int64(len(p)); s.left < 0 {
		return errTooLarge
	}
	s.sent += int64(len(p))
	s.sum.Write(p)
	s.conn.engine.m.bytes.Add(float64(len(p)))
	return nil
}

func appendChunk(out *bytes.Buffer, p []byte) {
	out.WriteString(strconv.FormatInt(int64(len(p)), 16))
	out.WriteString("\r\n")
	out.Write(p)
	out.WriteString("\r\n")
}

// passed is the verdict of a service that lets the content pass: clean only if it had all of
// it.
func (s *sender) passed() scanner.Result {
	if !s.finishing.Load() {
		return scanner.Result{Result: registry.VerdictIncomplete, Reason: ReasonSkipped}
	}
	return scanner.Result{Result: registry.VerdictClean}
}
