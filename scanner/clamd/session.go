package clamd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/scanner"
)

const (
	// chunkSize is how much of a stream is sent at once, with its length in the
	// four bytes before it.
	chunkSize = 128 << 10
	// maxAnswer bounds an answer, in bytes. A signature's name is the longest part.
	maxAnswer = 4 << 10
)

var (
	errTooLarge = errors.New("clamd: the stream is over the limit")
	// errGarbage: whoever answers does not speak as clamd does.
	errGarbage = errors.New("clamd: the answer is none of clamd's")
	// errSilent: clamd lives, and has not answered this for too long.
	errSilent = errors.New("clamd: no answer in time")
)

// session is a connection on which commands are given in turn (IDSESSION). clamd
// counts them, and puts the number before each answer. It is not safe for concurrent use.
type session struct {
	engine *Engine
	conn   net.Conn
	asked  int       // commands so far
	rest   []byte    // read, and not yet an answer
	used   time.Time // last
	broken bool      // by an error, or in the middle of a command
}

func (e *Engine) newSession(ctx context.Context) (*session, error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	e.m.sessions.Inc()
	s := &session{engine: e, conn: conn}
	if err := s.write(ctx, []byte("zIDSESSION\x00")); err != nil {
		s.close()
		return nil, down(err)
	}
	return s, nil
}

func (s *session) close() { _ = s.conn.Close() }

// greet makes sure that clamd answers, and learns its version now and then.
func (s *session) greet(ctx context.Context) error {
	if s.engine.stale() {
		return s.identify(ctx)
	}
	answer, err := s.command(ctx, "PING")
	if err == nil && answer != "PONG" {
		err = fmt.Errorf("%w: %.80q", errGarbage, answer)
	}
	if err != nil {
		return down(err)
	}
	return nil
}

// identify learns clamd's version.
func (s *session) identify(ctx context.Context) error {
	answer, err := s.command(ctx, "VERSION")
	if err == nil {
		err = s.engine.learn(answer)
	}
	if err != nil {
		return down(err)
	}
	return nil
}

// command gives one command without a body. There is nothing to wait for but
// clamd itself.
func (s *session) command(ctx context.Context, name string) (string, error) {
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	if err := s.write(ctx, []byte("z"+name+"\x00")); err != nil {
		return "", err
	}
	s.asked++
	if err := s.conn.SetReadDeadline(s.engine.cfg.Now().Add(s.engine.cfg.Patience)); err != nil {
		return "", err
	}
	return s.answer()
}

// buffers have room for a chunk, its length, and the end.
var buffers = sync.Pool{New: func() any { return new([4 + chunkSize + 4]byte) }}

// instream sends at most limit bytes of r and returns the answer. An error of r is returned
// as it is. One that wraps scanner.ErrDown says nothing of the content; any other, that clamd took all
// of it and did not come back, perhaps because of it.
func (s *session) instream(ctx context.Context, r io.Reader, limit int64) (string, error) {
	// Whatever goes wrong, clamd would take the next command for a chunk.
	s.broken = true
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	if err := s.write(ctx, []byte("zINSTREAM\x00")); err != nil {
		return "", s.refused(ctx, err)
	}
	s.asked++
	buf := buffers.Get().(*[4 + chunkSize + 4]byte)
	defer buffers.Put(buf)
	for sent := int64(0); ; {
		n, err := io.ReadFull(r, buf[4:4+chunkSize])
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return "", fmt.Errorf("read: %w", err)
		}
		if sent += int64(n); sent > limit {
			return "", errTooLarge
		}
		chunk := buf[:4+n]
		binary.BigEndian.PutUint32(chunk, uint32(n))
		if last && n > 0 { // a chunk of no length is the end
			chunk = append(chunk, 0, 0, 0, 0)
		}
		if err := s.write(ctx, chunk); err != nil {
			return "", s.refused(ctx, err)
		}
		s.engine.m.bytes.Add(float64(n))
		if last {
			break
		}
	}
	answer, err := s.await(ctx)
	if err == nil {
		s.broken = false
	}
	return answer, err
}

