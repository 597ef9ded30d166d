package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
)

const (
	eventStreamType = "text/event-stream"
	// lastEventID is what a browser sends when it connects again; see
	// https://html.spec.whatwg.org/multipage/server-sent-events.html
	lastEventID = "Last-Event-ID"
	// eventBeat is shorter than what proxies give an idle connection.
	eventBeat = 15 * time.Second
	// eventRetry is how soon a browser is to connect again, in milliseconds.
	eventRetry = 3000
	// maxEventWait is the longest "wait", in seconds.
	maxEventWait = 86400
)

// watchEvents answers with a stream of server-sent events: what happens in the tenant,
// or what becomes of the caller's own uploads. With "wait" it ends once nothing has
// happened for so many seconds.
func watchEvents(k *call) error {
	from, err := k.watchFrom()
	if err != nil {
		return err
	}
	seconds, bounded, err := k.number("wait")
	if err != nil || seconds > maxEventWait {
		return fmt.Errorf("%w: wait is 0 to %d seconds", errInvalid, maxEventWait)
	}
	w, err := k.cfg.Pipeline.Watch(k.context(), k.actor, from, server.Cut(k.c))
	if err != nil {
		return err
	}
	h := &k.ctx.Response.Header
	h.SetContentType(eventStreamType)
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if k.ctx.IsHead() {
		w.Close()
		server.SendHead(k.c, -1)
		return nil
	}
	s := newEventStream(w, k.ctx.Done(), k.cfg)
	s.bounded, s.patience = bounded, time.Duration(seconds)*time.Second
	server.SendReader(k.c, s, -1, nil)
	return nil
}

// watchFrom reads where the stream is to begin: behind the last event that the client
// has seen, as it says by header when it connects again, and by "after" before that.
func (k *call) watchFrom() (pipeline.WatchFrom, error) {
	after, given, err := k.number("after")
	if err != nil {
		return pipeline.WatchFrom{}, err
	}
	if last := k.ctx.Request.Header.Peek(lastEventID); len(last) > 0 {
		if after, err = strconv.ParseUint(string(last), 10, 63); err != nil {
			return pipeline.WatchFrom{}, fmt.Errorf("%w: %s is a number", errInvalid, lastEventID)
		}
		given = true
	}
	if !given {
		return pipeline.WatchFrom{}, nil
	}
	return pipeline.WatchFrom{Seq: after + 1, Given: true}, nil
}

// eventStream renders a watch. The connection's goroutine reads it, after the handler
// has returned.
type eventStream struct {
	watch  *pipeline.Watch
	log    *slog.Logger
	beat   time.Duration
	ctx    context.Context // ends with the server
	cancel func()
	buf    []byte // rendered and not read

	bounded  bool
	patience time.Duration // without events, if bounded
	idle     time.Duration // since the last one
}

// newEventStream returns a stream that ends when over is closed: a shutdown need not wait
// for those who only listen.
func newEventStream(w *pipeline.Watch, over <-chan struct{}, cfg Config) *eventStream {
	s := &eventStream{watch: w, log: cfg.Log, beat: cfg.EventBeat, buf: fmt.Appendf(nil, "retry: %d\n\n", eventRetry)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go func() {
		select {
		case <-over:
			s.cancel()
		case <-s.ctx.Done():
		}
	}()
	return s
}

// Read implements io.Reader: it waits until there is something to say.
func (s *eventStream) Read(p []byte) (int, error) {
	if len(s.buf) == 0 {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

// fill renders what has happened, or a comment if nothing has for a while. Whatever ends
// the watch ends the answer in order: the client connects again, and is told then why it
// may not.
func (s *eventStream) fill() error {
	wait := s.beat
	if s.bounded {
		wait = min(wait, s.patience-s.idle)
	}
	found, err := s.watch.Next(s.ctx, wait)
	if err != nil {
		if !isEnd(err) {
			s.log.Error("a stream of events broke off", "err", err)
		}
		return io.EOF
	}
	if len(found) == 0 {
		s.idle += wait
		if s.bounded && s.idle >= s.patience {
			return io.EOF
		}
		s.buf = append(s.buf[:0], ":\n\n"...)
		return nil
	}
	s.idle = 0
	for _, n := range found {
		if s.buf, err = appendEvent(s.buf, n); err != nil {
			return err
		}
	}
	return nil
}

// isEnd tells whether a stream ends because it is to.
func isEnd(err error) bool {
	for _, end := range []error{pipeline.ErrCut, context.Canceled, registry.ErrNotFound, registry.ErrRevoked, registry.ErrTenantSuspended} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// appendEvent writes one event. A notice's JSON has no line ends.
func appendEvent(b []byte, n registry.Notice) ([]byte, error) {
	body, err := n.Body()
	return fmt.Appendf(b, "id: %d\nevent: %s\ndata: %s\n\n", n.Seq, n.Type, body), err
}

// Close implements io.Closer.
func (s *eventStream) Close() error {
	s.cancel()
	s.watch.Close()
	return nil
}
