package control

import (
	"strconv"
	"strings"

	"sallyport/sigv4"
)

// route is one call of the API.
type route struct {
	method  string
	pattern string // "{id}", "{n}" and "{name}" are parameters, each a whole segment
	op      string // its name in logs, metrics, access records and the OpenAPI document
	handle  func(*call) error

	body   bodyRule
	query  []string // the parameters it knows
	open   bool     // needs no credential
	issues bool     // its answer carries a secret or a signed URL
}

// bodyRule says what body a call takes.
type bodyRule int

const (
	noBody       bodyRule = iota
	jsonBody              // a JSON object of up to maxBody bytes
	optionalJSON          // the same, or none
	contentBody           // the bytes of an object
)

// routes is the whole API, in the order of the OpenAPI document.
var routes = []route{
	{method: "POST", pattern: "/uploads", op: "CreateUpload", handle: createUpload, body: jsonBody, issues: true},
	{method: "GET", pattern: "/uploads", op: "ListUploads", handle: listUploads, query: pages},
	{method: "GET", pattern: "/uploads/{id}", op: "GetUpload", handle: getUpload},
	{method: "DELETE", pattern: "/uploads/{id}", op: "AbortUpload", handle: abortUpload},
	{method: "POST", pattern: "/uploads/{id}/url", op: "ReissueUploadURL", handle: reissueUpload, body: optionalJSON, issues: true},
	{method: "PUT", pattern: "/uploads/{id}/content", op: "PutUploadContent", handle: putContent, body: contentBody},
	{method: "GET", pattern: "/uploads/{id}/parts", op: "ListUploadParts", handle: listParts, query: pages},
	{method: "PUT", pattern: "/uploads/{id}/parts/{n}", op: "RegisterUploadPart", handle: registerPart, body: jsonBody},
	{method: "POST", pattern: "/uploads/{id}/parts/{n}/url", op: "IssueUploadPartURL", handle: issuePartURL, body: optionalJSON, issues: true},
	{method: "POST", pattern: "/uploads/{id}/finalize", op: "FinalizeUpload", handle: finalizeUpload, body: optionalJSON},

	{method: "GET", pattern: "/objects", op: "ListObjects", handle: listObjects, query: []string{"profile", "state", "held", "limit", "cursor"}},
	{method: "GET", pattern: "/objects/{id}", op: "GetObjectRow", handle: getObject},
	{method: "DELETE", pattern: "/objects/{id}", op: "DeleteObjectByID", handle: deleteObject},
	{method: "GET", pattern: "/objects/{id}/download-url", op: "IssueDownloadURL", handle: downloadURL, query: []string{"ttl", "disposition", "rendition"}, issues: true},
	{method: "GET", pattern: "/objects/{id}/content", op: "GetObjectContent", handle: getContent, query: []string{"as"}},
	{method: "GET", pattern: "/objects/{id}/renditions", op: "ListRenditions", handle: listRenditions},
	{method: "GET", pattern: "/objects/{id}/renditions/{name}/content", op: "GetRenditionContent", handle: getRendition},
	{method: "POST", pattern: "/objects/{id}/review", op: "ReviewObject", handle: reviewObject, body: jsonBody},
	{method: "POST", pattern: "/objects/{id}/rescan", op: "RescanObject", handle: rescanObject, body: optionalJSON},
	{method: "GET", pattern: "/objects/{id}/downloads", op: "ListDownloads", handle: listDownloads, query: pages},
	{method: "GET", pattern: "/objects/{id}/events", op: "GetTimeline", handle: timeline, query: []string{"after", "limit"}},
	{method: "DELETE", pattern: "/urls/{id}", op: "RevokeURL", handle: revokeURL},

	{method: "GET", pattern: "/me", op: "Me", handle: me},
	{method: "POST", pattern: "/tenants", op: "CreateTenant", handle: createTenant, body: jsonBody},
	{method: "GET", pattern: "/tenants", op: "ListTenants", handle: listTenants, query: pages},
	{method: "PUT", pattern: "/tenants/{id}/limits", op: "SetTenantLimits", handle: setTenantLimits, body: jsonBody},
	{method: "POST", pattern: "/tenants/{id}/suspend", op: "SuspendTenant", handle: suspendTenant, body: optionalJSON},
	{method: "POST", pattern: "/tenants/{id}/resume", op: "ResumeTenant", handle: resumeTenant, body: optionalJSON},
	{method: "DELETE", pattern: "/principals/{id}", op: "RevokePrincipal", handle: revokePrincipal},
	{method: "POST", pattern: "/keys", op: "CreateKey", handle: createKey, body: jsonBody, issues: true},
	{method: "GET", pattern: "/keys", op: "ListKeys", handle: listKeys, query: pages},
	{method: "DELETE", pattern: "/keys/{id}", op: "RevokeKey", handle: revokeKey},
	{method: "POST", pattern: "/tokens", op: "CreateToken", handle: createToken, body: jsonBody, issues: true},
	{method: "GET", pattern: "/tokens", op: "ListTokens", handle: listTokens, query: pages},
	{method: "DELETE", pattern: "/tokens/{id}", op: "RevokeToken", handle: revokeToken},
	{method: "GET", pattern: "/profiles", op: "ListProfiles", handle: listProfiles},
	{method: "GET", pattern: "/profiles/{id}", op: "GetProfile", handle: getProfile},
	{method: "PUT", pattern: "/profiles/{id}", op: "PutProfile", handle: putProfile, body: jsonBody},

	{method: "GET", pattern: "/events", op: "WatchEvents", handle: watchEvents, query: []string{"after", "wait"}},
	{method: "POST", pattern: "/webhooks", op: "CreateWebhook", handle: createWebhook, body: jsonBody, issues: true},
	{method: "GET", pattern: "/webhooks", op: "ListWebhooks", handle: listWebhooks, query: pages},
	{method: "GET", pattern: "/webhooks/{id}", op: "GetWebhook", handle: getWebhook},
	{method: "PUT", pattern: "/webhooks/{id}", op: "PutWebhook", handle: putWebhook, body: jsonBody},
	{method: "DELETE", pattern: "/webhooks/{id}", op: "DeleteWebhook", handle: deleteWebhook},
	{method: "POST", pattern: "/webhooks/{id}/secret", op: "RotateWebhookSecret", handle: rotateWebhookSecret, body: optionalJSON, issues: true},
	{method: "POST", pattern: "/webhooks/{id}/replay", op: "ReplayWebhook", handle: replayWebhook, body: jsonBody},
	{method: "GET", pattern: "/webhooks/{id}/messages", op: "ListWebhookMessages", handle: listLetters, query: pages},

	{method: "GET", pattern: "/audit", op: "ReadAudit", handle: readAudit, query: []string{"after", "limit"}},
	{method: "GET", pattern: "/audit/checkpoint", op: "AuditCheckpoint", handle: auditCheckpoint},
	{method: "GET", pattern: "/audit/key", op: "AuditKey", handle: auditKey},
	{method: "GET", pattern: "/audit/proof", op: "AuditProof", handle: auditProof, query: []string{"seq", "size"}},
	{method: "GET", pattern: "/audit/consistency", op: "AuditConsistency", handle: auditConsistency, query: []string{"old", "size"}},

	{method: "POST", pattern: "/system/clock/accept", op: "AcceptClock", handle: acceptClock, body: optionalJSON},

	{method: "GET", pattern: "/openapi.json", op: "OpenAPI", handle: openAPI, open: true},
}

