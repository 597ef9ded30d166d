package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

var profile = registry.Bucket{Name: "evidence", Intake: registry.IntakeQuarantine}

func TestUploadRefusals(t *testing.T) {
	limited := profile
	limited.AllowedTypes, limited.MaxSize = []string{"image/*", "text/plain"}, 100
	for _, c := range []struct {
		name   string
		bucket registry.Bucket
		req    policy.UploadRequest
		want   error
	}{
		{"no filename", profile, policy.UploadRequest{ContentType: "text/plain"}, policy.ErrInvalid},
		{"no type", profile, policy.UploadRequest{Filename: "a"}, policy.ErrInvalid},
		{"half a type", profile, policy.UploadRequest{Filename: "a", ContentType: "text"}, policy.ErrInvalid},
		{"header in type", profile, policy.UploadRequest{Filename: "a", ContentType: "text/plain\r\nX: y"}, policy.ErrInvalid},
		{"type of two slashes", profile, policy.UploadRequest{Filename: "a", ContentType: "a/b/c"}, policy.ErrInvalid},
		{"any type", profile, policy.UploadRequest{Filename: "a", ContentType: "*/*"}, policy.ErrInvalid},
		{"range of types", profile, policy.UploadRequest{Filename: "a", ContentType: "image/*; q=1"}, policy.ErrInvalid},
		{"endless type", profile, policy.UploadRequest{Filename: "a", ContentType: "text/" + strings.Repeat("x", 600)}, policy.ErrInvalid},
		{"type not allowed", limited, policy.UploadRequest{Filename: "a", ContentType: "application/pdf"}, policy.ErrTypeNotAllowed},
		{"type looks like an allowed one", limited, policy.UploadRequest{Filename: "a", ContentType: "imagex/png"}, policy.ErrTypeNotAllowed},
		{"negative size", profile, policy.UploadRequest{Filename: "a", ContentType: "text/plain", Size: -1}, policy.ErrSizeNotAllowed},
		{"one byte too many", limited, policy.UploadRequest{Filename: "a", ContentType: "text/plain", Size: 101}, policy.ErrSizeNotAllowed},
		{"more than one PUT takes", profile, policy.UploadRequest{Filename: "a", ContentType: "text/plain", Size: 5<<30 + 1}, policy.ErrSizeNotAllowed},
		{"ttl too long", profile, policy.UploadRequest{Filename: "a", ContentType: "text/plain", URLTTL: 15*time.Minute + time.Second}, policy.ErrInvalidTTL},
		{"ttl negative", profile, policy.UploadRequest{Filename: "a", ContentType: "text/plain", URLTTL: -time.Second}, policy.ErrInvalidTTL},
		{"ttl of half seconds", profile, policy.UploadRequest{Filename: "a", ContentType: "text/plain", URLTTL: 1500 * time.Millisecond}, policy.ErrInvalidTTL},

		{"empty file", profile, policy.UploadRequest{Filename: "a", ContentType: "text/plain"}, nil},
		{"largest file", profile, policy.UploadRequest{Filename: "a", ContentType: "text/plain", Size: 5 << 30}, nil},
		{"wildcard", limited, policy.UploadRequest{Filename: "a", ContentType: "IMAGE/png", Size: 100}, nil},
		{"parameters", limited, policy.UploadRequest{Filename: "a", ContentType: "text/plain; charset=utf-8"}, nil},
		{"declares nothing", limited, policy.UploadRequest{Filename: "a", ContentType: "application/octet-stream"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := policy.Defaults().Upload(c.bucket, c.req)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestUploadTerms(t *testing.T) {
	req := policy.UploadRequest{Filename: "a", ContentType: "text/plain"}
	own := profile
	own.SessionTTL, own.PutURLTTL = time.Hour, 5*time.Minute
	for _, c := range []struct {
		name   string
		bucket registry.Bucket
		asked  time.Duration
		want   policy.UploadTerms
	}{
		{"defaults", profile, 0, policy.UploadTerms{SessionTTL: 2 * time.Hour, URLTTL: 120 * time.Second}},
		{"the profile's own", own, 0, policy.UploadTerms{SessionTTL: time.Hour, URLTTL: 5 * time.Minute}},
		{"as asked", own, 7 * time.Second, policy.UploadTerms{SessionTTL: time.Hour, URLTTL: 7 * time.Second}},
		{"the most", own, 15 * time.Minute, policy.UploadTerms{SessionTTL: time.Hour, URLTTL: 15 * time.Minute}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req.URLTTL = c.asked
			got, err := policy.Defaults().Upload(c.bucket, req)
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestGetURLLifetimes(t *testing.T) {
	wide := profile
	wide.GetURLMinTTL, wide.GetURLMaxTTL = 10*time.Second, 30*time.Minute
	tight := profile
	tight.GetURLMaxTTL = 90 * time.Second
	for _, c := range []struct {
		name   string
		bucket registry.Bucket
		asked  time.Duration
		want   time.Duration // 0: refused
	}{
		{"below the least", profile, 59 * time.Second, 0},
		{"above the most", profile, 301 * time.Second, 0},
		{"above the profile's most", tight, 91 * time.Second, 0},
		{"negative", wide, -time.Second, 0},
		{"default", profile, 0, 300 * time.Second},
		{"default in a tight profile", tight, 0, 90 * time.Second},
		{"least", profile, 60 * time.Second, 60 * time.Second},
		{"most", profile, 300 * time.Second, 300 * time.Second},
		{"profile's least", wide, 10 * time.Second, 10 * time.Second},
		{"profile's most", wide, 30 * time.Minute, 30 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := policy.Defaults().GetURL(c.bucket, c.asked)
			if c.want == 0 && !errors.Is(err, policy.ErrInvalidTTL) {
				t.Fatalf("got %s, %v; want ErrInvalidTTL", got, err)
			}
			if c.want != 0 && (err != nil || got != c.want) {
				t.Fatalf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestPresignedLifetimes(t *testing.T) {
	l := policy.Defaults()
	tenant := func(most time.Duration) registry.Tenant { return registry.Tenant{PresignMaxTTL: most} }
	bucket := func(most time.Duration) registry.Bucket { return registry.Bucket{PresignMaxTTL: most} }
	for _, c := range []struct {
		name     string
		tenant   registry.Tenant
		bucket   registry.Bucket
		lifetime time.Duration
		refuses  string // what the refusal names; "" if there is none
	}{
		{"for nothing", tenant(0), bucket(0), 0, "at least"},
		{"server", tenant(0), bucket(0), time.Hour + time.Second, "PRESIGN_MAX_TTL"},
		{"server before wider ones", tenant(2 * time.Hour), bucket(3 * time.Hour), time.Hour + time.Second, "PRESIGN_MAX_TTL"},
		{"tenant", tenant(time.Minute), bucket(0), time.Minute + time.Second, "of the tenant"},
		{"bucket", tenant(0), bucket(time.Minute), time.Minute + time.Second, "of the bucket"},
		{"the shorter one is the bucket's", tenant(2 * time.Minute), bucket(time.Minute), time.Minute + time.Second, "of the bucket"},
		{"the shorter one is the tenant's", tenant(time.Minute), bucket(2 * time.Minute), time.Minute + time.Second, "of the tenant"},
		{"the server's most", tenant(0), bucket(0), time.Hour, ""},
		{"the tenant's most", tenant(time.Minute), bucket(time.Hour), time.Minute, ""},
		{"the bucket's most", tenant(time.Hour), bucket(time.Minute), time.Minute, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := l.Presign(c.tenant, c.bucket, c.lifetime)
			switch {
			case c.refuses == "" && err != nil:
				t.Error(err)
			case c.refuses != "" && (!errors.Is(err, policy.ErrInvalidTTL) || !strings.Contains(err.Error(), c.refuses)):
				t.Errorf("got %v, want ErrInvalidTTL that names %q", err, c.refuses)
			}
		})
	}
}

func TestTokenLifetimes(t *testing.T) {
	l := policy.Defaults()
	for _, c := range []struct {
		name     string
		check    func(time.Duration) error
		lifetime time.Duration
		want     error
	}{
		{"token for nothing", l.Token, 0, policy.ErrInvalidTTL},
		{"token for ever", l.Token, 1 << 62, policy.ErrInvalidTTL},
		{"token for a year", l.Token, 365 * 24 * time.Hour, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.check(c.lifetime); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestProfile(t *testing.T) {
	with := func(change func(*registry.Bucket)) registry.Bucket {
		b := profile
		change(&b)
		return b
	}
	for _, c := range []struct {
		name   string
		bucket registry.Bucket
		want   error
	}{
		{"no intake", with(func(b *registry.Bucket) { b.Intake = "" }), policy.ErrInvalid},
		{"type pattern", with(func(b *registry.Bucket) { b.AllowedTypes = []string{"image"} }), policy.ErrInvalid},
		{"everything as a pattern", with(func(b *registry.Bucket) { b.AllowedTypes = []string{"*/*"} }), policy.ErrInvalid},
		{"pattern in upper case", with(func(b *registry.Bucket) { b.AllowedTypes = []string{"Image/png"} }), policy.ErrInvalid},
		{"pattern with parameters", with(func(b *registry.Bucket) { b.AllowedTypes = []string{"text/plain; a=b"} }), policy.ErrInvalid},
		{"size", with(func(b *registry.Bucket) { b.MaxSize = 5<<40 + 1 }), policy.ErrSizeNotAllowed},
		{"session", with(func(b *registry.Bucket) { b.SessionTTL = 8 * 24 * time.Hour }), policy.ErrInvalidTTL},
		{"put url", with(func(b *registry.Bucket) { b.PutURLTTL = time.Hour }), policy.ErrInvalidTTL},
		{"get url", with(func(b *registry.Bucket) { b.GetURLMaxTTL = 2 * time.Hour }), policy.ErrInvalidTTL},
		{"presigned url", with(func(b *registry.Bucket) { b.PresignMaxTTL = 2 * time.Hour }), policy.ErrInvalidTTL},
		{"least above most", with(func(b *registry.Bucket) { b.GetURLMinTTL = 10 * time.Minute }), policy.ErrInvalidTTL},
		{"plain", profile, nil},
		{"all set", with(func(b *registry.Bucket) {
			b.AllowedTypes, b.MaxSize, b.SessionTTL = []string{"image/*", "application/pdf"}, 1<<20, time.Hour
			b.PutURLTTL, b.GetURLMinTTL, b.GetURLMaxTTL = time.Minute, time.Second, time.Hour
		}), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := policy.Defaults().Profile(c.bucket); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	open := registry.Bucket{Name: "photos", Intake: registry.IntakeDirect}
	sized := func(most int64) registry.Bucket {
		b := open
		b.MaxSize = most
		return b
	}
	small := policy.Defaults()
	small.MaxSize = 1 << 20
	const label = "binary/octet-stream"
	onePut := func(l policy.Limits, b registry.Bucket, n int64) error { return l.Object(b, label, n) }
	part := policy.Limits.Part
	whole := func(l policy.Limits, b registry.Bucket, n int64) error { return l.Whole(b, label, n) }
	for _, c := range []struct {
		name   string
		check  func(policy.Limits, registry.Bucket, int64) error
		limits policy.Limits
		bucket registry.Bucket
		most   int64
	}{
		{"one put", onePut, policy.Defaults(), open, 5 << 30},
		{"one put to a small server", onePut, small, open, 1 << 20},
		{"one put to a small bucket", onePut, policy.Defaults(), sized(10), 10},
		{"one put to a large bucket", onePut, policy.Defaults(), sized(1 << 40), 5 << 30},
		{"one part", part, policy.Defaults(), open, 5 << 30},
		{"one part of a small server", part, small, sized(1 << 40), 1 << 20},
		{"one part for a small bucket", part, policy.Defaults(), sized(10), 10},
		{"whole", whole, small, open, 5 << 40},
		{"whole in a small bucket", whole, policy.Defaults(), sized(10), 10},
		{"whole in a large bucket", whole, small, sized(1 << 40), 1 << 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			for size, want := range map[int64]error{-1: policy.ErrSizeNotAllowed, c.most + 1: policy.ErrSizeNotAllowed, c.most: nil} {
				if err := c.check(c.limits, c.bucket, size); !errors.Is(err, want) {
					t.Errorf("%d bytes: got %v, want %v", size, err, want)
				}
			}
		})
	}
	if err := small.Whole(sized(0), "", 1); err != nil {
		t.Errorf("a label that is no type, in an open bucket: %v", err)
	}
	if _, err := small.Upload(profile, policy.UploadRequest{Filename: "a", ContentType: "image/png", Size: 1 << 21, InParts: true}); err != nil {
		t.Errorf("a session in parts beyond one put: %v", err)
	}
	if _, err := small.Upload(profile, policy.UploadRequest{Filename: "a", ContentType: "image/png", Size: 1 << 21}); !errors.Is(err, policy.ErrSizeNotAllowed) {
		t.Errorf("a session of one put: %v, want ErrSizeNotAllowed", err)
	}
}

func TestDirectBucketsTakeAnyLabel(t *testing.T) {
	l := policy.Defaults()
	direct := registry.Bucket{Name: "photos", Intake: registry.IntakeDirect}
	if err := l.Object(direct, "not a type", 1); err != nil {
		t.Errorf("open bucket: %v", err)
	}
	direct.AllowedTypes = []string{"image/png"}
	if err := l.Object(direct, "not a type", 1); !errors.Is(err, policy.ErrInvalid) {
		t.Errorf("bucket with types: %v, want ErrInvalid", err)
	}
	if err := l.Object(direct, "image/gif", 1); !errors.Is(err, policy.ErrTypeNotAllowed) {
		t.Errorf("bucket with types: %v, want ErrTypeNotAllowed", err)
	}
}

func TestKey(t *testing.T) {
	for key, ok := range map[string]bool{
		"":                        false,
		"\xff":                    false,
		strings.Repeat("x", 1025): false,
		strings.Repeat("x", 1024): true,
		"/../a//b/\x00 ü":         true,
	} {
		if err := policy.Key(key); (err == nil) != ok || err != nil && !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%q: %v, allowed should be %t", key, err, ok)
		}
	}
}

func TestFilename(t *testing.T) {
	for name, ok := range map[string]bool{
		"":                              false,
		".":                             false,
		"..":                            false,
		"a/b":                           false,
		`a\b`:                           false,
		"a\x00b":                        false,
		"a\nb":                          false,
		"a\x7fb":                        false,
		"a\u0085b":                      false,
		"a\u2028b":                      false,
		"exe.\u202egpj":                 false,
		"\xff":                          false,
		strings.Repeat("x", 256):        false,
		strings.Repeat("x", 255):        true,
		"report.pdf":                    true,
		"Bericht über Ärger 2024 📎.txt": true,
		"..hidden":                      true,
		`quo"te; x=y.txt`:               true,
	} {
		if err := policy.Filename(name); (err == nil) != ok || err != nil && !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%q: %v, allowed should be %t", name, err, ok)
		}
	}
}
