package s3api

import "sallyport/registry/policy"

// multipartRoutes are the operations of multipart uploads.
var multipartRoutes = []route{}

// formRoute is PostObject. Its signature is in the body, so that admission knows
// nothing but the bucket.
var formRoute = route{method: "POST", level: bucketLevel, op: "PostObject", action: policy.S3Write,
	admit: notOffered}
