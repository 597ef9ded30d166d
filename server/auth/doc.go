// Package auth finds out who is calling. It is the only place that turns a
// request of the listeners into the wire form that sigv4 proves, and the only
// one that turns a proved credential into a registry.Actor.
//
// Tenant and principal come from the verified credential and from nothing
// else. User keys sign requests in header and query form on the S3 port and
// in header form on the control port; the URL keys that Sallyport signs its
// own URLs with work in query form under /_/ and nowhere else; bearer tokens
// work on the control port.
package auth
