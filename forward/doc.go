// Package forward passes the requests of an HTTP server on to an upstream over plain HTTP/1.1, and its responses back.
//
// It does what a reverse proxy has to do with a message (RFC 9110 §7.6): fields that concern one connection only stay there,
// Via and X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host say where a request comes from, interim responses and
// trailers pass, what is streamed is streamed, and a response that breaks off never looks whole. What reaches the upstream
// and the client is the same as with Caddy's reverse_proxy, which a test holds it to. What it leaves out is what makes that
// one dear for a gateway that knows where a request has to go: no copy of the request or of its header is made, as fields
// are written as they are found (see [github.com/tenantgate/tenantgate/wire.Outgoing]), nothing is prepared for log lines
// and placeholders that nobody reads, and no list of upstreams is made and locked. There are no retries, health checks and
// rewrites here: who wants them has a proxy that has them.
//
// Only requests that [CanForward] allows can be passed on: no upgrades, and no bodies that may or may not be there.
package forward
