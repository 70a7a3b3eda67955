package wire

import (
	"bytes"
	"io"
	"net"
	"syscall"
)

// conn is a connection. It belongs to one exchange, or to the pool.
type conn struct {
	net     net.Conn
	raw     syscall.RawConn // nil where the operating system's socket is out of reach; not kept then
	address string
	reused  bool   // it has served a request before
	since   uint32 // the pool's tick when it became idle
	kill    func() // closes it, made once for all exchanges

	// in[r:w] has been received and not been read.
	in   []byte
	r, w int
	size int // of in, where no header was larger

	step rawStep
}

func newConn(network net.Conn, address string, size int) *conn {
	c := &conn{net: network, address: address, in: make([]byte, size), size: size}
	c.kill = func() { _ = network.Close() } // whoever waits for it sees the error
	if s, ok := network.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			c.raw = raw
			c.step.bound = c.advance
		}
	}
	return c
}

// buffered returns what has been received and not been read. It is valid until the next fill.
func (c *conn) buffered() []byte { return c.in[c.r:c.w] }

// fill waits for more bytes. There must be room, see grow.
func (c *conn) fill() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	n, err := c.net.Read(c.in[c.w:])
	c.w += n
	if n > 0 {
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// grow makes room for at least one byte more, and says no when that would be more than limit bytes.
func (c *conn) grow(limit int) bool {
	if c.w < len(c.in) {
		return true
	}
	if c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
		return true
	}
	if len(c.in) >= limit {
		return false
	}
	larger := make([]byte, min(2*len(c.in), limit))
	c.w = copy(larger, c.in[:c.w])
	c.in = larger
	return true
}

// rest makes a connection ready to be idle: a large header's buffer is not kept.
func (c *conn) rest() {
	if len(c.in) != c.size {
		c.in = make([]byte, c.size)
	}
	c.r, c.w = 0, 0
}

// block returns the length of the block of lines at the beginning of what is buffered, including the empty line that ends
// it; 0 when it is not complete yet. from is where to look, and where to go on looking with more. Each line must end with
// CR LF: whoever takes a bare LF for a line end sees other fields than whoever does not.
func (c *conn) block(from int) (length, next int, err error) {
	b := c.buffered()
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0, from, nil
		}
		if i == 0 || b[from+i-1] != '\r' {
			return 0, 0, errBareLF
		}
		if i == 1 {
			return from + 2, 0, nil
		}
		from += i + 1
	}
}

// line returns the length of the line at the beginning of what is buffered, with its CR LF; 0 when it is not complete.
func (c *conn) line() (int, error) {
	b := c.buffered()
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return 0, nil
	}
	if i == 0 || b[i-1] != '\r' {
		return 0, errBareLF
	}
	return i + 1, nil
}
