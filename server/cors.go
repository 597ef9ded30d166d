package server

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// CORS is one rule about which pages of other origins may use a resource (the fetch
// standard's CORS protocol). An empty list allows nothing. Credentials are never
// allowed: requests are authorised by what they carry, not by cookies.
type CORS struct {
	// AllowedOrigins lists origins ("https://app.example.com"), each with at most one
	// "*" for any run of characters. "*" alone is every origin.
	AllowedOrigins []string
	// AllowedMethods lists methods.
	AllowedMethods []string
	// AllowedHeaders lists request headers a page may set, with at most one "*" each.
	AllowedHeaders []string
	// ExposeHeaders lists response headers a page may read.
	ExposeHeaders []string
	// MaxAge is how long a browser may keep the answer to a preflight; 0: its default.
	MaxAge time.Duration
}

// OpenCORS is the rule of origins that may do everything: what remains to be allowed
// is what each request is signed for.
func OpenCORS(origins []string) CORS {
	return CORS{
		AllowedOrigins: origins,
		AllowedMethods: []string{"GET", "HEAD", "PUT", "POST", "DELETE"},
		AllowedHeaders: []string{"*"},
		ExposeHeaders: []string{"ETag", "x-amz-request-id", "X-Request-Id", "x-amz-version-id",
			"x-amz-checksum-sha256", "x-amz-checksum-sha1", "x-amz-checksum-crc32", "x-amz-checksum-crc32c",
			"x-amz-checksum-crc64nvme", "x-amz-checksum-type", "Content-Range", "Accept-Ranges", "Content-Disposition"},
	}
}

// CORSRules are tried in their order: the first that covers a request is the one that
// counts. None allow nothing.
type CORSRules []CORS

// IsPreflight reports whether the request is a browser's question before the real
// one.
func IsPreflight(ctx *fasthttp.RequestCtx) bool {
	return ctx.IsOptions() && len(ctx.Request.Header.Peek(fasthttp.HeaderOrigin)) > 0 &&
		len(ctx.Request.Header.Peek(fasthttp.HeaderAccessControlRequestMethod)) > 0
}

// Preflight answers a preflight request that a rule allows, with 204, and reports
// whether one did. Else the caller answers 403; caches are told in either case what
// the answer depends on.
func (rules CORSRules) Preflight(ctx *fasthttp.RequestCtx) bool {
	vary(ctx, fasthttp.HeaderOrigin, fasthttp.HeaderAccessControlRequestMethod, fasthttp.HeaderAccessControlRequestHeaders)
	return slices.ContainsFunc(rules, func(r CORS) bool { return r.preflight(ctx) })
}

func (r *CORS) preflight(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	origin, ok := r.origin(string(h.Peek(fasthttp.HeaderOrigin)))
	method := string(h.Peek(fasthttp.HeaderAccessControlRequestMethod))
	headers, headersOK := r.headers(string(h.Peek(fasthttp.HeaderAccessControlRequestHeaders)))
	if !ok || !headersOK || !slices.Contains(r.AllowedMethods, method) {
		return false
	}
	resp := &ctx.Response.Header
	resp.Set(fasthttp.HeaderAccessControlAllowOrigin, origin)
	resp.Set(fasthttp.HeaderAccessControlAllowMethods, strings.Join(r.AllowedMethods, ", "))
	if headers != "" {
		resp.Set(fasthttp.HeaderAccessControlAllowHeaders, headers)
	}
	if len(r.ExposeHeaders) > 0 {
		resp.Set(fasthttp.HeaderAccessControlExposeHeaders, strings.Join(r.ExposeHeaders, ", "))
	}
	if r.MaxAge > 0 {
		resp.Set(fasthttp.HeaderAccessControlMaxAge, strconv.FormatInt(int64(r.MaxAge/time.Second), 10))
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	return true
}

// Decorate lets a page of an allowed origin read the answer to its actual request,
// and reports whether a rule covers the request. Errors need it too, or the page
// sees nothing but a failure.
func (rules CORSRules) Decorate(ctx *fasthttp.RequestCtx) bool {
	vary(ctx, fasthttp.HeaderOrigin)
	fields := rules.grant(&ctx.Request.Header)
	for _, f := range fields {
		ctx.Response.Header.Set(f.Name, f.Value)
	}
	return fields != nil
}

// Fields returns what Decorate would write, for a Refusal.
func (rules CORSRules) Fields(ctx *fasthttp.RequestCtx) []Field {
	return append(rules.grant(&ctx.Request.Header), Field{fasthttp.HeaderVary, fasthttp.HeaderOrigin})
}

// grant returns the headers that let the request's page read the answer; nil if it
// may not.
func (rules CORSRules) grant(h *fasthttp.RequestHeader) []Field {
	for i := range rules {
		r := &rules[i]
		origin, ok := r.origin(string(h.Peek(fasthttp.HeaderOrigin)))
		if !ok || !slices.Contains(r.AllowedMethods, string(h.Method())) {
			continue
		}
		fields := []Field{
			{fasthttp.HeaderAccessControlAllowOrigin, origin},
			{fasthttp.HeaderAccessControlAllowMethods, strings.Join(r.AllowedMethods, ", ")},
		}
		if len(r.ExposeHeaders) > 0 {
			fields = append(fields, Field{fasthttp.HeaderAccessControlExposeHeaders, strings.Join(r.ExposeHeaders, ", ")})
		}
		return fields
	}
	return nil
}

// origin returns what to answer to an origin.
func (r *CORS) origin(origin string) (string, bool) {
	if origin == "" {
		return "", false
	}
	if slices.Contains(r.AllowedOrigins, "*") {
		return "*", true
	}
	for _, pattern := range r.AllowedOrigins {
		if matches(pattern, origin) {
			return origin, true
		}
	}
	return "", false
}

// headers returns the list to allow for the headers a page asks for.
func (r *CORS) headers(asked string) (string, bool) {
	if strings.TrimSpace(asked) == "" {
		return "", true
	}
	var allowed []string
	for name := range strings.SplitSeq(asked, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if !isToken(name) {
			return "", false
		}
		if !slices.ContainsFunc(r.AllowedHeaders, func(pattern string) bool {
			return matches(strings.ToLower(pattern), name)
		}) {
			return "", false
		}
		allowed = append(allowed, name)
	}
	return strings.Join(allowed, ", "), true
}

// isToken reports whether s is a header name (RFC 9110, section 5.6.2): nothing else
// is echoed.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// matches compares s with a pattern that holds at most one "*".
func matches(pattern, s string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// vary adds names to Vary that are not there yet.
func vary(ctx *fasthttp.RequestCtx, names ...string) {
	for _, name := range names {
		var have string
		for _, v := range ctx.Response.Header.PeekAll(fasthttp.HeaderVary) {
			have += "," + string(v)
		}
		found := false
		for v := range strings.SplitSeq(have, ",") {
			found = found || strings.EqualFold(strings.TrimSpace(v), name)
		}
		if !found {
			ctx.Response.Header.Add(fasthttp.HeaderVary, name)
		}
	}
}
