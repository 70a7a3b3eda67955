package tunnel

import (
	"bufio"
	"bytes"
	"io"
	"net"
)

// Conn is a [Tunnel] over a hijacked connection.
type Conn struct {
	net.Conn
	tunnel *Tunnel
}

// halfCloser is a Conn over a connection whose writing half can be closed alone, as TCP's and TLS's can: a proxy looks
// for the method.
type halfCloser struct{ *Conn }

// CloseWrite closes the writing half.
func (c halfCloser) CloseWrite() error {
	return c.Conn.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// Hijacked makes a tunnel of what Hijack has returned, and the connection and buffers to use in place of them. Bytes
// that were read already stay in the buffer.
func Hijacked(conn net.Conn, brw *bufio.ReadWriter, abort func()) (net.Conn, *bufio.ReadWriter, *Tunnel) {
	t := New(conn, abort)
	c := &Conn{Conn: conn, tunnel: t}
	// Nothing was written into it: the head of the response has been flushed.
	brw.Writer.Reset(c)
	if n := brw.Reader.Buffered(); n > 0 {
		read, _ := brw.Peek(n) // cannot fail: they are there
		read = bytes.Clone(read)
		t.Received(read)
		brw.Reader.Reset(io.MultiReader(bytes.NewReader(read), c))
		_, _ = brw.Peek(n) // a proxy asks how many are in the buffer, and gets no more than that from it
	} else {
		brw.Reader.Reset(c)
	}
	if _, ok := conn.(interface{ CloseWrite() error }); ok {
		return halfCloser{c}, brw, t
	}
	return c, brw, t
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) { return c.tunnel.Read(p) }

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) { return c.tunnel.Write(p) }
