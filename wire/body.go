package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// responseBody reads a response's body from the connection. The read that finds its end gives the connection back.
type responseBody struct {
	x      *exchange
	kind   bodyKind
	keep   bool  // the connection may serve another request
	remain int64 // bytes left of the body or of the chunk
	chunk  chunkState
	excess int64 // see size
	err    error // of all reads from now on
}

// Read implements io.Reader. It returns io.EOF with the last bytes where it can.
func (b *responseBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.x.over.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	var err error
	switch b.kind {
	case bodyLength:
		n, err = b.part(p)
		if err == nil && b.remain == 0 {
			err = io.EOF
		}
	case bodyChunked:
		n, err = b.chunked(p)
	default:
		n, err = b.untilClose(p)
	}
	if err != nil {
		b.finish(err)
	}
	return n, b.err
}

// Buffered returns how many bytes of what the server has sent have been received and not been read. If there are none, the
// next Read waits. Response bodies have this method, for proxies that decide when to flush.
func (b *responseBody) Buffered() int {
	if b.err != nil || b.x.over.Load() {
		return 0
	}
	return len(b.x.c.buffered())
}

// finish remembers how the body ended, and ends the exchange.
func (b *responseBody) finish(err error) {
	if errors.Is(err, io.EOF) {
		b.err = io.EOF
		b.x.end(b.keep)
		return
	}
	switch {
	case b.x.ctx.Err() != nil:
		b.err = context.Cause(b.x.ctx)
	case b.x.over.Load():
		b.err = http.ErrBodyReadAfterClose
	default:
		b.err = b.x.failed("reading the response's body", err)
	}
	b.x.end(false)
}

// Close implements io.Closer. What has not been read is not waited for: the connection is closed.
func (b *responseBody) Close() error {
	b.x.end(false)
	return nil
}

// part reads what is there of the remaining bytes, or waits for some.
func (b *responseBody) part(p []byte) (int, error) {
	if int64(len(p)) > b.remain {
		p = p[:b.remain]
	}
	c := b.x.c
	if c.r == c.w && len(p) < len(c.in) {
		if err := b.x.fill(); err != nil {
			return 0, short(err)
		}
	}
	if c.r < c.w {
		n := copy(p, c.buffered())
		c.r += n
		b.remain -= int64(n)
		return n, nil
	}
	n, err := b.direct(p)
	b.remain -= int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, short(err)
}

// direct reads past the buffer, which is empty.
func (b *responseBody) direct(p []byte) (int, error) {
	b.x.limitRead()
	n, err := b.x.c.net.Read(p)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}

// untilClose reads until the server closes the connection.
func (b *responseBody) untilClose(p []byte) (int, error) {
	c := b.x.c
	if c.r < c.w {
		n := copy(p, c.buffered())
		c.r += n
		return n, nil
	}
	n, err := b.direct(p)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// short says that an end in the middle is none.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
