package s3api

import (
	"encoding/xml"
	"errors"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// What S3 allows of lifecycle rules; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html.
const (
	maxLifecycleRules = 1000
	maxRuleID         = 255
	maxKeepVersions   = 100
)

// The forms of a rule's filter, which the client is given back.
const (
	formNone   = ""       // <Filter/>, or one with nothing in it
	formPrefix = "prefix" // <Prefix> without a filter, as it was before filters
	formFilter = "filter" // one condition
	formAnd    = "and"    // several
)

// lifecycleDocument is a LifecycleConfiguration; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html.
type lifecycleDocument struct {
	XMLName xml.Name        `xml:"LifecycleConfiguration"`
	Rules   []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID         string
	Status     string
	Prefix     *string
	Filter     *lifecycleFilter
	Expiration *struct {
		Days                      *int32
		Date                      *string
		ExpiredObjectDeleteMarker *bool
	}
	NoncurrentVersionExpiration *struct {
		NoncurrentDays          *int32
		NewerNoncurrentVersions *int32
	}
	AbortIncompleteMultipartUpload *struct{ DaysAfterInitiation *int32 }
	Transition                     []struct{}
	NoncurrentVersionTransition    []struct{}
}

// lifecycleFilter is a filter of one condition, or with And of several.
type lifecycleFilter struct {
	Prefix                *string
	Tags                  []lifecycleTag `xml:"Tag"`
	ObjectSizeGreaterThan *int64
	ObjectSizeLessThan    *int64
	And                   *lifecycleFilter
}

type lifecycleTag struct{ Key, Value string }

func lifecycleShape() shape {
	return shape{
		"LifecycleConfiguration": "Rule*",
		"Rule": "ID Status Prefix Filter Expiration NoncurrentVersionExpiration AbortIncompleteMultipartUpload " +
			"Transition* NoncurrentVersionTransition*",
		"Filter":                         "Prefix Tag ObjectSizeGreaterThan ObjectSizeLessThan And",
		"And":                            "Prefix Tag* ObjectSizeGreaterThan ObjectSizeLessThan",
		"Tag":                            "Key Value",
		"Expiration":                     "Days Date ExpiredObjectDeleteMarker",
		"NoncurrentVersionExpiration":    "NoncurrentDays NewerNoncurrentVersions",
		"AbortIncompleteMultipartUpload": "DaysAfterInitiation",
		"Transition":                     "Days Date StorageClass",
		"NoncurrentVersionTransition":    "NoncurrentDays NewerNoncurrentVersions StorageClass",
	}
}

// readLifecycle reads a document and says what is wrong with it in AWS's words.
func readLifecycle(b []byte) ([]registry.LifecycleRule, error) {
	var d lifecycleDocument
	if err := decodeShaped(b, lifecycleShape(), &d); err != nil {
		return nil, err
	}
	switch {
	case len(d.Rules) == 0:
		return nil, refuse(codeMalformedXML)
	case len(d.Rules) > maxLifecycleRules:
		return nil, say(codeInvalidRequest, "The number of lifecycle rules must not exceed the allowed limit of 1000 rules.")
	}
	ids := make(map[string]bool, len(d.Rules))
	rules := make([]registry.LifecycleRule, 0, len(d.Rules))
	for i := range d.Rules {
		rule, err := d.Rules[i].read()
		switch {
		case err != nil:
			return nil, err
		case rule.ID != "" && ids[rule.ID]:
			return nil, say(codeInvalidArgument, "Rule ID must be unique. Found same ID for more than one rule.")
		}
		ids[rule.ID] = true
		rules = append(rules, rule)
	}
	return rules, nil
}

func (x *lifecycleRule) read() (registry.LifecycleRule, error) {
	rule := registry.LifecycleRule{ID: strings.TrimSpace(x.ID)}
	switch strings.TrimSpace(x.Status) {
	case "Enabled":
	case "Disabled":
		rule.Disabled = true
	default:
		return rule, refuse(codeMalformedXML)
	}
	if len(rule.ID) > maxRuleID {
		return rule, say(codeInvalidArgument, "ID length should not exceed allowed limit of 255")
	}
	if len(x.Transition)+len(x.NoncurrentVersionTransition) > 0 {
		return rule, say(codeNotImplemented, answers[codeNotImplemented].message+
			" Transitions are not offered by this server: it has one storage class.")
	}
	if err := x.readFilter(&rule); err != nil {
		return rule, err
	}
	if err := x.readExpiration(&rule); err != nil {
		return rule, err
	}
	if err := x.readNoncurrent(&rule); err != nil {
		return rule, err
	}
	if abort := x.AbortIncompleteMultipartUpload; abort != nil {
		if abort.DaysAfterInitiation == nil {
			return rule, refuse(codeMalformedXML)
		}
		if rule.AbortDays = int(*abort.DaysAfterInitiation); rule.AbortDays <= 0 {
			return rule, say(codeInvalidArgument, "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer")
		}
	}
	return rule, checkActions(&rule)
}

// checkActions refuses a rule that does nothing, and actions that a filter cannot
// be about.
func checkActions(r *registry.LifecycleRule) error {
	sized := r.LargerThan != 0 || r.SmallerThan != 0 || r.NotEmpty
	switch {
	case r.ExpireDays == 0 && r.ExpireDate.IsZero() && !r.ExpireMarkers && r.NoncurrentDays == 0 && r.AbortDays == 0:
		return say(codeInvalidRequest, "At least one action needs to be specified in a rule")
	case r.AbortDays > 0 && len(r.Tags) > 0:
		return say(codeInvalidRequest, "AbortIncompleteMultipartUpload cannot be specified with Tags.")
	case r.AbortDays > 0 && sized:
		return say(codeInvalidRequest, "AbortIncompleteMultipartUpload cannot be specified with Object Size.")
	case r.ExpireMarkers && len(r.Tags) > 0:
		return say(codeInvalidRequest, "ExpiredObjectDeleteMarker cannot be specified with Tags.")
	case r.ExpireMarkers && sized:
		return say(codeInvalidRequest, "ExpiredObjectDeleteMarker cannot be specified with Object Size.")
	}
	return nil
}

func (x *lifecycleRule) readExpiration(rule *registry.LifecycleRule) error {
	e := x.Expiration
	if e == nil {
		return nil
	}
	said := 0
	for _, is := range [...]bool{e.Days != nil, e.Date != nil, e.ExpiredObjectDeleteMarker != nil} {
		if is {
			said++
		}
	}
	if said != 1 {
		return refuse(codeMalformedXML)
	}
	switch {
	case e.Days != nil:
		if rule.ExpireDays = int(*e.Days); rule.ExpireDays <= 0 {
			return say(codeInvalidArgument, "'Days' for Expiration action must be a positive integer")
		}
	case e.Date != nil:
		t, err := lifecycleDate(strings.TrimSpace(*e.Date))
		if err != nil {
			return err
		}
		rule.ExpireDate = t
	default:
		rule.ExpireMarkers = *e.ExpiredObjectDeleteMarker
	}
	return nil
}

// lifecycleDate reads a day, as ISO 8601 with or without a time.
func lifecycleDate(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, s); err != nil {
			return t, refuse(codeMalformedXML)
		}
	}
	t = t.UTC()
	if t.IsZero() || !t.Equal(t.Truncate(24*time.Hour)) {
		return t, say(codeInvalidArgument, "'Date' must be at midnight GMT")
	}
	return t, nil
}

