// Package client talks to a running server's control port, and moves bytes with
// the URLs that it hands out. It is what the client commands stand on.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of a JSON answer, in bytes.
const maxAnswer = 64 << 20

// Config says where the server is and who is calling. With a Token it is sent
// as it is; with a key pair every request is signed.
type Config struct {
	Endpoint  string // of the control port, e.g. http://127.0.0.1:9001
	AccessKey string
	SecretKey string
	Token     string
	Region    string // of signatures; the server's s3.region
	Now       func() time.Time
}

// Client is safe for concurrent use.
type Client struct {
	cfg      Config
	endpoint *url.URL
	http     *http.Client
}

// New checks the configuration; it does not talk to the server.
func New(cfg Config) (*Client, error) {
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" {
		return nil, fmt.Errorf("endpoint %q is not a URL like http://127.0.0.1:9001", cfg.Endpoint)
	}
	if endpoint.Path != "" && endpoint.Path != "/" || endpoint.RawQuery != "" || endpoint.User != nil {
		return nil, fmt.Errorf("endpoint %q must be scheme, host and port alone", cfg.Endpoint)
	}
	if cfg.AccessKey != "" && cfg.SecretKey == "" {
		return nil, errors.New("an access key was given without its secret key")
	}
	return &Client{cfg: cfg, endpoint: endpoint, http: &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			MaxIdleConnsPerHost:   64, // parts go side by side
			ExpectContinueTimeout: 10 * time.Second,
			ResponseHeaderTimeout: 5 * time.Minute, // a large PUT is made durable before its answer
			DisableCompression:    true,            // bytes must arrive as they are stored
			ForceAttemptHTTP2:     false,
		},
		// A redirect would carry signed headers to a host nobody chose.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// call does one JSON exchange. in is sent as JSON unless nil; the answer is
// decoded into out unless nil. An answer that is no success is an *Error.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	answer, err := c.exchange(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("%s %s: the server's answer does not read as JSON: %w", method, path, err)
	}
	return nil
}

// exchange sends one request to the control port. The caller closes the body.
func (c *Client) exchange(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	target := c.endpoint.Scheme + "://" + c.endpoint.Host + path
	if len(query) > 0 {
		// Encode writes a space as "+", which a signature takes for a plus.
		target += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if err := c.authorize(req, body); err != nil {
		return nil, err
	}
	return c.do(req)
}

// do sends a request and turns every refusal into an *Error.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "sallyport-cli")
	answer, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error // names the URL, signature and all
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Host, err)
	}
	if answer.StatusCode >= 300 {
		defer func() { _ = answer.Body.Close() }()
		return nil, readError(answer)
	}
	return answer, nil
}
