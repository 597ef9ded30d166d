//go:build bench && linux

package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"sallyport/sigv4"
)

// conn is a client of the same few system calls for every server: one
// connection, kept alive, with as little of its own as can be, because it shares
// the processors with the server it measures.
type conn struct {
	net.Conn
	host string
	in   *bufio.Reader
	out  []byte
	auth []byte
	key  *sigv4.SigningKey
}

// request is one request and what must come back.
type request struct {
	method, path string
	query        string // encoded, its names in order
	source       string // of a copy
	contentType  string
	bodySHA256   string // "" is UNSIGNED-PAYLOAD
	chunk        []byte // is sent again and again
	size         int64  // of the body, a multiple of the chunk
	wantStatus   int
	wantSize     int64 // of the answer's body; 0 is any
	keep         *kept // what the answer said; nil: it is thrown away
}

// kept is what a client needs of an answer to go on.
type kept struct {
	etag string
	body []byte
}

func dial(t *testing.T, host string) *conn {
	t.Helper()
	c, err := connect(host)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func connect(host string) (*conn, error) {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, host: host, in: bufio.NewReaderSize(c, 256<<10)}, nil
}

// do sends the request and reads the answer to its end.
func (c *conn) do(r request) error {
	if err := c.send(r); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if err := c.receive(r); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return nil
}

func (c *conn) send(r request) error {
	stamp := time.Now().UTC().Format("20060102T150405Z")
	if c.key == nil || c.key.Date() != stamp[:8] {
		c.key = sigv4.DeriveKey(accessKey, []byte(secretKey), stamp[:8], region, "s3")
	}
	payload := r.bodySHA256
	if payload == "" {
		payload = "UNSIGNED-PAYLOAD"
	}
	header := [...]sigv4.Field{
		{Name: []byte("Host"), Value: []byte(c.host)},
		{Name: []byte("X-Amz-Date"), Value: []byte(stamp)},
		{Name: []byte("X-Amz-Content-Sha256"), Value: []byte(payload)},
		{Name: []byte("Content-Type"), Value: []byte(r.contentType)},
	}
	fields := header[:]
	if r.contentType == "" {
		fields = fields[:3]
	}
	if r.source != "" {
		fields = append(fields, sigv4.Field{Name: []byte("X-Amz-Copy-Source"), Value: []byte(r.source)})
	}
	signed := sigv4.Request{Method: []byte(r.method), Path: []byte(r.path), Query: []byte(r.query), Header: fields}
	var err error
	if c.auth, err = sigv4.SignHeader(c.auth[:0], &signed, c.key); err != nil {
		return err
	}
	c.out = append(append(append(c.out[:0], r.method...), ' '), r.path...)
	if r.query != "" {
		c.out = append(append(c.out, '?'), r.query...)
	}
	c.out = append(c.out, " HTTP/1.1\r\n"...)
	for _, f := range fields {
		c.out = append(append(append(append(c.out, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
	c.out = append(append(append(c.out, "Authorization: "...), c.auth...), "\r\n"...)
	if r.method != "GET" {
		c.out = append(strconv.AppendInt(append(c.out, "Content-Length: "...), r.size, 10), "\r\n"...)
	}
	c.out = append(c.out, "\r\n"...)
	left := r.size
	if left > 0 && left <= 16<<10 { // small enough for one write
		c.out = append(c.out, r.chunk...)
		left -= int64(len(r.chunk))
	}
	if _, err := c.Write(c.out); err != nil {
		return err
	}
	for ; left > 0; left -= int64(len(r.chunk)) {
		if _, err := c.Write(r.chunk); err != nil {
			return errors.Join(err, c.receive(r)) // the server may have said why
		}
	}
	return nil
}

var (
	lengthName = []byte("content-length")
	codingName = []byte("transfer-encoding")
)

func (c *conn) receive(r request) error {
	if r.keep != nil {
		return c.receiveKept(r)
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < len("HTTP/1.1 200") {
		return fmt.Errorf("no status line: %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return fmt.Errorf("no status: %q", line)
	}
	length := int64(0)
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, lengthName):
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return err
			}
		case bytes.EqualFold(name, codingName):
			return fmt.Errorf("answer %d comes in chunks", status)
		}
	}
	if status != r.wantStatus {
		text, _ := io.ReadAll(io.LimitReader(c.in, min(length, 4096)))
		return fmt.Errorf("answer %d: %s", status, text)
	}
	if r.wantSize > 0 && length != r.wantSize {
		return fmt.Errorf("%d bytes came, not %d", length, r.wantSize)
	}
	for length > 0 {
		n, err := c.in.Discard(int(min(length, 1<<20)))
		if err != nil {
			return err
		}
		length -= int64(n)
	}
	return nil
}

// receiveKept reads an answer of any form, at its leisure.
func (c *conn) receiveKept(r request) error {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	// Some operations answer 200 before they know.
	if resp.StatusCode != r.wantStatus || bytes.Contains(body, []byte("<Error>")) {
		return fmt.Errorf("answer %d: %s", resp.StatusCode, body)
	}
	*r.keep = kept{etag: resp.Header.Get("ETag"), body: body}
	return nil
}
