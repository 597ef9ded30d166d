package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/kv"
)

func TestBootstrap(t *testing.T) {
	h := newHouse(t)
	h.must(h.Bootstrap(h.ctx(), rootCredentials))
	h.reopen()
	h.must(h.Bootstrap(h.ctx(), rootCredentials))
	for _, c := range []registry.RootCredentials{
		{AccessKey: rootCredentials.AccessKey, SecretKey: "another secret"},
		{AccessKey: "SPANOTHERANOTHERANOT", SecretKey: rootCredentials.SecretKey},
	} {
		h.want(h.Bootstrap(h.ctx(), c), registry.ErrRootMismatch)
	}
	for _, c := range []registry.RootCredentials{
		{AccessKey: "", SecretKey: "correct horse"}, {AccessKey: "a key", SecretKey: "correct horse"},
		{AccessKey: "SPROOT", SecretKey: "short"}, {AccessKey: "SPU" + "01ARZ3NDEKTSV4RRFFQ69G5FAV", SecretKey: "correct horse"},
	} {
		h.want(h.Bootstrap(h.ctx(), c), registry.ErrInvalid)
	}
	c, err := h.Credential(h.ctx(), rootCredentials.AccessKey)
	h.must(err)
	want := []registry.Role{registry.RoleOperator, registry.RoleAdmin, registry.RoleAnalyst}
	if c.Tenant != "default" || !slices.Equal(c.Roles, want) {
		t.Errorf("root is %+v", c.AccessKey)
	}
	b, err := h.Bucket(h.ctx(), "default", "default")
	h.must(err)
	if b.Intake != registry.IntakeQuarantine || b.Listed {
		t.Errorf("profile is %+v", b)
	}
}

func TestTenants(t *testing.T) {
	h := newHouse(t)
	for _, name := range []registry.TenantName{"", "ab", "Acme", "a_b", "a.b", "a\x00b", registry.TenantName(strings.Repeat("a", 64))} {
		_, err := h.CreateTenant(h.ctx(), h.amy, name)
		h.want(err, registry.ErrInvalid)
	}
	_, err := h.CreateTenant(h.ctx(), h.amy, acme)
	h.want(err, registry.ErrExists)
	_, err = h.Tenant(h.ctx(), "nobody")
	h.want(err, registry.ErrNotFound)
	h.want(h.SuspendTenant(h.ctx(), h.amy, "nobody"), registry.ErrNotFound)
	a, err := h.Tenant(h.ctx(), acme)
	h.must(err)
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(a.OwnerID) || strings.Contains(a.PathHash, string(acme)) {
		t.Errorf("tenant is %+v", a)
	}
	for i := range 5 {
		h.tenant(registry.TenantName(fmt.Sprintf("t-%d", i)))
	}
	var names []registry.TenantName
	page := registry.Page{Limit: 2}
	for {
		tenants, next, err := h.Tenants(h.ctx(), page)
		h.must(err)
		for _, t := range tenants {
			names = append(names, t.Name)
		}
		if next == "" {
			break
		}
		page.Cursor = next
	}
	if want := []registry.TenantName{"acme", "default", "t-0", "t-1", "t-2", "t-3", "t-4"}; !slices.Equal(names, want) {
		t.Errorf("tenants are %v", names)
	}
}

