package server

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Exchange is one request and its answer as the access log, the metrics and the
// audit see them. The listener fills the measured fields; Admit and the handler fill
// the names, with identifiers that the service itself made or verified. Until the
// handler returns it belongs to the connection's goroutine.
type Exchange struct {
	RequestID string
	Listener  string
	Method    string // one of the nine known methods, empty for any other
	RemoteIP  string // the client's, as far as trusted proxies tell
	TLS       bool   // the client came by TLS, to us or to a trusted proxy
	Start     time.Time

	// Op names what was asked for, from a closed set ("PutObject"); Reason why it
	// was not done, likewise.
	Op, Reason string

	Tenant, Principal, AccessKey string
	Upload, Object, Grant        string
	// Countable: a refusal that costs its sender nothing, so that it is counted with
	// others of its kind rather than recorded by itself.
	Countable bool
	// Bucket and Key are the client's own names: for access records, never for the
	// access log.
	Bucket, Key string

	Status   int   // 499: the client left before there was an answer
	BytesIn  int64 // body bytes read
	BytesOut int64 // body bytes handed to the connection
	Duration time.Duration
	Aborted  bool // the answer did not reach the client whole
}

// ExchangeOf returns the exchange that ctx belongs to. A ctx that no Listener made
// has an empty one that nobody will see.
func ExchangeOf(ctx *fasthttp.RequestCtx) *Exchange {
	if t := turnOf(ctx); t != nil {
		return &t.Exchange
	}
	return &Exchange{}
}

// own makes the record independent of the request's buffers, which are reused once
// the handler has returned. Op, Reason and Method are constants.
func (e *Exchange) own() {
	for _, s := range []*string{&e.Tenant, &e.Principal, &e.AccessKey, &e.Upload, &e.Object, &e.Grant, &e.Bucket, &e.Key} {
		*s = strings.Clone(*s)
	}
}

// access writes the one access line of an exchange to a log that knows the listener.
func (e *Exchange) access(log *slog.Logger) {
	attrs := make([]slog.Attr, 0, 17)
	attrs = append(attrs,
		slog.String("request_id", e.RequestID),
		slog.String("method", e.Method),
		slog.String("op", e.op()),
		slog.Int("status", e.Status),
		slog.Int64("bytes_in", e.BytesIn),
		slog.Int64("bytes_out", e.BytesOut),
		slog.Duration("duration", e.Duration),
		slog.String("remote", e.RemoteIP),
		slog.Bool("tls", e.TLS),
	)
	for _, f := range []struct{ key, value string }{
		{"reason", e.Reason}, {"tenant", e.Tenant}, {"principal", e.Principal},
		{"access_key", e.AccessKey}, {"upload", e.Upload}, {"object", e.Object}, {"grant", e.Grant},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	if e.Aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

func (e *Exchange) op() string {
	if e.Op == "" {
		return "unknown"
	}
	return e.Op
}

// randomID makes a request id. It identifies, it protects nothing: no need for
// crypto/rand.
func randomID() string {
	var raw [8]byte
	n := rand.Uint64()
	for i := range raw {
		raw[i] = byte(n >> (8 * i))
	}
	return strings.ToUpper(hex.EncodeToString(raw[:]))
}
