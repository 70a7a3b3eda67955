package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxInterim is how many interim responses (1xx) there may be before the final one.
const maxInterim = 1000

// exchange is a request and its response on a connection of their own, and one allocation with most of what is needed.
type exchange struct {
	message
	t    *Transport
	c    *conn
	ctx  context.Context
	stop func() bool // ends the watch over ctx; nil where ctx never ends

	gone      bool // nothing was sent: the connection was not idle any more
	wrote     bool // at least one byte was sent
	answered  bool // at least one byte was received
	bodyTaken bool // the writer closes the request's body
	late      bool // one of the transport's own limits ended the exchange

	writer *writer // nil without a body

	mu        sync.Mutex
	hasHeader bool      // the response's header has arrived; guarded by mu
	headerBy  time.Time // when it has to be there; guarded by mu, zero while the request is being sent

	// over says who has ended the exchange: the one that swaps it first decides what becomes of the connection.
	over atomic.Bool

	resp http.Response
	body responseBody
}

// do sends the request and returns the response, whose body ends the exchange.
func (x *exchange) do(head []byte) (*http.Response, error) {
	if x.ctx.Done() != nil {
		x.stop = context.AfterFunc(x.ctx, x.c.kill)
	}
	err := x.send(head)
	if err == nil {
		err = x.receive()
	}
	if err == nil {
		return &x.resp, nil
	}
	x.end(false)
	if x.writer != nil {
		// The caller may do with the body what it likes as soon as it has the error.
		<-x.writer.done
		if x.writer.bodyErr != nil {
			err = x.writer.bodyErr
		}
	}
	return nil, err
}

// again says whether a request that failed may be sent once more: nothing of it was sent, or nobody minds if it is done
// twice, and only the server's closing of an idle connection is in the way.
func (x *exchange) again() bool {
	if !x.c.reused || x.bodyTaken || x.answered || x.ctx.Err() != nil {
		return false
	}
	return x.gone || !x.wrote || x.plan.replays && !x.late
}

// send writes the header, and lets a goroutine write the body if there is one.
func (x *exchange) send(head []byte) error {
	o, c := &x.t.options, x.c
	if o.WriteTimeout > 0 {
		_ = c.net.SetWriteDeadline(time.Now().Add(o.WriteTimeout)) // a closed connection shows when it is written to
	}
	if x.plan.body {
		x.limitRead()
	} else {
		x.expectHeader()
	}
	n, gone, err := c.begin(head, !x.plan.body)
	x.gone, x.wrote = gone, n > 0
	if gone {
		return errClosedEarly
	}
	if err != nil && n == len(head) {
		return x.headerFailed(err)
	}
	if err != nil {
		return x.failed("sending the request", err)
	}
	for n < len(head) {
		m, err := c.net.Write(head[n:])
		n += m
		x.wrote = x.wrote || m > 0
		if err != nil {
			return x.failed("sending the request", err)
		}
	}
	if x.trace != nil && x.trace.WroteHeaders != nil {
		x.trace.WroteHeaders()
	}
	if x.plan.body {
		x.bodyTaken = true
		x.writer = &writer{x: x, done: make(chan struct{})}
		go x.writer.run()
	} else {
		x.wroteRequest(nil)
	}
	return nil
}

