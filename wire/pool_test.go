package wire_test

import (
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/tenantgate/tenantgate/wire"
)

var noOptions wire.Options

// crowd sends n requests to a server that answers only when all of them are there, so that each has a connection.
func crowd(t *testing.T, rt http.RoundTripper, n int) *script {
	t.Helper()
	var all sync.WaitGroup
	all.Add(n)
	s := serveScript(t, func(p *peer) {
		for first := true; p.request() != nil; first = false {
			if first && p.n <= int64(n) {
				all.Done()
				all.Wait()
			}
			p.say(hi)
		}
	})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if got := ask(rt, s.newRequest(t.Context(), "GET", "/", nil)); got.body != "hi" {
				t.Errorf("%q, %v", got.body, got.err)
			}
		})
	}
	wg.Wait()
	return s
}

// Promise: no more idle connections are kept than configured, for one address and in all.
func TestIdleLimits(t *testing.T) {
	rows := []struct {
		perHost, all, want int
	}{{0, 0, 20}, {4, 0, 8}, {4, 6, 6}, {100, 1, 1}}
	for _, row := range rows {
		rt := wire.New(wire.Options{MaxIdlePerHost: row.perHost, MaxIdle: row.all})
		a, b := crowd(t, rt, 10), crowd(t, rt, 10)
		if got := rt.Idle(); got != row.want {
			t.Errorf("%+v: %d are idle", row, got)
		}
		eventually(t, "the others are closed", func() bool { return int(a.open.Load()+b.open.Load()) == row.want })
		rt.Close()
		eventually(t, "all are closed", func() bool { return a.open.Load()+b.open.Load() == 0 })
	}
}

// Promise: an idle connection is closed after its time, and one that the server has closed long before that.
func TestIdleTimeout(t *testing.T) {
	impatient := wire.New(wire.Options{IdleTimeout: short})
	defer impatient.Close()
	s := crowd(t, impatient, 10)
	eventually(t, "idle connections are closed", func() bool { return impatient.Idle() == 0 && s.open.Load() == 0 })

	rt, conns := newWatched(t, wire.Options{IdleTimeout: long})
	kept, closed := crowd(t, rt, 1), serveScript(t, func(p *peer) {
		p.request()
		p.say(hi)
	})
	wantHi(t, ask(rt, closed.newRequest(t.Context(), "GET", "/", nil)))
	eventually(t, "the server closes", func() bool { return conns.at(1).hasNews(t) })
	rt.Sweep()
	if rt.Idle() != 1 || kept.open.Load() != 1 {
		t.Errorf("%d are idle, %d connections to the server that closes none", rt.Idle(), kept.open.Load())
	}
}

// Promise: after Close the transport works and keeps nothing.
func TestClose(t *testing.T) {
	rt := wire.New(noOptions)
	s := crowd(t, rt, 5)
	rt.Close()
	eventually(t, "all are closed", func() bool { return s.open.Load() == 0 && rt.Idle() == 0 })
	for range 2 {
		wantHi(t, ask(rt, s.newRequest(t.Context(), "GET", "/", nil)))
		eventually(t, "it is closed", func() bool { return s.open.Load() == 0 && rt.Idle() == 0 })
	}
}

// Promise: a server that hangs takes nothing from the others: no connection, and no time.
func TestServersAreApart(t *testing.T) {
	rt := wire.New(wire.Options{MaxIdlePerHost: 2})
	defer rt.Close()
	hung := serveScript(t, func(p *peer) { p.gone() })
	for range 20 {
		//nolint:bodyclose // there is no response
		go func() { _, _ = rt.RoundTrip(hung.newRequest(t.Context(), "GET", "/", nil)) }()
	}
	eventually(t, "the requests hang", func() bool { return hung.conns.Load() == 20 })
	s := serveScript(t, sayHi)
	for range 20 {
		wantHi(t, ask(rt, s.newRequest(t.Context(), "GET", "/", nil)))
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// descriptors returns how many file descriptors the process has.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc")
	}
	return len(list)
}

// Promise: whatever servers do, neither goroutines nor file descriptors are left behind; idle connections have no goroutine.
func TestNothingLeaks(t *testing.T) {
	answers := []string{
		hi, ok + "\r\nuntil close", ok + "Content-Length: 5\r\n\r\nhe", "nonsense\r\n\r\n", "", ok + "Transfer-Encoding: chunked\r\n\r\nxx\r\n",
		ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", hi + hi, "HTTP/1.1 204 No Content\r\n\r\n",
	}
	rt := wire.New(noOptions)
	s := serveScript(t, func(p *peer) {
		for n := int(p.n); p.request() != nil; n++ {
			answer := answers[n%len(answers)]
			p.say(answer)
			if !strings.HasPrefix(answer, hi) {
				return
			}
		}
	})
	round := func() {
		for i := range 3 * len(answers) {
			r := s.newRequest(t.Context(), "GET", "/", nil)
			switch i % 3 {
			case 1:
				r = s.newRequest(t.Context(), "POST", "/", strings.NewReader("body"))
			case 2:
				r = s.newRequest(t.Context(), "POST", "/", unknown("body")())
			}
			ask(rt, r)
		}
		rt.Close()
		eventually(t, "all connections are closed", func() bool { return s.open.Load() == 0 })
	}
	round()
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	for range 5 {
		round()
	}
	eventually(t, "goroutines and file descriptors are as many as before", func() bool {
		return runtime.NumGoroutine() <= goroutines && descriptors(t) <= fds
	})
}

// Promise: idle connections have no goroutine.
func TestIdleConnectionsHaveNoGoroutine(t *testing.T) {
	rt := wire.New(noOptions)
	defer rt.Close()
	before := runtime.NumGoroutine()
	s := crowd(t, rt, 50)
	// The server has one for each, and one that accepts.
	eventually(t, "there are no more", func() bool { return runtime.NumGoroutine() <= before+51 })
	if n := rt.Idle(); n != 50 || s.open.Load() != 50 {
		t.Errorf("%d are idle, %d open", n, s.open.Load())
	}
}
