package wire

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// bodyBuffer is how much of a request's body is read at once, in bytes.
const bodyBuffer = 32 << 10

// lingerTime is how long the rest of a request may take after its response has ended, before the connection is given up.
const lingerTime = 50 * time.Millisecond

// What a writer has come to.
const (
	writerBusy      = iota
	writerSucceeded // the request is complete
	writerFailed
	writerLeft // the response has ended before: the writer settles the connection
)

// writer writes a request's body while the response may arrive already. It is the only goroutine that there ever is, and
// only for requests with a body: a server may answer before it has read everything, and whoever writes and does not read
// would wait for it for ever.
type writer struct {
	x       *exchange
	state   atomic.Int32
	done    chan struct{} // closed when nothing more is read from the body
	bodyErr error         // why the body could not be read or sent; read after done
	linger  *time.Timer
}

func (w *writer) succeeded() bool { return w.state.Load() == writerSucceeded }

// run writes the body and closes it.
func (w *writer) run() {
	x := w.x
	err := w.copy()
	x.wroteRequest(err)
	_ = x.req.Body.Close() // all of it was read, or the error is known
	state := int32(writerSucceeded)
	if err != nil {
		state = writerFailed
		if w.bodyErr != nil {
			// The server must not take what it has for all of it, and the reader has nothing to wait for.
			x.c.kill()
		}
	} else {
		x.expectHeader()
	}
	c, t := x.c, x.t
	left := !w.state.CompareAndSwap(writerBusy, state)
	close(w.done)
	if left {
		t.settle(c, w.linger.Stop() && err == nil)
	}
}

// leave lets the writer settle the connection. It has a moment for that: often it only has to notice that it is done.
func (w *writer) leave() {
	c := w.x.c
	w.linger = time.AfterFunc(lingerTime, c.kill)
	if !w.state.CompareAndSwap(writerBusy, writerLeft) {
		w.x.t.settle(c, w.linger.Stop() && w.succeeded())
	}
}

// copy sends the body with its length, or in chunks and with its trailers.
func (w *writer) copy() error {
	buf := w.x.t.bodies.Get().(*[]byte)
	defer w.x.t.bodies.Put(buf)
	if w.x.plan.length < 0 {
		return w.chunks(*buf)
	}
	return w.sized(*buf)
}

// sized sends a body of known length. The last piece waits until the body has ended, which has to be read anyway before the
// body's owner may go on, so that a longer one is not taken for complete.
func (w *writer) sized(buf []byte) error {
	body, remain := w.x.req.Body, w.x.plan.length
	for remain > 0 {
		n, err := body.Read(buf[:min(int64(len(buf)), remain)])
		remain -= int64(n)
		if remain == 0 && err == nil {
			err = ended(body)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return w.broken(err)
		}
		if n > 0 {
			if err := w.write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil && remain > 0 {
			return w.broken(&Error{"sending the request", errBodyShort})
		}
	}
	return nil
}

// ended reads the end of a body: io.EOF, or an error when there is more.
func ended(body io.Reader) error {
	var more [1]byte
	for {
		n, err := body.Read(more[:])
		if n > 0 {
			return &Error{"sending the request", errBodyLong}
		}
		if err != nil {
			return err
		}
	}
}

// sizeRoom is how many bytes the line with a chunk's size takes: hexadecimal digits of bodyBuffer, and CR LF.
const sizeRoom = 6

// chunks sends the body chunked (RFC 9112 §7.1), each chunk as it comes, in one write.
func (w *writer) chunks(buf []byte) error {
	data := buf[sizeRoom : len(buf)-2]
	for {
		n, err := w.x.req.Body.Read(data)
		if n > 0 {
			size := append(strconv.AppendInt(buf[:0:sizeRoom], int64(n), 16), "\r\n"...)
			start := sizeRoom - len(size)
			copy(buf[start:], size)
			end := sizeRoom + n
			end += copy(buf[end:], "\r\n")
			if err := w.write(buf[start:end]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return w.broken(err)
		}
	}
	last, err := appendTrailer(append(buf[:0], "0\r\n"...), w.x.req.Trailer)
	if err != nil {
		return w.broken(err)
	}
	return w.write(last)
}

// write sends a part of the body. Where the server does not take it, it may still have answered: the reader finds out.
func (w *writer) write(b []byte) error {
	if d := w.x.t.options.WriteTimeout; d > 0 {
		_ = w.x.c.net.SetWriteDeadline(time.Now().Add(d)) // a closed connection shows at once
	}
	_, err := w.x.c.net.Write(b)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return w.broken(&Error{"sending the request", err})
	}
	return err
}

// broken remembers an error that ends the exchange.
func (w *writer) broken(err error) error {
	w.bodyErr = err
	return err
}
