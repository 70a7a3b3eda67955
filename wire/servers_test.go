package wire_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/wire"
)

const hi = ok + "Content-Length: 2\r\n\r\nhi"

// wantHi fails the test when a response is not that of hi.
func wantHi(t *testing.T, got result) {
	t.Helper()
	if got.err != nil || got.bodyErr != nil || got.body != "hi" {
		t.Fatalf("%q, %v, %v", got.body, got.err, got.bodyErr)
	}
}

// sayHi answers every request.
func sayHi(p *peer) {
	for p.request() != nil {
		p.say(hi)
	}
}

// Promise: it does not matter how a response is cut into pieces.
func TestByteByByte(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) {
			for p.request() != nil {
				for _, c := range "HTTP/1.1 100 Continue\r\n\r\n" + ok + "X-A: b\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2;x\r\nhi\r\n0\r\nX-T: t\r\n\r\n" {
					p.say(string(c))
				}
			}
		})
		for range 3 {
			got := ask(rt, s.newRequest(t.Context(), "GET", "/", nil))
			wantHi(t, got)
			if got.resp.Trailer.Get("X-T") != "t" || got.resp.Header.Get("X-A") != "b" {
				t.Errorf("%v %v", got.resp.Header, got.resp.Trailer)
			}
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Promise: a server may answer before the request's body is there; its answer does not wait for the body, and the
// connection is given up afterwards.
func TestAnswerBeforeTheBody(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) {
			if _, err := http.ReadRequest(p.in); err == nil {
				p.say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
				p.gone()
			}
		})
		body := newBlocked("begin")
		defer body.free()
		var got result
		within(t, "the answer", func() { got = ask(rt, s.newRequest(t.Context(), "POST", "/", body)) })
		if got.err != nil || got.resp.StatusCode != 413 || got.body != "no" {
			t.Fatalf("%v %q", got.err, got.body)
		}
		eventually(t, "the connection is closed", func() bool { return s.open.Load() == 0 })
		body.free()
		eventually(t, "the body is closed", body.closed.Load)
	})
}

// Promise: a server that answers and does not read the body holds nobody up.
func TestAnswerWithoutReading(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		done := make(chan struct{})
		s := serveScript(t, func(p *peer) {
			if _, err := http.ReadRequest(p.in); err == nil {
				p.say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
				<-done
			}
		})
		defer close(done)
		var got result
		within(t, "the answer", func() { got = ask(rt, s.newRequest(t.Context(), "POST", "/", endless{})) })
		if got.err != nil || got.resp.StatusCode != 413 || got.body != "no" {
			t.Fatalf("%v %q", got.err, got.body)
		}
	})
}

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Promise: bodies can go both ways at the same time, each piece as it comes.
func TestBothWays(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) {
			r, err := http.ReadRequest(p.in)
			if err != nil {
				return
			}
			p.say(ok + "Transfer-Encoding: chunked\r\n\r\n")
			for b := make([]byte, 1); ; {
				if _, err := r.Body.Read(b); err != nil {
					break
				}
				p.say("1\r\n" + string(b) + "\r\n")
			}
			p.say("0\r\n\r\n")
			p.gone()
		})
		out, in := io.Pipe()
		defer in.Close()
		within(t, "the exchange", func() {
			resp, err := rt.RoundTrip(s.newRequest(t.Context(), "POST", "/", out))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			b := make([]byte, 10)
			for _, c := range []string{"a", "b", "c"} {
				_, _ = io.WriteString(in, c)
				if n, err := resp.Body.Read(b); string(b[:n]) != c || err != nil {
					t.Errorf("%q, %v", b[:n], err)
				}
			}
			in.Close()
			if rest, err := io.ReadAll(resp.Body); len(rest) != 0 || err != nil {
				t.Errorf("%q, %v", rest, err)
			}
		})
	})
}

// Promise: what a server sends is passed on at once, and not when a buffer is full.
func TestEvents(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		next := make(chan string)
		s := serveScript(t, func(p *peer) {
			if p.request() == nil {
				return
			}
			p.say(ok + "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
			for event := range next {
				p.say(event)
			}
		})
		defer close(next)
		within(t, "the events", func() {
			resp, err := rt.RoundTrip(s.newRequest(t.Context(), "GET", "/", nil))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			b := make([]byte, 100)
			// The line end after a chunk, and half of the next size, are no reason to wait.
			for _, row := range [][2]string{{"2\r\na\n\r\n", "a\n"}, {"2\r\nb\n", "b\n"}, {"\r\n2\r\nc\n\r\n0", "c\n"}} {
				next <- row[0]
				if n, err := resp.Body.Read(b); string(b[:n]) != row[1] || err != nil {
					t.Errorf("%q, %v", b[:n], err)
				}
			}
			next <- "\r\n\r\n"
			if rest, err := io.ReadAll(resp.Body); len(rest) != 0 || err != nil {
				t.Errorf("%q, %v", rest, err)
			}
		})
	})
}

// Promise: a response that is not read to its end does not come up on the next request's connection.
func TestCloseBeforeTheEnd(t *testing.T) {
	each(t, limits{keepAlive: true}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) {
			for p.request() != nil {
				p.say(ok + "Content-Length: 100000\r\n\r\n" + strings.Repeat(string(rune('0'+p.n)), 100000))
			}
		})
		for _, want := range []string{"1", "2", "3"} {
			resp, err := rt.RoundTrip(s.newRequest(t.Context(), "GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 10)
			if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != strings.Repeat(want, 10) {
				t.Errorf("%q, %v, want %s", b, err, want)
			}
			resp.Body.Close()
			if n, err := resp.Body.Read(b); n != 0 || err == nil || err == io.EOF {
				t.Errorf("after Close: %q, %v", b[:n], err)
			}
		}
		eventually(t, "all connections are closed", func() bool { return s.open.Load() == 0 })
	})
}

// Promise: with keep-alives disabled every request says so and has a connection of its own.
func TestNoKeepAlive(t *testing.T) {
	each(t, limits{}, func(t *testing.T, _ candidate, rt http.RoundTripper) {
		s := serveScript(t, func(p *peer) {
			r := p.request()
			if r == nil || !r.Close {
				t.Error("no Connection: close")
			}
			p.say(hi)
			p.gone()
		})
		for range 3 {
			wantHi(t, ask(rt, s.newRequest(t.Context(), "GET", "/", nil)))
		}
		eventually(t, "all connections are closed", func() bool { return s.open.Load() == 0 })
		if n := s.conns.Load(); n != 3 {
			t.Errorf("%d connections", n)
		}
	})
}

// Promise: an idle connection on which the server has sent something is not used again, whatever it is.
func TestUnasked(t *testing.T) {
	next := make(chan string)
	s := serveScript(t, func(p *peer) {
		for p.request() != nil {
			p.say(hi)
			if p.n == 1 {
				p.say(<-next)
			}
		}
	})
	rt, conns := newWatched(t, wire.Options{})
	wantHi(t, ask(rt, s.newRequest(t.Context(), "GET", "/", nil)))
	next <- ok + "Content-Length: 4\r\n\r\nevil"
	eventually(t, "the second response is there", func() bool { return conns.at(0).hasNews(t) })
	wantHi(t, ask(rt, s.newRequest(t.Context(), "GET", "/", nil)))
	if n := s.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}
