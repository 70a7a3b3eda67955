package wire_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/wire"
)

// short is how long the limits of these tests are, and long one that is never reached.
const (
	short = 30 * time.Millisecond
	long  = time.Hour
)

// Promise: the response's header has to be there in time; what has been sent stays sent once.
func TestResponseHeaderTimeout(t *testing.T) {
	for _, said := range []string{"", "HTTP/1.1 200 OK\r\nX-A:", "HTTP/1.1 103 Early Hints\r\n\r\n"} {
		each(t, limits{header: short, keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
			s := serveScript(t, func(p *peer) {
				p.request()
				p.say(said)
				p.gone()
			})
			got := ask(rt, s.newRequest(t.Context(), "GET", "/", nil))
			if got.err == nil || !isTimeout(got.err) {
				t.Errorf("%v", got.err)
			}
			if n := s.conns.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
			eventually(t, "the connection is closed", func() bool { return s.open.Load() == 0 })
		})
	}
}

// Promise: the time for the header begins when the request has been sent, and is over when the header is there.
func TestResponseHeaderTimeoutIsForTheHeader(t *testing.T) {
	rt, conns := newWatched(t, wire.Options{ResponseHeaderTimeout: long})
	next := make(chan string)
	s := serveScript(t, func(p *peer) {
		p.request()
		for said := range next {
			p.say(said)
		}
	})
	defer close(next)
	body := newBlocked("begin")
	done := make(chan result, 1)
	go func() {
		//nolint:bodyclose // it is closed below
		resp, err := rt.RoundTrip(s.newRequest(t.Context(), "POST", "/", body))
		done <- result{resp: resp, err: err}
	}()
	eventually(t, "the connection is there", func() bool { return conns.count() == 1 && s.conns.Load() == 1 })
	if by := conns.at(0).deadline(); !by.IsZero() {
		t.Errorf("the request is still being sent, and its response has to be there by %s", by)
	}
	body.free()
	eventually(t, "the time for the header runs", func() bool { return !conns.at(0).deadline().IsZero() })
	next <- ok + "Content-Length: 2\r\n\r\n"
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	defer got.resp.Body.Close()
	if by := conns.at(0).deadline(); !by.IsZero() {
		t.Errorf("the header is there, and the body has to be there by %s", by)
	}
}

// Promise: each wait for the response is bounded by ReadTimeout, and its error is a timeout; not all of them together.
func TestReadTimeout(t *testing.T) {
	rt := wire.New(wire.Options{ReadTimeout: short})
	defer rt.Close()
	for _, said := range []string{"", "HTTP/1.1 200", ok + "Content-Length: 5\r\n\r\nhe", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\n"} {
		s := serveScript(t, func(p *peer) {
			p.request()
			p.say(said)
			p.gone()
		})
		got := ask(rt, s.newRequest(t.Context(), "GET", "/", nil))
		err := got.err
		if err == nil {
			err = got.bodyErr
		}
		if !isTimeout(err) {
			t.Errorf("%q: %v", said, err)
		}
		eventually(t, "the connection is closed", func() bool { return s.open.Load() == 0 })
	}
	patient := wire.New(wire.Options{ReadTimeout: long, ResponseHeaderTimeout: long, WriteTimeout: long})
	defer patient.Close()
	s := serveScript(t, sayHi)
	for range 3 {
		wantHi(t, ask(patient, s.newRequest(t.Context(), "POST", "/", strings.NewReader("x"))))
		wantHi(t, ask(patient, s.newRequest(t.Context(), "GET", "/", nil)))
	}
}

// Promise: a limit that was set for one request does not end the connection while it is idle.
func TestTimeoutsAreOver(t *testing.T) {
	for _, o := range []wire.Options{{ResponseHeaderTimeout: long}, {ReadTimeout: long}, {ResponseHeaderTimeout: long, ReadTimeout: long}} {
		rt, conns := newWatched(t, o)
		s := serveScript(t, sayHi)
		for range 2 {
			wantHi(t, ask(rt, s.newRequest(t.Context(), "GET", "/", nil)))
			if by := conns.at(0).deadline(); !by.IsZero() {
				t.Errorf("%+v: the idle connection has a deadline, %s", o, by)
			}
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	}
}

// Promise: a server that does not take the body in time fails the request.
func TestWriteTimeout(t *testing.T) {
	rt, conns := newWatched(t, wire.Options{WriteTimeout: short})
	conns.buffer = 16 << 10
	done := make(chan struct{})
	s := serveScript(t, func(p *peer) {
		_ = p.Conn.(*net.TCPConn).SetReadBuffer(16 << 10)
		<-done
	})
	defer close(done)
	for _, r := range []*http.Request{
		s.newRequest(t.Context(), "POST", "/", endless{}),
		s.newRequest(t.Context(), "POST", "/", bytes.NewReader(make([]byte, 8<<20))),
	} {
		var got result
		within(t, "the end", func() { got = ask(rt, r) })
		if !isTimeout(got.err) {
			t.Errorf("%v", got.err)
		}
	}
	r := s.newRequest(t.Context(), "GET", "/", nil)
	r.Header.Set("X-Long", strings.Repeat("x", 8<<20))
	var got result
	within(t, "the end", func() { got = ask(rt, r) })
	if !isTimeout(got.err) {
		t.Errorf("%v", got.err)
	}
}

// Promise: errors of dialling are returned as they are, and a context that ends meanwhile comes first.
func TestDialError(t *testing.T) {
	broken := errors.New("broken")
	rt := wire.New(wire.Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" || address != "192.0.2.1:80" {
			t.Errorf("%s %s", network, address)
		}
		return nil, broken
	}})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://192.0.2.1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	body := newBlocked("")
	r.Body, r.ContentLength = body, 5
	if got := ask(rt, r); got.err != broken { //nolint:errorlint // it has to be the same, reverse_proxy asks for its type
		t.Error(got.err)
	}
	if !body.closed.Load() {
		t.Error("the body is open")
	}
	ctx, cancel := context.WithCancel(t.Context())
	rt = wire.New(wire.Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, broken
	}})
	if got := ask(rt, r.WithContext(ctx)); !errors.Is(got.err, context.Canceled) {
		t.Error(got.err)
	}
}
