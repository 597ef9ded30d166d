// Package sigv4 proves who signed a request. (Manual follows.)
package sigv4