// pages are the parameters of a list.
var pages = []string{"limit", "cursor"}

// params are what a path says in a route's pattern.
type params struct {
	id   string
	n    int // 0 for what is no number
	name string
}

// find returns the route of a raw path and its parameters, or else the methods the
// path has.
func find(method, path string) (r *route, p params, allowed []string) {
	for i := range routes {
		candidate := &routes[i]
		got, ok := candidate.match(path)
		if !ok {
			continue
		}
		if candidate.answers(method) {
			return candidate, got, nil
		}
		allowed = append(allowed, candidate.method)
		if candidate.answers("HEAD") {
			allowed = append(allowed, "HEAD")
		}
	}
	return nil, params{}, allowed
}

// answers tells whether the route is that of the method. A HEAD is a GET without
// the answer's body; where the answer is made for this GET alone there is none.
func (r *route) answers(method string) bool {
	return r.method == method || method == "HEAD" && r.method == "GET" && !r.issues
}

// match compares a raw path with the pattern. Only the id may be escaped: names
// hold characters that some clients escape. A number that is none is the handler's
// to refuse, once it knows that the caller may learn of the thing.
func (r *route) match(path string) (p params, ok bool) {
	before, after, param := strings.Cut(r.pattern, "{id}")
	if !param {
		return p, r.pattern == path
	}
	rest, ok := strings.CutPrefix(path, before)
	if !ok {
		return p, false
	}
	id, tail, _ := strings.Cut(rest, "/")
	if len(tail) < len(rest)-len(id) {
		tail = "/" + tail
	}
	if ok = p.matchTail(after, tail); !ok {
		return p, false
	}
	p.id, ok = unescapeID(id)
	return p, ok
}

// matchTail compares what stands behind an id, where "{n}" is a number and "{name}" a
// name as we write it.
func (p *params) matchTail(pattern, tail string) bool {
	for _, param := range [...]string{"{n}", "{name}"} {
		before, after, has := strings.Cut(pattern, param)
		if !has {
			continue
		}
		rest, ok := strings.CutPrefix(tail, before)
		if !ok {
			return false
		}
		rest, ok = strings.CutSuffix(rest, after)
		if !ok || rest == "" || strings.Contains(rest, "/") {
			return false
		}
		if param == "{name}" {
			p.name = rest
			return isID(rest)
		}
		// Only the one way to write it: "+1" and "01" are not part 1.
		n, err := strconv.Atoi(rest)
		if err != nil || strconv.Itoa(n) != rest {
			n = 0
		}
		p.n = n
		return true
	}
	return pattern == tail
}

// unescapeID reads an id or a name.
func unescapeID(raw string) (string, bool) {
	if len(raw) > 3*maxID {
		return "", false
	}
	if strings.Contains(raw, "%") {
		plain, err := sigv4.DecodePath(nil, []byte(raw))
		if err != nil {
			return "", false
		}
		raw = string(plain)
	}
	return raw, isID(raw)
}

// maxID is the longest id or name, in bytes.
const maxID = 128

// isID tells whether s can be an id or a name.
func isID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("_-.:@", c)
	})
}