// refused is called when a chunk could not be sent: clamd may have said why before it
// closed the connection. If it did not, and lives, it gave this stream up; else it is down.
func (s *session) refused(ctx context.Context, err error) error {
	_ = s.conn.SetReadDeadline(s.engine.cfg.Now().Add(100 * time.Millisecond))
	if answer, unread := s.answer(); unread == nil && strings.Contains(answer, "size limit exceeded") {
		return errTooLarge
	}
	if errors.Is(err, scanner.ErrDown) || errors.Is(err, errSilent) {
		return down(err)
	}
	if ping := s.engine.Ping(ctx); ping != nil {
		return ping
	}
	return fmt.Errorf("clamd: it gave the stream up: %w", err)
}

func down(err error) error {
	if errors.Is(err, scanner.ErrDown) {
		return err
	}
	return fmt.Errorf("%w: %w", scanner.ErrDown, err)
}

// write sends p. While clamd takes nothing, it is asked whether it is alive.
func (s *session) write(ctx context.Context, p []byte) error {
	for waited := time.Duration(0); ; {
		if err := s.conn.SetWriteDeadline(s.engine.cfg.Now().Add(s.engine.cfg.Patience)); err != nil {
			return err
		}
		n, err := s.conn.Write(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if p = p[n:]; n > 0 {
			waited = 0
		}
		waited += s.engine.cfg.Patience
		if err := s.alive(ctx, waited); err != nil {
			return err
		}
	}
}

// await reads the answer to a scan. While there is none, clamd is asked whether it is
// alive.
func (s *session) await(ctx context.Context) (string, error) {
	for waited := time.Duration(0); ; {
		if err := s.conn.SetReadDeadline(s.engine.cfg.Now().Add(s.engine.cfg.Patience)); err != nil {
			return "", err
		}
		answer, err := s.answer()
		if errors.Is(err, errGarbage) {
			return "", down(err)
		}
		if err == nil {
			return answer, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return "", fmt.Errorf("clamd: the connection was lost during a scan: %w", err)
		}
		waited += s.engine.cfg.Patience
		if err := s.alive(ctx, waited); err != nil {
			return "", err
		}
	}
}

// alive tells why it is of no use to wait on.
func (s *session) alive(ctx context.Context, waited time.Duration) error {
	if err := s.engine.Ping(ctx); err != nil {
		return err
	}
	if waited >= s.engine.cfg.Timeout {
		return errSilent
	}
	return nil
}

// answer reads one answer, without its number. What was read of it by a failed call is
// kept for the next one.
func (s *session) answer() (string, error) {
	for {
		if i := bytes.IndexByte(s.rest, 0); i >= 0 {
			line := string(s.rest[:i])
			s.rest = append(s.rest[:0], s.rest[i+1:]...)
			number, answer, _ := strings.Cut(line, ": ")
			if number != strconv.Itoa(s.asked) {
				return "", fmt.Errorf("%w: %.80q", errGarbage, line)
			}
			return answer, nil
		}
		if len(s.rest) > maxAnswer {
			return "", fmt.Errorf("%w: it has no end", errGarbage)
		}
		var more [512]byte
		n, err := s.conn.Read(more[:])
		s.rest = append(s.rest, more[:n]...)
		if err != nil && n == 0 {
			return "", err
		}
	}
}

// Ping asks clamd on a connection of its own whether it works. An error wraps
// scanner.ErrDown, unless ctx ended.
func (e *Engine) Ping(ctx context.Context) error { return e.aside(ctx, (*session).greet) }

// aside does something on a session that is not one of the pool.
func (e *Engine) aside(ctx context.Context, do func(*session, context.Context) error) error {
	s, err := e.newSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := do(s, ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}
