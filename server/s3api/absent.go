package s3api

import (
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry/policy"
)

// feature is one of S3's that is not offered. Questions about it are answered as
// S3 answers for a bucket that does not use it: rclone, s3fs, mc and terraform ask
// before they begin, and take NotImplemented for a broken server. What would
// change it is refused.
type feature struct {
	sub   string
	level level
	// The operations by method, in AWS's names; "" if there is none.
	get, put, post, delete string
	// many: there may be several of it, each with an id that the query gives.
	many bool

	root    string  // of an answer that says "nothing configured"
	inner   element // inside of it
	code    string  // of S3's error, where it answers with one
	message string
}

// absent is every feature that is not offered.
var absent = []feature{
	{level: bucketLevel, sub: "abac", get: "GetBucketAbac", put: "PutBucketAbac",
		root: "AbacStatus", inner: element{"Status", "Disabled"}},
	{level: bucketLevel, sub: "accelerate", get: "GetBucketAccelerateConfiguration", put: "PutBucketAccelerateConfiguration",
		root: "AccelerateConfiguration"},
	{level: bucketLevel, sub: "analytics", get: "ListBucketAnalyticsConfigurations", put: "PutBucketAnalyticsConfiguration",
		delete: "DeleteBucketAnalyticsConfiguration", many: true, root: "ListBucketAnalyticsConfigurationResult"},
	{level: bucketLevel, sub: "encryption", get: "GetBucketEncryption", put: "PutBucketEncryption", delete: "DeleteBucketEncryption",
		code: "ServerSideEncryptionConfigurationNotFoundError", message: "The server side encryption configuration was not found"},
	{level: bucketLevel, sub: "intelligent-tiering", get: "ListBucketIntelligentTieringConfigurations",
		put: "PutBucketIntelligentTieringConfiguration", delete: "DeleteBucketIntelligentTieringConfiguration",
		many: true, root: "ListBucketIntelligentTieringConfigurationsOutput"},
	{level: bucketLevel, sub: "inventory", get: "ListBucketInventoryConfigurations", put: "PutBucketInventoryConfiguration",
		delete: "DeleteBucketInventoryConfiguration", many: true, root: "ListInventoryConfigurationsResult"},
	{level: bucketLevel, sub: "logging", get: "GetBucketLogging", put: "PutBucketLogging", root: "BucketLoggingStatus"},
	{level: bucketLevel, sub: "metadataConfiguration", get: "GetBucketMetadataConfiguration",
		post: "CreateBucketMetadataConfiguration", delete: "DeleteBucketMetadataConfiguration",
		code: "MetadataConfigurationNotFound", message: "The metadata configuration was not found"},
	{level: bucketLevel, sub: "metadataInventoryTable", put: "UpdateBucketMetadataInventoryTableConfiguration"},
	{level: bucketLevel, sub: "metadataJournalTable", put: "UpdateBucketMetadataJournalTableConfiguration"},
	{level: bucketLevel, sub: "metadataTable", get: "GetBucketMetadataTableConfiguration",
		post: "CreateBucketMetadataTableConfiguration", delete: "DeleteBucketMetadataTableConfiguration",
		code: "MetadataConfigurationNotFound", message: "The metadata configuration was not found"},
	{level: bucketLevel, sub: "metrics", get: "ListBucketMetricsConfigurations", put: "PutBucketMetricsConfiguration",
		delete: "DeleteBucketMetricsConfiguration", many: true, root: "ListMetricsConfigurationsResult"},
	{level: bucketLevel, sub: "notification", get: "GetBucketNotificationConfiguration", put: "PutBucketNotificationConfiguration",
		root: "NotificationConfiguration"},
	{level: bucketLevel, sub: "policy", get: "GetBucketPolicy", put: "PutBucketPolicy", delete: "DeleteBucketPolicy",
		code: "NoSuchBucketPolicy", message: "The bucket policy does not exist"},
	{level: bucketLevel, sub: "policyStatus", get: "GetBucketPolicyStatus",
		code: "NoSuchBucketPolicy", message: "The bucket policy does not exist"},
	{level: bucketLevel, sub: "replication", get: "GetBucketReplication", put: "PutBucketReplication", delete: "DeleteBucketReplication",
		code: "ReplicationConfigurationNotFoundError", message: "The replication configuration was not found"},
	{level: bucketLevel, sub: "requestPayment", get: "GetBucketRequestPayment", put: "PutBucketRequestPayment",
		root: "RequestPaymentConfiguration", inner: element{"Payer", "BucketOwner"}},
	{level: bucketLevel, sub: "website", get: "GetBucketWebsite", put: "PutBucketWebsite", delete: "DeleteBucketWebsite",
		code: "NoSuchWebsiteConfiguration", message: "The specified bucket does not have a website configuration"},

	// What has no state that could be asked for.
	{level: bucketLevel, sub: "session", get: "CreateSession"},
	{level: objectLevel, sub: "renameObject", put: "RenameObject"},
	{level: objectLevel, sub: "restore", post: "RestoreObject"},
	{level: objectLevel, sub: "select", post: "SelectObjectContent"},
	{level: objectLevel, sub: "torrent", get: "GetObjectTorrent"},
}

// answers tells whether there is an answer to a question about the feature.
func (f *feature) answers() bool { return f.root != "" || f.code != "" }

// absentRoutes are the operations of the features that are not offered.
func absentRoutes() []route {
	var routes []route
	for i := range absent {
		f := &absent[i]
		t := route{method: "GET", level: f.level, sub: f.sub, op: f.get, action: policy.S3HeadBucket}
		if f.many {
			t.arguments = []string{"id", "continuation-token"}
		}
		switch {
		case f.answers():
			t.handle = func(a *API, c *fiber.Ctx, r *request) error { return a.nothingConfigured(c, r, f) }
			routes = append(routes, t)
		case f.get != "":
			t.admit = notOffered
			routes = append(routes, t)
		}
		for _, w := range [...]struct{ method, op string }{{"PUT", f.put}, {"POST", f.post}, {"DELETE", f.delete}} {
			if w.op != "" {
				routes = append(routes, route{method: w.method, level: f.level, sub: f.sub, op: w.op,
					action: policy.S3HeadBucket, arguments: []string{"id", "versionId", "select-type"}, streams: true, admit: notOffered})
			}
		}
	}
	return routes
}

// notOffered refuses an operation before its body is read.
func notOffered(_ *API, _ *fasthttp.RequestCtx, r *request) error {
	return say(codeNotImplemented, answers[codeNotImplemented].message+" "+r.route.op+" is not offered by this server.")
}

// nothingConfigured answers a question about a feature that is not there.
func (a *API) nothingConfigured(c *fiber.Ctx, r *request, f *feature) error {
	if _, err := a.pipeline.Bucket(background(), r.actor(), r.bucket); err != nil {
		return bucketError(err)
	}
	if f.many && r.param("id") != "" {
		return notConfigured("NoSuchConfiguration", "The specified configuration does not exist.")
	}
	if f.code != "" {
		return notConfigured(f.code, f.message)
	}
	d := newDocument(f.root)
	if f.inner.name != "" {
		d.text(f.inner.name, f.inner.value)
	}
	if f.many {
		d.flag("IsTruncated", false)
	}
	sendXML(c.Context(), d)
	return nil
}

// notConfigured is S3's error about a configuration that a bucket does not have.
// There is one for each.
func notConfigured(name, message string) error {
	return &refused{code: codeNotConfigured, name: name, message: message}
}
