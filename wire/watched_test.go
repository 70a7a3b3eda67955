package wire_test

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/wire"
)

// watched is a connection of which a test knows the read deadline.
type watched struct {
	*net.TCPConn

	mu sync.Mutex
	by time.Time
}

func (w *watched) SetReadDeadline(by time.Time) error {
	w.mu.Lock()
	w.by = by
	w.mu.Unlock()
	return w.TCPConn.SetReadDeadline(by)
}

// deadline returns the time by which a read has to end, if there is one.
func (w *watched) deadline() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by
}

// hasNews says whether something has arrived that nobody has read: bytes, or the end.
func (w *watched) hasNews(t *testing.T) bool {
	t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	news := false
	if err := raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		news = err != syscall.EAGAIN
	}); err != nil {
		t.Fatal(err)
	}
	return news
}

// dialed are the connections that a transport has made.
type dialed struct {
	buffer int // size of the buffer for sending, where it is not the system's own

	mu    sync.Mutex
	conns []*watched
}

func (d *dialed) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if d.buffer > 0 {
		_ = c.(*net.TCPConn).SetWriteBuffer(d.buffer)
	}
	w := &watched{TCPConn: c.(*net.TCPConn)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = append(d.conns, w)
	return w, nil
}

func (d *dialed) at(i int) *watched {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conns[i]
}

func (d *dialed) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}

// newWatched returns a transport whose connections are known.
func newWatched(t *testing.T, o wire.Options) (*wire.Transport, *dialed) {
	t.Helper()
	d := &dialed{}
	o.Dial = d.dial
	rt := wire.New(o)
	t.Cleanup(rt.Close)
	return rt, d
}
