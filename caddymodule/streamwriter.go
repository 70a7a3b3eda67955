package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"

	"github.com/tenantgate/tenantgate/caddymodule/tunnel"
)

// longBody is how many bytes of a body make a stream, of the response's or the request's: what is never flushed may take
// long all the same.
const longBody = 256 << 10

// streamWriter is the writer of every admitted request. It notices a response that takes long and makes it a [stream];
// the others pay for a comparison.
type streamWriter struct {
	limitWriter
	state   *state
	written int64                  // bytes
	stream  atomic.Pointer[stream] // nil until there is one
}

// noStream is in the place of a stream after the handler has returned.
var noStream = new(stream)

// forward calls the next handler with a writer that notices streams.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, st *state, next caddyhttp.Handler) error {
	sw := &st.writer
	sw.ResponseWriter, sw.state = w, st
	returned := false
	defer func() {
		if cut := sw.end(); cut && returned {
			panic(http.ErrAbortHandler) // the server must not end the response as if it were whole
		}
	}()
	upload := r.ContentLength < 0 || r.ContentLength >= longBody
	if upload || r.ProtoMajor >= 3 || r.Method == http.MethodConnect || st.upgrade && r.Header["Upgrade"] != nil {
		r = sw.withCancel(r)
	}
	if upload {
		sw.begin()
	}
	err := next.ServeHTTP(sw, r)
	returned = true
	return err
}

// withCancel is for requests that a deadline does not end: what was hijacked, HTTP/3, and uploads, whose deadline Caddy
// moves before each read.
func (w *streamWriter) withCancel(r *http.Request) *http.Request {
	ctx, cancel := context.WithCancel(r.Context())
	r = r.WithContext(ctx)
	s := w.claim()
	s.cancel = cancel
	s.webSocket = httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], "websocket")
	switch {
	case isExtendedConnect(r):
		carrier := &extendedConnect{ReadCloser: r.Body, response: w.ResponseWriter}
		s.offered = tunnel.New(carrier, s.abort)
		r.Body = &tunnelBody{ReadCloser: r.Body, tunnel: s.offered}
	case r.Body != nil && r.Body != http.NoBody:
		r.Body = &streamBody{ReadCloser: r.Body, stream: s}
	}
	return r
}

// streamBody is the body of a request that can be cut off.
type streamBody struct {
	io.ReadCloser
	stream *stream
}

// Read implements io.Reader.
func (b *streamBody) Read(p []byte) (int, error) {
	if b.stream.cut.Load() {
		return 0, errCutOff
	}
	return b.ReadCloser.Read(p)
}

// claim returns the request's stream, which need not have begun.
func (w *streamWriter) claim() *stream {
	if s := w.stream.Load(); s != nil {
		return s
	}
	s := &stream{state: w.state, router: w.state.handler.router, response: w.ResponseWriter}
	if !w.stream.CompareAndSwap(nil, s) {
		return w.stream.Load()
	}
	return s
}

// begin makes the response a stream, once.
func (w *streamWriter) begin() *stream {
	s := w.claim()
	if s != noStream && s.begun.CompareAndSwap(false, true) {
		w.state.handler.runtime.streams.add(s)
	}
	return s
}

// end is called when the next handler has returned, or panics. It reports whether the response was cut off.
func (w *streamWriter) end() (cut bool) {
	s := w.stream.Swap(noStream)
	if s == nil {
		return false
	}
	cut = s.leave()
	w.state.handler.runtime.streams.remove(s)
	return cut
}

// WriteHeader implements http.ResponseWriter.
func (w *streamWriter) WriteHeader(status int) {
	if s := w.stream.Load(); s != nil && s.offered != nil && status == http.StatusOK {
		s.accepted.Store(s.offered)
		s.hijacked(nil, s.offered)
	}
	w.limitWriter.WriteHeader(status)
}

var errCutOff = errors.New("the stream was closed by the gateway")

// Write implements http.ResponseWriter.
func (w *streamWriter) Write(p []byte) (int, error) {
	if w.written += int64(len(p)); w.written >= longBody && w.written-int64(len(p)) < longBody {
		w.begin()
	}
	if s := w.stream.Load(); s != nil {
		if s.cut.Load() {
			return 0, errCutOff
		}
		if t := s.accepted.Load(); t != nil {
			return t.Write(p)
		}
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, which servers use to send files without copying them.
func (w *streamWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.begin().cut.Load() {
		return 0, errCutOff
	}
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is what http.ResponseController calls.
func (w *streamWriter) FlushError() error {
	s := w.begin()
	if s.cut.Load() {
		return errCutOff
	}
	flush := http.NewResponseController(w.ResponseWriter).Flush
	if t := s.accepted.Load(); t != nil {
		return t.Flush(flush)
	}
	return flush()
}

// Flush implements http.Flusher.
func (w *streamWriter) Flush() { _ = w.FlushError() }

// Hijack implements http.Hijacker. A WebSocket's connection is followed frame by frame.
func (w *streamWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s := w.claim()
	raw := conn
	var t *tunnel.Tunnel
	if s.webSocket {
		conn, brw, t = tunnel.Hijacked(raw, brw, s.abort)
	}
	s.hijacked(raw, t)
	w.begin()
	return conn, brw, nil
}

// Interface guards
var (
	_ http.Flusher  = (*streamWriter)(nil)
	_ http.Hijacker = (*streamWriter)(nil)
	_ io.ReaderFrom = (*streamWriter)(nil)
)