func (x *lifecycleRule) readNoncurrent(rule *registry.LifecycleRule) error {
	n := x.NoncurrentVersionExpiration
	if n == nil {
		return nil
	}
	if n.NoncurrentDays == nil {
		return refuse(codeMalformedXML)
	}
	if rule.NoncurrentDays = int(*n.NoncurrentDays); rule.NoncurrentDays <= 0 {
		return say(codeInvalidArgument, "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer")
	}
	if n.NewerNoncurrentVersions != nil {
		rule.NoncurrentKeep = int(*n.NewerNoncurrentVersions)
		if rule.NoncurrentKeep <= 0 || rule.NoncurrentKeep > maxKeepVersions {
			return say(codeInvalidArgument, "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be between 1 and 100")
		}
	}
	return nil
}

// readFilter reads what a rule is about: all of a bucket only if it says so.
func (x *lifecycleRule) readFilter(rule *registry.LifecycleRule) error {
	f := x.Filter
	switch {
	case (x.Prefix == nil) == (f == nil):
		return refuse(codeMalformedXML)
	case f == nil:
		rule.Form = formPrefix
		return setPrefix(rule, *x.Prefix)
	case f.And != nil:
		if f.conditions() > 0 || f.And.conditions() == 0 {
			return refuse(codeMalformedXML)
		}
		rule.Form = formAnd
		return f.And.read(rule)
	case f.conditions() > 1:
		return refuse(codeMalformedXML)
	case f.conditions() == 1:
		rule.Form = formFilter
	}
	return f.read(rule)
}

