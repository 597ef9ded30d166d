package s3api

import (
	"github.com/gofiber/fiber/v2"
)

// probes is what clients are told about features that a bucket does not use.
// rclone, s3fs, mc and terraform ask before they begin, and take NotImplemented
// for a broken server.
var probes = map[string]struct {
	root    string // of an answer that says "nothing configured"
	inner   element
	code    string // of S3's error, where it answers with one
	message string
}{
	"accelerate":        {root: "AccelerateConfiguration"},
	"logging":           {root: "BucketLoggingStatus"},
	"notification":      {root: "NotificationConfiguration"},
	"requestPayment":    {root: "RequestPaymentConfiguration", inner: element{"Payer", "BucketOwner"}},
	"versioning":        {root: "VersioningConfiguration"},
	"cors":              {code: "NoSuchCORSConfiguration", message: "The CORS configuration does not exist"},
	"encryption":        {code: "ServerSideEncryptionConfigurationNotFoundError", message: "The server side encryption configuration was not found"},
	"lifecycle":         {code: "NoSuchLifecycleConfiguration", message: "The lifecycle configuration does not exist"},
	"object-lock":       {code: "ObjectLockConfigurationNotFoundError", message: "Object Lock configuration does not exist for this bucket"},
	"ownershipControls": {code: "OwnershipControlsNotFoundError", message: "The bucket ownership controls were not found"},
	"policy":            {code: "NoSuchBucketPolicy", message: "The bucket policy does not exist"},
	"policyStatus":      {code: "NoSuchBucketPolicy", message: "The bucket policy does not exist"},
	"publicAccessBlock": {code: "NoSuchPublicAccessBlockConfiguration", message: "The public access block configuration was not found"},
	"replication":       {code: "ReplicationConfigurationNotFoundError", message: "The replication configuration was not found"},
	"tagging":           {code: "NoSuchTagSet", message: "The TagSet does not exist"},
	"website":           {code: "NoSuchWebsiteConfiguration", message: "The specified bucket does not have a website configuration"},
}

// probe answers a question about a feature that is not there.
func (a *API) probe(c *fiber.Ctx, r *request) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	p := probes[r.route.sub]
	if p.code != "" {
		return &refused{code: codeNotConfigured, name: p.code, message: p.message}
	}
	d := newDocument(p.root)
	if p.inner.name != "" {
		d.text(p.inner.name, p.inner.value)
	}
	sendXML(c.Context(), d)
	return nil
}
