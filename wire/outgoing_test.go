package wire_test

import (
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/wire"
)

// sender is a RoundTripper that sends with [wire.Transport.Send], so that the suite runs over that, too. What of a request
// only a client can want, and no server has received, it leaves to RoundTrip.
type sender struct{ *wire.Transport }

// RoundTrip implements http.RoundTripper.
func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "http" || !wire.CanSend(r) || r.Header["Connection"] != nil || r.Close || r.ContentLength == 0 && r.Body != nil {
		return s.Transport.RoundTrip(r)
	}
	return s.Send(r, r.URL.Host, outgoing{r})
}

// outgoing sends the request's own header.
type outgoing struct{ r *http.Request }

// AppendFields implements wire.Outgoing.
func (o outgoing) AppendFields(b []byte) ([]byte, error) {
	var err error
	for name, values := range o.r.Header {
		if name == "User-Agent" && (len(values) == 0 || values[0] == "") {
			continue
		}
		if b, err = wire.AppendField(b, name, values); err != nil {
			return b, err
		}
	}
	if o.r.Header["User-Agent"] == nil {
		b, err = wire.AppendField(b, "User-Agent", []string{"Go-http-client/1.1"})
	}
	return b, err
}

// Interim implements wire.Outgoing.
func (o outgoing) Interim(code int, header http.Header) error {
	trace := httptrace.ContextClientTrace(o.r.Context())
	if trace == nil {
		return nil
	}
	if code == http.StatusContinue && trace.Got100Continue != nil {
		trace.Got100Continue()
	}
	if trace.Got1xxResponse == nil {
		return nil
	}
	return trace.Got1xxResponse(code, textproto.MIMEHeader(header))
}

// fields appends what it holds.
type fields http.Header

// AppendFields implements wire.Outgoing.
func (f fields) AppendFields(b []byte) ([]byte, error) {
	var err error
	for name, values := range f {
		if b, err = wire.AppendField(b, name, values); err != nil {
			return b, err
		}
	}
	return b, nil
}

// Interim implements wire.Outgoing.
func (fields) Interim(int, http.Header) error { return nil }

// Promise: Send sends what it is given in place of the request's header, wherever it is told to; nothing of either frames
// the message in another way, and what would not arrive as what it is is refused without its value being told.
func TestSendFields(t *testing.T) {
	var got *received
	s := serveScript(t, func(p *peer) {
		for {
			if got = p.request(); got == nil {
				return
			}
			p.say("HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	rt := wire.New(noOptions)
	defer rt.Close()
	r := s.newRequest(t.Context(), http.MethodPost, "/path?q=1", strings.NewReader("body"))
	r.URL.Host, r.Host = "192.0.2.1:1", "acme.example.com"
	r.Header = http.Header{"Connection": {"close"}, "X-Own": {"not sent"}}
	resp, err := rt.Send(r, s.address, fields{ //nolint:bodyclose // there is none
		"X-Given": {"a", " b "}, "Host": {"other"}, "Content-Length": {"1"}, "transfer-encoding": {"chunked"}, "Trailer": {"X"}, "connection": {"close"},
	})
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp, err)
	}
	if got.Host != "acme.example.com" || got.RequestURI != "/path?q=1" || got.body != "body" || got.ContentLength != 4 ||
		got.TransferEncoding != nil || got.Close || got.Trailer != nil || got.Header.Get("X-Own") != "" ||
		strings.Join(got.Header["X-Given"], "|") != "a|b" || got.Header["User-Agent"] != nil {
		t.Errorf("%+v", got)
	}
	for name, values := range map[string][]string{"X-Bad": {"secret\r\nX-Tenant-Id: other"}, "X Bad": {"secret"}, "": {"secret"}, "X-Nul": {"secret\x00"}} {
		body := newBlocked("")
		_, err := rt.Send(s.newRequest(t.Context(), http.MethodPost, "/", body), s.address, fields{name: values}) //nolint:bodyclose // there is none
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if rt.Idle() != 1 {
		t.Errorf("%d connections are kept", rt.Idle())
	}
}

// Promise: where nobody answers, nothing was read from the body and it is still open, so that it can be sent elsewhere.
func TestSendElsewhere(t *testing.T) {
	s := serveScript(t, func(p *peer) {
		if r := p.request(); r != nil && r.body == "whole" && r.Trailer.Get("X-Sum") == "sum" {
			p.say("HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	l := listen()
	dead := l.Addr().String()
	l.Close()
	rt := wire.New(noOptions)
	defer rt.Close()
	body := newBlocked("whole")
	body.free()
	r := s.newRequest(t.Context(), http.MethodPut, "/", body)
	r.ContentLength = int64(len("whole"))
	r.Trailer = http.Header{"X-Sum": {"sum"}}                                   // within HTTP/2 a body of known length can have trailers
	if _, err := rt.Send(r, dead, fields{}); err == nil || body.closed.Load() { //nolint:bodyclose // there is none
		t.Fatalf("%v, closed: %t", err, body.closed.Load())
	}
	if resp, err := rt.Send(r, s.address, fields{}); err != nil || resp.StatusCode != http.StatusNoContent { //nolint:bodyclose // there is none
		t.Error(resp, err)
	}
}

// Promise: CanSend allows what a server can have received and this package can send, and nothing else.
func TestCanSend(t *testing.T) {
	server := func(method string, length int64) *http.Request {
		r, _ := http.NewRequestWithContext(t.Context(), method, "/", http.NoBody)
		r.ContentLength = length
		return r
	}
	upgrade, encoded, opaque := server(http.MethodGet, 0), server(http.MethodPost, -1), server(http.MethodOptions, 0)
	upgrade.Header = http.Header{"Upgrade": {"websocket"}}
	encoded.TransferEncoding = []string{"gzip", "chunked"}
	opaque.URL.Opaque = "*"
	for _, row := range []struct {
		name string
		r    *http.Request
		want bool
	}{
		{"no body", server(http.MethodGet, 0), true},
		{"a body", server(http.MethodDelete, 5), true},
		{"chunked", server(http.MethodPatch, -1), true},
		{"who knows", server(http.MethodGet, -1), false},
		{"CONNECT", server(http.MethodConnect, 0), false},
		{"upgrade", upgrade, false},
		{"another coding", encoded, false},
		{"no path", opaque, false},
	} {
		if got := wire.CanSend(row.r); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}
