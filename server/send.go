package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/gofiber/fiber/v2"
)

// ErrCut is what a transfer ends in when Cut closed its connection.
var ErrCut = errors.New("transfer cut")

// answer streams one answer's body after the handler has returned, on the
// connection's goroutine.
type answer struct {
	t      *turn
	lr     io.LimitedReader
	src    io.Closer
	size   int64 // negative: not known
	sent   int64
	err    error
	ran    bool // the body was asked for: false for HEAD, 304 and the like
	closed bool
	done   func(sent int64, err error)
}

// SendFile answers with n bytes of f from offset off, moved by the kernel where the
// connection is plain TCP. Status and headers are the caller's. It takes f over, also
// when it returns an error. done, if not nil, is called once, after the last byte was
// handed over or the transfer failed, with the bytes sent and nil, ErrCut or the
// failure; a HEAD sends none.
func SendFile(c *fiber.Ctx, f *os.File, off, n int64, done func(sent int64, err error)) error {
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return errors.Join(fmt.Errorf("send file: %w", err), f.Close())
	}
	send(c, f, f, n, done)
	return nil
}

// SendReader answers with n bytes of rc, or in chunks with all there is if n is
// negative. It takes rc over; done is as for SendFile.
func SendReader(c *fiber.Ctx, rc io.ReadCloser, n int64, done func(sent int64, err error)) {
	send(c, rc, rc, n, done)
}

// SendHead answers a HEAD request: headers as for n bytes of body, and no body.
func SendHead(c *fiber.Ctx, n int64) {
	resp := &c.Context().Response
	resp.ResetBody()
	resp.SkipBody = true
	resp.Header.SetContentLength(int(n))
}

func send(c *fiber.Ctx, r io.Reader, closer io.Closer, n int64, done func(int64, error)) {
	limit := n
	if n < 0 {
		limit = 1<<63 - 1
	}
	a := &answer{t: turnOf(c.Context()), lr: io.LimitedReader{R: r, N: limit}, src: closer, size: n, done: done}
	if a.t != nil {
		a.t.answer = a
	}
	c.Context().Response.SetBodyStream(a, int(max(n, -1)))
}

// Read is used for bodies of unknown size.
func (a *answer) Read(p []byte) (int, error) {
	a.ran = true
	n, err := a.lr.Read(p)
	a.sent += int64(n)
	if err != nil && err != io.EOF {
		a.err = err
	}
	return n, err
}

// small bodies share one write with their header.
const small = 8 << 10

// WriteTo is used for bodies of known size; w is fasthttp's buffer over the
// connection, with the header in it.
func (a *answer) WriteTo(w io.Writer) (int64, error) {
	a.ran = true
	n, err := a.writeTo(w)
	a.sent = n
	if err == nil && n < a.size {
		err = io.ErrUnexpectedEOF
	}
	a.err = err
	return n, err
}

func (a *answer) writeTo(w io.Writer) (int64, error) {
	bw, ok := w.(*bufio.Writer)
	if !ok {
		return io.Copy(w, &a.lr)
	}
	if a.size <= small {
		return bw.ReadFrom(&a.lr)
	}
	_, isFile := a.lr.R.(*os.File)
	if isFile && a.t != nil && !a.t.conn.isTLS {
		// Into an empty buffer ReadFrom goes past it, down to the connection.
		if err := bw.Flush(); err != nil {
			return 0, err
		}
		return bw.ReadFrom(&a.lr)
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	return copyThrough(bw, &a.lr, *buf)
}

// copyBuffers keeps the buffers of transfers that the kernel cannot do.
var copyBuffers = sync.Pool{New: func() any {
	b := make([]byte, 256<<10)
	return &b
}}

// copyThrough copies r to bw in pieces larger than bw's buffer, which therefore go
// straight through it.
func copyThrough(bw *bufio.Writer, r io.Reader, buf []byte) (n int64, err error) {
	for {
		m, rerr := io.ReadFull(r, buf)
		w, werr := bw.Write(buf[:m])
		n += int64(w)
		switch {
		case werr != nil:
			return n, werr
		case rerr == io.EOF || rerr == io.ErrUnexpectedEOF:
			return n, nil
		case rerr != nil:
			return n, rerr
		}
	}
}

// Close is called once the body was sent, failed or was not wanted.
func (a *answer) Close() error {
	if a.closed {
		return nil
	}
	a.closed = true
	err := a.src.Close()
	if a.t != nil && a.t.cut.Load() && (a.err != nil || a.size >= 0 && a.ran && a.sent < a.size) {
		a.err = ErrCut
	}
	if a.done != nil {
		a.done(a.sent, a.err)
	}
	return err
}
