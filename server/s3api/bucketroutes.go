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
		settings: []string{settingBucketLock, settingOwnership, "x-amz-acl", "x-amz-grant-"},
		admit:    (*API).admitCreateBucket, handle: (*API).createBucket},
	{method: "DELETE", level: bucketLevel, op: "DeleteBucket", action: policy.S3DeleteBucket, handle: (*API).deleteBucket},
	{method: "GET", level: bucketLevel, sub: "location", op: "GetBucketLocation", action: policy.S3HeadBucket,
		handle: (*API).bucketLocation},

	{method: "GET", level: bucketLevel, sub: "versioning", op: "GetBucketVersioning", action: policy.S3ReadConfig,
		handle: (*API).bucketVersioning},
	{method: "PUT", level: bucketLevel, sub: "versioning", op: "PutBucketVersioning", action: policy.S3WriteConfig,
		admit: (*API).admitConfig, handle: (*API).setBucketVersioning},
	{method: "GET", level: bucketLevel, sub: "object-lock", op: "GetObjectLockConfiguration", action: policy.S3ReadConfig,
		handle: (*API).bucketLock},
	{method: "PUT", level: bucketLevel, sub: "object-lock", op: "PutObjectLockConfiguration", action: policy.S3WriteConfig,
		admit: (*API).admitConfig, handle: (*API).setBucketLock},

	{method: "GET", level: bucketLevel, sub: "tagging", op: "GetBucketTagging", action: policy.S3ReadConfig,
		handle: (*API).bucketTags},
	{method: "PUT", level: bucketLevel, sub: "tagging", op: "PutBucketTagging", action: policy.S3WriteConfig,
		admit: (*API).admitConfig, handle: (*API).setBucketTags},
	{method: "DELETE", level: bucketLevel, sub: "tagging", op: "DeleteBucketTagging", action: policy.S3WriteConfig,
		handle: (*API).deleteBucketTags},

	{method: "GET", level: bucketLevel, sub: "cors", op: "GetBucketCors", action: policy.S3ReadConfig,
		handle: (*API).bucketCORS},
	{method: "PUT", level: bucketLevel, sub: "cors", op: "PutBucketCors", action: policy.S3WriteConfig,
		admit: (*API).admitConfig, handle: (*API).setBucketCORS},
	{method: "DELETE", level: bucketLevel, sub: "cors", op: "DeleteBucketCors", action: policy.S3WriteConfig,
		handle: (*API).deleteBucketCORS},

	{method: "GET", level: bucketLevel, sub: "lifecycle", op: "GetBucketLifecycleConfiguration", action: policy.S3ReadConfig,
		handle: (*API).bucketLifecycle},
	{method: "PUT", level: bucketLevel, sub: "lifecycle", op: "PutBucketLifecycleConfiguration", action: policy.S3WriteConfig,
		admit: (*API).admitLifecycle, handle: (*API).setBucketLifecycle},
	{method: "DELETE", level: bucketLevel, sub: "lifecycle", op: "DeleteBucketLifecycle", action: policy.S3WriteConfig,
		handle: (*API).deleteBucketLifecycle},

	{method: "GET", level: bucketLevel, sub: "acl", op: "GetBucketAcl", action: policy.S3ReadConfig,
		handle: (*API).bucketACL},
	{method: "PUT", level: bucketLevel, sub: "acl", op: "PutBucketAcl", action: policy.S3WriteConfig,
		admit: (*API).admitConfig, handle: (*API).setBucketACL},
	{method: "GET", level: bucketLevel, sub: "ownershipControls", op: "GetBucketOwnershipControls", action: policy.S3ReadConfig,
		handle: (*API).bucketOwnership},
	{method: "PUT", level: bucketLevel, sub: "ownershipControls", op: "PutBucketOwnershipControls", action: policy.S3WriteConfig,
		admit: (*API).admitConfig, handle: (*API).setBucketOwnership},
	{method: "DELETE", level: bucketLevel, sub: "ownershipControls", op: "DeleteBucketOwnershipControls", action: policy.S3WriteConfig,
		handle: (*API).deleteBucketOwnership},
	{method: "GET", level: bucketLevel, sub: "publicAccessBlock", op: "GetPublicAccessBlock", action: policy.S3ReadConfig,
		handle: (*API).publicAccessBlock},
	{method: "PUT", level: bucketLevel, sub: "publicAccessBlock", op: "PutPublicAccessBlock", action: policy.S3WriteConfig,
		admit: (*API).admitConfig, handle: (*API).setPublicAccessBlock},
	{method: "DELETE", level: bucketLevel, sub: "publicAccessBlock", op: "DeletePublicAccessBlock", action: policy.S3WriteConfig,
		handle: (*API).deletePublicAccessBlock},
}
