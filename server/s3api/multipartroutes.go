package s3api

import "sallyport/registry/policy"

// multipartRoutes are the operations of multipart uploads. Those on one upload are
// selected by its id; which part is meant is an argument. Whose uploads somebody may
// go on with is the pipeline's to say, once it is known whose it is.
var multipartRoutes = []route{
	{method: "POST", level: objectLevel, sub: "uploads", op: "CreateMultipartUpload", action: policy.S3Write,
		settings: []string{settingTagging, settingLock, "x-amz-storage-class", settingEncryption},
		handle:   (*API).createMultipart},
	{method: "PUT", level: objectLevel, sub: "uploadId", op: "UploadPart", action: policy.S3Write, streams: true,
		arguments: []string{"partNumber"},
		admit:     (*API).admitPart, handle: (*API).putPart},
	{method: "PUT", level: objectLevel, sub: "uploadId", header: settingCopySource, op: "UploadPartCopy", action: policy.S3Write,
		arguments: []string{"partNumber"}, settings: []string{settingCopySource},
		handle: (*API).copyPart},
	{method: "POST", level: objectLevel, sub: "uploadId", op: "CompleteMultipartUpload", action: policy.S3Write,
		settings: []string{objectSizeHeader},
		admit:    (*API).admitCompletion, handle: (*API).completeMultipart},
	{method: "DELETE", level: objectLevel, sub: "uploadId", op: "AbortMultipartUpload", action: policy.S3Write,
		handle: (*API).abortMultipart},
	{method: "GET", level: objectLevel, sub: "uploadId", op: "ListParts", action: policy.S3Write,
		arguments: []string{"max-parts", "part-number-marker", "encoding-type"}, handle: (*API).listParts},
	{method: "GET", level: bucketLevel, sub: "uploads", op: "ListMultipartUploads", action: policy.S3ListUploads,
		arguments: []string{"prefix", "delimiter", "key-marker", "upload-id-marker", "max-uploads", "encoding-type"},
		handle:    (*API).listMultiparts},
}
