package wire_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/wire"
)

// Promise: the end of the request's context ends the request at once and closes its connection, whatever it waits for.
func TestCancel(t *testing.T) {
	rows := []struct {
		name  string
		serve func(p *peer, reached chan<- struct{})
		body  bool
	}{
		{"while waiting for the response", func(p *peer, reached chan<- struct{}) {
			p.request()
			reached <- struct{}{}
			p.gone()
		}, false},
		{"in the middle of the header", func(p *peer, reached chan<- struct{}) {
			p.request()
			p.say(ok + "X-A: ")
			reached <- struct{}{}
			p.gone()
		}, false},
		{"in the middle of the body", func(p *peer, reached chan<- struct{}) {
			p.request()
			p.say(ok + "Content-Length: 5\r\n\r\nhe")
			reached <- struct{}{}
			p.gone()
		}, false},
		{"in the middle of a chunk", func(p *peer, reached chan<- struct{}) {
			p.request()
			p.say(ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhe")
			reached <- struct{}{}
			p.gone()
		}, false},
		{"between events", func(p *peer, reached chan<- struct{}) {
			p.request()
			p.say(ok + "\r\nevent")
			reached <- struct{}{}
			p.gone()
		}, false},
		{"while sending a body that nobody reads", func(p *peer, reached chan<- struct{}) {
			if _, err := http.ReadRequest(p.in); err == nil {
				reached <- struct{}{}
				<-p.tb.Context().Done()
			}
		}, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
				reached := make(chan struct{}, 1)
				s := serveScript(t, func(p *peer) { row.serve(p, reached) })
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var body io.Reader
				if row.body {
					body = endless{}
				}
				go func() {
					<-reached
					cancel()
				}()
				var got result
				within(t, "the end", func() { got = ask(rt, s.newRequest(ctx, "POST", "/", body)) })
				err := got.err
				if err == nil {
					err = got.bodyErr
				}
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
				if !row.body {
					eventually(t, "the connection is closed", func() bool { return s.open.Load() == 0 })
				}
			})
		})
	}
}

// Promise: a context that has ended already sends nothing, and one with a deadline ends the request with a timeout.
func TestContextEnded(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) {
			p.request()
			p.gone()
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := ask(rt, s.newRequest(ctx, "GET", "/", nil)); !errors.Is(got.err, context.Canceled) {
			t.Error(got.err)
		}
		if n := s.conns.Load(); n != 0 {
			t.Errorf("%d connections", n)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		got := ask(rt, s.newRequest(ctx, "GET", "/", nil))
		if !errors.Is(got.err, context.DeadlineExceeded) || !isTimeout(got.err) {
			t.Error(got.err)
		}
	})
}

// Promise: a context that ends after the response does not disturb the connection, which serves others by then.
func TestCancelAfterTheEnd(t *testing.T) {
	rt, _ := newWatched(t, wire.Options{})
	s := serveScript(t, sayHi)
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		wantHi(t, ask(rt, s.newRequest(ctx, "GET", "/", nil)))
		cancel()
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
