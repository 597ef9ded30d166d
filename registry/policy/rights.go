package policy

import (
	"fmt"

	"sallyport/registry"
)

// Action is one thing somebody may want to do. The set is closed.
type Action string

// The actions, in the order of the table in rights.
const (
	CreateUpload   Action = "create_upload"
	ReadUpload     Action = "read_upload"
	PutContent     Action = "put_content" // bytes or a fresh PUT URL for a session
	FinalizeUpload Action = "finalize_upload"
	AbortUpload    Action = "abort_upload"

	ListObjects  Action = "list_objects"
	ReadObject   Action = "read_object"  // its row: state, size, type, verdict
	ReadContent  Action = "read_content" // its bytes, once published
	ReadRejected Action = "read_rejected"
	ReviewObject Action = "review_object"
	RescanObject Action = "rescan_object"
	DeleteObject Action = "delete_object"
	IssueGetURL  Action = "issue_get_url"
	RevokeURL    Action = "revoke_url"

	ReadTimeline Action = "read_timeline"
	ReadAudit    Action = "read_audit"
	ReadAllAudit Action = "read_all_audit" // of every tenant

	ManageKeys       Action = "manage_keys" // and principals, of the own tenant
	ManageTokens     Action = "manage_tokens"
	ManageProfiles   Action = "manage_profiles"
	ManageWebhooks   Action = "manage_webhooks"
	ReadEvents       Action = "read_events" // as they happen: of one's own uploads, or of all
	ManageTenants    Action = "manage_tenants"
	ManageTenantKeys Action = "manage_tenant_keys" // of another tenant
	RunSystem        Action = "run_system"         // what concerns the server as a whole

	S3ListBuckets  Action = "s3_list_buckets"
	S3HeadBucket   Action = "s3_head_bucket"
	S3List         Action = "s3_list"
	S3Read         Action = "s3_read"
	S3Write        Action = "s3_write"
	S3Delete       Action = "s3_delete"
	S3CreateBucket Action = "s3_create_bucket"
	S3DeleteBucket Action = "s3_delete_bucket"
	S3ReadConfig   Action = "s3_read_config"  // versioning, lock, CORS, lifecycle, tags … of a bucket
	S3WriteConfig  Action = "s3_write_config" // likewise
	S3ListUploads  Action = "s3_list_uploads" // multipart uploads of a bucket
	S3Multipart    Action = "s3_multipart"    // parts, completion and end of a multipart upload
	S3Lock         Action = "s3_lock"         // retention and legal hold
	S3BypassLock   Action = "s3_bypass_lock"  // governance retention
)

// Scope says on whose things a role may act. A wider scope is a larger number.
type Scope int

// The scopes.
const (
	Nothing Scope = iota // not at all
	Own                  // what the actor's principal created
	Whole                // everything of the tenant (of the system, for an operator)
)

// right is one row of the table: what each role may do. A role that is not
// named may not.
type right struct {
	action Action
	scopes map[registry.Role]Scope
}

// Short names, so that the table reads as one.
const (
	uploader = registry.RoleUploader
	reader   = registry.RoleReader
	auditor  = registry.RoleAuditor
	admin    = registry.RoleAdmin
	analyst  = registry.RoleAnalyst
	operator = registry.RoleOperator
)

