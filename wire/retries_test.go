package wire_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/wire"
)

// Promise: an idle connection that the server has closed costs no request, whatever its method and even with a body:
// nothing has been sent on it.
func TestClosedWhileIdle(t *testing.T) {
	for _, end := range []func(*peer){func(p *peer) { p.Close() }, (*peer).reset} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			t.Run(method, func(t *testing.T) {
				closing := make(chan struct{})
				s := serveScript(t, func(p *peer) {
					for p.request() != nil {
						p.say(hi)
						if p.n == 1 {
							<-closing
							end(p)
							return
						}
					}
				})
				rt, conns := newWatched(t, wire.Options{})
				wantHi(t, ask(rt, s.newRequest(t.Context(), "GET", "/", nil)))
				close(closing)
				eventually(t, "the end has arrived", func() bool { return conns.at(0).hasNews(t) })
				r := s.newRequest(t.Context(), method, "/", nil)
				if method == "POST" {
					r = s.newRequest(t.Context(), method, "/", strings.NewReader("body"))
				}
				wantHi(t, ask(rt, r))
				if n := s.conns.Load(); n != 2 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// Promise: a request that a server has seen on a kept connection, and then closed without a word, is sent again if it is
// idempotent and has no body, and only then.
func TestClosedAfterTheRequest(t *testing.T) {
	rows := []struct {
		method, body, key string
		again             bool
	}{
		{"GET", "", "", true},
		{"HEAD", "", "", true},
		{"OPTIONS", "", "", true},
		{"POST", "", "", false},
		{"DELETE", "", "", false},
		{"PATCH", "", "", false},
		{"POST", "body", "", false},
		{"GET", "body", "", false},
		{"POST", "", "Idempotency-Key", true},
		{"POST", "", "X-Idempotency-Key", true},
	}
	for _, row := range rows {
		t.Run(row.method+row.body+row.key, func(t *testing.T) {
			each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
				s := serveScript(t, func(p *peer) {
					for n := 1; p.request() != nil; n++ {
						if p.n == 1 && n == 2 {
							return
						}
						p.say(ok + "Content-Length: 0\r\n\r\n")
					}
				})
				if got := ask(rt, s.newRequest(t.Context(), "GET", "/", nil)); got.err != nil {
					t.Fatal(got.err)
				}
				r := s.newRequest(t.Context(), row.method, "/", nil)
				if row.body != "" {
					r = s.newRequest(t.Context(), row.method, "/", strings.NewReader(row.body))
				}
				if row.key != "" {
					r.Header.Set(row.key, "1")
				}
				if got := ask(rt, r); (got.err == nil) != row.again {
					t.Errorf("%v, again %t", got.err, row.again)
				}
			})
		})
	}
}

// Promise: on a new connection nothing is sent twice.
func TestNoRetryOnANewConnection(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) { p.request() })
		if got := ask(rt, s.newRequest(t.Context(), "GET", "/", nil)); got.err == nil {
			t.Error("no error")
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Promise: once a response has begun, its request is not sent again.
func TestNoRetryAfterTheFirstByte(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) {
			for n := 1; p.request() != nil; n++ {
				if n == 2 {
					p.say("HTTP/1.1 2")
					return
				}
				p.say(hi)
			}
		})
		wantHi(t, ask(rt, s.newRequest(t.Context(), "GET", "/", nil)))
		if got := ask(rt, s.newRequest(t.Context(), "GET", "/", nil)); got.err == nil {
			t.Error("no error")
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}
