package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"unsafe"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// headerReceived is fasthttp's hook between the header and the body: the only place
// that is passed by every request before "100 Continue" is sent and before fasthttp
// reads ahead into the body. It must not panic: nothing above it recovers.
func (l *Listener) headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	ctx := contextOf(h)
	c := connOf(ctx)
	t := l.begin(ctx, c)
	t.length = int64(h.ContentLength())
	l.admit(ctx, t)

	if t.refusal != nil || t.fault != nil {
		if t.fault != nil || t.hasBody() {
			// The body must be neither waited for nor run as the next request.
			h.Del(fasthttp.HeaderExpect)
			h.SetContentLength(0) // drops Transfer-Encoding too
			h.SetConnectionClose()
			c.linger.Store(true)
		}
		return fasthttp.RequestConfig{ReadTimeout: l.cfg.Limits.BodyIdle}
	}
	expectation(h, t)
	// A body limit of one byte limits nothing while bodies are streamed; it keeps
	// fasthttp from waiting for 8 KiB of body, against one fixed deadline, before it
	// runs the handler.
	return fasthttp.RequestConfig{ReadTimeout: l.cfg.Limits.BodyIdle, MaxRequestBodySize: 1}
}

// admit finds faults in the framing and asks the protocol.
func (l *Listener) admit(ctx *fasthttp.RequestCtx, t *turn) {
	defer func() {
		if p := recover(); p != nil {
			l.panicked(&t.Exchange, p)
			t.fault = &Fault{fasthttp.StatusInternalServerError, ReasonPanic}
		}
	}()
	if t.fault = framing(&ctx.Request.Header); t.fault != nil {
		return
	}
	if l.cfg.Admit != nil {
		t.refusal = l.cfg.Admit(ctx)
	}
}

// framing refuses what fasthttp lets pass but two readers could understand in two
// ways (RFC 9112, section 6.3), and expectations nobody knows.
func framing(h *fasthttp.RequestHeader) *Fault {
	if !slices.Contains(fiber.DefaultMethods, string(h.Method())) {
		return &Fault{fasthttp.StatusMethodNotAllowed, ReasonMethodNotAllowed}
	}
	lengths, encodings, folded := framingFields(h.RawHeaders())
	switch {
	case folded:
		return &Fault{fasthttp.StatusBadRequest, ReasonBadRequest}
	case lengths+encodings > 1, encodings == 1 && h.ContentLength() != Chunked:
		return &Fault{fasthttp.StatusBadRequest, ReasonAmbiguousLength}
	}
	if e := h.Peek(fasthttp.HeaderExpect); len(e) > 0 && !bytes.EqualFold(e, []byte("100-continue")) {
		return &Fault{fasthttp.StatusExpectationFailed, ReasonExpectation}
	}
	return nil
}

// framingFields counts the length fields in a raw header block. fasthttp's own view
// of it has forgotten a Content-Length beside chunks, and any "identity" encoding.
func framingFields(raw []byte) (lengths, encodings int, folded bool) {
	for len(raw) > 0 {
		line := raw
		if end := bytes.IndexByte(raw, '\n'); end >= 0 {
			line, raw = raw[:end], raw[end+1:]
		} else {
			raw = nil
		}
		switch {
		case len(line) == 0:
		case line[0] == ' ' || line[0] == '\t':
			folded = true
		case isField(line, "content-length"):
			lengths++
		case isField(line, "transfer-encoding"):
			encodings++
		}
	}
	return lengths, encodings, folded
}

func isField(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' &&
		strings.EqualFold(string(line[:len(name)]), name)
}

// expectation puts Expect and Connection into the one spelling that fasthttp
// understands. An HTTP/1.0 client must not be sent a 100 (RFC 9110, section 10.1.1).
// A body of declared length 0 is asked for, too: botocore reads every later answer
// on a connection wrong on which an Expect was answered without a 100.
func expectation(h *fasthttp.RequestHeader, t *turn) {
	if e := h.Peek(fasthttp.HeaderExpect); len(e) > 0 {
		if h.IsHTTP11() && (t.hasBody() || t.length == 0) {
			h.Set(fasthttp.HeaderExpect, "100-continue")
		} else {
			h.Del(fasthttp.HeaderExpect)
		}
	}
	if !h.ConnectionClose() && bytes.EqualFold(h.Peek(fasthttp.HeaderConnection), []byte("close")) {
		h.SetConnectionClose()
	}
}

// headerOffset is where a RequestCtx keeps the header that the hook is given.
const headerOffset = unsafe.Offsetof(fasthttp.RequestCtx{}.Request) + unsafe.Offsetof(fasthttp.Request{}.Header)

// contextOf returns the RequestCtx that h is part of. fasthttp's hook gets the header
// only; the admission needs the peer's address and a mark for the handler that no
// client can forge, and both are in the context around the header. verifyContextOf
// proves at start that this fasthttp lays things out that way.
func contextOf(h *fasthttp.RequestHeader) *fasthttp.RequestCtx {
	return (*fasthttp.RequestCtx)(unsafe.Add(unsafe.Pointer(h), -int(headerOffset)))
}

// verifyContextOf runs one request through a real server in memory and compares what
// contextOf found with the context that the handler got.
func verifyContextOf() error {
	var hooked, handled *fasthttp.RequestCtx
	s := &fasthttp.Server{
		StreamRequestBody: true,
		HeaderReceived: func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
			hooked = contextOf(h)
			return fasthttp.RequestConfig{}
		},
		Handler: func(ctx *fasthttp.RequestCtx) { handled = ctx },
	}
	client, peer := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- s.ServeConn(peer) }()
	_, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: self.test\r\nConnection: close\r\n\r\n")
	_, errRead := io.Copy(io.Discard, client)
	err = errors.Join(err, errRead, client.Close(), <-served)
	switch {
	case err != nil:
		return fmt.Errorf("server: self-check of the admission hook: %w", err)
	case handled == nil || hooked != handled:
		return errors.New("server: this fasthttp does not keep a request's header where the admission hook looks for it")
	}
	return nil
}
