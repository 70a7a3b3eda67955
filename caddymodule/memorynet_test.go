package caddymodule

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// memoryNetwork is a network within this process: `bind memory/refusals`. What a server does for a request can be counted
// there without the kernel, and always the same.
const memoryNetwork = "memory"

func init() {
	caddy.RegisterNetwork(memoryNetwork, func(_ context.Context, _, _, port string, _ uint, _ net.ListenConfig) (any, error) {
		l := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		memoryListeners.Store(port, l)
		return l, nil
	})
}

// memoryListeners are the listeners by port.
var memoryListeners sync.Map

// memoryAddr is everybody's address.
var memoryAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1234}

// memoryListener accepts connections from this process.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (*memoryListener) Addr() net.Addr { return memoryAddr }

// memoryConn is a connection on which the same request comes so and so often, and which its client ends when all are
// answered.
type memoryConn struct {
	request []byte
	left    int    // requests that have not begun
	rest    []byte // of the one that has
	status  []byte // what begins the answer that is expected

	mu      sync.Mutex
	change  sync.Cond
	expired bool // the deadline of reading
	pending int  // requests without an answer
	right   int  // answers with the status
	first   []byte
	closed  bool
}

// memoryAsk asks the server on that port n times, and returns the first answer. Each has to be written at once, and to have
// that status.
func memoryAsk(tb testing.TB, port, host, status string, n int) []byte {
	tb.Helper()
	l, ok := memoryListeners.Load(port)
	if !ok {
		tb.Fatalf("nobody listens on %s", port)
	}
	c := &memoryConn{
		request: []byte("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"), left: n, status: []byte("HTTP/1.1 " + status + " "), pending: n,
	}
	c.change.L = &c.mu
	listener := l.(*memoryListener)
	select {
	case listener.conns <- c:
	case <-listener.closed:
		tb.Fatalf("nobody listens on %s any more", port)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed {
		c.change.Wait()
	}
	if c.right != n {
		tb.Fatalf("%s: %d answers to %d requests have status %s; the first is %q", host, c.right, n, status, c.first)
	}
	return c.first
}

// Read implements net.Conn.
func (c *memoryConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 && c.left > 0 {
		c.left--
		c.rest = c.request
	}
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.expired:
			return 0, os.ErrDeadlineExceeded
		case c.pending == 0 || c.closed:
			return 0, io.EOF
		}
		c.change.Wait()
	}
}

// Write implements net.Conn. A server that writes an answer in parts has fewer right answers.
func (c *memoryConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil {
		c.first = bytes.Clone(p)
	}
	if bytes.HasPrefix(p, c.status) {
		c.right++
	}
	if c.pending--; c.pending == 0 {
		c.change.Broadcast()
	}
	return len(p), nil
}

// Close implements net.Conn.
func (c *memoryConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.change.Broadcast()
	return nil
}

// SetReadDeadline implements net.Conn. A server sets one in the past to end a Read.
func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expired = !t.IsZero() && !time.Now().Before(t); c.expired {
		c.change.Broadcast()
	}
	return nil
}

// LocalAddr implements net.Conn.
func (*memoryConn) LocalAddr() net.Addr { return memoryAddr }

// RemoteAddr implements net.Conn.
func (*memoryConn) RemoteAddr() net.Addr { return memoryAddr }

// SetDeadline implements net.Conn.
func (c *memoryConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn. Writing never waits.
func (*memoryConn) SetWriteDeadline(time.Time) error { return nil }
