package s3api_test

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
)

func TestRetention(t *testing.T) {
	s := newStack(t)
	s.lockable("photos")
	version := s.ok("PUT", "/photos/k", "x", nil).version()
	s.do(call{method: "GET", path: "/photos/k?retention"}).want(t, 404, "NoSuchObjectLockConfiguration")
	until := s.now().Add(time.Hour).UTC().Truncate(time.Second)
	document := func(mode string, until time.Time) string {
		return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + until.Format(time.RFC3339) + "</RetainUntilDate></Retention>"
	}
	s.ok("PUT", "/photos/k?retention&versionId="+version, document("GOVERNANCE", until), nil)
	r := s.ok("GET", "/photos/k?retention", "", nil)
	var got struct {
		XMLName         xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Retention"`
		Mode            string
		RetainUntilDate time.Time
	}
	s.must(xml.Unmarshal(r.body, &got))
	if got.Mode != "GOVERNANCE" || !got.RetainUntilDate.Equal(until) {
		t.Errorf("retention %+v", got)
	}
	h := s.ok("HEAD", "/photos/k", "", nil).header
	if h.Get("x-amz-object-lock-mode") != "GOVERNANCE" || h.Get("x-amz-object-lock-retain-until-date") != until.Format("2006-01-02T15:04:05.000Z") || h.Get("x-amz-object-lock-legal-hold") != "" {
		t.Errorf("headers %v", h)
	}
	if e := s.do(call{method: "PUT", path: "/photos/k?retention", body: document("GOVERNANCE", until.Add(-time.Minute))}).want(t, 403, "AccessDenied"); !strings.Contains(e.Message, "object lock") {
		t.Errorf("shortened: %q", e.Message)
	}
	s.ok("PUT", "/photos/k?retention", document("GOVERNANCE", until.Add(time.Minute)), nil)
	s.ok("PUT", "/photos/k?retention", "<Retention/>", header("X-Amz-Bypass-Governance-Retention", "true"))
	s.do(call{method: "GET", path: "/photos/k?retention"}).want(t, 404, "NoSuchObjectLockConfiguration")
	s.ok("PUT", "/photos/k?retention", document("COMPLIANCE", until), nil)
	s.do(call{method: "PUT", path: "/photos/k?retention", body: "<Retention/>", header: header("X-Amz-Bypass-Governance-Retention", "true")}).want(t, 403, "AccessDenied")
}

func TestLegalHold(t *testing.T) {
	s := newStack(t)
	s.lockable("photos")
	s.ok("PUT", "/photos/k", "x", nil)
	for _, status := range []string{"OFF", "ON", "OFF"} {
		s.ok("PUT", "/photos/k?legal-hold", "<LegalHold><Status>"+status+"</Status></LegalHold>", nil)
		if r := s.ok("GET", "/photos/k?legal-hold", "", nil); !strings.Contains(string(r.body), "<Status>"+status+"</Status>") {
			t.Errorf("%s: %s", status, r.body)
		}
		if h := s.ok("HEAD", "/photos/k", "", nil).header.Get("x-amz-object-lock-legal-hold"); (h == "ON") != (status == "ON") {
			t.Errorf("%s: header %q", status, h)
		}
	}
}

// TestLockDefaults puts into a bucket that locks by default.
func TestLockDefaults(t *testing.T) {
	s := newStack(t)
	s.versioned("photos")
	s.must(s.pipe.SetBucketLock(s.ctx(), root, "photos", registry.BucketLock{Mode: registry.LockGovernance, Days: 1}))
	s.ok("PUT", "/photos/k", "x", nil)
	if h := s.ok("HEAD", "/photos/k", "", nil).header; h.Get("x-amz-object-lock-mode") != "GOVERNANCE" {
		t.Errorf("headers %v", h)
	}
}

