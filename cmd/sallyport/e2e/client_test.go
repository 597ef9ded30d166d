package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"sallyport/sigv4"
)

// region is the default of s3.region.
const region = "us-east-1"

// Client speaks to a server with one credential.
type Client struct {
	server         *Server
	access, secret string // an access key
	token          string // or a token
}

// as returns a client with an access key.
func (s *Server) as(access, secret string) *Client {
	s.seen.secret(secret)
	return &Client{server: s, access: access, secret: secret}
}

// answer is a whole HTTP answer.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

var xmlCode = regexp.MustCompile(`<Error>.*<Code>([^<]*)</Code>`)

// code is that of an error in either language, "" if there is none.
func (a answer) code() string {
	if m := xmlCode.FindSubmatch(a.Body); m != nil {
		return string(m[1])
	}
	var problem struct{ Code string }
	if json.Unmarshal(a.Body, &problem) != nil {
		return ""
	}
	return problem.Code
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.Status, a.code()) }

// is tells whether the answer is that status with that error code.
func (a answer) is(status int, code string) bool { return a.Status == status && a.code() == code }

// do sends a request and reads the answer to its end.
func (s *Server) do(req *http.Request) (answer, error) {
	resp, err := s.web.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := answer{resp.StatusCode, resp.Header, body}
	if a.Status >= 400 {
		s.seen.refusal(a)
	}
	return a, err
}

// get fetches a URL as it is.
func (s *Server) get(target string) (answer, error) {
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return answer{}, err
	}
	return s.do(req)
}

// call makes a call of the control API. in, unless nil, is sent as JSON.
func (c *Client) call(method, path string, in any) (answer, error) {
	var body []byte
	var err error
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return answer{}, err
		}
	}
	req, err := http.NewRequest(method, c.server.Control+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if err := c.sign(req, payloadHash(body)); err != nil {
		return answer{}, err
	}
	return c.server.do(req)
}

// must makes a call that has to succeed, decodes its answer into out unless that
// is nil, and ends the test otherwise.
func (c *Client) must(method, path string, in, out any) {
	c.server.t.Helper()
	a, err := c.call(method, path, in)
	if err != nil {
		c.server.t.Fatal(err)
	}
	if a.Status >= 300 {
		c.server.t.Fatalf("%s %s: %s", method, path, a)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		c.server.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// refused makes a call that has to be refused.
func (c *Client) refused(status int, code, method, path string, in any) {
	c.server.t.Helper()
	a, err := c.call(method, path, in)
	if err != nil {
		c.server.t.Fatal(err)
	}
	if !a.is(status, code) {
		c.server.t.Errorf("%s %s: %s, want %d %s", method, path, a, status, code)
	}
}

// object makes a request of the S3 port: path is /bucket/key, decoded.
func (c *Client) object(method, path, query string, body []byte, header http.Header) (answer, error) {
	req, err := c.objectRequest(context.Background(), method, path, query, body, header)
	if err != nil {
		return answer{}, err
	}
	return c.server.do(req)
}

func (c *Client) objectRequest(ctx context.Context, method, path, query string, body []byte, header http.Header) (*http.Request, error) {
	target := c.server.S3 + string(sigv4.AppendPath(nil, path))
	if query != "" {
		target += "?" + query
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	hash := req.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		hash = payloadHash(body)
	}
	return req, c.sign(req, hash)
}

// sign adds the credential to a request whose payload is described by hash.
func (c *Client) sign(req *http.Request, hash string) error {
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
		return nil
	}
	now := time.Now().UTC()
	req.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	req.Header.Set("X-Amz-Content-Sha256", hash)
	signed := sigv4.Request{
		Method: []byte(req.Method), Path: []byte(req.URL.EscapedPath()), Query: []byte(req.URL.RawQuery),
		Header: []sigv4.Field{{Name: []byte("host"), Value: []byte(req.URL.Host)}},
	}
	for name, values := range req.Header {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, "x-amz-") && lower != "content-type" && lower != "content-md5" {
			continue
		}
		for _, value := range values {
			signed.Header = append(signed.Header, sigv4.Field{Name: []byte(lower), Value: []byte(value)})
		}
	}
	authorization, err := sigv4.SignHeader(nil, &signed, c.key(now))
	if err != nil {
		return err
	}
	c.server.seen.signature(string(authorization))
	req.Header.Set("Authorization", string(authorization))
	return nil
}

func (c *Client) key(day time.Time) *sigv4.SigningKey {
	return sigv4.DeriveKey(c.access, []byte(c.secret), day.Format("20060102"), c.server.region(), "s3")
}

// presign signs a URL of the S3 port with the client's own key, as SDKs do.
func (c *Client) presign(method, path string, life time.Duration, query ...sigv4.Param) string {
	now := time.Now().UTC()
	signed, err := sigv4.PresignURL(nil, &sigv4.Presign{
		Method: method, URL: c.server.S3, Path: string(sigv4.AppendPath(nil, path)), Query: query, Time: now, Expires: life,
	}, c.key(now))
	if err != nil {
		c.server.t.Fatal(err)
	}
	c.server.seen.signature(string(signed))
	return string(signed)
}

func payloadHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// newKey makes an access key; tenant "" is the caller's own.
func (c *Client) newKey(tenant, principal string, roles ...string) *Client {
	c.server.t.Helper()
	in := map[string]any{"principal": principal, "roles": roles}
	if tenant != "" {
		in["tenant"] = tenant
	}
	var key struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	c.must("POST", "/keys", in, &key)
	return c.server.as(key.AccessKey, key.SecretKey)
}

// newToken makes a token of the caller's own principal.
func (c *Client) newToken(name string, roles ...string) *Client {
	c.server.t.Helper()
	var token struct{ ID, Token string }
	c.must("POST", "/tokens", map[string]any{"name": name, "roles": roles, "ttl": "1h"}, &token)
	c.server.seen.secret(token.Token)
	return &Client{server: c.server, token: token.Token}
}

// event is what tests read of a leaf of the audit log.
type event struct {
	Seq                          uint64
	Type, Upload, Object, Reason string
}

// audit returns the whole log as the root key sees it.
func (s *Server) audit() (events []event, text string) {
	s.t.Helper()
	after := ""
	for {
		a, err := s.root.call("GET", "/audit?limit=1000"+after, nil)
		if err != nil || a.Status != http.StatusOK {
			s.t.Fatalf("audit: %s, %v", a, err)
		}
		if len(a.Body) == 0 {
			return events, text
		}
		text += string(a.Body)
		for line := range bytes.Lines(a.Body) {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				s.t.Fatal(err)
			}
			events = append(events, e)
		}
		after = fmt.Sprint("&after=", events[len(events)-1].Seq)
	}
}

// count is how many events of a type an upload has.
func count(events []event, kind, upload string) int {
	n := 0
	for _, e := range events {
		if e.Type == kind && e.Upload == upload {
			n++
		}
	}
	return n
}

// withParam returns a URL with one parameter of its query changed in place.
func withParam(target, name, value string) string {
	before, after, ok := strings.Cut(target, name+"=")
	if !ok {
		return target + "&" + name + "=" + url.QueryEscape(value)
	}
	_, rest, more := strings.Cut(after, "&")
	if more {
		rest = "&" + rest
	}
	return before + name + "=" + value + rest
}
