package s3api_test

import (
	"strings"
	"testing"

	"sallyport/registry"
	"sallyport/server/s3api"
)

// read says whether a document was read, and fails for an error that is no refusal.
func read(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && s3api.CodeOf(err) == "" {
		t.Fatal(err)
	}
	return err == nil
}

// wrecks are documents that are none, whatever is expected.
var wrecks = []string{
	"", " ", "<", "<a>", "</a>", "<a/><a/>", "<a></b>", "<a>&x;</a>", "<a xmlns='x:y'/>", `<?xml version="1.0" encoding="latin1"?><a/>`,
	`<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>`, strings.Repeat("<Rule>", 300), "<a>\x00</a>", "\xff\xfe",
}

// FuzzCORSDocument: what is taken is what the ledger takes, and names at most one
// wildcard each.
func FuzzCORSDocument(f *testing.F) {
	const one = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
	for _, rules := range []string{
		"", "<CORSRule/>", "<CORSRule>" + one + "</CORSRule>", "<CORSRule><ID>x</ID>" + one + one + "<MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule>",
		"<CORSRule>" + one + "<ExposeHeader>x-*</ExposeHeader></CORSRule>", "<CORSRule>" + one + "<AllowedHeader>*-*</AllowedHeader></CORSRule>",
		"<CORSRule>" + one + "<MaxAgeSeconds>99999999999</MaxAgeSeconds></CORSRule>", "<CORSRule>" + one + "<Other/></CORSRule>",
		"<CORSRule>" + one + "<ExposeHeader>a\r\nb</ExposeHeader></CORSRule>", "<CORSRule>" + one + "<MaxAgeSeconds>1</MaxAgeSeconds><MaxAgeSeconds>2</MaxAgeSeconds></CORSRule>",
	} {
		f.Add("<CORSConfiguration>" + rules + "</CORSConfiguration>")
	}
	seed(f)
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := s3api.ReadCORS([]byte(text))
		if !read(t, err) {
			return
		}
		if len(rules) == 0 || len(rules) > 100 {
			t.Fatalf("%d rules", len(rules))
		}
		for _, r := range rules {
			if len(r.AllowedOrigins) == 0 || len(r.AllowedMethods) == 0 || r.MaxAge < 0 {
				t.Errorf("takes %+v", r)
			}
			for _, p := range append(r.AllowedOrigins, r.AllowedHeaders...) {
				if p == "" || strings.Count(p, "*") > 1 {
					t.Errorf("takes %q", p)
				}
			}
			if header := strings.Join(r.ExposeHeaders, ", "); strings.ContainsAny(header, "\r\n*") {
				t.Errorf("exposes %q", header)
			}
		}
	})
}

func seed(f *testing.F) {
	f.Helper()
	for _, w := range wrecks {
		f.Add(w)
	}
}

// FuzzLifecycleDocument: a rule that is taken says what it does and when, and is
// about a whole bucket only if nothing in it narrows it.
func FuzzLifecycleDocument(f *testing.F) {
	for _, rule := range []string{
		"", "<Status>Enabled</Status>", "<Status>Enabled</Status><Filter/><Expiration><Days>1</Days></Expiration>",
		"<Status>Enabled</Status><Prefix>a/</Prefix><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>",
		"<Status>Disabled</Status><Filter><Prefix>a</Prefix></Filter><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
		"<Status>Enabled</Status><Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter><Expiration><Days>1</Days></Expiration>",
		"<Status>Enabled</Status><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Filter><Prefix>a</Prefix></Filter><Expiration><Days>1</Days></Expiration>",
		"<Status>Enabled</Status><Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
		"<Status>Enabled</Status><Filter/><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>",
		"<Status>Enabled</Status><Filter/><Expiration><Days>-1</Days></Expiration>", "<Status>Enabled</Status><Filter/><Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>",
	} {
		f.Add("<LifecycleConfiguration><Rule>" + rule + "</Rule></LifecycleConfiguration>")
	}
	seed(f)
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := s3api.ReadLifecycle([]byte(text))
		if !read(t, err) {
			return
		}
		for _, r := range rules {
			if r.ExpireDays <= 0 && r.ExpireDate.IsZero() && !r.ExpireMarkers && r.NoncurrentDays <= 0 && r.AbortDays <= 0 {
				t.Errorf("takes a rule that does nothing: %+v", r)
			}
			if r.ExpireDays < 0 || r.NoncurrentDays < 0 || r.AbortDays < 0 || r.LargerThan < 0 || r.SmallerThan < 0 {
				t.Errorf("takes %+v", r)
			}
			narrow := strings.Contains(text, "<Tag>") && strings.Contains(text, "<Key>") || strings.Contains(text, "<ObjectSize")
			if len(rules) == 1 && narrow && len(r.Tags) == 0 && r.LargerThan == 0 && !r.NotEmpty && r.SmallerThan == 0 && !strings.Contains(text, "<!") {
				t.Errorf("%q: is about everything: %+v", text, r)
			}
		}
		// What is given back is read as the same.
		again, err := s3api.ReadLifecycle(s3api.WriteLifecycle(rules))
		if err != nil || len(again) != len(rules) {
			t.Fatalf("%s: %v", s3api.WriteLifecycle(rules), err)
		}
	})
}

// FuzzConfigDocuments are the small ones.
func FuzzConfigDocuments(f *testing.F) {
	for _, doc := range []string{
		"<VersioningConfiguration/>", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
		"<VersioningConfiguration><Status>Suspended</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
		"<VersioningConfiguration><Status>Enabled</Status><Status>Suspended</Status></VersioningConfiguration>",
		"<Tagging><TagSet/></Tagging>", "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
		"<Tagging><TagSet><Tag><Key>k</Key><Value/></Tag><Tag><Key>k</Key><Value/></Tag></TagSet></Tagging>", "<Tagging><TagSet><Tag><Key>aws:x</Key><Value/></Tag></TagSet></Tagging>",
		"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
		"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
		"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>101</Years></DefaultRetention></Rule></ObjectLockConfiguration>",
		"<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList><Grant><Grantee><ID>a</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>",
		"<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList><Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>",
	} {
		f.Add(doc)
	}
	seed(f)
	f.Fuzz(func(t *testing.T, text string) {
		b := []byte(text)
		taken := 0
		if v, err := s3api.ReadVersioning(b); read(t, err) {
			taken++
			if v != registry.VersioningEnabled && v != registry.VersioningSuspended {
				t.Errorf("versioning %q", v)
			}
		}
		if tags, err := s3api.ReadBucketTags(b); read(t, err) {
			taken++
			if len(tags) > 50 || tags[""] != "" {
				t.Errorf("tags %q", tags)
			}
		}
		if l, err := s3api.ReadLock(b); read(t, err) {
			taken++
			if (l.Mode == "") != (l.Days+l.Years == 0) || l.Days < 0 || l.Years < 0 || l.Days > 0 && l.Years > 0 {
				t.Errorf("lock %+v", l)
			}
		}
		if owner, private, err := s3api.ReadACL(b); read(t, err) {
			taken++
			if owner == "" || private && strings.Contains(text, "<URI>h") && !strings.Contains(text, "<!") {
				t.Errorf("acl of %q", owner)
			}
		}
		if taken > 1 {
			t.Errorf("%q is taken for several documents", text)
		}
	})
}
