package s3api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/gofiber/fiber/v2"

	"sallyport/server"
)

// patience is how long a client is left without a byte where the configuration
// leaves it to us. SDKs and proxies give up on a silent connection after 30 s to
// 60 s.
const patience = 10 * time.Second

// slow is an operation that may have to read every byte of an object before it
// answers.
type slow[T any] struct {
	// do does it, in a goroutine of its own that may outlive the request: it must not
	// touch that.
	do func() (T, error)
	// header sets the answer's headers. A client that had to wait does not get them:
	// they would have had to go out before there was anything to say.
	header func(T) error
	body   func(T) *document
	// explain is what do's error means for the request.
	explain func(error) error
}

// patiently answers a slow operation. One that is quick enough has a status of its
// own. Else the status is 200, white space follows while the client waits, and then
// the result or the error, as in
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html.
// A client that gives up does not end the operation, which may have taken effect. One
// that speaks no HTTP/1.1 knows no answer in pieces (RFC 9112, section 6.1) and waits.
func patiently[T any](a *API, c *fiber.Ctx, r *request, s slow[T]) error {
	done := make(chan outcome[T], 1)
	id := r.exchange.RequestID // here: r may be gone before the goroutine is
	go func() { done <- s.run(a, id) }()
	if !c.Context().Request.Header.IsHTTP11() {
		return s.answer(c, <-done)
	}
	timer := time.NewTimer(a.patience)
	defer timer.Stop()
	select {
	case o := <-done:
		return s.answer(c, o)
	case <-timer.C:
	}
	// From now on the request belongs to the answer's body.
	r.late = true
	c.Context().SetContentType(xmlType)
	server.SendReader(c, &lateAnswer[T]{api: a, request: r, slow: s, done: done, text: []byte(xmlDeclaration)}, -1, nil)
	return nil
}

// outcome is what a slow operation came to.
type outcome[T any] struct {
	value T
	err   error
}

// answer answers with an outcome that came in time.
func (s *slow[T]) answer(c *fiber.Ctx, o outcome[T]) error {
	if o.err != nil {
		return s.explain(o.err)
	}
	if err := s.header(o.value); err != nil {
		return err
	}
	sendXML(c.Context(), s.body(o.value))
	return nil
}

var errPanic = errors.New("panic")

// run does it. Nothing above it recovers.
func (s *slow[T]) run(a *API, requestID string) (o outcome[T]) {
	defer func() {
		if p := recover(); p != nil {
			// Its value may quote the request.
			a.log.Error("panic", "request_id", requestID, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			o.err = errPanic
		}
	}()
	o.value, o.err = s.do()
	return o
}

// lateAnswer is the body of an answer that is not known yet. It is read on the
// connection's goroutine.
type lateAnswer[T any] struct {
	api     *API
	request *request
	slow    slow[T]
	done    <-chan outcome[T]
	text    []byte // to be sent
	last    bool   // text is the end of it
}

// Read implements io.Reader. It does not keep a client waiting for long.
func (b *lateAnswer[T]) Read(p []byte) (int, error) {
	if len(b.text) == 0 {
		if b.last {
			return 0, io.EOF
		}
		b.next()
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

func (b *lateAnswer[T]) next() {
	timer := time.NewTimer(b.api.patience / 2)
	defer timer.Stop()
	select {
	case o := <-b.done:
		var doc []byte
		if o.err == nil {
			doc = b.slow.body(o.value).end()
		} else {
			e := b.api.judged(b.request, b.slow.explain(o.err))
			b.request.exchange.Reason = string(e.code)
			doc = b.api.errorBody(b.request, e)
		}
		b.text, b.last = bytes.TrimPrefix(doc, []byte(xmlDeclaration)), true
	case <-timer.C:
		b.text = []byte{' '}
	}
}

// Close implements io.Closer.
func (b *lateAnswer[T]) Close() error {
	if b.request != nil {
		b.api.release(b.request)
		b.request = nil
	}
	return nil
}
