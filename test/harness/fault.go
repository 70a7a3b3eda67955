package harness

import (
	"net"
	"sync/atomic"
	"time"
)

// Fault is what a [Proxy] does to what passes through it, besides hanging ([Proxy.Hang]) and being down ([Proxy.Down]).
// The zero value passes everything on.
type Fault struct {
	// Latency is added to each piece of the server's answers.
	Latency time.Duration
	// Rate bounds the server's answers on each connection, in bytes per second; 0 is no bound.
	Rate int
	// Reset ends each connection with a reset (TCP RST) after ResetAfter bytes of the server's answers.
	Reset      bool
	ResetAfter int
	// Answers are what clients get for their requests, one after another and from the beginning again, and the server never
	// sees them; then the connection is closed.
	Answers []string
}

// rateSlice is how much a bounded connection passes on at a time, in parts of a second.
const rateSlice = 20

// activeFault is a fault in force; over is closed when it ends.
type activeFault struct {
	Fault

	answered atomic.Int64
	over     chan struct{}
}

// Inject puts a fault in force, on open connections too, in place of the one before.
func (p *Proxy) Inject(f Fault) {
	p.endFault(p.fault.Swap(&activeFault{Fault: f, over: make(chan struct{})}))
}

// Cure ends the fault. What it held back is passed on; what it cut stays cut.
func (p *Proxy) Cure() { p.endFault(p.fault.Swap(nil)) }

func (p *Proxy) endFault(f *activeFault) {
	if f != nil {
		close(f.over)
	}
}

// passer passes on one direction of one connection, as the fault in force has it.
type passer struct {
	proxy    *Proxy
	to, from net.Conn
	answers  bool // from the server to the client
	fault    *activeFault
	passed   int // bytes under this fault
}

// pass returns false when the connection is at its end.
func (s *passer) pass(chunk []byte) bool {
	for len(chunk) > 0 {
		f := s.proxy.fault.Load()
		if f != s.fault {
			s.fault, s.passed = f, 0
		}
		if f == nil || !s.answers && len(f.Answers) == 0 {
			_, err := s.to.Write(chunk)
			return err == nil
		}
		if len(f.Answers) > 0 {
			if !s.answers { // not the client: it is asking
				s.answer(f.Answers[int(f.answered.Add(1)-1)%len(f.Answers)])
			}
			return false
		}
		n := len(chunk)
		if f.Rate > 0 {
			n = min(n, max(f.Rate/rateSlice, 1))
			f.wait(time.Duration(n) * time.Second / time.Duration(f.Rate))
		}
		if s.passed == 0 || f.Rate == 0 {
			f.wait(f.Latency)
		}
		if f.Reset {
			n = min(n, f.ResetAfter-s.passed)
		}
		if _, err := s.to.Write(chunk[:n]); err != nil {
			return false
		}
		s.passed += n
		chunk = chunk[n:]
		if f.Reset && s.passed >= f.ResetAfter {
			reset(s.to)
			return false
		}
	}
	return true
}

// answer speaks in place of the server, and closes so that all of it arrives.
func (s *passer) answer(text string) {
	if _, err := s.from.Write([]byte(text)); err != nil {
		return
	}
	tcp, ok := s.from.(*net.TCPConn)
	if !ok || tcp.CloseWrite() != nil {
		return
	}
	// A close with unread data would be a reset.
	_ = tcp.SetReadDeadline(time.Now().Add(time.Second))
	buf := make([]byte, 4<<10)
	for {
		if _, err := tcp.Read(buf); err != nil {
			return
		}
	}
}

// wait waits for d, or until the fault is over.
func (f *activeFault) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.over:
	}
}

// reset closes a connection with a reset.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the close then says the same less clearly
	}
	conn.Close()
}
