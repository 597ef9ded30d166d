package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Job is what a child can do. It runs in the child, looks at in (a regular file,
// at its beginning) and returns a reply that is encoded as JSON. frame opens a
// stream of bytes to the parent; one may be open at a time, and must be closed.
//
// Content that is bad is a reply. An error is for a job that cannot be done: it is
// a failed try of the object. A reply with a method Hostile() bool that says true
// ends the worker, so that no other object meets it. A panic is the end of the
// worker and a verdict of the object.
type Job func(ctx context.Context, in *os.File, params json.RawMessage, frame func(kind string, header any) (io.WriteCloser, error)) (any, error)

// socketFD is where a child finds its socket.
const socketFD = 3

// Exit codes of a child.
const (
	exitLost = 3 // the parent is gone, or nothing that it understands
	exitCPU  = 4 // the object's processor time is used up
)

// Main is the main function of a child: it locks itself in, then does jobs until
// its parent closes the socket. It returns the exit code.
func Main(jobs map[string]Job) int {
	c := &child{jobs: jobs, out: os.NewFile(socketFD, "parent")}
	if err := c.serve(); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return exitLost
	}
	return 0
}

// child is the inside of a worker.
type child struct {
	jobs  map[string]Job
	out   *os.File // written to; read by recvmsg
	input *os.File // that came with the last message
	limits
}

func (c *child) serve() error {
	kind, size, err := c.next()
	if err != nil {
		return err
	}
	var s setup
	if kind != saySetup {
		return fmt.Errorf("%w: %q first", errProtocol, kind)
	}
	if err := readText(c, size, &s); err != nil {
		return err
	}
	h := c.lock(s)
	if err := c.say(sayHello, h); err != nil || h.Failed != "" {
		return err
	}
	if s.Exec != nil {
		// Whoever returns from this has failed.
		return c.say(sayFailed, ending{Failed: c.become(*s.Exec, s).Error()})
	}
	for {
		kind, size, err := c.next()
		if err != nil {
			return err
		}
		var t task
		if err := readText(c, size, &t); err != nil {
			return err
		}
		if kind != sayJob || c.input == nil {
			return fmt.Errorf("%w: %q for a job", errProtocol, kind)
		}
		if err := c.do(t); err != nil {
			return err
		}
	}
}

// do runs one job and says how it ended.
func (c *child) do(t task) error {
	defer func() {
		_ = c.input.Close()
		c.input = nil
	}()
	if err := c.allowCPU(); err != nil {
		return err
	}
	job, ok := c.jobs[t.Job]
	if !ok {
		return c.say(sayFailed, ending{Failed: "no such job"})
	}
	o := &out{c: c}
	reply, err := job(context.Background(), c.input, t.Params, o.frame)
	if err == nil && o.open {
		err = errFrameOpen
	}
	if err != nil {
		files := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.EFBIG)
		return c.say(sayFailed, ending{Failed: fmt.Sprintf("%.300s", err), Files: files, Retire: true})
	}
	encoded, err := json.Marshal(reply)
	if err != nil {
		return c.say(sayFailed, ending{Failed: err.Error(), Retire: true})
	}
	hostile, ok := reply.(interface{ Hostile() bool })
	return c.say(sayReply, ending{Reply: encoded, Retire: ok && hostile.Hostile() || c.grown()})
}

func (c *child) say(kind byte, v any) error {
	message, err := text(kind, v)
	if err != nil {
		return err
	}
	_, err = c.out.Write(message)
	return err
}

// next reads the head of the parent's next message and takes the descriptor that
// comes with it.
func (c *child) next() (kind byte, size int, err error) {
	var h [headSize]byte
	rights := make([]byte, unix.CmsgSpace(4))
	n, oobn, err := c.receive(h[:], rights)
	if err != nil {
		return 0, 0, err
	}
	if oobn > 0 {
		if c.input, err = fileOf(rights[:oobn]); err != nil {
			return 0, 0, err
		}
	}
	if _, err := io.ReadFull(c, h[n:]); err != nil {
		return 0, 0, err
	}
	return parseHead(h[:])
}

// Read implements io.Reader: what the parent sent.
func (c *child) Read(p []byte) (int, error) {
	n, _, err := c.receive(p, nil)
	return n, err
}

func (c *child) receive(p, rights []byte) (n, oobn int, err error) {
	for {
		n, oobn, _, _, err = unix.Recvmsg(socketFD, p, rights, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && n == 0 && len(p) > 0:
			err = io.EOF
		}
		return n, oobn, err
	}
}

func fileOf(rights []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			return os.NewFile(uintptr(fd), "input"), nil
		}
	}
	return nil, fmt.Errorf("%w: no descriptor", errProtocol)
}

// out is a job's way to send streams.
type out struct {
	c    *child
	open bool
}

var (
	errFrameOpen   = errors.New("sandbox: a frame is still open")
	errFrameClosed = errors.New("sandbox: the frame is closed")
)

func (o *out) frame(kind string, header any) (io.WriteCloser, error) {
	if o.open {
		return nil, errFrameOpen
	}
	encoded, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	message, err := text(sayFrame, opening{Kind: kind, Header: encoded})
	if err != nil {
		return nil, err
	}
	o.open = true
	s := &stream{o: o}
	s.buf.Write(message)
	return s, nil
}

// stream gathers small writes, so that a frame of few bytes is one system call.
type stream struct {
	o      *out
	buf    bytes.Buffer // messages, whole
	closed bool
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	if s.closed {
		return 0, errFrameClosed
	}
	written := 0
	for len(p) > 0 {
		n := min(len(p), maxData)
		s.buf.Write(head(sayData, n))
		s.buf.Write(p[:n])
		if s.buf.Len() >= maxData/2 {
			if err := s.flush(); err != nil {
				return written, err
			}
		}
		p, written = p[n:], written+n
	}
	return written, nil
}

// Close implements io.Closer: the frame is whole.
func (s *stream) Close() error {
	if s.closed {
		return errFrameClosed
	}
	s.closed, s.o.open = true, false
	s.buf.Write(head(sayEnd, 0))
	return s.flush()
}

func (s *stream) flush() error {
	_, err := s.buf.WriteTo(s.o.c.out)
	return err
}
