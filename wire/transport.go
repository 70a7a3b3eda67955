package wire

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// What Options mean where they are zero.
const (
	// DefaultDialTimeout bounds how long it takes to connect, with the default Dial.
	DefaultDialTimeout = 3 * time.Second
	// DefaultMaxIdlePerHost is how many idle connections are kept for one address.
	DefaultMaxIdlePerHost = 256
	// DefaultIdleTimeout is how long an idle connection is kept.
	DefaultIdleTimeout = 2 * time.Minute
	// DefaultMaxResponseHeaderBytes bounds a response's header: 10 MiB, as net/http does.
	DefaultMaxResponseHeaderBytes = 10 << 20
	// DefaultReadBufferSize is the size of a connection's buffer, in bytes.
	DefaultReadBufferSize = 4 << 10
)

// minReadBufferSize is room for what has to be in the buffer at once: the size line of a chunk.
const minReadBufferSize = 2 * maxChunkLine

// Options are a transport's settings. The zero value is usable; nothing has a timeout then, except connecting.
type Options struct {
	// Dial connects to an address. Its errors are returned as they are. Default: TCP within DefaultDialTimeout.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Address returns where to connect for a request, as host:port; connections are shared by all requests with the same
	// address. False hands the request over. Default: host and port of the request's URL, port 80 where it has none.
	Address func(*http.Request) (address string, ok bool)
	// Fallback gets all requests that this transport does not do itself; see the package's documentation.
	// Default: none; such requests fail with [ErrNotPlain].
	Fallback http.RoundTripper
	// ResponseHeaderTimeout bounds the time from the end of the request to the response's header. Default: no limit.
	ResponseHeaderTimeout time.Duration
	// ReadTimeout bounds each wait for bytes of the response. Default: no limit.
	ReadTimeout time.Duration
	// WriteTimeout bounds each wait for the server to take bytes of the request. Default: no limit.
	WriteTimeout time.Duration
	// MaxResponseHeaderBytes bounds the header of a response, each interim response (1xx), and the trailers.
	// Default: DefaultMaxResponseHeaderBytes.
	MaxResponseHeaderBytes int
	// ReadBufferSize is the size of a connection's buffer, in bytes; at least 1 KiB. Default: DefaultReadBufferSize.
	ReadBufferSize int
	// MaxIdle is how many idle connections are kept in all. Default: no limit.
	MaxIdle int
	// MaxIdlePerHost is how many idle connections are kept for one address. Default: DefaultMaxIdlePerHost.
	MaxIdlePerHost int
	// IdleTimeout is how long an idle connection is kept; a negative one means for ever. Default: DefaultIdleTimeout.
	IdleTimeout time.Duration
	// DisableKeepAlives makes a new connection for each request. Default: false.
	DisableKeepAlives bool
}

// Transport sends plain HTTP/1.1 requests, each on a connection that is its own until the response's body has been read.
// It is safe for concurrent use.
type Transport struct {
	options Options
	pool    pool
	heads   sync.Pool // *[]byte: requests' headers, and what is written of bodies at once
	bodies  sync.Pool // *[]byte
}

// New returns a transport.
func New(o Options) *Transport {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: DefaultDialTimeout}).DialContext
	}
	if o.Address == nil {
		o.Address = addressOf
	}
	if o.MaxResponseHeaderBytes <= 0 {
		o.MaxResponseHeaderBytes = DefaultMaxResponseHeaderBytes
	}
	if o.ReadBufferSize <= 0 {
		o.ReadBufferSize = DefaultReadBufferSize
	}
	o.ReadBufferSize = max(o.ReadBufferSize, minReadBufferSize)
	if o.MaxIdlePerHost <= 0 {
		o.MaxIdlePerHost = DefaultMaxIdlePerHost
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	t := &Transport{options: o}
	t.pool.init(o)
	t.heads.New = func() any { b := make([]byte, 0, 2<<10); return &b }
	t.bodies.New = func() any { b := make([]byte, bodyBuffer); return &b }
	return t
}

// Close closes the idle connections. Those in use are closed when their request ends; the transport can still be used,
// and keeps no connection from then on.
func (t *Transport) Close() { t.pool.close() }

// Idle returns how many idle connections there are.
func (t *Transport) Idle() int { return int(t.pool.count.Load()) }

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	address, ok := "", plain(req)
	if ok {
		address, ok = t.options.Address(req)
	}
	if !ok {
		return t.handOver(req)
	}
	resp, taken, err := t.send(&message{req: req, plan: planOf(req), trace: httptrace.ContextClientTrace(req.Context())}, address)
	if err != nil && !taken {
		closeBody(req)
	}
	return resp, err
}

// message is a request as it is sent.
type message struct {
	req   *http.Request
	plan  plan
	trace *httptrace.ClientTrace
	out   Outgoing // nil for RoundTrip: the header is the request's
}

// send sends a message to address. Taken says that the writer closes the request's body.
func (t *Transport) send(m *message, address string) (resp *http.Response, taken bool, err error) {
	buf := t.heads.Get().(*[]byte)
	defer t.heads.Put(buf)
	m.plan.close = m.plan.close || t.options.DisableKeepAlives
	head, err := m.append((*buf)[:0])
	*buf = head
	if err != nil {
		return nil, false, err
	}
	ctx := m.req.Context()
	for {
		if ctx.Err() != nil {
			return nil, false, context.Cause(ctx)
		}
		c, err := t.connect(ctx, address)
		if err != nil {
			return nil, false, err
		}
		if m.trace != nil && m.trace.GotConn != nil {
			m.trace.GotConn(httptrace.GotConnInfo{Conn: c.net, Reused: c.reused, WasIdle: c.reused})
		}
		x := &exchange{t: t, c: c, ctx: ctx, message: *m}
		resp, err := x.do(head)
		if err == nil {
			return resp, true, nil
		}
		if x.again() {
			continue
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, x.bodyTaken, err
	}
}

// connect returns an idle connection, or makes one.
func (t *Transport) connect(ctx context.Context, address string) (*conn, error) {
	if c := t.pool.take(address); c != nil {
		return c, nil
	}
	network, err := t.options.Dial(ctx, "tcp", address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return newConn(network, address, t.options.ReadBufferSize), nil
}

// handOver lets the fallback do the request.
func (t *Transport) handOver(req *http.Request) (*http.Response, error) {
	if t.options.Fallback == nil {
		closeBody(req)
		return nil, ErrNotPlain
	}
	return t.options.Fallback.RoundTrip(req)
}

// closeBody closes the request's body, as every RoundTripper has to.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nothing was written, or that is what failed
	}
}