// A request is proved by its header; its body may come after its key was revoked.
func TestRevokedMeanwhileChangesNothing(t *testing.T) {
	for _, c := range []struct {
		what   string
		revoke func(h *house, bob registry.Actor) error
		class  error
	}{
		{"key", func(h *house, bob registry.Actor) error {
			return h.RevokeKey(h.ctx(), bob, acme, registry.AccessKeyID(h.amy.Credential))
		}, registry.ErrRevoked},
		{"principal", func(h *house, bob registry.Actor) error { return h.RevokePrincipal(h.ctx(), bob, acme, "amy") }, registry.ErrRevoked},
		{"tenant", func(h *house, _ registry.Actor) error {
			return h.SuspendTenant(h.ctx(), registry.Actor{Tenant: registry.DefaultTenant, Principal: registry.RootPrincipal}, acme)
		}, registry.ErrTenantSuspended},
	} {
		t.Run(c.what, func(t *testing.T) {
			h := newHouse(t)
			o, up, bob := h.published(), h.received(), h.actor(acme, "bob")
			g, err := h.IssueGetURL(h.ctx(), h.amy, o.ID, registry.Attachment, time.Minute)
			h.must(err)
			h.must(c.revoke(h, bob))
			leaves, err := h.VerifyAudit(h.ctx())
			h.must(err)
			for what, do := range map[string]func() error{
				"create key": func() error {
					_, _, err := h.CreateKey(h.ctx(), h.amy, registry.NewKey{Tenant: acme, Principal: "eve", Roles: []registry.Role{registry.RoleAdmin}})
					return err
				},
				"create token": func() error {
					_, _, err := h.CreateToken(h.ctx(), h.amy, registry.NewToken{Name: "eve", Roles: []registry.Role{registry.RoleAdmin}, TTL: time.Hour})
					return err
				},
				"revoke key": func() error {
					return h.RevokeKey(h.ctx(), h.amy, acme, registry.AccessKeyID(bob.Credential))
				},
				"revoke principal": func() error { return h.RevokePrincipal(h.ctx(), h.amy, acme, "bob") },
				"revoke url":       func() error { return h.RevokeGrant(h.ctx(), h.amy, acme, g.ID) },
				"create bucket": func() error {
					return h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: "eve", Intake: registry.IntakeDirect})
				},
				"put profile": func() error {
					return h.PutProfile(h.ctx(), h.amy, registry.Bucket{Name: "default", Intake: registry.IntakeDirect})
				},
				"delete bucket": func() error { return h.DeleteBucket(h.ctx(), h.amy, acme, "default") },
				"delete object": func() error { return h.DeleteObject(h.ctx(), h.amy, acme, o.ID) },
				"delete key":    func() error { return h.deleteKey(o.Bucket, o.Key) },
				"finalize": func() error {
					_, err := h.Finalize(h.ctx(), h.amy, acme, up.Upload.ID, "")
					return err
				},
				"abort": func() error { return h.AbortUpload(h.ctx(), h.amy, acme, up.Upload.ID) },
				"review": func() error {
					_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.RejectObject, Reason: "eve"})
					return err
				},
			} {
				if err := do(); !errors.Is(err, c.class) {
					t.Errorf("%s: %v, want %v", what, err, c.class)
				}
			}
			if after, err := h.VerifyAudit(h.ctx()); err != nil || after.Size != leaves.Size {
				t.Errorf("the log went from %d to %d leaves, %v", leaves.Size, after.Size, err)
			}
		})
	}
}

func TestCredentialRefusals(t *testing.T) {
	h := newHouse(t)
	root := registry.Actor{Tenant: registry.DefaultTenant, Principal: registry.RootPrincipal}
	u, err := h.SigningURLKey(h.ctx(), acme)
	h.must(err)
	for _, id := range []registry.AccessKeyID{"", "SP000000000000000000", registry.AccessKeyID(u.ID), registry.AccessKeyID(strings.Repeat("x", 5000))} {
		_, err := h.Credential(h.ctx(), id)
		h.want(err, registry.ErrNotFound)
	}
	id := registry.AccessKeyID(h.amy.Credential)
	h.want(h.SuspendTenant(h.ctx(), root, root.Tenant), registry.ErrConflict)
	for range 2 {
		h.must(h.SuspendTenant(h.ctx(), root, acme))
	}
	_, err = h.Credential(h.ctx(), id)
	h.want(err, registry.ErrTenantSuspended)
	_, err = h.URLKey(h.ctx(), u.ID)
	h.must(err) // the URL's ticket says so, once its signature is proved
	h.must(h.ResumeTenant(h.ctx(), root, acme))
	_, err = h.Credential(h.ctx(), id)
	h.must(err)
	for range 2 {
		h.must(h.RevokeKey(h.ctx(), root, acme, id))
	}
	_, err = h.Credential(h.ctx(), id)
	h.want(err, registry.ErrRevoked)
	_, err = h.CreateUpload(h.ctx(), h.amy, sessionOf)
	h.want(err, registry.ErrRevoked)

	bob := h.actor(acme, "bob")
	h.want(h.RevokePrincipal(h.ctx(), root, acme, "nobody"), registry.ErrNotFound)
	for range 2 {
		h.must(h.RevokePrincipal(h.ctx(), root, acme, "bob"))
	}
	_, err = h.Credential(h.ctx(), registry.AccessKeyID(bob.Credential))
	h.want(err, registry.ErrRevoked)
	_, _, err = h.CreateKey(h.ctx(), root, registry.NewKey{Tenant: acme, Principal: "bob", Roles: []registry.Role{registry.RoleReader}})
	h.want(err, registry.ErrRevoked)
	keys, _, err := h.Keys(h.ctx(), acme, registry.Page{})
	h.must(err)
	if len(keys) != 2 || keys[0].Principal != "bob" || !keys[1].Revoked {
		t.Errorf("keys are %+v", keys)
	}
}

