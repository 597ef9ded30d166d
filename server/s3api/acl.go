package s3api

import (
	"encoding/xml"
	"errors"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// A bucket is its owner's alone, as AWS calls BucketOwnerEnforced: rights are
// those of keys, never those of objects. What clients ask about it is answered;
// what says the same again is taken, and anything else refused.

// ownerACL answers with the owner's full control.
func (a *API) ownerACL(c *fiber.Ctx, r *request) error {
	who, err := a.owner(r)
	if err != nil {
		return err
	}
	d := newDocument("AccessControlPolicy")
	d.owner(who)
	d.open("AccessControlList")
	d.open("Grant")
	d.b = append(d.b, `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`...)
	d.text("ID", who.id)
	d.text("DisplayName", who.name)
	d.close("Grantee")
	d.text("Permission", "FULL_CONTROL")
	d.close("Grant")
	d.close("AccessControlList")
	sendXML(c.Context(), d)
	return nil
}

func (a *API) bucketACL(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	return a.ownerACL(c, r)
}

func (a *API) setBucketACL(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	return a.checkACL(c, r)
}

// objectACL is GetObjectAcl.
func (a *API) objectACL(c *fiber.Ctx, r *request) error {
	if _, err := a.findVersion(r); err != nil {
		return err
	}
	return a.ownerACL(c, r)
}

// setObjectACL is PutObjectAcl.
func (a *API) setObjectACL(c *fiber.Ctx, r *request) error {
	if _, err := a.findVersion(r); err != nil {
		return err
	}
	return a.checkACL(c, r)
}

// aclDocument is an AccessControlPolicy; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html.
type aclDocument struct {
	XMLName xml.Name `xml:"AccessControlPolicy"`
	Owner   *struct{ ID string }
	Grants  []struct {
		Grantee    struct{ ID, URI, EmailAddress string }
		Permission string
	} `xml:"AccessControlList>Grant"`
}

// readACL reads a document: whose it is, and whether it gives the owner full
// control and nobody else anything.
func readACL(b []byte) (owner string, private bool, err error) {
	var d aclDocument
	if err := decodeShaped(b, shape{
		"AccessControlPolicy": "Owner AccessControlList",
		"Owner":               "ID DisplayName",
		"AccessControlList":   "Grant*",
		"Grant":               "Grantee Permission",
		"Grantee":             "ID DisplayName URI EmailAddress",
	}, &d); err != nil {
		return "", false, refuse(codeMalformedACL)
	}
	if d.Owner == nil || strings.TrimSpace(d.Owner.ID) == "" {
		return "", false, refuse(codeMalformedACL)
	}
	owner, private = strings.TrimSpace(d.Owner.ID), len(d.Grants) > 0
	for _, g := range d.Grants {
		switch strings.TrimSpace(g.Permission) {
		case "FULL_CONTROL":
		case "READ", "WRITE", "READ_ACP", "WRITE_ACP":
			private = false
		default:
			return owner, false, refuse(codeMalformedACL)
		}
		private = private && strings.TrimSpace(g.Grantee.ID) == owner && g.Grantee.URI == "" && g.Grantee.EmailAddress == ""
	}
	return owner, private, nil
}

// checkACL takes what changes nothing. The canned ones, in a header, were looked at
// with the other settings.
func (a *API) checkACL(c *fiber.Ctx, r *request) error {
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		if r.header("x-amz-acl") == "" {
			return say(codeMissingSecurityHeader, "Your request was missing a required header", element{"MissingHeaderName", "x-amz-acl"})
		}
		return nil
	}
	who, err := a.owner(r)
	if err != nil {
		return err
	}
	switch owner, private, err := readACL(b); {
	case err != nil:
		return err
	case !private || owner != who.id:
		return refuse(codeAccessControlListNotSupported)
	}
	return nil
}

// ownershipDocument is an OwnershipControls; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html.
type ownershipDocument struct {
	XMLName xml.Name                           `xml:"OwnershipControls"`
	Rules   []struct{ ObjectOwnership string } `xml:"Rule"`
}

const ownerEnforced = "BucketOwnerEnforced"

func readOwnership(b []byte) (string, error) {
	var d ownershipDocument
	if err := decodeShaped(b, shape{"OwnershipControls": "Rule", "Rule": "ObjectOwnership"}, &d); err != nil {
		return "", err
	}
	if len(d.Rules) == 0 {
		return "", refuse(codeMalformedXML)
	}
	return strings.TrimSpace(d.Rules[0].ObjectOwnership), nil
}

// errOwnershipUnknown: a value that S3 does not have either.
var errOwnershipUnknown = errors.New("no such object ownership")

// checkOwnership refuses the ways of AWS in which objects have owners and rights of
// their own.
func checkOwnership(v string) error {
	switch v {
	case ownerEnforced:
		return nil
	case "BucketOwnerPreferred", "ObjectWriter":
		return say(codeNotImplemented, answers[codeNotImplemented].message+" Buckets of this server are always BucketOwnerEnforced.")
	}
	return errOwnershipUnknown
}

func (a *API) bucketOwnership(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	d := newDocument("OwnershipControls")
	d.open("Rule")
	d.text("ObjectOwnership", ownerEnforced)
	d.close("Rule")
	sendXML(c.Context(), d)
	return nil
}

func (a *API) setBucketOwnership(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	v, err := readOwnership(b)
	if err != nil {
		return err
	}
	err = checkOwnership(v)
	if errors.Is(err, errOwnershipUnknown) {
		return refuse(codeMalformedXML)
	}
	return err
}

// deleteBucketOwnership leaves what there is without any controls, too: the same.
func (a *API) deleteBucketOwnership(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// publicAccessDocument is a PublicAccessBlockConfiguration; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html.
type publicAccessDocument struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration"`
	BlockPublicAcls       bool
	IgnorePublicAcls      bool
	BlockPublicPolicy     bool
	RestrictPublicBuckets bool
}

// publicAccessNames are the four things that are blocked.
const publicAccessNames = "BlockPublicAcls IgnorePublicAcls BlockPublicPolicy RestrictPublicBuckets"

func (a *API) publicAccessBlock(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	d := newDocument("PublicAccessBlockConfiguration")
	for name := range strings.FieldsSeq(publicAccessNames) {
		d.flag(name, true)
	}
	sendXML(c.Context(), d)
	return nil
}

// setPublicAccessBlock takes nothing weaker than what is always so.
func (a *API) setPublicAccessBlock(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	var d publicAccessDocument
	if err := decodeShaped(b, shape{"PublicAccessBlockConfiguration": publicAccessNames}, &d); err != nil {
		return err
	}
	if !d.BlockPublicAcls || !d.IgnorePublicAcls || !d.BlockPublicPolicy || !d.RestrictPublicBuckets {
		return refusePublic()
	}
	return nil
}

func (a *API) deletePublicAccessBlock(_ *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	return refusePublic()
}

func refusePublic() error {
	return say(codeAccessDenied, "Access Denied: public access is always blocked on this server.")
}