// rights is the one table of who may do what.
var rights = []right{
	{CreateUpload, map[registry.Role]Scope{uploader: Whole, admin: Whole}},
	{ReadUpload, map[registry.Role]Scope{uploader: Own, admin: Whole}},
	{PutContent, map[registry.Role]Scope{uploader: Own, admin: Whole}},
	{FinalizeUpload, map[registry.Role]Scope{uploader: Own, admin: Whole}},
	{AbortUpload, map[registry.Role]Scope{uploader: Own, admin: Whole}},

	{ListObjects, map[registry.Role]Scope{uploader: Own, reader: Whole, admin: Whole, analyst: Whole}},
	{ReadObject, map[registry.Role]Scope{uploader: Own, reader: Whole, admin: Whole, analyst: Whole}},
	{ReadContent, map[registry.Role]Scope{reader: Whole, admin: Whole}},
	{ReadRejected, map[registry.Role]Scope{analyst: Whole}},
	{ReviewObject, map[registry.Role]Scope{analyst: Whole}},
	{RescanObject, map[registry.Role]Scope{analyst: Whole, admin: Whole}},
	{DeleteObject, map[registry.Role]Scope{admin: Whole}},
	{IssueGetURL, map[registry.Role]Scope{reader: Whole, admin: Whole}},
	{RevokeURL, map[registry.Role]Scope{uploader: Own, reader: Own, admin: Whole}},

	{ReadTimeline, map[registry.Role]Scope{auditor: Whole, admin: Whole}},
	{ReadAudit, map[registry.Role]Scope{auditor: Whole, admin: Whole, operator: Whole}},
	{ReadAllAudit, map[registry.Role]Scope{operator: Whole}},

	{ManageKeys, map[registry.Role]Scope{admin: Whole}},
	{ManageTokens, map[registry.Role]Scope{admin: Whole}},
	{ManageProfiles, map[registry.Role]Scope{admin: Whole}},
	{ManageWebhooks, map[registry.Role]Scope{admin: Whole}},
	{ReadEvents, map[registry.Role]Scope{uploader: Own, reader: Whole, auditor: Whole, admin: Whole, analyst: Whole}},
	{ManageTenants, map[registry.Role]Scope{operator: Whole}},
	{ManageTenantKeys, map[registry.Role]Scope{operator: Whole}},
	{RunSystem, map[registry.Role]Scope{operator: Whole}},

	{S3ListBuckets, map[registry.Role]Scope{uploader: Whole, reader: Whole, admin: Whole}},
	{S3HeadBucket, map[registry.Role]Scope{uploader: Whole, reader: Whole, admin: Whole}},
	{S3List, map[registry.Role]Scope{reader: Whole, admin: Whole}},
	{S3Read, map[registry.Role]Scope{reader: Whole, admin: Whole}},
	{S3Write, map[registry.Role]Scope{uploader: Whole, admin: Whole}},
	{S3Delete, map[registry.Role]Scope{admin: Whole}},
	{S3CreateBucket, map[registry.Role]Scope{admin: Whole}},
	{S3DeleteBucket, map[registry.Role]Scope{admin: Whole}},
	{S3ReadConfig, map[registry.Role]Scope{uploader: Whole, reader: Whole, admin: Whole}},
	{S3WriteConfig, map[registry.Role]Scope{admin: Whole}},
	{S3ListUploads, map[registry.Role]Scope{uploader: Whole, admin: Whole}},
	{S3Multipart, map[registry.Role]Scope{uploader: Own, admin: Whole}},
	{S3Lock, map[registry.Role]Scope{admin: Whole}},
	{S3BypassLock, map[registry.Role]Scope{admin: Whole}},
}

// Actions lists every action there is, for tests that walk them all.
func Actions() []Action {
	all := make([]Action, 0, len(rights))
	for _, r := range rights {
		all = append(all, r.action)
	}
	return all
}

// ScopeOf returns the widest scope any of the actor's roles gives for action;
// Nothing for an action that is not in the table.
func ScopeOf(actor registry.Actor, action Action) Scope {
	widest := Nothing
	for _, r := range rights {
		if r.action != action {
			continue
		}
		for _, role := range actor.Roles {
			widest = max(widest, r.scopes[role])
		}
	}
	return widest
}

// Allow returns ErrForbidden unless the actor may do action on what owner
// created. owner is "" where the thing has no creator; a right to one's own
// things does not cover it. Tenants are not compared here: things of another
// tenant are not found in the first place.
func Allow(actor registry.Actor, action Action, owner registry.PrincipalName) error {
	switch ScopeOf(actor, action) {
	case Whole:
		return nil
	case Own:
		if owner != "" && owner == actor.Principal {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrForbidden, action)
}

// includes tells whether a role carries everything another one may do.
func includes(have, want registry.Role) bool {
	if have == want {
		return true
	}
	return have == admin && (want == uploader || want == reader || want == auditor)
}

// Grantable returns ErrForbidden unless creator may hand out roles on a new key
// or token in tenant: each of them must be included in one of the creator's
// own. An operator makes the first keys of tenants other than its own, with any
// role but operator.
func Grantable(creator registry.Actor, tenant registry.TenantName, roles []registry.Role) error {
	if len(roles) == 0 {
		return fmt.Errorf("%w: no roles", ErrInvalid)
	}
	for _, want := range roles {
		if !known(want) {
			return fmt.Errorf("%w: unknown role %q", ErrInvalid, want)
		}
		if !grantable(creator, tenant, want) {
			return fmt.Errorf("%w: role %s is not the creator's to give", ErrForbidden, want)
		}
	}
	return nil
}

func grantable(creator registry.Actor, tenant registry.TenantName, want registry.Role) bool {
	if tenant != creator.Tenant {
		return creator.Has(operator) && want != operator
	}
	for _, have := range creator.Roles {
		if includes(have, want) {
			return true
		}
	}
	return false
}

func known(role registry.Role) bool {
	for _, r := range registry.Roles {
		if r == role {
			return true
		}
	}
	return false
}