// conditions counts them, but for And.
func (f *lifecycleFilter) conditions() int {
	n := len(f.Tags)
	for _, is := range [...]bool{f.Prefix != nil, f.ObjectSizeGreaterThan != nil, f.ObjectSizeLessThan != nil} {
		if is {
			n++
		}
	}
	return n
}

func (f *lifecycleFilter) read(rule *registry.LifecycleRule) error {
	if f.Prefix != nil {
		if err := setPrefix(rule, *f.Prefix); err != nil {
			return err
		}
	}
	list := make([]tag, 0, len(f.Tags))
	for _, t := range f.Tags {
		list = append(list, tag{t.Key, t.Value})
	}
	if len(list) > maxObjectTags {
		return refuse(codeMalformedXML)
	}
	var err error
	if rule.Tags, err = checkTags(list); err != nil {
		return err
	}
	if v := f.ObjectSizeGreaterThan; v != nil {
		if rule.LargerThan, rule.NotEmpty = *v, *v == 0; *v < 0 {
			return say(codeInvalidRequest, "'ObjectSizeGreaterThan' must be a non-negative integer")
		}
	}
	if v := f.ObjectSizeLessThan; v != nil {
		rule.SmallerThan = *v
		switch {
		case *v <= 0:
			return say(codeInvalidRequest, "'ObjectSizeLessThan' must be a positive integer")
		case f.ObjectSizeGreaterThan != nil && rule.LargerThan >= *v:
			return say(codeInvalidRequest, "'ObjectSizeGreaterThan' should be less than 'ObjectSizeLessThan'")
		}
	}
	return nil
}

func setPrefix(rule *registry.LifecycleRule, prefix string) error {
	if len(prefix) > policy.MaxKey {
		return say(codeInvalidRequest, "The maximum size of a prefix is 1024.")
	}
	rule.Prefix = prefix
	return nil
}

func (a *API) bucketLifecycle(c *fiber.Ctx, r *request) error {
	rules, err := a.pipeline.Lifecycle(background(), r.actor(), r.bucket)
	switch {
	case errors.Is(err, registry.ErrNotConfigured):
		return notConfigured("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")
	case err != nil:
		return bucketError(err)
	}
	d := newDocument("LifecycleConfiguration")
	for i := range rules {
		d.lifecycleRule(&rules[i])
	}
	sendXML(c.Context(), d)
	return nil
}

func (a *API) setBucketLifecycle(c *fiber.Ctx, r *request) error {
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	rules, err := readLifecycle(b)
	if err != nil {
		return err
	}
	return configError(a.pipeline.SetLifecycle(background(), r.actor(), r.bucket, rules))
}

func (a *API) deleteBucketLifecycle(c *fiber.Ctx, r *request) error {
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return bucketError(a.pipeline.SetLifecycle(background(), r.actor(), r.bucket, nil))
}
