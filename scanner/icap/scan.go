package icap

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"sallyport/registry"
	"sallyport/scanner"
)

// body is what is to be judged.
type body struct {
	r     io.Reader
	size  int64 // -1 if unknown
	limit int64
}

// scan sends the body and reads what the service says of it. An error that wraps
// scanner.ErrDown says nothing of the content.
func (c *conn) scan(o *options, b body) (scanner.Result, error) {
	head := c.compose(o, b.size)
	s := &sender{conn: c, r: b.r, left: b.limit, sum: sha256.New(), done: make(chan struct{})}
	c.sent = s.done
	if o.preview >= 0 {
		goOn, result, err := c.preview(o, s, head)
		if !goOn {
			return result, err
		}
		head = ""
	}
	go s.run(head)
	code, header, err := c.answer()
	result := scanner.Result{}
	if err == nil {
		result, err = c.judge(o, code, header, s)
	}
	if err != nil || result.Result != registry.VerdictClean {
		_ = c.Close() // what it has not read by now does not matter
	}
	<-s.done // nobody reads b.r any more
	var refusal status
	switch {
	case result.Result != "" && result.Result != registry.VerdictClean:
		return result, nil
	case s.err != nil && !errors.As(err, &refusal): // that one says more
		return scanner.Result{}, s.err
	case errors.Is(err, errGarbage):
		return scanner.Result{}, down(err)
	}
	return result, err
}

// compose is the request, with the HTTP message that the body seems to belong to. Its type is
// said to be unknown, so that the service trusts its own eyes.
func (c *conn) compose(o *options, size int64) string {
	const host = "sallyport.invalid"
	length := ""
	if size >= 0 {
		length = "Content-Length: " + strconv.FormatInt(size, 10) + "\r\n"
	}
	content := "Content-Type: application/octet-stream\r\n" + length + "\r\n"
	var lines []string
	if o.allows {
		lines = append(lines, "Allow: 204")
	}
	if o.preview >= 0 {
		lines = append(lines, "Preview: "+strconv.Itoa(o.preview))
	}
	if o.method == "REQMOD" {
		request := "POST http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\n" + content
		return c.request(o.method, append(lines, fmt.Sprintf("Encapsulated: req-hdr=0, req-body=%d", len(request)))...) + request
	}
	request := "GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	response := "HTTP/1.1 200 OK\r\n" + content
	return c.request(o.method, append(lines, fmt.Sprintf("Encapsulated: req-hdr=0, res-hdr=%d, res-body=%d",
		len(request), len(request)+len(response)))...) + request + response
}

// preview sends the beginning and tells whether the service wants the rest. If it does not,
// that was all.
func (c *conn) preview(o *options, s *sender, head string) (goOn bool, result scanner.Result, err error) {
	// One byte more tells whether there is a rest.
	first := make([]byte, o.preview+1)
	n, err := io.ReadFull(s.r, first)
	whole := err == io.EOF || err == io.ErrUnexpectedEOF
	if err != nil && !whole {
		return false, scanner.Result{}, fmt.Errorf("read: %w", err)
	}
	first = first[:n]
	shown, end := first[:min(n, o.preview)], "0\r\n\r\n"
	if whole {
		end = "0; ieof\r\n\r\n"
	}
	var out bytes.Buffer
	out.WriteString(head)
	if len(shown) > 0 {
		appendChunk(&out, shown)
	}
	out.WriteString(end)
	if err := s.count(shown); err != nil {
		return false, scanner.Result{}, err
	}
	if whole {
		s.finishing.Store(true)
		close(s.done)
	}
	if _, err := c.Write(out.Bytes()); err != nil {
		return false, scanner.Result{}, down(err)
	}
	if !whole {
		// The service has to decide by what it has.
		sent := make(chan struct{})
		close(sent)
		c.sent = sent
		defer func() { c.sent = s.done }()
	}
	code, header, err := c.answer()
	switch {
	case errors.Is(err, errGarbage):
		return false, scanner.Result{}, down(err)
	case err != nil:
		return false, scanner.Result{}, err
	case code == 100 && !whole:
		s.r = io.MultiReader(bytes.NewReader(first[len(shown):]), s.r)
		return true, scanner.Result{}, nil
	}
	result, err = c.judge(o, code, header, s)
	if errors.Is(err, errGarbage) {
		err = down(err)
	}
	return false, result, err
}

// judge reads the rest of an answer.
func (c *conn) judge(o *options, code int, header textproto.MIMEHeader, s *sender) (scanner.Result, error) {
	if name, ok := infection(header); ok {
		return scanner.Result{Result: registry.VerdictInfected, Reason: ReasonMalware, Signature: printable(name)}, nil
	}
	switch code {
	case 204:
		return s.passed(), nil
	case 200:
		same, err := c.unmodified(o, header, s)
		if err != nil {
			return scanner.Result{}, err
		}
		if !same {
			return scanner.Result{Result: registry.VerdictRefused, Reason: ReasonBlocked}, nil
		}
		return s.passed(), nil
	case 100:
		return scanner.Result{}, fmt.Errorf("%w: it wants more than there is", errGarbage)
	}
	return scanner.Result{}, status(code)
}

// infection finds the name of what the service found in the headers that services use.
func infection(header textproto.MIMEHeader) (name string, found bool) {
	// draft-stecher-icap-subid: "Type=0; Resolution=2; Threat=EICAR;"
	if text := header.Get("X-Infection-Found"); text != "" {
		for part := range strings.SplitSeq(text, ";") {
			if threat, ok := strings.CutPrefix(strings.TrimSpace(part), "Threat="); ok {
				return threat, true
			}
		}
		return "", true
	}
	if text := header.Get("X-Virus-ID"); text != "" {
		return text, true
	}
	// The number of findings, and of each: a file name, the threat, two numbers.
	if fields := strings.Fields(header.Get("X-Violations-Found")); len(fields) > 0 && fields[0] != "0" {
		if len(fields) > 2 {
			name = fields[2]
		}
		return name, true
	}
	return "", false
}

// unmodified tells whether a service that gives everything back gives back what it was
// given.
func (c *conn) unmodified(o *options, header textproto.MIMEHeader, s *sender) (bool, error) {
	kind := strings.ToLower(o.method[:3])
	parts := words(header.Values("Encapsulated"))
	part := func(name string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, name+"=") })
	}
	if !part(kind + "-hdr") {
		return false, nil // an answer in place of a request, or nothing at all
	}
	first, _, err := c.readHead()
	if err != nil {
		return false, err
	}
	if kind == "res" && !strings.HasPrefix(first+" ", "HTTP/1.1 200 ") && !strings.HasPrefix(first+" ", "HTTP/1.0 200 ") {
		return false, nil
	}
	sum, n := sha256.New(), int64(0)
	if part(kind + "-body") {
		if n, err = io.Copy(sum, httputil.NewChunkedReader(c.in)); err != nil {
			return false, fmt.Errorf("icap: the connection was lost: %w", err)
		}
	}
	if !s.finishing.Load() {
		return true, nil // passed will say that it was too early
	}
	<-s.done
	return n == s.sent && bytes.Equal(sum.Sum(nil), s.sum.Sum(nil)), nil
}
