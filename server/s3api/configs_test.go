package s3api_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"sallyport/registry"
)

// code is the error code that an SDK sees; "" without an error.
func code(err error) string {
	var e smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.ErrorCode()
	}
	return err.Error()
}

// TestVersioningConfiguration switches versioning as AWS's client does.
func TestVersioningConfiguration(t *testing.T) {
	s := newStack(t)
	c, ctx, b := s.sdk(rootCredentials), t.Context(), aws.String(s.bucket("photos"))
	for _, status := range []types.BucketVersioningStatus{"", "Enabled", "Suspended", "Enabled"} {
		if status != "" {
			_, err := c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: b,
				VersioningConfiguration: &types.VersioningConfiguration{Status: status, MFADelete: types.MFADeleteDisabled}})
			s.must(err)
		}
		got, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: b})
		s.must(err)
		if got.Status != status {
			t.Errorf("versioning is %q, want %q", got.Status, status)
		}
	}
}

// TestLockConfiguration turns object lock on at a bucket's creation and later.
func TestLockConfiguration(t *testing.T) {
	s := newStack(t)
	c, ctx := s.sdk(rootCredentials), t.Context()
	born, later := aws.String("born"), aws.String(s.bucket("later"))
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: born, ObjectLockEnabledForBucket: aws.Bool(true), ACL: types.BucketCannedACLPrivate,
		ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced})
	s.must(err)
	get := func(b *string) *types.ObjectLockConfiguration {
		t.Helper()
		got, err := c.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: b})
		s.must(err)
		return got.ObjectLockConfiguration
	}
	set := func(b *string, rule *types.ObjectLockRule) error {
		_, err := c.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: b,
			ObjectLockConfiguration: &types.ObjectLockConfiguration{ObjectLockEnabled: "Enabled", Rule: rule}})
		return err
	}
	if l := get(born); l.ObjectLockEnabled != "Enabled" || l.Rule != nil {
		t.Errorf("at birth: %+v", l)
	}
	suspend := &s3.PutBucketVersioningInput{Bucket: born, VersioningConfiguration: &types.VersioningConfiguration{Status: "Suspended"}}
	if _, err := c.PutBucketVersioning(ctx, suspend); code(err) != "InvalidBucketState" {
		t.Errorf("suspended under lock: %v", err)
	}
	for _, want := range []types.DefaultRetention{{Mode: "GOVERNANCE", Days: aws.Int32(3)}, {Mode: "COMPLIANCE", Years: aws.Int32(1)}} {
		s.must(set(born, &types.ObjectLockRule{DefaultRetention: &want}))
		if l := get(born); l.Rule == nil || !reflect.DeepEqual(*l.Rule.DefaultRetention, want) {
			t.Errorf("%+v, want %+v", l, want)
		}
	}
	s.must(set(born, nil))
	if l := get(born); l.Rule != nil {
		t.Errorf("a rule remains: %+v", l)
	}
	if _, err := c.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: later}); code(err) != "ObjectLockConfigurationNotFoundError" {
		t.Errorf("without lock: %v", err)
	}
	if err := set(later, nil); code(err) != "InvalidBucketState" {
		t.Errorf("lock without versioning: %v", err)
	}
	suspend.Bucket, suspend.VersioningConfiguration.Status = later, "Enabled"
	_, err = c.PutBucketVersioning(ctx, suspend)
	s.must(err)
	s.must(set(later, nil))
	if l := get(later); l.ObjectLockEnabled != "Enabled" {
		t.Errorf("turned on later: %+v", l)
	}
}

// TestBucketTags gives a bucket tags at its creation, others later, and none.
func TestBucketTags(t *testing.T) {
	s := newStack(t)
	c, ctx, b := s.sdk(rootCredentials), t.Context(), aws.String("tagged")
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b, CreateBucketConfiguration: &types.CreateBucketConfiguration{
		Tags: []types.Tag{{Key: aws.String("born"), Value: aws.String("with")}}}})
	s.must(err)
	get := func() string {
		got, err := c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b})
		if err != nil {
			return code(err)
		}
		var list []string
		for _, tag := range got.TagSet {
			list = append(list, *tag.Key+"="+*tag.Value)
		}
		return strings.Join(list, " ")
	}
	if got := get(); got != "born=with" {
		t.Errorf("at birth: %s", got)
	}
	_, err = c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: b, Tagging: &types.Tagging{
		TagSet: []types.Tag{{Key: aws.String("z&<"), Value: aws.String("")}, {Key: aws.String("a b"), Value: aws.String("ü/:")}}}})
	if code(err) != "InvalidTag" {
		t.Errorf("odd key: %v", err)
	}
	_, err = c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: b, Tagging: &types.Tagging{
		TagSet: []types.Tag{{Key: aws.String("z"), Value: aws.String("")}, {Key: aws.String("a b"), Value: aws.String("ü/:")}}}})
	s.must(err)
	if got := get(); got != "a b=ü/: z=" {
		t.Errorf("later: %s", got)
	}
	for range 2 {
		_, err = c.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: b})
		s.must(err)
		if got := get(); got != "NoSuchTagSet" {
			t.Errorf("deleted: %s", got)
		}
	}
}