func (x *exchange) wroteRequest(err error) {
	if x.trace != nil && x.trace.WroteRequest != nil {
		x.trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
}

// expectHeader starts the time that the server has for the response's header.
func (x *exchange) expectHeader() {
	if d := x.t.options.ResponseHeaderTimeout; d > 0 {
		x.mu.Lock()
		x.headerBy = time.Now().Add(d)
		x.mu.Unlock()
	}
	x.limitRead()
}

// limitRead bounds the next wait for bytes of the response.
func (x *exchange) limitRead() {
	o := &x.t.options
	if o.ReadTimeout == 0 && o.ResponseHeaderTimeout == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var by time.Time
	if o.ReadTimeout > 0 {
		by = time.Now().Add(o.ReadTimeout)
	}
	if !x.hasHeader && !x.headerBy.IsZero() && (by.IsZero() || x.headerBy.Before(by)) {
		by = x.headerBy
	}
	_ = x.c.net.SetReadDeadline(by) // a closed connection shows when it is read from
}

// receive reads responses until the final one, and prepares its body.
func (x *exchange) receive() error {
	var h head
	for interim := 0; ; interim++ {
		if err := x.header(&h); err != nil {
			return x.headerFailed(err)
		}
		if h.code >= 200 {
			break
		}
		if h.code == http.StatusSwitchingProtocols {
			return x.failed("reading the response", errSwitch)
		}
		if interim == maxInterim {
			return x.failed("reading the response", errInterim)
		}
		if err := x.interim(&h); err != nil {
			return err
		}
	}
	x.mu.Lock()
	x.hasHeader = true
	x.mu.Unlock()
	x.limitRead()
	if err := x.prepare(&h); err != nil {
		return x.failed("reading the response", err)
	}
	return nil
}

// interim tells the caller about a response that is not the final one (RFC 9110 §15.2).
func (x *exchange) interim(h *head) error {
	if x.out != nil {
		return x.out.Interim(h.code, h.fields)
	}
	if x.trace == nil {
		return nil
	}
	if h.code == http.StatusContinue && x.trace.Got100Continue != nil {
		x.trace.Got100Continue()
	}
	if x.trace.Got1xxResponse != nil {
		return x.trace.Got1xxResponse(h.code, textproto.MIMEHeader(h.fields))
	}
	return nil
}

// header reads one header, from the status line to the empty line.
func (x *exchange) header(h *head) error {
	c, limit := x.c, x.t.options.MaxResponseHeaderBytes
	next := 0
	for {
		if b := c.buffered(); len(b) > 0 {
			if !x.answered {
				x.answered = true
				if x.trace != nil && x.trace.GotFirstResponseByte != nil {
					x.trace.GotFirstResponseByte()
				}
			}
			if !isPrefix(b) {
				return errStatusLine
			}
			length, from, err := c.block(next)
			if err != nil {
				return err
			}
			if length > limit || length == 0 && len(b) >= limit {
				return errHeaderSize
			}
			if length > 0 {
				c.r += length
				return h.parse(string(b[:length]))
			}
			next = from
		}
		if !c.grow(max(limit, c.size)) {
			return errHeaderSize
		}
		if err := x.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				if len(c.buffered()) > 0 {
					return io.ErrUnexpectedEOF
				}
				return errClosedEarly
			}
			return err
		}
	}
}

// fill waits for more of the response.
func (x *exchange) fill() error {
	x.limitRead()
	return x.c.fill()
}

// prepare makes the response from its header.
func (x *exchange) prepare(h *head) error {
	kind, length, err := h.framing(x.req.Method == http.MethodHead)
	if err != nil {
		return err
	}
	x.resp = http.Response{
		Status: h.status, StatusCode: h.code, Proto: h.proto, ProtoMajor: 1, ProtoMinor: h.minor,
		Header: h.fields, ContentLength: length, Close: h.close || kind == bodyUntilClose, Request: x.req, Trailer: h.trailer,
	}
	x.body.keep = !x.resp.Close && !x.plan.close && x.c.raw != nil
	x.body.kind, x.body.remain, x.body.x = kind, length, x
	if h.chunked {
		x.resp.TransferEncoding = chunkedEncoding
	}
	if kind == bodyNone {
		x.resp.Body = http.NoBody
		x.end(x.body.keep)
		return nil
	}
	x.resp.Body = &x.body
	return nil
}

// chunkedEncoding is shared by all responses, with no room to append to.
var chunkedEncoding = []string{"chunked"}[:1:1]

// failed says what became of the exchange: that the caller has given up comes before everything else.
func (x *exchange) failed(op string, err error) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	e := &Error{op, err}
	x.late = x.late || e.Timeout()
	return e
}

// headerFailed tells the time that the header has from that of a read.
func (x *exchange) headerFailed(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) && !x.headerBy.IsZero() && !time.Now().Before(x.headerBy) {
		err = headerTimeout{}
	}
	return x.failed("reading the response", err)
}

// end ends the exchange, once: the connection becomes idle, or is closed.
func (x *exchange) end(reuse bool) {
	if x.over.Swap(true) {
		return
	}
	c := x.c
	reuse = reuse && c.r == c.w // what was not asked for makes it useless
	if x.stop != nil && !x.stop() {
		reuse = false
	}
	if reuse && x.writer != nil && !x.writer.succeeded() {
		x.writer.leave()
		return
	}
	x.t.settle(c, reuse)
}

// settle keeps a connection for the next request, or closes it.
func (t *Transport) settle(c *conn, reuse bool) {
	if !reuse {
		_ = c.net.Close()
		return
	}
	if t.options.ReadTimeout > 0 {
		_ = c.net.SetReadDeadline(time.Time{}) // a closed connection shows when it is used again
	}
	c.rest()
	t.pool.put(c)
}
