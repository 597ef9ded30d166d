package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// connection returns both ends of a new socket.
func connection() (ours *net.UnixConn, theirs *os.File, err error) {
	// Not every system makes sockets that other children do not inherit in one step.
	syscall.ForkLock.RLock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(pair[0])
		unix.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(pair[0]), "parent")
	theirs = os.NewFile(uintptr(pair[1]), "child")
	conn, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}

// send writes one message, with a descriptor on its first byte.
func (w *worker) send(message []byte, in *os.File) error {
	if err := w.conn.SetWriteDeadline(w.now().Add(w.left)); err != nil {
		return err
	}
	if in != nil {
		n, _, err := w.conn.WriteMsgUnix(message[:headSize], unix.UnixRights(int(in.Fd())), nil)
		if err != nil {
			return err
		}
		message = message[n:]
	}
	_, err := w.conn.Write(message)
	return err
}

// next reads the head of the next message.
func (w *worker) next() (kind byte, size int, err error) {
	var h [headSize]byte
	if _, err := io.ReadFull(w.r, h[:]); err != nil {
		return 0, 0, err
	}
	return parseHead(h[:])
}

// timed reads from the child's connection and counts the time and the bytes
// against what the child may have.
type timed struct{ w *worker }

// Read implements io.Reader.
func (t timed) Read(p []byte) (int, error) {
	w, start := t.w, t.w.now()
	if err := w.conn.SetReadDeadline(start.Add(w.left)); err != nil {
		return 0, err
	}
	n, err := w.conn.Read(p)
	w.left -= w.now().Sub(start)
	if w.output -= int64(n); w.output < 0 {
		return 0, fmt.Errorf("%w: more output than allowed", errProtocol)
	}
	return n, err
}

// body reads the bytes of the open frame.
type body struct {
	w     *worker
	left  int // of the present sayData
	ended bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.w.broken != nil {
		return 0, io.ErrUnexpectedEOF
	}
	if b.ended {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for b.left == 0 {
		kind, size, err := b.w.next()
		switch {
		case err != nil:
		case kind == sayEnd && size == 0:
			b.ended = true
			return 0, io.EOF
		case kind != sayData:
			err = fmt.Errorf("%w: %q in a frame", errProtocol, kind)
		}
		if err != nil {
			b.w.broken = err
			return 0, io.ErrUnexpectedEOF
		}
		b.left = size
	}
	n, err := b.w.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	if err != nil {
		b.w.broken = err
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// firstWords keeps the head of what is written to it.
type firstWords struct {
	mu   sync.Mutex
	kept []byte
}

const keptSize = 2 << 10

// Write implements io.Writer.
func (h *firstWords) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, p[:min(len(p), keptSize-len(h.kept))]...)
	return len(p), nil
}

// String returns what was kept.
func (h *firstWords) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.kept)
}
