package control

import "strings"

// route is one call of the API.
type route struct {
	method  string
	pattern string // segments; "{id}" is the one parameter
	op      string // its name in logs, metrics and access records
	handle  func(*call) error

	in      any               // the zero of the JSON body it takes; nil: none
	admit   func(*call) error // instead of admitJSON, for bodies that are not JSON
	open    bool              // needs no credential
	issues  bool              // its answer carries a secret or a signed URL
	anyBody bool              // a body is allowed and means nothing
}

// routes is the whole API, in the order of the OpenAPI document.
var routes = table()

func table() []route {
	return []route{
		{method: "POST", pattern: "/uploads", op: "CreateUpload", handle: createUpload, in: createUploadBody{}, issues: true},
		{method: "GET", pattern: "/uploads", op: "ListUploads", handle: listUploads},
		{method: "GET", pattern: "/uploads/{id}", op: "GetUpload", handle: getUpload},
		{method: "DELETE", pattern: "/uploads/{id}", op: "AbortUpload", handle: abortUpload},
		{method: "POST", pattern: "/uploads/{id}/url", op: "ReissueUploadURL", handle: reissueUpload, in: reissueBody{}, issues: true},
		{method: "PUT", pattern: "/uploads/{id}/content", op: "PutUploadContent", handle: putContent, admit: admitContent},
		{method: "POST", pattern: "/uploads/{id}/finalize", op: "FinalizeUpload", handle: finalizeUpload, in: finalizeBody{}},

		{method: "GET", pattern: "/objects", op: "ListObjects", handle: listObjects},
		{method: "GET", pattern: "/objects/{id}", op: "GetObjectRow", handle: getObject},
		{method: "DELETE", pattern: "/objects/{id}", op: "DeleteObjectByID", handle: deleteObject},
		{method: "GET", pattern: "/objects/{id}/download-url", op: "IssueDownloadURL", handle: downloadURL, issues: true},
		{method: "GET", pattern: "/objects/{id}/content", op: "GetObjectContent", handle: getContent},
		{method: "GET", pattern: "/objects/{id}/events", op: "GetTimeline", handle: timeline},
		{method: "DELETE", pattern: "/urls/{id}", op: "RevokeURL", handle: revokeURL},

		{method: "GET", pattern: "/me", op: "Me", handle: me},
		{method: "POST", pattern: "/tenants", op: "CreateTenant", handle: createTenant, in: tenantBody{}},
		{method: "GET", pattern: "/tenants", op: "ListTenants", handle: listTenants},
		{method: "POST", pattern: "/tenants/{id}/suspend", op: "SuspendTenant", handle: suspendTenant, anyBody: true},
		{method: "POST", pattern: "/tenants/{id}/resume", op: "ResumeTenant", handle: resumeTenant, anyBody: true},
		{method: "DELETE", pattern: "/principals/{id}", op: "RevokePrincipal", handle: revokePrincipal},
		{method: "POST", pattern: "/keys", op: "CreateKey", handle: createKey, in: keyBody{}, issues: true},
		{method: "GET", pattern: "/keys", op: "ListKeys", handle: listKeys},
		{method: "DELETE", pattern: "/keys/{id}", op: "RevokeKey", handle: revokeKey},
		{method: "POST", pattern: "/tokens", op: "CreateToken", handle: createToken, in: tokenBody{}, issues: true},
		{method: "GET", pattern: "/tokens", op: "ListTokens", handle: listTokens},
		{method: "DELETE", pattern: "/tokens/{id}", op: "RevokeToken", handle: revokeToken},
		{method: "GET", pattern: "/profiles", op: "ListProfiles", handle: listProfiles},
		{method: "GET", pattern: "/profiles/{id}", op: "GetProfile", handle: getProfile},
		{method: "PUT", pattern: "/profiles/{id}", op: "PutProfile", handle: putProfile, in: profileBody{}},

		{method: "GET", pattern: "/audit", op: "ReadAudit", handle: readAudit},
		{method: "GET", pattern: "/audit/checkpoint", op: "AuditCheckpoint", handle: auditCheckpoint},
		{method: "GET", pattern: "/audit/key", op: "AuditKey", handle: auditKey},
		{method: "GET", pattern: "/audit/proof", op: "AuditProof", handle: auditProof},

		{method: "GET", pattern: "/openapi.json", op: "OpenAPI", handle: openAPI, open: true},
	}
}

// find returns the route of a raw path and its {id}. known tells whether the
// path exists with another method. An escaped path names nothing: ids need no
// escapes.
func find(method, path string) (r *route, id string, known bool) {
	for i := range routes {
		got, ok := match(routes[i].pattern, path)
		if !ok {
			continue
		}
		if routes[i].method == method || method == "HEAD" && routes[i].method == "GET" {
			return &routes[i], got, true
		}
		known = true
	}
	return nil, "", known
}

func match(pattern, path string) (id string, ok bool) {
	before, after, param := strings.Cut(pattern, "{id}")
	if !param {
		return "", pattern == path
	}
	rest, ok := strings.CutPrefix(path, before)
	if !ok {
		return "", false
	}
	id, ok = strings.CutSuffix(rest, after)
	return id, ok && isID(id)
}

// isID tells whether s can be an id or a name; 128 bytes hold the longest.
func isID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("_-.@", c)
	})
}
