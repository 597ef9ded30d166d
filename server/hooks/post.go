package hooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// Why a message was not delivered: the closed set of causes in the ledger, the log and
// metrics.
const (
	causeStatus   = "status"   // answered, but not with 2xx
	causeRedirect = "redirect" // answered with 3xx, which is not followed
	causeTarget   = "target_not_allowed"
	causeName     = "name_not_found"
	causeConnect  = "no_connection"
	causeTLS      = "tls"
	causeTimeout  = "timeout"
	causeBroken   = "broken_answer"
)

// answer is what became of one try. cause is "" if the target took the message.
type answer struct {
	cause  string
	status int           // 0 if there was no answer
	after  time.Duration // what the target asked for by Retry-After
}

// Bounds of a target's answer, in bytes. What is within them of a body is read only so
// that the connection can be used again.
const (
	maxAnswerHeader = 16 << 10
	maxAnswerBody   = 16 << 10
)

// maxAfter is the longest wait that a target can ask for.
const maxAfter = 24 * time.Hour

// newClient returns a client that reaches what targets allow, and nothing else.
func newClient(cfg Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			// No Proxy: the address that is checked would be the proxy's.
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				dialer := net.Dialer{Resolver: cfg.Resolver, Control: guard(cfg.Targets, host)}
				return dialer.DialContext(ctx, network, address)
			},
			TLSClientConfig:        cfg.TLS.Clone(),
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxAnswerHeader,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// guard judges the very address that a socket is about to be connected to.
func guard(targets policy.Targets, host string) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return policy.ErrTarget
		}
		return targets.Address(host, at.Addr())
	}
}

// post sends a message once.
func (d *Dispatcher) post(ctx context.Context, m registry.Message, keys [][]byte) answer {
	if d.cfg.Targets.URL(m.Webhook.URL) != nil {
		return answer{cause: causeTarget} // the operator has changed its mind
	}
	body, err := m.Notice.Body()
	if err != nil {
		return answer{cause: causeBroken}
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Webhook.URL, bytes.NewReader(body))
	if err != nil {
		return answer{cause: causeTarget}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Sallyport-Webhooks")
	sign(req.Header, keys, m.ID(), d.cfg.Now(), body)
	got, err := d.client.Do(req)
	if err != nil {
		return answer{cause: causeOf(err)} // the error's text holds the URL
	}
	if got.StatusCode != http.StatusSwitchingProtocols { // whose body is the connection, for as long as it lives
		// Whether the rest of the answer comes or not changes nothing.
		_, _ = io.CopyN(io.Discard, got.Body, maxAnswerBody)
	}
	_ = got.Body.Close()
	return judge(got, d.cfg.Now())
}

// judge reads a status as the specification says.
func judge(got *http.Response, now time.Time) answer {
	a := answer{status: got.StatusCode}
	switch {
	case got.StatusCode >= 200 && got.StatusCode < 300:
		return a
	case got.StatusCode >= 300 && got.StatusCode < 400:
		a.cause = causeRedirect
	default:
		a.cause = causeStatus
	}
	a.after = retryAfter(got.Header.Get("Retry-After"), now)
	return a
}

// retryAfter reads the header of that name: seconds, or a date (RFC 9110, section
// 10.2.3). What is neither is 0.
func retryAfter(value string, now time.Time) time.Duration {
	var after time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		after = at.Sub(now)
	}
	return min(max(after, 0), maxAfter)
}

// causeOf gives an error its word.
func causeOf(err error) string {
	var name *net.DNSError
	var operation *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, policy.ErrTarget):
		return causeTarget
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert):
		return causeTLS
	case errors.As(err, &timeout) && timeout.Timeout():
		return causeTimeout
	case errors.As(err, &name):
		return causeName
	case errors.As(err, &operation) && operation.Op == "dial":
		return causeConnect
	case errors.As(err, &operation) && operation.Op == "remote error":
		return causeTLS
	}
	return causeBroken
}
