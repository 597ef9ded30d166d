package s3api

import "sallyport/registry/policy"

// serviceRoutes are the operations on no bucket.
var serviceRoutes = []route{
	{method: "GET", level: serviceLevel, op: "ListBuckets", action: policy.S3ListBuckets, handle: (*API).listBuckets},
}

// bucketRoutes are the operations on buckets and their configurations.
var bucketRoutes = []route{
	{method: "HEAD", level: bucketLevel, op: "HeadBucket", action: policy.S3HeadBucket, handle: (*API).headBucket},
	{method: "PUT", level: bucketLevel, op: "CreateBucket", action: policy.S3CreateBucket,
		admit: (*API).admitCreateBucket, handle: (*API).createBucket},
	{method: "DELETE", level: bucketLevel, op: "DeleteBucket", action: policy.S3DeleteBucket, handle: (*API).deleteBucket},
	{method: "GET", level: bucketLevel, sub: "location", op: "GetBucketLocation", action: policy.S3HeadBucket,
		handle: (*API).bucketLocation},
}
