package registry_test

import (
	"testing"
	"time"

	"sallyport/registry"
)

// names is one of everything that a client can name.
type names struct {
	upload registry.UploadID
	object registry.ObjectID
	grant  registry.GrantID
	key    registry.AccessKeyID
	token  registry.TokenID
	bucket registry.BucketName
}

var nobodys = names{
	upload: "upl_00000000000000000000000000", object: "obj_00000000000000000000000000",
	grant: "g_00000000000000000000000000", key: "SP000000000000000000",
	token: "tok_00000000000000000000000000", bucket: "nowhere",
}

// TestForeignIsUnknown: another tenant's id gives the very same error as one
// that nobody has.
func TestForeignIsUnknown(t *testing.T) {
	h := newHouse(t)
	ctx := h.ctx()
	o := h.published()
	b := h.begin()
	g, err := h.IssueGetURL(ctx, h.amy, o.ID, registry.Attachment, time.Minute)
	h.must(err)
	token, _, err := h.CreateToken(ctx, h.amy, registry.NewToken{Name: "t", Roles: []registry.Role{registry.RoleReader}, TTL: time.Hour})
	h.must(err)
	theirs := names{b.Upload.ID, o.ID, g.ID, registry.AccessKeyID(h.amy.Credential), token.ID, files}

	const evil registry.TenantName = "evil"
	eve := h.tenant(evil)
	drop := func(_ any, err error) error { return err }
	calls := map[string]func(names) error{
		"Upload":      func(n names) error { return drop(h.Upload(ctx, evil, n.upload)) },
		"BeginPut":    func(n names) error { return drop(h.BeginPut(ctx, eve, evil, n.upload, "")) },
		"IssuePutURL": func(n names) error { return drop(h.IssuePutURL(ctx, eve, n.upload, time.Minute)) },
		"Finalize":    func(n names) error { return drop(h.Finalize(ctx, eve, evil, n.upload, "")) },
		"AbortUpload": func(n names) error { return h.AbortUpload(ctx, eve, evil, n.upload) },

		"Object":   func(n names) error { return drop(h.Object(ctx, evil, n.object)) },
		"Timeline": func(n names) error { return drop(h.Timeline(ctx, evil, n.object, 0, 10)) },
		"Delete":   func(n names) error { return h.DeleteObject(ctx, eve, evil, n.object) },
		"Review": func(n names) error {
			_, _, err := h.Review(ctx, eve, n.object, registry.Ruling{Decision: registry.Release, Reason: "x"})
			return err
		},
		"Publish": func(n names) error { return drop(h.Publish(ctx, evil, n.object)) },
		"IssueGetURL": func(n names) error {
			return drop(h.IssueGetURL(ctx, eve, n.object, registry.Attachment, time.Minute))
		},

		"Grant":       func(n names) error { return drop(h.Grant(ctx, evil, n.grant)) },
		"RevokeGrant": func(n names) error { return h.RevokeGrant(ctx, eve, evil, n.grant) },
		"GetTicket":   func(n names) error { return drop(h.GetTicket(ctx, evil, n.grant)) },
		"PutTicket":   func(n names) error { return drop(h.PutTicket(ctx, evil, n.grant)) },

		"RevokeKey":   func(n names) error { return h.RevokeKey(ctx, eve, evil, n.key) },
		"RevokeToken": func(n names) error { return h.RevokeToken(ctx, eve, evil, n.token) },

		"Bucket":       func(n names) error { return drop(h.Bucket(ctx, evil, n.bucket)) },
		"DeleteBucket": func(n names) error { return h.DeleteBucket(ctx, eve, evil, n.bucket) },
		"DeleteVersions": func(n names) error {
			return drop(h.DeleteVersions(ctx, eve, n.bucket, []registry.Deletion{{Key: string(n.object)}}))
		},
		"Version":      func(n names) error { return drop(h.Version(ctx, evil, n.bucket, string(n.object), "")) },
		"NullVersion":  func(n names) error { return drop(h.Version(ctx, evil, n.bucket, string(n.object), "null")) },
		"ListVersions": func(n names) error { return drop(h.ListVersions(ctx, evil, n.bucket, registry.VersionsQuery{Max: 1})) },
		"Waiting":      func(n names) error { return drop(h.Waiting(ctx, evil, n.bucket, string(n.object))) },
		"SetTags":      func(n names) error { return drop(h.SetTags(ctx, eve, n.bucket, string(n.object), "", nil)) },
		"SetLegalHold": func(n names) error { return drop(h.SetLegalHold(ctx, eve, n.bucket, string(n.object), "", true)) },
		"SetRetention": func(n names) error {
			return drop(h.SetRetention(ctx, eve, n.bucket, string(n.object), "", nil, false))
		},
		"CopyInto": func(n names) error {
			return drop(h.CopyObject(ctx, eve, registry.NewCopy{Source: n.object, Bucket: n.bucket, Key: "k"}))
		},
		"CopyOf": func(n names) error {
			return drop(h.CopyObject(ctx, eve, registry.NewCopy{Source: n.object, Bucket: registry.DefaultBucket, Key: "k"}))
		},
		"Named": func(n names) error { return drop(h.Named(ctx, evil, n.bucket, string(n.object))) },
		"List":  func(n names) error { return drop(h.List(ctx, evil, n.bucket, registry.ListQuery{Max: 1})) },
	}
	for name, call := range calls {
		foreign, unknown := call(theirs), call(nobodys)
		if foreign == nil || unknown == nil || foreign.Error() != unknown.Error() {
			t.Errorf("%s: a foreign id gives %q, an unknown one %q", name, foreign, unknown)
		}
	}
	if h.state(o.ID) != registry.ObjectPublished {
		t.Error("another tenant changed the object")
	}
}
