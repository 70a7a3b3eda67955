package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
)

// errNoRedis is what reading from a connection ends with when the other side says what no Redis says there.
var errNoRedis = errors.New("the answer makes no sense: check that the address leads to a Redis of version 7 or later")

// dialGuarded connects as the client does, and puts a guard around the connection.
func dialGuarded(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (conn net.Conn, err error) {
	if config != nil {
		d := tls.Dialer{NetDialer: dialer, Config: config}
		conn, err = d.DialContext(ctx, "tcp", address)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: conn}, nil
}

// guardedConn lets through only what the client can bear. The client trusts Redis: an answer that nobody asked for, or the
// length of one that is negative or gigantic, makes it panic in a goroutine of its own, which would end the gateway.
// So replies are checked before it sees them: that each is well-formed, of a size that ours have, and the answer to a command
// that was sent.
type guardedConn struct {
	net.Conn

	mu      sync.Mutex
	sent    commandScanner
	waiting []command // in the order in which they were sent

	replies replyScanner // used by the one who reads
}

// command is what matters of a command that was sent: what may be the answer to it.
type command struct {
	name string // in upper case: SUBSCRIBE and its kind, PING, HELLO; empty for others
	left int    // how many notifications are still to come, of SUBSCRIBE and its kind
}

// Write implements net.Conn.
func (c *guardedConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.sent.scan(b, func(name string, arguments int) {
		switch name = strings.ToUpper(name); name {
		case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE":
			c.waiting = append(c.waiting, command{name, arguments})
		case "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE":
			// Answered by notifications alone; the client sends a PING behind it.
		case "PING", "HELLO":
			c.waiting = append(c.waiting, command{name: name})
		default:
			c.waiting = append(c.waiting, command{})
		}
	})
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c *guardedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.replies.scan(b[:n], c.accept) {
		_ = c.Close() // the error that follows says why
		return 0, errNoRedis
	}
	return n, err
}

// accept reports whether a reply may come now.
func (c *guardedConn) accept(r *reply) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.kind == '>' {
		return c.acceptPush(r)
	}
	if len(c.waiting) == 0 {
		return false
	}
	head := c.waiting[0]
	c.answered()
	switch {
	case head.left > 0:
		return r.kind == '-'
	case head.name == "PING": // see isUnsubReply of the client
		return r.word == "PONG" || r.kind == '-' &&
			(strings.HasPrefix(r.word, "LOADING") || strings.HasPrefix(r.word, "BUSY") || strings.Contains(r.word, "'ping'"))
	case head.name == "HELLO": // without it the client falls back to the protocol of Redis 5
		return r.kind == '%' || r.kind == '-' && !strings.Contains(strings.ToLower(r.word), "unknown command")
	}
	return true
}

// acceptPush is accept for what comes by itself, and for the answers to SUBSCRIBE, which look alike.
func (c *guardedConn) acceptPush(r *reply) bool {
	switch r.word {
	case "subscribe", "psubscribe", "ssubscribe":
		if len(c.waiting) == 0 || c.waiting[0].left == 0 || !strings.EqualFold(c.waiting[0].name, r.word) {
			return false
		}
		if c.waiting[0].left--; c.waiting[0].left == 0 {
			c.answered()
		}
	}
	return true
}

// answered takes the oldest command off the list.
func (c *guardedConn) answered() {
	n := copy(c.waiting, c.waiting[1:])
	c.waiting = c.waiting[:n]
}
