package wire

import (
	"fmt"
	"net/http"
	"net/textproto"
)

// Outgoing is what a proxy wants to be sent with a request that it has received, and what becomes of interim responses.
type Outgoing interface {
	// AppendFields appends the header's fields, each with [AppendField], and returns its error. It is called once.
	AppendFields(b []byte) ([]byte, error)
	// Interim is told of each interim response (1xx), before the response is there. An error of its ends the request and is
	// returned.
	Interim(code int, header http.Header) error
}

// CanSend says whether [Transport.Send] can send a request that a server has received. It cannot if the request is to
// become something else (an upgrade, CONNECT), or if nobody knows whether it has a body: those with a body of unknown
// length that are not POST, PUT or PATCH.
func CanSend(r *http.Request) bool {
	return r.URL != nil && plainMessage(r) && (r.ContentLength >= 0 || usuallyHasBody(r.Method))
}

// Send is RoundTrip for proxies. It sends a request that a server has received to address, which is host:port, as it is:
// method, path, query, Host, body and trailers. Of its header nothing is sent but what out appends, so that neither request
// nor header have to be copied; Connection, Close and the request's URL's host mean nothing.
//
// The request has to be one that [CanSend] allows; other ones have undefined effects on the upstream. Errors are those of
// RoundTrip; after one that Dial returned, nothing was sent and nothing was read from the body, which Send then leaves open.
func (t *Transport) Send(r *http.Request, address string, out Outgoing) (*http.Response, error) {
	// A server has a body for every request, and knows when there is nothing in it.
	m := message{req: r, out: out, plan: plan{body: hasBody(r) && r.ContentLength != 0}}
	m.plan.measure(r)
	if m.plan.body && len(r.Trailer) > 0 {
		m.plan.length = -1 // only chunked bodies have trailers
	}
	resp, _, err := t.send(&m, address)
	return resp, err
}

// AppendField appends a field of a request's header, a line for each value, except Host and what frames the message, which
// follows from the request. It refuses names and values that would not arrive as what they are with an [*Error] that does
// not hold the value.
func AppendField(b []byte, name string, values []string) ([]byte, error) {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
		return b, nil
	}
	if !isToken(name) {
		return b, &Error{"writing the request", fmt.Errorf("%w %q", errFieldName, name)}
	}
	if !isCanonical(name) && framesMessage(http.CanonicalHeaderKey(name)) {
		return b, nil
	}
	for _, value := range values {
		if !isValue(value) {
			// The value may be a secret.
			return b, &Error{"writing the request", fmt.Errorf("%w of %q", errFieldValue, name)}
		}
		b = append(append(b, name...), ": "...)
		b = append(append(b, textproto.TrimString(value)...), "\r\n"...)
	}
	return b, nil
}