func TestLockErrors(t *testing.T) {
	s := newStack(t)
	s.bucket("plain")
	s.lockable("photos")
	s.ok("PUT", "/plain/k", "x", nil)
	s.ok("PUT", "/photos/k", "x", nil)
	past, future := "2001-01-01T00:00:00Z", s.now().Add(time.Hour).UTC().Format(time.RFC3339)
	retention := func(mode, until string) string {
		return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"
	}
	const (
		noLock = "Bucket is missing Object Lock Configuration"
		both   = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
		ahead  = "The retain until date must be in the future!"
	)
	uploader := s.key(registry.DefaultTenant, "ulla", registry.RoleUploader)
	for _, test := range []struct {
		name          string
		call          call
		status        int
		code, message string
	}{
		{"retention without lock", call{method: "GET", path: "/plain/k?retention"}, 400, "InvalidRequest", noLock},
		{"legal hold without lock", call{method: "GET", path: "/plain/k?legal-hold"}, 400, "InvalidRequest", noLock},
		{"retain without lock", call{method: "PUT", path: "/plain/k?retention", body: retention("GOVERNANCE", future)}, 400, "InvalidRequest", noLock},
		{"hold without lock", call{method: "PUT", path: "/plain/k?legal-hold", body: "<LegalHold><Status>ON</Status></LegalHold>"}, 400, "InvalidRequest", noLock},
		{"put with a hold without lock", call{method: "PUT", path: "/plain/k", body: "x", header: header("X-Amz-Object-Lock-Legal-Hold", "ON")}, 400, "InvalidRequest", noLock},
		{"copy with a hold without lock", call{method: "PUT", path: "/plain/n", header: header("X-Amz-Copy-Source", "/photos/k", "X-Amz-Object-Lock-Legal-Hold", "ON")}, 400, "InvalidRequest", noLock},
		{"mode alone", call{method: "PUT", path: "/photos/k", header: header("X-Amz-Object-Lock-Mode", "GOVERNANCE")}, 400, "InvalidArgument", both},
		{"date alone", call{method: "PUT", path: "/photos/k", header: header("X-Amz-Object-Lock-Retain-Until-Date", future)}, 400, "InvalidArgument", both},
		{"unknown mode", call{method: "PUT", path: "/photos/k", header: header("X-Amz-Object-Lock-Mode", "STRICT", "X-Amz-Object-Lock-Retain-Until-Date", future)}, 400, "InvalidArgument", "Unknown wormMode directive."},
		{"no date", call{method: "PUT", path: "/photos/k", header: header("X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", "soon")}, 400, "InvalidArgument", "The retain until date must be provided in ISO 8601 format"},
		{"past", call{method: "PUT", path: "/photos/k", header: header("X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", past)}, 400, "InvalidArgument", ahead},
		{"half a hold", call{method: "PUT", path: "/photos/k", header: header("X-Amz-Object-Lock-Legal-Hold", "MAYBE")}, 400, "InvalidArgument", "Legal Hold must be either of 'ON' or 'OFF'"},
		{"retention in the past", call{method: "PUT", path: "/photos/k?retention", body: retention("GOVERNANCE", past)}, 400, "InvalidArgument", ahead},
		{"retention of no mode", call{method: "PUT", path: "/photos/k?retention", body: retention("", future)}, 400, "MalformedXML", ""},
		{"retention of another mode", call{method: "PUT", path: "/photos/k?retention", body: retention("STRICT", future)}, 400, "MalformedXML", ""},
		{"retention without date", call{method: "PUT", path: "/photos/k?retention", body: retention("GOVERNANCE", "")}, 400, "MalformedXML", ""},
		{"hold of no kind", call{method: "PUT", path: "/photos/k?legal-hold", body: "<LegalHold><Status>MAYBE</Status></LegalHold>"}, 400, "MalformedXML", ""},
		{"uploader locks", call{method: "PUT", path: "/photos/n", body: "x", credentials: uploader, header: header("X-Amz-Object-Lock-Legal-Hold", "ON")}, 403, "AccessDenied", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if e := s.do(test.call).want(t, test.status, test.code); test.message != "" && e.Message != test.message {
				t.Errorf("message %q", e.Message)
			}
		})
	}
}
