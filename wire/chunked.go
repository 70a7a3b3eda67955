package wire

import (
	"io"
	"net/http"
)

// chunkState is what comes next in a chunked body.
type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd // the line end after the data
	chunkTrailer
)

const (
	// maxChunkLine bounds the line with a chunk's size and its extensions, in bytes.
	maxChunkLine = 512
	// maxChunkExcess bounds how much more than data there may be in a chunked body, beyond what is usual.
	maxChunkExcess = 16 << 10
)

// chunked reads a chunked body (RFC 9112 §7.1). It waits only as long as it has nothing to return.
func (b *responseBody) chunked(p []byte) (n int, err error) {
	c := b.x.c
	for {
		if b.chunk == chunkData {
			if n == len(p) || n > 0 && c.r == c.w {
				return n, nil
			}
			m, err := b.part(p[n:])
			n += m
			if err != nil {
				return n, err
			}
			if b.remain == 0 {
				b.chunk = chunkEnd
			}
			continue
		}
		ready, err := b.advance()
		if err != nil {
			return n, err
		}
		if ready {
			continue
		}
		if n > 0 {
			return n, nil
		}
		limit := c.size
		if b.chunk == chunkTrailer {
			limit = max(limit, b.x.t.options.MaxResponseHeaderBytes)
		}
		if !c.grow(limit) {
			return n, errHeaderSize
		}
		if err := b.x.fill(); err != nil {
			return n, short(err)
		}
	}
}

// advance reads what is between data, if all of it is there. The error at the end of the body is io.EOF.
func (b *responseBody) advance() (ready bool, err error) {
	c := b.x.c
	switch b.chunk {
	case chunkEnd:
		line := c.buffered()
		if len(line) > 0 && line[0] != '\r' || len(line) > 1 && line[1] != '\n' {
			return false, errChunk
		}
		if len(line) < 2 {
			return false, nil
		}
		c.r += 2
		b.chunk = chunkSize
		return true, nil
	case chunkSize:
		return b.size()
	}
	return b.trailer()
}

// size reads the line with a chunk's size.
func (b *responseBody) size() (ready bool, err error) {
	c := b.x.c
	n, err := c.line()
	if err != nil {
		return false, err
	}
	if n > maxChunkLine || n == 0 && len(c.buffered()) >= maxChunkLine {
		return false, errChunk
	}
	if n == 0 {
		return false, nil
	}
	size, err := parseChunkSize(c.buffered()[:n-2])
	if err != nil {
		return false, err
	}
	c.r += n
	// A body of a byte per chunk and a long line for each costs much and brings little.
	if b.excess = max(0, b.excess+int64(n)+2-16-min(2*size, maxChunkExcess)); b.excess > maxChunkExcess {
		return false, errChunkExcess
	}
	if b.remain = size; size == 0 {
		b.chunk = chunkTrailer
	} else {
		b.chunk = chunkData
	}
	return true, nil
}

// parseChunkSize reads a chunk's size in hexadecimal digits. What follows after a semicolon are extensions, which nobody
// uses; they are skipped.
func parseChunkSize(line []byte) (int64, error) {
	var size int64
	i := 0
	for ; i < len(line); i++ {
		d := unhex(line[i])
		if d < 0 {
			break
		}
		if size > 1<<59-1 {
			return 0, errChunkSize
		}
		size = size<<4 | int64(d)
	}
	if i == 0 || i > 16 {
		return 0, errChunk
	}
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	if i < len(line) && line[i] != ';' {
		return 0, errChunk
	}
	for ; i < len(line); i++ {
		if !valueBytes[line[i]] {
			return 0, errChunk
		}
	}
	return size, nil
}

// unhex returns the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// trailer reads the fields after the last chunk, of which there are seldom any, and the empty line.
func (b *responseBody) trailer() (ready bool, err error) {
	c := b.x.c
	limit := b.x.t.options.MaxResponseHeaderBytes
	n, _, err := c.block(0)
	if err != nil {
		return false, err
	}
	if n > limit || n == 0 && len(c.buffered()) >= limit {
		return false, errHeaderSize
	}
	if n == 0 {
		return false, nil
	}
	if n > 2 {
		fields, err := parseFields(string(c.buffered()[:n]))
		if err != nil {
			return false, err
		}
		if err := b.merge(fields); err != nil {
			return false, err
		}
	}
	c.r += n
	return false, io.EOF
}

// merge adds the trailers to the response.
func (b *responseBody) merge(fields http.Header) error {
	resp := &b.x.resp
	if resp.Trailer == nil {
		resp.Trailer = make(http.Header, len(fields))
	}
	for name, values := range fields {
		if framesMessage(name) {
			return errTrailer
		}
		resp.Trailer[name] = values
	}
	return nil
}
