package wire

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

const defaultUserAgent = "Go-http-client/1.1"

// append appends the request's header, from the request line to the empty line. It refuses whatever would not arrive as
// what it is: names, values and targets with line ends or spaces in them.
func (m *message) append(b []byte) ([]byte, error) {
	req, method := m.req, m.req.Method
	if method == "" {
		method = http.MethodGet
	}
	if !isToken(method) {
		return b, &Error{"writing the request", errMethod}
	}
	b = append(append(b, method...), ' ')
	start := len(b)
	b = appendTarget(b, req)
	if !isTarget(b[start:]) {
		return b, &Error{"writing the request", errTarget}
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	host, err := hostOf(req)
	if err != nil {
		return b, err
	}
	b = append(append(b, host...), "\r\n"...)
	if b, err = m.appendFields(b); err != nil {
		return b, err
	}
	switch p := &m.plan; {
	case p.length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		if b, err = appendTrailerNames(b, req.Trailer); err != nil {
			return b, err
		}
	case p.length > 0 || usuallyHasBody(method):
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, p.length, 10), "\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

// appendFields appends the fields, except those that frame the message.
func (m *message) appendFields(b []byte) ([]byte, error) {
	var err error
	if m.out != nil {
		if b, err = m.out.AppendFields(b); err == nil && m.plan.close {
			b = append(b, "Connection: close\r\n"...)
		}
		return b, err
	}
	if b, err = appendHeader(b, m.req.Header); err != nil {
		return b, err
	}
	if _, ok := m.req.Header["User-Agent"]; !ok {
		b = append(b, "User-Agent: "+defaultUserAgent+"\r\n"...)
	}
	if m.plan.close && !httpguts.HeaderValuesContainsToken(m.req.Header["Connection"], "close") {
		b = append(b, "Connection: close\r\n"...)
	}
	return b, nil
}

// appendTarget appends path and query, as URL.RequestURI has them.
func appendTarget(b []byte, req *http.Request) []byte {
	path := req.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	b = append(b, path...)
	if req.URL.ForceQuery || req.URL.RawQuery != "" {
		b = append(append(b, '?'), req.URL.RawQuery...)
	}
	return b
}

// hostOf returns what goes into Host.
func hostOf(req *http.Request) (string, error) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	host, err := httpguts.PunycodeHostPort(host)
	if err != nil || !httpguts.ValidHostHeader(host) {
		return "", &Error{"writing the request", errHost}
	}
	// The zone of an IPv6 address means something on this machine only (RFC 6874 §4).
	if strings.HasPrefix(host, "[") {
		if end := strings.LastIndexByte(host, ']'); end >= 0 {
			if zone := strings.LastIndexByte(host[:end], '%'); zone >= 0 {
				host = host[:zone] + host[end:]
			}
		}
	}
	return host, nil
}

// appendHeader appends the fields, except those that follow from the request itself.
func appendHeader(b []byte, header http.Header) ([]byte, error) {
	var err error
	for name, values := range header {
		if name == "User-Agent" {
			// An empty one means that none is to be sent.
			if len(values) == 0 || values[0] == "" {
				continue
			}
			values = values[:1]
		}
		if b, err = AppendField(b, name, values); err != nil {
			return b, err
		}
	}
	return b, nil
}

// appendTrailerNames announces the trailers that are known when the header is sent.
func appendTrailerNames(b []byte, trailer http.Header) ([]byte, error) {
	if len(trailer) == 0 {
		return b, nil
	}
	names := make([]string, 0, len(trailer))
	for name, values := range trailer {
		if !isToken(name) || framesMessage(http.CanonicalHeaderKey(name)) {
			return b, &Error{"writing the request", fmt.Errorf("%w: %q", errTrailer, name)}
		}
		for _, value := range values {
			if !isValue(value) {
				return b, &Error{"writing the request", fmt.Errorf("%w of %q", errFieldValue, name)}
			}
		}
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(append(b, "Trailer: "...), strings.Join(names, ",")...)
	return append(b, "\r\n"...), nil
}

// appendTrailer appends the trailers and the empty line at the end of a chunked body. What came late from a client and
// must not be in a trailer (RFC 9110 §6.5.1) is left out.
func appendTrailer(b []byte, trailer http.Header) ([]byte, error) {
	for name, values := range trailer {
		if framesMessage(http.CanonicalHeaderKey(name)) {
			continue
		}
		for _, value := range values {
			if !isToken(name) || !isValue(value) {
				return b, &Error{"writing the request", errTrailer}
			}
			b = append(append(b, name...), ": "...)
			b = append(append(b, textproto.TrimString(value)...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...), nil
}

// framesMessage says which fields decide where a message ends, or whom it is for.
func framesMessage(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Host", "Connection":
		return true
	}
	return false
}