func TestCreateKeyFailures(t *testing.T) {
	h := newHouse(t)
	reader := []registry.Role{registry.RoleReader}
	tests := []struct {
		name string
		key  registry.NewKey
		want error
	}{
		{"UnknownTenant", registry.NewKey{Tenant: "nobody", Principal: "bob", Roles: reader}, registry.ErrNotFound},
		{"NoPrincipal", registry.NewKey{Tenant: acme, Roles: reader}, registry.ErrInvalid},
		{"ZeroByte", registry.NewKey{Tenant: acme, Principal: "b\x00b", Roles: reader}, registry.ErrInvalid},
		{"System", registry.NewKey{Tenant: acme, Principal: "system", Roles: reader}, registry.ErrInvalid},
		{"NoRole", registry.NewKey{Tenant: acme, Principal: "bob"}, registry.ErrInvalid},
		{"UnknownRole", registry.NewKey{Tenant: acme, Principal: "bob", Roles: []registry.Role{"king"}}, registry.ErrInvalid},
		{"RoleTwice", registry.NewKey{Tenant: acme, Principal: "bob", Roles: []registry.Role{"reader", "reader"}}, registry.ErrInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := h.CreateKey(h.ctx(), h.amy, test.key); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestSecretsAreSealed: what was told once opens again, is nowhere in the file,
// and does not open under another root key.
func TestSecretsAreSealed(t *testing.T) {
	h := newHouse(t)
	key, secret, err := h.CreateKey(h.ctx(), h.amy, registry.NewKey{Tenant: acme, Principal: "bob", Roles: []registry.Role{registry.RoleReader}})
	h.must(err)
	_, token, err := h.CreateToken(h.ctx(), h.amy, registry.NewToken{Name: "ci", Roles: []registry.Role{registry.RoleReader}, TTL: time.Hour})
	h.must(err)
	u, err := h.SigningURLKey(h.ctx(), acme)
	h.must(err)
	urlSecret, err := u.Secret()
	h.must(err)
	h.reopen()
	c, err := h.Credential(h.ctx(), key.ID)
	h.must(err)
	again, err := c.Secret()
	h.must(err)
	if again != secret || !regexp.MustCompile(`^SP[A-Z0-9]{18}$`).MatchString(string(key.ID)) {
		t.Error("the secret is not the one that was told")
	}
	if s := fmt.Sprintf("%v %+v %#v %s %q", secret, c, secret, secret, secret); strings.Contains(s, string(secret)) {
		t.Error("a secret was printed")
	}
	h.must(h.Close(h.ctx()))
	file, err := os.ReadFile(h.path)
	h.must(err)
	for name, s := range map[string]registry.Secret{"key": secret, "token": token, "url key": urlSecret} {
		if bytes.Contains(file, []byte(s)) {
			t.Errorf("the %s is in the file in the clear", name)
		}
	}
	h.open()
}

func TestTokens(t *testing.T) {
	h := newHouse(t)
	reader := []registry.Role{registry.RoleReader}
	for _, n := range []registry.NewToken{{Roles: reader, TTL: 1}, {Name: "x", Roles: reader}, {Name: "x", TTL: 1}, {Name: "x", Roles: reader, TTL: -1}} {
		_, _, err := h.CreateToken(h.ctx(), h.amy, n)
		h.want(err, registry.ErrInvalid)
	}
	row, secret, err := h.CreateToken(h.ctx(), h.amy, registry.NewToken{Name: "ci", Roles: reader, TTL: time.Hour})
	h.must(err)
	if !strings.HasPrefix(string(secret), "spt_") {
		t.Error("a token does not begin with spt_")
	}
	for _, s := range []registry.Secret{"", "spt_", "spt_x", secret[4:], secret + "x"} {
		_, err := h.Token(h.ctx(), s)
		h.want(err, registry.ErrNotFound)
	}
	got, err := h.Token(h.ctx(), secret)
	h.must(err)
	if got.ID != row.ID || got.Principal != "amy" || got.Actor("r").Credential != string(row.ID) {
		t.Errorf("token is %+v", got)
	}
	h.want(h.RevokeToken(h.ctx(), h.amy, acme, "tok_none"), registry.ErrNotFound)
	for range 2 {
		h.must(h.RevokeToken(h.ctx(), h.amy, acme, row.ID))
	}
	_, err = h.Token(h.ctx(), secret)
	h.want(err, registry.ErrRevoked)

	_, short, err := h.CreateToken(h.ctx(), h.amy, registry.NewToken{Name: "short", Roles: reader, TTL: time.Minute})
	h.must(err)
	h.time.pass(time.Minute)
	_, err = h.Token(h.ctx(), short)
	h.want(err, registry.ErrNotFound)
	list, _, err := h.Tokens(h.ctx(), acme, registry.Page{})
	h.must(err)
	if len(list) != 2 || list[0].Name != "short" || !list[1].Revoked {
		t.Errorf("tokens are %+v", list)
	}
}

func TestRotateURLKey(t *testing.T) {
	h := newHouse(t)
	old, err := h.SigningURLKey(h.ctx(), acme)
	h.must(err)
	h.want(h.RotateURLKey(h.ctx(), h.amy, "nobody", time.Minute), registry.ErrNotFound)
	h.must(h.RotateURLKey(h.ctx(), h.amy, acme, time.Minute))
	now, err := h.SigningURLKey(h.ctx(), acme)
	h.must(err)
	if now.ID == old.ID || now.Generation != old.Generation+1 {
		t.Errorf("key is %s after %s", now.ID, old.ID)
	}
	_, err = h.URLKey(h.ctx(), old.ID)
	h.must(err) // while they overlap
	h.time.pass(time.Minute)
	_, err = h.URLKey(h.ctx(), old.ID)
	h.want(err, registry.ErrNotFound)
	_, err = h.URLKey(h.ctx(), now.ID)
	h.must(err)
	_, err = h.URLKey(h.ctx(), h.amy.Credential)
	h.want(err, registry.ErrNotFound)
}

// What verifies nothing any more does not pile up.
func TestRetiredURLKeysAreDropped(t *testing.T) {
	h := newHouse(t)
	other, err := h.SigningURLKey(h.ctx(), registry.DefaultTenant)
	h.must(err)
	for range 10 {
		h.must(h.RotateURLKey(h.ctx(), h.amy, acme, time.Hour))
		h.time.pass(40 * time.Minute)
	}
	n := 0
	h.must(registry.StoreOf(h.Ledger).View(h.ctx(), func(tx kv.Tx) error {
		n = 0
		return tx.Scan("url_keys", kv.Range{}, func(_, _ []byte) error { n++; return nil })
	}))
	if n != 1+3 { // the other tenant's; and one that signs, one in its overlap, one that left it since
		t.Errorf("%d keys are kept", n)
	}
	_, err = h.URLKey(h.ctx(), other.ID)
	h.must(err)
}

func TestBuckets(t *testing.T) {
	h := newHouse(t)
	for _, name := range []registry.BucketName{"", "ab", "Photos", "a..b", "-ab", "ab-", "a_b", "a/b", "abc\x00", registry.BucketName(strings.Repeat("a", 64))} {
		h.want(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: name, Intake: registry.IntakeDirect}), registry.ErrInvalid)
	}
	h.want(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: "ok-name", Intake: "maybe"}), registry.ErrInvalid)
	h.want(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: "ok-name", Intake: registry.IntakeDirect, MaxSize: -1}), registry.ErrInvalid)
	h.want(h.CreateBucket(h.ctx(), h.amy, registry.Bucket{Name: files, Intake: registry.IntakeDirect}), registry.ErrExists)
	h.want(h.DeleteBucket(h.ctx(), h.amy, acme, "default"), registry.ErrConflict)

	h.must(h.PutProfile(h.ctx(), h.amy, registry.Bucket{Name: files, Intake: registry.IntakeQuarantine, MaxSize: 7}))
	h.must(h.PutProfile(h.ctx(), h.amy, registry.Bucket{Name: "made", Intake: registry.IntakeQuarantine}))
	list, err := h.Buckets(h.ctx(), acme)
	h.must(err)
	var names []string
	for _, b := range list {
		names = append(names, fmt.Sprintf("%s %d %v", b.Name, b.MaxSize, b.Listed))
	}
	if want := []string{"default 0 false", "direct 0 true", "files 7 true", "made 0 true"}; !slices.Equal(names, want) {
		t.Errorf("buckets are %v", names)
	}
	// The same name in another tenant is another bucket.
	eve := h.tenant("evil")
	h.must(h.CreateBucket(h.ctx(), eve, registry.Bucket{Name: files, Intake: registry.IntakeDirect}))
}

