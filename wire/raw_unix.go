//go:build unix

package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// rawReads says that idle connections can be looked at without waiting.
const rawReads = true

// What advance does next.
const (
	stepProbe = iota // look whether anything has arrived
	stepLook         // the same, and nothing else
	stepWrite
	stepRead
)

// rawStep is the state of advance. A request without a body costs three system calls: a read that finds nothing, which
// proves that the connection is still there and the server has not said anything unasked; a write; and a read of the
// response, once the poller says that there is one. Read and Write in their place would be as many, the first of them a
// read that comes too early.
type rawStep struct {
	bound   func(fd uintptr) bool // advance, made once
	next    int
	head    []byte
	receive bool
	written int
	gone    bool // closed by the server, or no longer in step with it
	probe   [1]byte
	err     error
}

// begin sends a request's header as far as it goes without waiting. On a connection that was idle it looks first whether
// it still is; gone means that nothing was sent. With receive it then waits for the beginning of the response.
func (c *conn) begin(head []byte, receive bool) (written int, gone bool, err error) {
	if c.raw == nil {
		return 0, false, nil
	}
	s := &c.step
	s.next, s.head, s.receive, s.written, s.gone, s.err = stepWrite, head, receive, 0, false, nil
	if c.reused {
		s.next = stepProbe
	}
	err = c.raw.Read(s.bound)
	s.head = nil
	if err == nil {
		err = s.err
	}
	return s.written, s.gone, err
}

// quiet says whether an idle connection still is: not closed, and nothing has arrived on it.
func (c *conn) quiet() bool {
	s := &c.step
	s.next, s.gone, s.err = stepLook, false, nil
	return c.raw.Read(s.bound) == nil && !s.gone
}

// advance is called with the socket, at once and whenever it may have become readable, until it returns true. The poller
// is told before the first call that readiness counts from there on, so that nothing that arrives after the probe is missed.
func (c *conn) advance(fd uintptr) bool {
	s := &c.step
	if s.next == stepProbe || s.next == stepLook {
		if _, err := retry(int(fd), s.probe[:], syscall.Read); !errors.Is(err, syscall.EAGAIN) {
			s.gone = true
			return true
		}
		if s.next == stepLook {
			return true
		}
		s.next = stepWrite
	}
	if s.next == stepWrite {
		n, err := retry(int(fd), s.head, syscall.Write)
		s.written = n
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			s.err = c.failed("write", err)
			return true
		}
		if n < len(s.head) || !s.receive {
			return true
		}
		s.next = stepRead
		return false
	}
	n, err := retry(int(fd), c.in, syscall.Read)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false
	case err != nil:
		s.err = c.failed("read", err)
	case n == 0:
		s.err = io.EOF
	}
	c.r, c.w = 0, n
	return true
}

// retry makes a system call until no signal interrupts it. The count is never negative.
func retry(fd int, b []byte, call func(int, []byte) (int, error)) (int, error) {
	for {
		n, err := call(fd, b)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		return max(n, 0), err
	}
}

// failed is the error of a system call as package net has it.
func (c *conn) failed(op string, err error) error {
	return &net.OpError{
		Op: op, Net: "tcp", Source: c.net.LocalAddr(), Addr: c.net.RemoteAddr(), Err: os.NewSyscallError(op, err),
	}
}
