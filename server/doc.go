// Package server holds the listeners and their life: what every request passes
// through before and after a protocol has its say.
//
// A Listener accepts connections, finds faults in the framing of requests, asks
// the protocol to admit a request on its headers alone (before "100 Continue" and
// before a body byte is read), runs the protocol's routes, and afterwards makes
// sure of what no handler may forget:
//
//   - A request whose body was not read to its end closes its connection. fasthttp
//     would execute the rest of the body as the next request (request smuggling).
//   - Such a connection is closed lingeringly: the answer is sent, the write side
//     shut, and what still arrives is thrown away for a short while. A plain close
//     resets the connection and the client sees the reset instead of the answer.
//   - Nobody reads the pooled body stream after the handler returned.
//   - A panic is answered and logged; it never ends the process.
//   - One access record per exchange, filled with names that the service made. Paths,
//     queries and headers are never recorded: they carry client keys and signatures.
//
// The protocols live in the folders below (s3api, control); this package imports
// nothing of Sallyport's own.
//
// Handlers must read bodies through BodyOf and nothing else: Fiber's c.Body and
// c.BodyParser read without limit and outside the fence. Strings that Fiber hands
// out are valid only until the handler returns.
package server
