package caddymodule

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/caddymodule/tunnel"
	"github.com/tenantgate/tenantgate/router"
)

// closeWait is how long a WebSocket may take to end properly: its frame in progress, our close frame, the client's.
const closeWait = time.Second

// codeGoingAway stands for streams that are ended because their registry is no longer looked at. No request is refused
// with it.
const codeGoingAway = "going_away"

var refusalGoingAway = &router.Refusal{Status: http.StatusServiceUnavailable, Code: codeGoingAway}

// stream is a request that takes long: a response from its first flush, upgrade or [longBody] bytes on, or an upload of
// so many or unknown bytes.
type stream struct {
	state    *state
	router   *router.Router
	response http.ResponseWriter // of the server, or of whoever came before this handler
	begun    atomic.Bool         // it is known to the set
	cut      atomic.Bool         // it was cut off: nothing more is written

	// Set before the next handler runs.
	webSocket bool           // the request asks for an upgrade to one (RFC 6455 §4.2.1)
	offered   *tunnel.Tunnel // for a WebSocket within HTTP/2 or HTTP/3, should it be accepted
	cancel    context.CancelFunc
	// accepted is offered once the response says so.
	accepted atomic.Pointer[tunnel.Tunnel]

	// next, previous, listed and gone belong to the shard of the set.
	next, previous *stream
	listed, gone   bool
	// queued belongs to the set.
	queued uint8

	// mu is held while the response is acted upon: a server forbids that once its handler has returned.
	mu       sync.Mutex
	returned bool
	ended    bool
	conn     net.Conn       // once the connection was hijacked
	tunnel   *tunnel.Tunnel // of a WebSocket
}

func (s *stream) tenant() uuid.UUID { return s.state.decision.Resolved.Tenant.ID }

// over reports whether there is nothing left to end.
func (s *stream) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.returned || s.ended
}

// end ends s because of the refusal, and reports whether there was something to end. A WebSocket gets a close frame; a
// response is cut off, so that no client takes it for a whole one.
func (s *stream) end(refusal *router.Refusal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.returned || s.ended {
		return false
	}
	s.ended = true
	if s.tunnel == nil {
		s.cutOff()
		return true
	}
	if refusal == refusalGoingAway {
		s.tunnel.End(tunnel.GoingAway, "", closeWait)
	} else {
		s.tunnel.End(tunnel.PolicyViolation, refusal.Code, closeWait)
	}
	return true
}

// abort ends s at once.
func (s *stream) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.returned {
		s.cutOff()
	}
}

var longAgo = time.Unix(1, 0)

// cutOff ends s at once; the caller holds mu. A deadline in the past ends an HTTP/1.1 connection, resets an HTTP/2
// stream and leaves the others of its connection alone, and ends what an HTTP/3 stream is writing.
func (s *stream) cutOff() {
	s.cut.Store(true) // first: nothing may be added that would make the response look whole
	if s.conn != nil {
		s.conn.Close()
	} else {
		// An error means that the writer cannot do it; what remains is the context.
		rc := http.NewResponseController(innermost(s.response))
		_ = rc.SetWriteDeadline(longAgo)
		_ = rc.SetReadDeadline(longAgo)
	}
	if s.cancel != nil {
		s.cancel()
	}
}

// innermost returns the server's own writer: its deadlines can be set at any time, whereas Caddy's writers for idle
// timeouts, which stand around it, forbid that while something is written.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// hijacked takes note of the connection, which is the server's no longer.
func (s *stream) hijacked(conn net.Conn, t *tunnel.Tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.tunnel = conn, t
	if s.ended {
		s.cutOff() // it was ended as the response that it was until now
	}
}

// leave is called when the handler returns. It reports whether the response was cut off, and so must not end as if it
// were whole.
func (s *stream) leave() (cut bool) {
	s.mu.Lock()
	t := s.tunnel
	s.mu.Unlock()
	if t != nil {
		t.Release() // outside of mu, which it takes to abort a write that hangs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.returned = true
	if s.cancel != nil {
		s.cancel()
	}
	return s.ended && s.tunnel == nil && s.conn == nil
}
