// Package wire sends plain HTTP/1.1 requests to servers at less cost than net/http's Transport, which it can stand in for:
// a [Transport] is an http.RoundTripper.
//
// net/http has two goroutines for each connection, which read and write for the caller, so that each request passes through
// three of them. Here the caller writes its request and reads the response itself. A request without a body costs three
// system calls on an idle connection: a look whether the server has closed it, or has said something that nobody asked for,
// the write, and the read once there is a response. Only a request with a body has a goroutine, which writes the body, because
// a server may answer before it has read all of it. The end of the request's context closes the connection at once, whatever
// the caller is waiting for; timeouts are deadlines of the connection.
//
// What is not plain HTTP/1.1 is handed over to [Options].Fallback, normally a net/http Transport: https and other schemes,
// upgrades (WebSockets), CONNECT, transfer codings other than chunked, requests other than POST, PUT and PATCH with a body of
// unknown length, and everything on systems that are not like Unix.
//
// A request is sent a second time only if nothing of it was sent on an idle connection that turned out to be closed, or if
// it has no body and is idempotent, and the server closed that connection without a word.
//
// Responses are read more strictly than by net/http. What one reader can understand in another way than the next is an
// error: lines that do not end with CR LF, folded lines, names with spaces, control characters, Content-Length more than once
// or together with Transfer-Encoding, Transfer-Encoding in HTTP/1.0. Header, trailers, interim responses and what is between
// chunks are bounded. A connection on which there is more than was asked for is never used again.
//
// Unlike net/http it does not ask for compressed responses by itself, and has no limit of connections in use.
//
// # Why not a library
//
// The client of github.com/valyala/fasthttp (v1.71.0) also works in the caller's goroutine. Behind an http.RoundTripper it
// makes 19 allocations for a request that net/http makes 39 for and this package 7, and lies between the two in time
// (BenchmarkRoundTrip measures the other two side by side). It knows no contexts, so that a client that goes away ends nothing,
// tells nobody of interim responses, and has types of its own for messages: what a proxy needs beyond it is most of what is here.
//
// # Use
//
//	transport := wire.New(wire.Options{Fallback: http.DefaultTransport})
//	defer transport.Close()
//	client := &http.Client{Transport: transport}
package wire
