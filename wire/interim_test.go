package wire_test

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
)

// Promise: interim responses are told as they come, with their header, and their number is bounded.
func TestInterimResponses(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) {
			for p.request() != nil {
				p.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\nHTTP/1.1 199 Own\r\n\r\n" + hi)
			}
		})
		var codes []int
		var links []string
		r := s.newRequest(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				codes = append(codes, code)
				links = append(links, header["Link"]...)
				return nil
			},
		}), "GET", "/", nil)
		wantHi(t, ask(rt, r))
		if !reflect.DeepEqual(codes, []int{100, 103, 199}) || !reflect.DeepEqual(links, []string{"</a>", "</b>"}) {
			t.Errorf("%v %v", codes, links)
		}
	})
}

// Promise: who is told of an interim response can refuse it, and the request fails with that error.
func TestInterimRefused(t *testing.T) {
	refused := errors.New("refused")
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) {
			p.request()
			p.say("HTTP/1.1 103 Early Hints\r\n\r\n" + hi)
			p.gone()
		})
		got := ask(rt, s.newRequest(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(int, textproto.MIMEHeader) error { return refused },
		}), "GET", "/", nil))
		if !errors.Is(got.err, refused) {
			t.Error(got.err)
		}
		eventually(t, "the connection is closed", func() bool { return s.open.Load() == 0 })
	})
}

// Promise: interim responses without end are an error, and so is a switch of the protocol that nobody asked for.
func TestInterimBounds(t *testing.T) {
	for name, answer := range map[string]string{
		"too many": strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 1100) + hi,
		"switch":   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := serveScript(t, func(p *peer) {
				p.request()
				p.say(answer)
				p.gone()
			})
			rt, _ := newWatched(t, noOptions)
			if got := ask(rt, s.newRequest(t.Context(), "GET", "/", nil)); got.err == nil {
				t.Errorf("%v", got.resp)
			}
			eventually(t, "the connection is closed", func() bool { return s.open.Load() == 0 })
		})
	}
}

// Promise: who watches a request is told where it went and when.
func TestTrace(t *testing.T) {
	s := serveScript(t, func(p *peer) {
		for p.request() != nil {
			p.say("HTTP/1.1 100 Continue\r\n\r\n" + hi)
		}
	})
	rt, _ := newWatched(t, noOptions)
	for _, reused := range []bool{false, true} {
		var told []string
		wantHi(t, ask(rt, s.newRequest(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) {
				told = append(told, "connection")
				if info.Reused != reused || info.Conn.RemoteAddr().String() != s.address {
					t.Errorf("%+v", info)
				}
			},
			Got100Continue:       func() { told = append(told, "continue") },
			WroteHeaders:         func() { told = append(told, "header") },
			WroteRequest:         func(info httptrace.WroteRequestInfo) { told = append(told, "request") },
			GotFirstResponseByte: func() { told = append(told, "response") },
		}), "GET", "/", nil)))
		if want := []string{"connection", "header", "request", "response", "continue"}; !reflect.DeepEqual(told, want) {
			t.Errorf("%v", told)
		}
	}
}
