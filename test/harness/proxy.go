package harness

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a TCP proxy that stands between the gateway and what it depends on. It counts, and it can behave as a server
// that hangs (it takes connections and requests and says nothing) or that is down (it refuses and resets).
type Proxy struct {
	// Address is where it listens, "127.0.0.1:port".
	Address string

	target      string
	connections atomic.Int64
	bytesIn     atomic.Int64
	fault       atomic.Pointer[activeFault] // nil: none

	mu      sync.Mutex
	changed *sync.Cond
	hanging bool
	closed  bool
	ln      net.Listener // nil while it is down
	open    map[net.Conn]struct{}
	watched map[string]*atomic.Int64
	running sync.WaitGroup
}

// StartProxy starts a proxy to a target, "host:port". It ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{
		Address: FreeAddress(t), target: target,
		open: map[net.Conn]struct{}{}, watched: map[string]*atomic.Int64{},
	}
	p.changed = sync.NewCond(&p.mu)
	p.Up(t)
	t.Cleanup(p.close)
	return p
}

// Connections returns how many connections were made so far.
func (p *Proxy) Connections() int64 { return p.connections.Load() }

// BytesIn returns how many bytes clients have sent so far.
func (p *Proxy) BytesIn() int64 { return p.bytesIn.Load() }

// Watch counts from now on how often clients send this text.
func (p *Proxy) Watch(text string) (count func() int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.watched[text]
	if n == nil {
		n = &atomic.Int64{}
		p.watched[text] = n
	}
	return n.Load
}

// Hang stops passing anything on, in both directions, but keeps taking connections and requests.
func (p *Proxy) Hang() { p.setHanging(true) }

// Resume passes on everything that came in the meantime, and whatever comes.
func (p *Proxy) Resume() { p.setHanging(false) }

func (p *Proxy) setHanging(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging = on
	p.changed.Broadcast()
}

// Down refuses new connections and resets those that are open.
func (p *Proxy) Down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		p.ln.Close()
		p.ln = nil
	}
	for conn := range p.open {
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
	}
}

// Up takes connections again after [Proxy.Down].
func (p *Proxy) Up(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.ln = ln
	p.mu.Unlock()
	p.running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p.connections.Add(1)
			p.running.Go(func() { p.serve(conn) })
		}
	})
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	p.Cure()
	p.Down()
	p.running.Wait()
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	if !p.track(client) {
		return
	}
	defer p.untrack(client)
	if !p.wait() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.track(server) {
		return
	}
	defer p.untrack(server)
	var pumps sync.WaitGroup
	pumps.Go(func() { p.pump(server, client, p.watchers()) })
	pumps.Go(func() { p.pump(client, server, nil) })
	pumps.Wait()
}

// pump passes bytes on until either side ends, and then ends both.
func (p *Proxy) pump(to, from net.Conn, look func(chunk []byte)) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	on := &passer{proxy: p, to: to, from: from, answers: look == nil}
	for {
		n, err := from.Read(buf)
		if look != nil {
			p.bytesIn.Add(int64(n))
			look(buf[:n])
		}
		if n > 0 {
			if !p.wait() {
				return
			}
			if !on.pass(buf[:n]) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// watchers returns a function that counts the watched texts in one stream, also where one is cut by the chunks.
func (p *Proxy) watchers() func([]byte) {
	var kept []byte
	return func(chunk []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		longest := 0
		for text, n := range p.watched {
			longest = max(longest, len(text))
			before := kept[max(0, len(kept)-len(text)+1):]
			joined := append(append([]byte{}, before...), chunk...)
			n.Add(int64(bytes.Count(joined, []byte(text))))
		}
		kept = append(kept, chunk...)
		kept = append([]byte{}, kept[max(0, len(kept)-longest):]...)
	}
}

// wait returns once nothing hangs, and false when the proxy has closed.
func (p *Proxy) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hanging && !p.closed {
		p.changed.Wait()
	}
	return !p.closed
}

func (p *Proxy) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.ln == nil {
		return false
	}
	p.open[conn] = struct{}{}
	return true
}

func (p *Proxy) untrack(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
}