// TestLifecycleConfiguration: every form of rule comes back as it was sent.
func TestLifecycleConfiguration(t *testing.T) {
	s := newStack(t)
	c, ctx, b := s.sdk(rootCredentials), t.Context(), aws.String(s.bucket("photos"))
	get := func() ([]types.LifecycleRule, error) {
		got, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
		if err != nil {
			return nil, err
		}
		return got.Rules, nil
	}
	if _, err := get(); code(err) != "NoSuchLifecycleConfiguration" {
		t.Errorf("none: %v", err)
	}
	tag := types.Tag{Key: aws.String("k"), Value: aws.String("v + w")}
	days := &types.LifecycleExpiration{Days: aws.Int32(30)}
	rules := []types.LifecycleRule{
		{ID: aws.String("everything"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{}, Expiration: days},
		{ID: aws.String("old form"), Status: "Disabled", Prefix: aws.String("logs/"), Expiration: days},
		{ID: aws.String("prefix"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("a/")},
			Expiration: &types.LifecycleExpiration{Date: aws.Time(time.Date(2031, 2, 3, 0, 0, 0, 0, time.UTC))}},
		{ID: aws.String("tag"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{Tag: &tag}, Expiration: days},
		{ID: aws.String("not empty"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{ObjectSizeGreaterThan: aws.Int64(0)}, Expiration: days},
		{ID: aws.String("small"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{ObjectSizeLessThan: aws.Int64(5)}, Expiration: days},
		{ID: aws.String("and"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{
			Prefix: aws.String("p"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}, tag},
			ObjectSizeGreaterThan: aws.Int64(1), ObjectSizeLessThan: aws.Int64(9)}}, Expiration: days,
			NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(4), NewerNoncurrentVersions: aws.Int32(2)}},
		{ID: aws.String("leftovers"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
			Expiration:                     &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(7)}},
	}
	_, err := c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: b,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
	s.must(err)
	got, err := get()
	s.must(err)
	if len(got) != len(rules) {
		t.Fatalf("%d rules", len(got))
	}
	for i := range rules {
		if !reflect.DeepEqual(got[i], rules[i]) {
			t.Errorf("%s:\n%s\nwant\n%s", *rules[i].ID, dump(got[i]), dump(rules[i]))
		}
	}
	for range 2 {
		_, err = c.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: b})
		s.must(err)
	}
	if _, err := get(); code(err) != "NoSuchLifecycleConfiguration" {
		t.Errorf("deleted: %v", err)
	}
}

func dump(v any) string {
	b, err := xml.Marshal(v)
	return fmt.Sprintf("%s %v", b, err)
}

// TestOwnership: a bucket is its owner's alone, whatever a client says.
func TestOwnership(t *testing.T) {
	s := newStack(t)
	c, ctx, b := s.sdk(rootCredentials), t.Context(), aws.String(s.bucket("photos"))
	s.do(call{method: "PUT", path: "/photos/k", body: "x"})
	tenant, err := s.ledger.Tenant(ctx, registry.DefaultTenant)
	s.must(err)
	bucket, err := c.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: b})
	s.must(err)
	object, err := c.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: b, Key: aws.String("k")})
	s.must(err)
	for _, grants := range [][]types.Grant{bucket.Grants, object.Grants} {
		if len(grants) != 1 || *grants[0].Grantee.ID != tenant.OwnerID || grants[0].Permission != "FULL_CONTROL" || grants[0].Grantee.Type != "CanonicalUser" {
			t.Errorf("grants %+v", grants)
		}
	}
	mine := &types.AccessControlPolicy{Owner: bucket.Owner, Grants: bucket.Grants}
	everybody := &types.AccessControlPolicy{Owner: bucket.Owner, Grants: append([]types.Grant{{Permission: "READ",
		Grantee: &types.Grantee{Type: "Group", URI: aws.String("http://acs.amazonaws.com/groups/global/AllUsers")}}}, bucket.Grants...)}
	for _, test := range []struct {
		name string
		put  func() error
		want string
	}{
		{"private", func() error {
			_, err := c.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: b, ACL: "private"})
			return err
		}, ""},
		{"public", func() error {
			_, err := c.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: b, ACL: "public-read"})
			return err
		}, "AccessControlListNotSupported"},
		{"granted", func() error {
			_, err := c.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: b, GrantRead: aws.String("id=x")})
			return err
		}, "AccessControlListNotSupported"},
		{"the same again", func() error {
			_, err := c.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: b, AccessControlPolicy: mine})
			return err
		}, ""},
		{"everybody", func() error {
			_, err := c.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: b, AccessControlPolicy: everybody})
			return err
		}, "AccessControlListNotSupported"},
		{"object private", func() error {
			_, err := c.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: b, Key: aws.String("k"), ACL: "private"})
			return err
		}, ""},
		{"object for everybody", func() error {
			_, err := c.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: b, Key: aws.String("k"), AccessControlPolicy: everybody})
			return err
		}, "AccessControlListNotSupported"},
		{"enforced", func() error {
			_, err := c.PutBucketOwnershipControls(ctx, ownership(b, "BucketOwnerEnforced"))
			return err
		}, ""},
		{"writer's", func() error {
			_, err := c.PutBucketOwnershipControls(ctx, ownership(b, "ObjectWriter"))
			return err
		}, "NotImplemented"},
		{"no controls", func() error {
			_, err := c.DeleteBucketOwnershipControls(ctx, &s3.DeleteBucketOwnershipControlsInput{Bucket: b})
			return err
		}, ""},
		{"blocked", func() error {
			_, err := c.PutPublicAccessBlock(ctx, publicAccess(b, true))
			return err
		}, ""},
		{"half blocked", func() error {
			_, err := c.PutPublicAccessBlock(ctx, publicAccess(b, false))
			return err
		}, "AccessDenied"},
		{"not blocked", func() error {
			_, err := c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: b})
			return err
		}, "AccessDenied"},
	} {
		if got := code(test.put()); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	controls, err := c.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: b})
	s.must(err)
	if r := controls.OwnershipControls.Rules; len(r) != 1 || r[0].ObjectOwnership != "BucketOwnerEnforced" {
		t.Errorf("ownership %+v", r)
	}
	block, err := c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: b})
	s.must(err)
	if p := block.PublicAccessBlockConfiguration; !*p.BlockPublicAcls || !*p.BlockPublicPolicy || !*p.IgnorePublicAcls || !*p.RestrictPublicBuckets {
		t.Errorf("public access %+v", p)
	}
}

