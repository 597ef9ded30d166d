package s3api

import "sallyport/registry/policy"

// Settings that several operations understand.
const (
	settingTagging      = "x-amz-tagging"
	settingLock         = "x-amz-object-lock-"
	settingStorageClass = "x-amz-storage-class"
	settingCopySource   = "x-amz-copy-source"
	settingEncryption   = "x-amz-server-side-encryption" // to refuse it with its own code
)

// objectRoutes are the operations on objects, their versions, and lists of them.
var objectRoutes = []route{
	{method: "GET", level: objectLevel, op: "GetObject", action: policy.S3Read,
		arguments: []string{"versionId", "partNumber"}, handle: (*API).getObject},
	{method: "HEAD", level: objectLevel, op: "HeadObject", action: policy.S3Read,
		arguments: []string{"versionId", "partNumber"}, handle: (*API).getObject},
	{method: "PUT", level: objectLevel, op: "PutObject", action: policy.S3Write, streams: true,
		settings: []string{settingTagging, settingLock, settingStorageClass, settingEncryption},
		admit:    (*API).admitObject, handle: (*API).putObject},
	{method: "PUT", level: objectLevel, header: settingCopySource, op: "CopyObject", action: policy.S3Write,
		settings: []string{settingCopySource, settingTagging, settingLock, settingStorageClass, settingEncryption},
		admit:    (*API).admitCopy, handle: (*API).copyObject},
	{method: "DELETE", level: objectLevel, op: "DeleteObject", action: policy.S3Delete,
		settings: []string{"x-amz-if-match-"}, arguments: []string{"versionId"}, handle: (*API).deleteObject},
	{method: "POST", level: bucketLevel, sub: "delete", op: "DeleteObjects", action: policy.S3Delete,
		admit: (*API).admitDeletes, handle: (*API).deleteObjects},

	{method: "GET", level: objectLevel, sub: "attributes", op: "GetObjectAttributes", action: policy.S3Read,
		arguments: []string{"versionId"}, handle: (*API).objectAttributes},
	{method: "GET", level: objectLevel, sub: "tagging", op: "GetObjectTagging", action: policy.S3Read,
		arguments: []string{"versionId"}, handle: (*API).objectTags},
	{method: "PUT", level: objectLevel, sub: "tagging", op: "PutObjectTagging", action: policy.S3Write,
		arguments: []string{"versionId"}, admit: (*API).admitConfig, handle: (*API).setObjectTags},
	{method: "DELETE", level: objectLevel, sub: "tagging", op: "DeleteObjectTagging", action: policy.S3Write,
		arguments: []string{"versionId"}, handle: (*API).deleteObjectTags},
	{method: "GET", level: objectLevel, sub: "retention", op: "GetObjectRetention", action: policy.S3Read,
		arguments: []string{"versionId"}, handle: (*API).retention},
	{method: "PUT", level: objectLevel, sub: "retention", op: "PutObjectRetention", action: policy.S3Lock,
		arguments: []string{"versionId"}, admit: (*API).admitConfig, handle: (*API).setRetention},
	{method: "GET", level: objectLevel, sub: "legal-hold", op: "GetObjectLegalHold", action: policy.S3Read,
		arguments: []string{"versionId"}, handle: (*API).legalHold},
	{method: "PUT", level: objectLevel, sub: "legal-hold", op: "PutObjectLegalHold", action: policy.S3Lock,
		arguments: []string{"versionId"}, admit: (*API).admitConfig, handle: (*API).setLegalHold},
	{method: "GET", level: objectLevel, sub: "acl", op: "GetObjectAcl", action: policy.S3Read,
		arguments: []string{"versionId"}, handle: (*API).objectACL},
	{method: "PUT", level: objectLevel, sub: "acl", op: "PutObjectAcl", action: policy.S3Write,
		arguments: []string{"versionId"}, admit: (*API).admitConfig, handle: (*API).setObjectACL},

	{method: "GET", level: bucketLevel, op: "ListObjects", action: policy.S3List, handle: (*API).listObjects},
	{method: "GET", level: bucketLevel, sub: "versions", op: "ListObjectVersions", action: policy.S3List,
		handle: (*API).listVersions},
}
