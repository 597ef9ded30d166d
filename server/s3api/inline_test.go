package s3api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
)

const media = "media.test"

// at sends a request of a URL to the stack as to another host.
func (s *stack) at(host, method, url string) reply {
	s.Helper()
	_, rest, _ := strings.Cut(url, "://")
	_, path, _ := strings.Cut(rest, "/")
	req, err := http.NewRequest(method, s.url+"/"+path, nil)
	s.must(err)
	req.Host = host
	return s.send(req)
}

const picture = "\x89PNG\r\n\x1a\n and so on"

// rendered is a published object of a profile that shows renditions, with one that is
// called "clean".
func (s *stack) rendered() registry.Object {
	s.Helper()
	b := registry.Bucket{Name: registry.DefaultBucket, Intake: registry.IntakeQuarantine}
	b.Scan.Image = &registry.ImageRules{Inline: true}
	s.must(s.pipe.PutProfile(s.ctx(), root, b))
	up := s.session(int64(len(hello)), "")
	if r := s.put(s.putURL(up), hello); r.status != 200 {
		s.Fatalf("put: %d %s", r.status, r.body)
	}
	_, err := s.pipe.Finalize(s.ctx(), root, up.Upload.ID, "")
	s.must(err)
	c, err := s.pipe.Claim(s.ctx(), "test", time.Minute)
	s.must(err)
	sum := sha256.Sum256([]byte(picture))
	kept, err := s.pipe.Keep(s.ctx(), c, registry.Rendition{
		Name: "clean", ContentType: "image/png", Width: 1, Height: 1, Size: int64(len(picture)), SHA256: hex.EncodeToString(sum[:]),
	}, bytes.NewReader([]byte(picture)))
	s.must(err)
	c.Renditions = append(c.Renditions, kept)
	s.must(s.pipe.Settle(s.ctx(), c, registry.Verdict{Result: registry.VerdictClean}, "text/plain; charset=utf-8"))
	return s.inspected(up.Object.ID)
}

// show issues a URL for the rendition "clean", signed for a host.
func (s *stack) show(id registry.ObjectID, d registry.Disposition, base string) (string, registry.Grant) {
	s.Helper()
	g, _, err := s.pipe.IssueRendition(s.ctx(), root, id, "clean", d, 0)
	s.must(err)
	return s.sign(link{method: "GET", path: "/_/objects/" + string(id), grant: string(g.ID), base: base}), g
}

// TestInline shows a rendition where it may be shown, and nothing else there.
func TestInline(t *testing.T) {
	s := newStack(t, func(c *setup) { c.api.InlineURL = "https://" + media })
	o := s.rendered()
	url, grant := s.show(o.ID, registry.Inline, "https://"+media)
	want := map[string]string{
		"Content-Type":                 "image/png",
		"Content-Disposition":          `inline; filename="re_port __-clean.png"; filename*=UTF-8''re%22port%20%C3%A4%25-clean.png`,
		"X-Content-Type-Options":       "nosniff",
		"Content-Security-Policy":      "sandbox; default-src 'none'",
		"Cross-Origin-Resource-Policy": "cross-origin",
		"Cache-Control":                "private, no-store",
	}
	for _, method := range []string{"GET", "HEAD"} {
		r := s.at(media, method, url)
		if r.status != 200 || (string(r.body) == picture) != (method == "GET") {
			t.Fatalf("%s: %d %q", method, r.status, r.body)
		}
		for name, value := range want {
			if got := r.header.Get(name); got != value {
				t.Errorf("%s: %s: %q, want %q", method, name, got, value)
			}
		}
	}
	attached, _ := s.show(o.ID, registry.Attachment, s.url)
	if r := s.get("GET", attached); r.status != 200 || string(r.body) != picture || !strings.HasPrefix(r.header.Get("Content-Disposition"), "attachment;") ||
		r.header.Get("Cross-Origin-Resource-Policy") != "same-site" {
		t.Errorf("attached: %d %q %v", r.status, r.body, r.header)
	}
	whole, _ := s.getURL(o.ID)

	for name, try := range map[string]struct {
		r    reply
		code string
	}{
		"on the port's own host": {s.get("GET", s.sign(link{method: "GET", path: "/_/objects/" + string(o.ID), grant: string(grant.ID)})), "AccessDenied"},
		"signed for here only":   {s.at(s.addr, "GET", url), "SignatureDoesNotMatch"},
		"attachment there":       {s.at(media, "GET", s.sign(link{method: "GET", path: "/_/objects/" + string(o.ID), grant: grantOf(attached), base: "https://" + media})), "AccessDenied"},
		"the object there":       {s.at(media, "GET", s.sign(link{method: "GET", path: "/_/objects/" + string(o.ID), grant: grantOf(whole), base: "https://" + media})), "AccessDenied"},
		"altered":                {s.at(media, "GET", flip(url, -1)), "SignatureDoesNotMatch"},
		"another object":         {s.at(media, "GET", strings.Replace(url, string(o.ID), string(o.ID)[:len(o.ID)-1]+"0", 1)), "SignatureDoesNotMatch"},
		"an upload there":        {s.at(media, "PUT", s.putURL(s.session(12, ""))), "AccessDenied"},
		"nothing there":          {s.at(media, "GET", s.url+"/"), "AccessDenied"},
		"with the port":          {s.at(media+":443", "GET", s.url+"/"), "AccessDenied"},
		"in capitals":            {s.at("MEDIA.test", "GET", s.url+"/default"), "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) { try.r.want(t, 403, try.code) })
	}
	// A user's key is none there, either.
	req := s.request(call{method: "GET", path: "/default/" + string(o.ID)})
	req.Host = media
	s.resign(req, "")
	s.send(req).want(t, 403, "AccessDenied")

	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{Name: registry.DefaultBucket, Intake: registry.IntakeQuarantine}))
	s.at(media, "GET", url).want(t, 403, "AccessDenied")
	if r := s.get("GET", attached); r.status != 200 {
		t.Errorf("attached: %d %s", r.status, r.body)
	}
}

// grantOf is the grant in a URL.
func grantOf(url string) string {
	_, rest, _ := strings.Cut(url, "X-Sp-Grant=")
	id, _, _ := strings.Cut(rest, "&")
	return id
}

// TestInlineIsOff: without a host for it nothing is shown, whatever was issued.
func TestInlineIsOff(t *testing.T) {
	s := newStack(t)
	o := s.rendered()
	url, _ := s.show(o.ID, registry.Inline, "")
	s.get("GET", url).want(t, 403, "AccessDenied")
}

// TestInlineBehindAProxy: a URL that is proved with a configured host, whatever Host
// came, is shown nowhere but where it was signed for.
func TestInlineBehindAProxy(t *testing.T) {
	s := newStack(t, func(c *setup) {
		c.api.InlineURL = "https://" + media
		c.auth.Hosts = []string{"s3.test"}
	})
	o := s.rendered()
	url, _ := s.show(o.ID, registry.Inline, "https://s3.test")
	s.at(media, "GET", url).want(t, 403, "AccessDenied")
	s.at("s3.test", "GET", url).want(t, 403, "AccessDenied")
	good, _ := s.show(o.ID, registry.Inline, "https://"+media)
	s.at("s3.test", "GET", good).want(t, 403, "SignatureDoesNotMatch")
	if r := s.at(media, "GET", good); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}
