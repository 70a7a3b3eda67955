package tunnel

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// ErrEnded is what Read returns after a [Tunnel] was ended and the client has agreed to it.
var ErrEnded = errors.New("tunnel: the WebSocket was ended")

// Tunnel is the client's side of a WebSocket that a proxy carries: the proxy writes to it what the upstream sends, and
// reads from it what the client sends. One goroutine may read and any number write.
type Tunnel struct {
	client io.ReadWriter
	abort  func()

	// ending is the close frame to be sent; nil as long as the tunnel may go on.
	ending atomic.Pointer[[]byte]

	mu   sync.Mutex // held while writing
	down Frames
	sent bool // the close frame was sent, or never will be: nothing follows

	// What follows belongs to the reader.
	up       Frames
	dropping bool // the frame in progress does not go upstream
	agreed   bool // the client's close frame has gone upstream, after the tunnel was ended
}

// New returns a tunnel to a client. Its abort ends the connection at once, in whatever state it is, so that pending
// reads and writes return; it may be called by any goroutine, more than once, and late.
func New(client io.ReadWriter, abort func()) *Tunnel {
	return &Tunnel{client: client, abort: abort}
}

// Write sends p to the client. After the close frame of [Tunnel.End] it drops p and reports success: the proxy must not
// give up the connection before the client has read the close frame.
func (t *Tunnel) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent {
		return len(p), nil
	}
	if t.ending.Load() == nil {
		n, err := t.client.Write(p)
		for rest := p[:n]; len(rest) > 0; {
			rest = rest[t.down.Next(rest):]
		}
		return n, err
	}
	if !t.down.Between() {
		if n, err := t.client.Write(p[:t.down.Next(p)]); err != nil {
			return n, err
		}
	}
	if t.down.Between() {
		t.sendClose()
	}
	return len(p), nil
}

// Flush calls flush while nothing else is written, and not after [Tunnel.Release].
func (t *Tunnel) Flush(flush func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent {
		return nil
	}
	return flush()
}

// sendClose sends the close frame. The caller holds mu, and no frame is in progress.
func (t *Tunnel) sendClose() {
	if t.sent {
		return
	}
	t.sent = true
	if t.down.Closed() {
		return // the upstream's close frame went out: only one may (RFC 6455 §5.5.1)
	}
	if _, err := t.client.Write(*t.ending.Load()); err != nil {
		t.abort()
	}
}

// Read reads what the client sends. Once the tunnel is ended, only the frame in progress and the client's close frame
// come through, and then [ErrEnded]: RFC 6455 §7.1.1 wants a server to close the connection then.
func (t *Tunnel) Read(p []byte) (int, error) {
	for {
		if t.agreed {
			t.finish() // before the proxy closes the connection
			return 0, ErrEnded
		}
		n, err := t.client.Read(p)
		n = t.pass(p[:n])
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// Received takes note of bytes that the client has sent and that do not come through Read. It is for the time before
// the first Read.
func (t *Tunnel) Received(p []byte) {
	for len(p) > 0 {
		p = p[t.up.Next(p):]
	}
}

// pass removes from p what may not go upstream any more, and returns how much is left.
func (t *Tunnel) pass(p []byte) int {
	ending := t.ending.Load() != nil
	kept := 0
	for seen := 0; seen < len(p) && !t.agreed; {
		if t.up.Between() {
			t.dropping = ending && !isClose(p[seen])
		}
		n := t.up.Next(p[seen:])
		if !t.dropping {
			if kept != seen {
				copy(p[kept:], p[seen:seen+n])
			}
			kept += n
			t.agreed = ending && t.up.Between() && t.up.Closed()
		}
		seen += n
	}
	return kept
}

// End ends the tunnel with a close frame, and does not wait for it. If the client has not agreed to it within wait, or
// the frame in progress has not ended, the connection is aborted. Calls after the first do nothing.
func (t *Tunnel) End(code uint16, reason string, wait time.Duration) {
	frame := AppendClose(nil, code, reason)
	if !t.ending.CompareAndSwap(nil, &frame) {
		return
	}
	time.AfterFunc(wait, t.abort)
	// Whoever is writing now may be held up by the client.
	go t.finish()
}

// finish sends the close frame, unless a frame is in progress.
func (t *Tunnel) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.down.Between() {
		t.sendClose()
	}
}

// Release waits until nobody writes, and sees to it that nothing is written from now on.
func (t *Tunnel) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = true
}