func TestDeleteBucketOnlyWhenEmpty(t *testing.T) {
	fill := map[string]func(h *house) registry.ObjectID{
		"Session":   func(h *house) registry.ObjectID { return h.begin().Object.ID },
		"Queued":    func(h *house) registry.ObjectID { return h.finalized().ID },
		"Promoting": func(h *house) registry.ObjectID { return h.judged().ID },
		"Published": func(h *house) registry.ObjectID { return h.published().ID },
		"Pending":   func(h *house) registry.ObjectID { return h.put(files, "k", "x").ID },
	}
	for name, make := range fill {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			id := make(h)
			h.want(h.DeleteBucket(h.ctx(), h.amy, acme, files), registry.ErrBucketNotEmpty)
			h.must(h.DeleteBucket(h.ctx(), h.amy, acme, direct))
			h.must(h.DeleteObject(h.ctx(), h.amy, acme, id))
			h.must(h.DeleteBucket(h.ctx(), h.amy, acme, files))
			_, err := h.Bucket(h.ctx(), acme, files)
			h.want(err, registry.ErrNotFound)
		})
	}
	t.Run("Rejected", func(t *testing.T) { // is evidence, not content
		h := newHouse(t)
		o := h.settle(h.finalized(), registry.Verdict{Result: registry.VerdictInfected})
		h.must(h.DeleteBucket(h.ctx(), h.amy, acme, files))
		_, _, err := h.Review(h.ctx(), h.amy, o.ID, registry.Ruling{Decision: registry.Release, Reason: ""})
		h.want(err, registry.ErrNotFound)
	})
}