func ownership(b *string, v types.ObjectOwnership) *s3.PutBucketOwnershipControlsInput {
	return &s3.PutBucketOwnershipControlsInput{Bucket: b,
		OwnershipControls: &types.OwnershipControls{Rules: []types.OwnershipControlsRule{{ObjectOwnership: v}}}}
}

func publicAccess(b *string, policy bool) *s3.PutPublicAccessBlockInput {
	yes := aws.Bool(true)
	return &s3.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
		BlockPublicAcls: yes, IgnorePublicAcls: yes, RestrictPublicBuckets: yes, BlockPublicPolicy: &policy}}
}

// TestAbsent asks what clients ask about what is not offered, and tries to have it.
func TestAbsent(t *testing.T) {
	s := newStack(t)
	s.bucket("photos")
	for sub, want := range map[string]string{
		"abac": "AbacStatus", "accelerate": "AccelerateConfiguration", "analytics": "ListBucketAnalyticsConfigurationResult",
		"intelligent-tiering": "ListBucketIntelligentTieringConfigurationsOutput", "inventory": "ListInventoryConfigurationsResult",
		"logging": "BucketLoggingStatus", "metrics": "ListMetricsConfigurationsResult", "notification": "NotificationConfiguration",
		"requestPayment": "RequestPaymentConfiguration",
	} {
		r := s.do(call{method: "GET", path: "/photos?" + sub})
		var d struct{ XMLName xml.Name }
		if err := xml.Unmarshal(r.body, &d); r.status != 200 || err != nil || d.XMLName.Local != want {
			t.Errorf("%s: %d %s", sub, r.status, r.body)
		}
		s.do(call{method: "GET", path: "/nothing?" + sub}).want(t, 404, "NoSuchBucket")
	}
	for sub, want := range map[string]string{
		"analytics&id=x": "NoSuchConfiguration", "inventory&id=x": "NoSuchConfiguration", "metrics&id=x": "NoSuchConfiguration",
		"intelligent-tiering&id=x": "NoSuchConfiguration", "encryption": "ServerSideEncryptionConfigurationNotFoundError",
		"metadataConfiguration": "MetadataConfigurationNotFound", "metadataTable": "MetadataConfigurationNotFound",
		"policy": "NoSuchBucketPolicy", "policyStatus": "NoSuchBucketPolicy", "replication": "ReplicationConfigurationNotFoundError",
		"website": "NoSuchWebsiteConfiguration",
	} {
		s.do(call{method: "GET", path: "/photos?" + sub}).want(t, 404, want)
	}
	for _, c := range []call{
		{method: "PUT", path: "/photos?policy", body: "{}"}, {method: "DELETE", path: "/photos?website"}, {method: "PUT", path: "/photos?metrics&id=x", body: "<x/>"},
		{method: "POST", path: "/photos?metadataTable", body: "<x/>"}, {method: "PUT", path: "/photos?metadataInventoryTable", body: "<x/>"},
		{method: "PUT", path: "/photos?encryption", body: "<x/>"}, {method: "GET", path: "/photos?session"},
		{method: "POST", path: "/photos/k?restore", body: "<x/>"}, {method: "POST", path: "/photos/k?select&select-type=2", body: "<x/>"},
		{method: "PUT", path: "/photos/k?renameObject"}, {method: "GET", path: "/photos/k?torrent"},
	} {
		if e := s.do(c).want(t, http.StatusNotImplemented, "NotImplemented"); !strings.Contains(e.Message, "not offered by this server") {
			t.Errorf("%s %s: %s", c.method, c.path, e.Message)
		}
	}
}
