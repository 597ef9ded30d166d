package policy_test

import (
	"errors"
	"testing"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// wanted is DESIGN's rights written down a second time: for each action, whose
// things uploader, reader, auditor, admin, analyst and operator may act on ('-'
// nobody's, 'o' their own, 'w' the whole tenant's).
var wanted = map[policy.Action]string{
	policy.CreateUpload:     "w--w--",
	policy.ReadUpload:       "o--w--",
	policy.PutContent:       "o--w--",
	policy.FinalizeUpload:   "o--w--",
	policy.AbortUpload:      "o--w--",
	policy.ListObjects:      "ow-ww-",
	policy.ReadObject:       "ow-ww-",
	policy.ReadContent:      "-w-w--",
	policy.ReadRejected:     "----w-",
	policy.ReviewObject:     "----w-",
	policy.RescanObject:     "---ww-",
	policy.DeleteObject:     "---w--",
	policy.IssueGetURL:      "-w-w--",
	policy.RevokeURL:        "oo-w--",
	policy.ReadTimeline:     "--ww--",
	policy.ReadAudit:        "--ww-w",
	policy.ReadAllAudit:     "-----w",
	policy.ManageKeys:       "---w--",
	policy.ManageTokens:     "---w--",
	policy.ManageProfiles:   "---w--",
	policy.ManageWebhooks:   "---w--",
	policy.ReadEvents:       "owwww-",
	policy.ManageTenants:    "-----w",
	policy.ManageTenantKeys: "-----w",
	policy.RunSystem:        "-----w",
	policy.S3ListBuckets:    "ww-w--",
	policy.S3HeadBucket:     "ww-w--",
	policy.S3List:           "-w-w--",
	policy.S3Read:           "-w-w--",
	policy.S3Write:          "w--w--",
	policy.S3Delete:         "---w--",
	policy.S3CreateBucket:   "---w--",
	policy.S3DeleteBucket:   "---w--",
	policy.S3ReadConfig:     "ww-w--",
	policy.S3WriteConfig:    "---w--",
	policy.S3ListUploads:    "w--w--",
	policy.S3Multipart:      "o--w--",
	policy.S3Lock:           "---w--",
	policy.S3BypassLock:     "---w--",
}

func TestEveryRoleAndAction(t *testing.T) {
	actions := policy.Actions()
	if len(actions) != len(wanted) {
		t.Fatalf("the table has %d actions, this test knows %d", len(actions), len(wanted))
	}
	for _, action := range actions {
		for i, role := range registry.Roles {
			t.Run(string(action)+"/"+string(role), func(t *testing.T) {
				actor := registry.Actor{Tenant: "acme", Principal: "me", Roles: []registry.Role{role}}
				want := wanted[action][i]
				for _, c := range []struct {
					owner registry.PrincipalName
					allow bool
				}{
					{"me", want != '-'},
					{"somebody", want == 'w'},
					{"", want == 'w'},
				} {
					err := policy.Allow(actor, action, c.owner)
					if c.allow && err != nil {
						t.Errorf("owner %q: %v", c.owner, err)
					}
					if !c.allow && !errors.Is(err, policy.ErrForbidden) {
						t.Errorf("owner %q: got %v, want ErrForbidden", c.owner, err)
					}
				}
			})
		}
	}
}

func TestRolesAddUp(t *testing.T) {
	actor := registry.Actor{Principal: "me", Roles: []registry.Role{registry.RoleUploader, registry.RoleAuditor}}
	for _, action := range []policy.Action{policy.CreateUpload, policy.ReadAudit} {
		if err := policy.Allow(actor, action, "me"); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
	if err := policy.Allow(actor, policy.ReadContent, "me"); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("reading content: %v, want ErrForbidden", err)
	}
}

func TestNobodyMayDoWhatIsNotInTheTable(t *testing.T) {
	all := registry.Actor{Principal: "me", Roles: registry.Roles}
	for _, c := range []struct {
		name   string
		actor  registry.Actor
		action policy.Action
	}{
		{"unknown action", all, "launch"},
		{"no roles", registry.Actor{Principal: "me"}, policy.ReadObject},
		{"unknown role", registry.Actor{Principal: "me", Roles: []registry.Role{"god"}}, policy.ReadObject},
		{"own right, no principal", registry.Actor{Roles: []registry.Role{registry.RoleUploader}}, policy.ReadUpload},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := policy.Allow(c.actor, c.action, c.actor.Principal); !errors.Is(err, policy.ErrForbidden) {
				t.Errorf("got %v, want ErrForbidden", err)
			}
		})
	}
}

func TestGrantable(t *testing.T) {
	const (
		up, rd, au = registry.RoleUploader, registry.RoleReader, registry.RoleAuditor
		ad, an, op = registry.RoleAdmin, registry.RoleAnalyst, registry.RoleOperator
	)
	roles := func(r ...registry.Role) []registry.Role { return r }
	for _, c := range []struct {
		name    string
		creator []registry.Role
		tenant  registry.TenantName
		roles   []registry.Role
		want    error
	}{
		{"no role", roles(ad), "acme", nil, policy.ErrInvalid},
		{"unknown role", roles(ad), "acme", roles("god"), policy.ErrInvalid},
		{"admin makes analyst", roles(ad), "acme", roles(an), policy.ErrForbidden},
		{"admin makes operator", roles(ad), "acme", roles(op), policy.ErrForbidden},
		{"one of two is not the creator's", roles(ad), "acme", roles(rd, an), policy.ErrForbidden},
		{"reader makes uploader", roles(rd), "acme", roles(up), policy.ErrForbidden},
		{"reader makes admin", roles(rd), "acme", roles(ad), policy.ErrForbidden},
		{"admin in another tenant", roles(ad), "other", roles(rd), policy.ErrForbidden},
		{"operator makes an operator elsewhere", roles(op), "other", roles(op), policy.ErrForbidden},
		{"operator makes an admin at home", roles(op), "acme", roles(ad), policy.ErrForbidden},
		{"admin makes what it includes", roles(ad), "acme", roles(up, rd, au, ad), nil},
		{"analyst makes analyst", roles(ad, an), "acme", roles(an), nil},
		{"operator makes first keys", roles(op), "other", roles(ad, an, up, rd, au), nil},
		{"operator makes operator at home", roles(op), "acme", roles(op), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := policy.Grantable(registry.Actor{Tenant: "acme", Roles: c.creator}, c.tenant, c.roles)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
