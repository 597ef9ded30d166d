package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// cutTime is how soon a revocation has to take hold.
const cutTime = time.Second

// revocationSize is more than sockets buffer on the way.
const revocationSize = 16 << 20

// revocation is a running transfer and what ends it.
type revocation struct {
	name string
	// begin starts a transfer of the user's that does not come to its end, and
	// returns how to try the same again.
	begin func(r *revoker) (again func() answer)
	// end withdraws what it stands on.
	end func(r *revoker)
}

// revoker has a user of its own, whose everything can be withdrawn.
type revoker struct {
	*Server
	admin, user *Client
	principal   string
	content     []byte // of revocationSize
	object      string // published, with that content
	path        string // the same content through the S3 port
	session     *Session
	url         string // id
	conn        *wire
	up          bool
}

var revocations = []revocation{
	{"upload, its URL", (*revoker).upload, (*revoker).revokeURL},
	{"upload, its session", (*revoker).upload, func(r *revoker) { r.admin.must("DELETE", "/uploads/"+r.session.UploadID, nil, nil) }},
	{"upload, the issuing key", (*revoker).upload, (*revoker).revokeKey},
	{"upload, the principal", (*revoker).upload, (*revoker).revokePrincipal},
	{"upload, the tenant", (*revoker).upload, (*revoker).suspend},
	{"download, its URL", (*revoker).download, (*revoker).revokeURL},
	{"download, its object", (*revoker).download, func(r *revoker) { r.admin.must("DELETE", "/objects/"+r.object, nil, nil) }},
	{"download, the issuing key", (*revoker).download, (*revoker).revokeKey},
	{"download, the principal", (*revoker).download, (*revoker).revokePrincipal},
	{"download, the tenant", (*revoker).download, (*revoker).suspend},
	{"proxied download, its token", (*revoker).proxied, (*revoker).revokeToken},
	{"S3 write, its key", (*revoker).s3Write, (*revoker).revokeKey},
	{"S3 write, the tenant", (*revoker).s3Write, (*revoker).suspend},
	{"S3 read, its key", (*revoker).s3Read, (*revoker).revokeKey},
	{"presigned read, its key", (*revoker).presigned, (*revoker).revokeKey},
	{"presigned read, its object", (*revoker).presigned, func(r *revoker) {
		if a, err := r.admin.object("DELETE", r.path, "", nil, nil); err != nil || a.Status != http.StatusNoContent {
			r.t.Fatalf("%s, %v", a, err)
		}
	}},
}

// TestRevocation withdraws what transfers stand on, while they run to and from
// slow clients: they end at once, and none like them begins.
func TestRevocation(t *testing.T) {
	onBackends(t, func(t *testing.T, on backend) {
		s := serve(t, on)
		s.root.must("POST", "/tenants", map[string]any{"name": "acme"}, nil)
		admin := s.root.newKey("acme", "boss", "admin")
		if a, err := admin.object("PUT", "/slow", "", nil, nil); err != nil || a.Status != http.StatusOK {
			t.Fatalf("%s, %v", a, err)
		}
		content := noise(3, revocationSize)
		for i, test := range revocations {
			t.Run(test.name, func(t *testing.T) {
				s.in(t)
				r := &revoker{Server: s, admin: admin, content: content, principal: "user-" + string(rune('a'+i))}
				r.user = admin.newKey("", r.principal, "uploader", "reader")
				again := test.begin(r)
				eventually(t, "the transfer runs", func() bool { return s.metric("transfers_running") == 1 })
				test.end(r)
				within(t, cutTime, "the transfer is cut", func() bool { return s.metric("transfers_running") == 0 })
				if a := again(); a.Status < 400 {
					t.Errorf("once more: %s", a)
				}
				r.checkCut()
				if a, err := s.root.call("POST", "/tenants/acme/resume", nil); err != nil || a.Status >= 300 {
					t.Errorf("resume: %s, %v", a, err)
				}
			})
		}
	})
}

func (r *revoker) revokeURL()       { r.admin.must("DELETE", "/urls/"+r.url, nil, nil) }
func (r *revoker) revokeKey()       { r.admin.must("DELETE", "/keys/"+r.user.access, nil, nil) }
func (r *revoker) revokePrincipal() { r.admin.must("DELETE", "/principals/"+r.principal, nil, nil) }
func (r *revoker) suspend()         { r.root.must("POST", "/tenants/acme/suspend", nil, nil) }

