package wire_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/wire"
)

// waitLimit is how long anything may take that has to happen; nothing waits for it in full unless it fails.
const waitLimit = 20 * time.Second

// limits are the settings that both transports of the suite have.
type limits struct {
	header    time.Duration // ResponseHeaderTimeout
	size      int           // MaxResponseHeaderBytes
	keepAlive bool
}

// candidate is a transport that the suite runs over.
type candidate struct {
	name     string
	standard bool
	make     func(limits) (rt http.RoundTripper, closeIdle func())
}

// candidates are the standard transport, and this one without anybody to hand requests to, as a client and as a proxy uses it.
var candidates = []candidate{
	{"net_http", true, func(l limits) (http.RoundTripper, func()) {
		t := &http.Transport{
			DisableCompression: true, ResponseHeaderTimeout: l.header, MaxResponseHeaderBytes: int64(l.size),
			DisableKeepAlives: !l.keepAlive, MaxIdleConnsPerHost: 256,
		}
		return t, t.CloseIdleConnections
	}},
	{"wire", false, func(l limits) (http.RoundTripper, func()) {
		t := wire.New(wire.Options{
			ResponseHeaderTimeout: l.header, MaxResponseHeaderBytes: l.size, DisableKeepAlives: !l.keepAlive,
		})
		return t, t.Close
	}},
	{"send", false, func(l limits) (http.RoundTripper, func()) {
		t := wire.New(wire.Options{
			ResponseHeaderTimeout: l.header, MaxResponseHeaderBytes: l.size, DisableKeepAlives: !l.keepAlive,
		})
		return sender{t}, t.Close
	}},
}

// each runs a test over all candidates.
func each(t *testing.T, l limits, test func(t *testing.T, c candidate, rt http.RoundTripper)) {
	t.Helper()
	for _, c := range candidates {
		t.Run(c.name, func(t *testing.T) {
			rt, closeIdle := c.make(l)
			t.Cleanup(closeIdle)
			test(t, c, rt)
		})
	}
}

// script is a server for which each connection is a call of serve.
type script struct {
	address string
	conns   atomic.Int64 // accepted
	open    atomic.Int64
}

// peer is a connection as the script sees it.
type peer struct {
	net.Conn
	in *bufio.Reader
	n  int64 // which connection it is, from 1
	tb testing.TB
}

// request reads a request with its body; nil when there is none any more.
func (p *peer) request() *received {
	r, err := http.ReadRequest(p.in)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	return &received{r, string(body), err}
}

// say writes bytes as they are. Whether the other side wants them is its own affair.
func (p *peer) say(text string) { _, _ = io.WriteString(p, text) }

// gone waits until the other side has closed the connection.
func (p *peer) gone() { _, _ = io.Copy(io.Discard, p.in) }

// reset closes the connection with RST.
func (p *peer) reset() {
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
}

type received struct {
	*http.Request
	body    string
	bodyErr error
}

// serveScript starts a server. It ends with the test, and so do its connections.
func serveScript(t testing.TB, serve func(p *peer)) *script {
	t.Helper()
	l := listen()
	s := &script{address: l.Addr().String()}
	var mu sync.Mutex
	var wg sync.WaitGroup
	open := map[net.Conn]bool{}
	closed := false
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := s.conns.Add(1)
			s.open.Add(1)
			mu.Lock()
			if closed {
				c.Close()
			}
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				defer s.open.Add(-1)
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(2 * waitLimit))
				serve(&peer{c, bufio.NewReader(c), n, t})
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		closed = true
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return s
}

// newRequest makes a request to the script.
func (s *script) newRequest(ctx context.Context, method, target string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.address+target, body)
	if err != nil {
		panic(err)
	}
	r.GetBody = nil // as in a proxy
	return r
}

// result is what the caller of a transport has got.
type result struct {
	resp    *http.Response
	err     error // of RoundTrip
	body    string
	bodyErr error
}

// ask sends a request and reads the response to its end.
func ask(rt http.RoundTripper, r *http.Request) result {
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return result{err: err}
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	return result{resp, nil, string(body), err}
}

// within fails the test when f takes too long.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(waitLimit):
		t.Fatalf("%s: not within %s", what, waitLimit)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(waitLimit); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, waitLimit)
		}
	}
}

// isTimeout says whether the error's own type says so, as reverse_proxy asks.
func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // reverse_proxy does not unwrap either
	return ok && e.Timeout()
}

// blocked is a body that yields what it is given, and then nothing until it is released.
type blocked struct {
	io.Reader
	release chan struct{}
	once    sync.Once
	closed  atomic.Bool
}

func newBlocked(first string) *blocked {
	return &blocked{Reader: strings.NewReader(first), release: make(chan struct{})}
}

func (b *blocked) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	<-b.release
	return 0, io.EOF
}

func (b *blocked) free() { b.once.Do(func() { close(b.release) }) }

func (b *blocked) Close() error {
	b.closed.Store(true)
	return nil
}
