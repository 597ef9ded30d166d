// Package s3api speaks the S3 protocol: XML in and out, AWS's codes and texts,
// and Sallyport's own signed URLs under /_/.
//
// A request passes two gates. Admit runs on its headers alone, before "100
// Continue" and before a body byte is read: it finds the target, proves the
// signature, asks policy, and lets the pipeline say whether what the headers
// declare can succeed. The handler then only parses, calls one verb of the
// pipeline and renders. What Admit found travels in a request, kept with the
// connection.
//
// routes.go is the list of what is spoken. What is not in it is answered
// NotImplemented and never falls through to another operation: a sub-resource or
// a header that nobody here understands changes the meaning of a request.
// errors.go is the one table from errors to codes. The other files are named
// after nouns of the protocol.
package s3api