func (r *revoker) revokeToken() {
	var list struct {
		Tokens []struct{ ID, Principal string }
	}
	r.admin.must("GET", "/tokens", nil, &list)
	for _, token := range list.Tokens {
		if token.Principal == r.principal {
			r.admin.must("DELETE", "/tokens/"+token.ID, nil, nil)
		}
	}
}

// publish makes an object that is too large for the buffers on the way.
func (r *revoker) publish() {
	r.t.Helper()
	u := r.user.begin(revocationSize)
	u.mustPut(r.content)
	u.publish()
	r.object = u.ObjectID
}

// try makes a request and wants an answer.
func (r *revoker) try(a answer, err error) answer {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *revoker) upload() func() answer {
	r.t.Helper()
	r.up = true
	r.session = r.user.begin(revocationSize)
	r.url = r.session.URLID
	r.conn = r.dial()
	r.conn.send(r.session.putHead(revocationSize) + string(r.content[:1<<20]))
	return func() answer { return r.try(r.session.put(r.content)) }
}

func (r *revoker) download() func() answer {
	r.t.Helper()
	r.publish()
	d := r.user.downloadURL(r.object)
	r.url = d.URLID
	r.slowly(r.S3, head("GET", d.GetURL))
	return func() answer { return r.try(r.get(d.GetURL)) }
}

func (r *revoker) proxied() func() answer {
	r.t.Helper()
	r.user = r.admin.newKey("", r.principal, "admin") // who else may make tokens
	r.publish()
	token := r.user.newToken("ci", "reader")
	path := "/objects/" + r.object + "/content"
	r.slowly(r.Control, head("GET", r.Control+path, "Authorization: Bearer "+token.token))
	return func() answer { return r.try(token.call("GET", path, nil)) }
}

func (r *revoker) s3Write() func() answer {
	r.t.Helper()
	r.up = true
	r.path = "/slow/" + r.principal
	req, err := r.user.objectRequest(r.t.Context(), "PUT", r.path, "", nil, http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.conn = r.dial()
	r.conn.send(headOf(req, fmt.Sprint("Content-Length: ", revocationSize)) + string(r.content[:1<<20]))
	return func() answer { return r.try(r.user.object("PUT", r.path, "", []byte("x"), nil)) }
}

// put writes the content that is read below.
func (r *revoker) put() {
	r.t.Helper()
	r.path = "/slow/" + r.principal
	if a := r.try(r.user.object("PUT", r.path, "", r.content, nil)); a.Status != http.StatusOK {
		r.t.Fatal(a)
	}
}

func (r *revoker) s3Read() func() answer {
	r.t.Helper()
	r.put()
	req, err := r.user.objectRequest(r.t.Context(), "GET", r.path, "", nil, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.slowly(r.S3, headOf(req))
	return func() answer { return r.try(r.user.object("GET", r.path, "", nil, nil)) }
}

func (r *revoker) presigned() func() answer {
	r.t.Helper()
	r.put()
	target := r.user.presign("GET", r.path, time.Minute)
	r.slowly(r.S3, head("GET", target))
	return func() answer { return r.try(r.get(target)) }
}

// headOf writes the head of a request that was made for net/http.
func headOf(req *http.Request, header ...string) string {
	for name, values := range req.Header {
		header = append(header, name+": "+values[0])
	}
	return head(req.Method, req.URL.String(), header...)
}

// slowly asks for something and takes only its beginning.
func (r *revoker) slowly(endpoint, request string) {
	r.t.Helper()
	r.conn = r.dialTo(endpoint)
	r.conn.r = bufio.NewReaderSize(r.conn.conn, 4<<10)
	if err := r.conn.conn.SetReadBuffer(16 << 10); err != nil {
		r.t.Fatal(err)
	}
	r.conn.send(request)
	if _, err := r.conn.r.Peek(1); err != nil {
		r.t.Fatal(err)
	}
}

// checkCut looks at what the slow client got: less than everything, or a refusal.
func (r *revoker) checkCut() {
	r.t.Helper()
	if err := r.conn.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(r.conn.r, nil)
	if err != nil {
		return // cut before it said anything
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	switch {
	case r.up && resp.StatusCode < 400:
		r.t.Errorf("the cut upload was answered %d", resp.StatusCode)
	case !r.up && (err == nil || n >= revocationSize):
		r.t.Errorf("of a cut download came %d bytes, %v", n, err)
	}
}
