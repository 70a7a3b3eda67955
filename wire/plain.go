package wire

import (
	"net"
	"net/http"

	"golang.org/x/net/http/httpguts"
)

// plain says whether a request is one that this transport does itself.
func plain(req *http.Request) bool {
	u := req.URL
	if u == nil || u.Scheme != "http" || u.Host == "" || req.Header == nil || !plainMessage(req) {
		return false
	}
	if !hasBody(req) {
		// A body that is announced and not there is a mistake, which net/http reports.
		return len(req.TransferEncoding) == 0 && (req.ContentLength == 0 || req.Body != nil)
	}
	return req.ContentLength > 0 || usuallyHasBody(req.Method)
}

// plainMessage says the same of what is sent, wherever it goes and whatever its body is.
func plainMessage(req *http.Request) bool {
	if !rawReads || req.URL.Opaque != "" || req.Method == http.MethodConnect {
		return false
	}
	// A protocol switch takes the connection over.
	if _, ok := req.Header["Upgrade"]; ok {
		return false
	}
	return len(req.TransferEncoding) == 0 || len(req.TransferEncoding) == 1 && req.TransferEncoding[0] == "chunked"
}

// hasBody says whether there is a body to send, which may be empty.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// usuallyHasBody says for which methods a body of unknown length is sent without looking whether there is any. For the
// others net/http reads ahead a little, so that servers that expect none are not sent an empty one.
func usuallyHasBody(method string) bool {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	}
	return false
}

// plan is how a request is sent.
type plan struct {
	length  int64 // of the body in bytes; -1 where chunked
	body    bool
	close   bool // the connection serves this request only
	replays bool // it may be sent twice
}

func planOf(req *http.Request) plan {
	p := plan{
		body:  hasBody(req),
		close: req.Close || httpguts.HeaderValuesContainsToken(req.Header["Connection"], "close"),
	}
	p.measure(req)
	return p
}

// measure finds out how long the body is, or whether a request without one may be sent twice.
func (p *plan) measure(req *http.Request) {
	if p.body {
		p.length = req.ContentLength
		if p.length <= 0 || len(req.TransferEncoding) > 0 {
			p.length = -1
		}
		return
	}
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		p.replays = true
	default:
		_, a := req.Header["Idempotency-Key"]
		_, b := req.Header["X-Idempotency-Key"]
		p.replays = a || b
	}
}

// addressOf is the default of Options.Address.
func addressOf(req *http.Request) (string, bool) {
	port := req.URL.Port()
	if port == "" {
		port = "80"
	} else if req.URL.Host[0] != '[' {
		return req.URL.Host, true
	}
	return net.JoinHostPort(req.URL.Hostname(), port), true
}
