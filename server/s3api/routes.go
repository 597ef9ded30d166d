package s3api

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry/policy"
)

// route is one operation.
type route struct {
	method string
	level  level
	// sub is the query key that makes this another operation than the one of
	// method and level alone; "" if none does.
	sub    string
	op     string // AWS's name of it: for logs, metrics and records
	action policy.Action
	// streams: the body may be framed in aws-chunked.
	streams bool
	// admit looks at the headers; nil if there is nothing to see.
	admit  func(*API, *fasthttp.RequestCtx, *request) error
	handle func(*API, *fiber.Ctx, *request) error
}

// routes is everything the port speaks with a user's key.
var routes = []route{
	{method: "GET", level: objectLevel, op: "GetObject", action: policy.S3Read, handle: (*API).getObject},
	{method: "HEAD", level: objectLevel, op: "HeadObject", action: policy.S3Read, handle: (*API).getObject},
	{method: "PUT", level: objectLevel, op: "PutObject", action: policy.S3Write, streams: true,
		admit: (*API).admitObject, handle: (*API).putObject},
	{method: "DELETE", level: objectLevel, op: "DeleteObject", action: policy.S3Delete,
		admit: (*API).admitDelete, handle: (*API).deleteObject},

	{method: "GET", level: bucketLevel, op: "ListObjects", action: policy.S3List, handle: (*API).listObjects},
	{method: "HEAD", level: bucketLevel, op: "HeadBucket", action: policy.S3HeadBucket, handle: (*API).headBucket},
	{method: "PUT", level: bucketLevel, op: "CreateBucket", action: policy.S3CreateBucket,
		admit: (*API).admitCreateBucket, handle: (*API).createBucket},
	{method: "DELETE", level: bucketLevel, op: "DeleteBucket", action: policy.S3DeleteBucket, handle: (*API).deleteBucket},
	{method: "POST", level: bucketLevel, sub: "delete", op: "DeleteObjects", action: policy.S3Delete,
		admit: (*API).admitDeletes, handle: (*API).deleteObjects},
	{method: "GET", level: bucketLevel, sub: "location", op: "GetBucketLocation", action: policy.S3HeadBucket,
		handle: (*API).bucketLocation},

	// What clients look at before they begin, see probes.go.
	probeRoute("accelerate", "GetBucketAccelerateConfiguration"),
	probeRoute("cors", "GetBucketCors"),
	probeRoute("encryption", "GetBucketEncryption"),
	probeRoute("lifecycle", "GetBucketLifecycleConfiguration"),
	probeRoute("logging", "GetBucketLogging"),
	probeRoute("notification", "GetBucketNotificationConfiguration"),
	probeRoute("object-lock", "GetObjectLockConfiguration"),
	probeRoute("ownershipControls", "GetBucketOwnershipControls"),
	probeRoute("policy", "GetBucketPolicy"),
	probeRoute("policyStatus", "GetBucketPolicyStatus"),
	probeRoute("publicAccessBlock", "GetPublicAccessBlock"),
	probeRoute("replication", "GetBucketReplication"),
	probeRoute("requestPayment", "GetBucketRequestPayment"),
	probeRoute("tagging", "GetBucketTagging"),
	probeRoute("versioning", "GetBucketVersioning"),
	probeRoute("website", "GetBucketWebsite"),

	{method: "GET", level: serviceLevel, op: "ListBuckets", action: policy.S3ListBuckets, handle: (*API).listBuckets},
}

// urlRoutes is everything the port speaks with a signed URL.
var urlRoutes = []route{
	{method: "PUT", level: uploadURL, op: "UploadByURL", admit: (*API).admitUpload, handle: (*API).putUpload},
	{method: "GET", level: objectURL, op: "DownloadByURL", admit: (*API).admitDownload, handle: (*API).getDownload},
	{method: "HEAD", level: objectURL, op: "DownloadByURL", admit: (*API).admitDownload, handle: (*API).getDownload},
}

// preflightRoute answers browsers' questions, on any path and without a
// credential.
var preflightRoute = route{op: "Preflight", handle: (*API).preflight}

func probeRoute(sub, op string) route {
	return route{method: "GET", level: bucketLevel, sub: sub, op: op, action: policy.S3HeadBucket, handle: (*API).probe}
}

// findRoute returns the operation that a request asks for.
func findRoute(r *request) (*route, error) {
	method := string(r.proof.Request.Method)
	sub := r.subresource(method)
	for i := range routes {
		if t := &routes[i]; t.level == r.level && t.method == method && t.sub == sub {
			return t, nil
		}
	}
	if sub != "" {
		return nil, refuse(codeNotImplemented)
	}
	return nil, refuse(codeMethodNotAllowed)
}

func urlRoute(method string, at level) *route {
	for i := range urlRoutes {
		if t := &urlRoutes[i]; t.level == at && t.method == method {
			return t
		}
	}
	return nil
}

// subresource returns the first query key that turns the request into another
// operation, "" if none does. What a client may add to a read without meaning
// (name=value that S3 does not know) is passed over there; writes pass over
// nothing but what belongs to signing.
func (r *request) subresource(method string) string {
	reads := method == "GET" || method == "HEAD"
	for name, value := range r.proof.Request.Params() {
		switch {
		case len(name) > 2 && (name[0] == 'x' || name[0] == 'X') && name[1] == '-':
			// X-Amz-Signature …, x-id, and keys that AWS leaves to applications.
		case !reads, len(value) == 0 && !isArgument(string(name)), selects(string(name)):
			return string(name)
		}
	}
	return ""
}

// isArgument tells whether a query key is an argument of a list or a get, which
// may be empty.
func isArgument(name string) bool {
	switch name {
	case "prefix", "delimiter", "marker", "max-keys", "encoding-type", "list-type",
		"continuation-token", "start-after", "fetch-owner", "max-buckets", "bucket-region":
		return true
	}
	return strings.HasPrefix(name, "response-")
}

// selects tells whether a query key selects another operation or another thing
// although it has a value.
func selects(name string) bool {
	switch name {
	case "partNumber", "uploadId", "versionId", "select-type", "uploads", "versions", "delete",
		"acl", "attributes", "tagging", "retention", "legal-hold", "torrent", "restore",
		"analytics", "inventory", "metrics", "intelligent-tiering", "session", "location",
		"accelerate", "cors", "encryption", "lifecycle", "logging", "notification", "object-lock",
		"ownershipControls", "policy", "policyStatus", "publicAccessBlock", "replication",
		"requestPayment", "versioning", "website":
		return true
	}
	return false
}