func TestDefaultProfileIsListedOnceItHoldsAnObject(t *testing.T) {
	h := newHouse(t)
	n := sessionOf
	n.Bucket = "default"
	b, err := h.CreateUpload(h.ctx(), h.amy, n)
	h.must(err)
	_, err = h.CompletePut(h.ctx(), h.take(b), stored("hello"))
	h.must(err)
	o, err := h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
	h.must(err)
	o = h.settle(o, clean)
	row, err := h.Bucket(h.ctx(), acme, "default")
	h.must(err)
	if row.Listed {
		t.Error("listed before it holds anything")
	}
	_, err = h.Publish(h.ctx(), acme, o.ID)
	h.must(err)
	row, err = h.Bucket(h.ctx(), acme, "default")
	h.must(err)
	if !row.Listed {
		t.Error("not listed")
	}
}

func TestRootKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "root.key")
	first, err := registry.LoadOrCreateRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := registry.LoadOrCreateRootKey(path)
	if err != nil || again != first || first == [32]byte{} {
		t.Errorf("the key changed (%v)", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v (%v)", info.Mode(), err)
	}
	for name, content := range map[string]string{
		"raw": string(first[:]), "hex": fmt.Sprintf(" %x\n", first), "upper": fmt.Sprintf("%X", first),
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := registry.LoadOrCreateRootKey(file); err != nil || key != first {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, content := range map[string]string{"empty": "", "short": "abc", "nothex": strings.Repeat("z", 64), "long": strings.Repeat("a", 65)} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := registry.LoadOrCreateRootKey(file); err == nil {
			t.Errorf("%s was taken for a key", name)
		}
	}
	if _, err := registry.LoadOrCreateRootKey(filepath.Join(dir, "none", "key")); err == nil {
		t.Error("a key in no folder")
	}
}
