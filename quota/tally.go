package quota

import (
	"sync/atomic"

	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// deadCount is the number of a tally that was evicted.
const deadCount int64 = -1 << 63

// tally is a number that requests raise as far as they may, and some lower again: of an account what was counted, of
// concurrency what is in flight. Normally it is one word. When cores keep racing for that it gets credits, and the word
// is then what was counted and what is on credit together.
type tally struct {
	// n is what was counted, and what cores hold ahead of need; or deadCount.
	n atomic.Int64
	// credits are what cores hold; nil unless the tally is contended, sealed once it was evicted.
	credits atomic.Pointer[credits]
}

// losses is when a spender last lost a race for a tally, by its own now: in units of 1024 ns.
type losses struct{ last atomic.Uint32 }

// often notes a lost race and reports whether the last one is less than 50 µs ago.
func (l *losses) often(at instant) bool {
	now := uint32(at >> (tickShift + 10))
	ago := int32(now - l.last.Swap(now))
	return ago < 49 && ago > -1000
}

// outcome is how an attempt to raise a tally has ended.
type outcome uint8

const (
	// raised: the cost is counted.
	raised outcome = iota
	// full: there is no room for it.
	full
	// evicted: the tally is no more.
	evicted
	// lost: another core has changed the word in between.
	lost
	// again: what is counted can be told now.
	again
)

// raise counts a cost if the number stays at most what it may be. Up to quiet, which is no more than that, it does not matter
// what exactly the number is, because nothing depends on it; beyond, and before anybody is refused, what is on credit is collected. It returns the
// word afterwards: at least what is counted. s is what the tally had for credits when the caller set quiet.
func (c *tally) raise(s *credits, mine *lane.Number, cost, most, quiet int64) (int64, outcome) {
	turn := s.now()
	if s != nil && s.spend(c, mine, cost, quiet) {
		return c.n.Load(), raised
	}
	n := c.n.Load()
	if n == deadCount {
		return 0, evicted
	}
	// Written so that no sum can overflow.
	if cost > quiet-n {
		switch {
		case turn.holding():
			s.gather(c)
			return 0, again
		case c.credits.Load() != s || s.now() != turn:
			return 0, again // n may be too high
		case cost > most-n:
			return n, full
		}
	}
	if next := add(n, cost); c.n.CompareAndSwap(n, next) {
		return next, raised
	}
	return n, lost
}

// contended is called after raise has lost a race. When that happens again and again it gives the tally credits, if there
// is so much room that they are of use; otherwise it stands back.
func (c *tally) contended(lost *losses, room, least int64, at instant) {
	many := lost.often(at)
	if many && creditOf(room) > 0 {
		if c.credits.Load() == nil {
			c.credits.CompareAndSwap(nil, newCredits(least))
		}
		return
	}
	standBack(many)
}

// lower takes a cost back, to no less than least: into what the core holds, if it has credits.
func (c *tally) lower(mine *lane.Number, cost, least int64) outcome {
	for {
		if s := c.credits.Load(); s != nil && s.giveBack(mine, cost) {
			return raised
		}
		n := c.n.Load()
		switch {
		case n == deadCount:
			return evicted
		case n <= least || c.n.CompareAndSwap(n, max(n-cost, least)):
			return raised
		}
	}
}

// top returns the word: at least what is counted, or deadCount.
func (c *tally) top() int64 { return c.n.Load() }

// Load returns what is counted, exactly unless it changes meanwhile; or deadCount. It disturbs nobody.
func (c *tally) Load() int64 {
	for {
		s := c.credits.Load()
		if s == nil || s == sealed {
			if n := c.n.Load(); c.credits.Load() == s {
				return n
			}
			continue
		}
		s.lock()
		held, retired := s.held(), s.retired
		n := c.n.Load()
		s.unlock()
		if !retired {
			return max(n-held, s.least)
		}
	}
}

// settle collects what is on credit and returns what is counted; or deadCount.
func (c *tally) settle() int64 {
	for {
		s := c.credits.Load()
		turn := s.now()
		if turn.holding() {
			s.gather(c)
			continue
		}
		if n := c.n.Load(); c.credits.Load() == s && s.now() == turn {
			return n
		}
	}
}

// Store sets a number that nobody else changes yet.
func (c *tally) Store(n int64) { c.n.Store(n) }

// retire takes the credits from a tally.
func (c *tally) retire() {
	s := c.credits.Load()
	if s == nil || s == sealed {
		return
	}
	s.lock()
	defer s.unlock()
	if !s.retired {
		s.collect(c)
		s.retired = true
		c.credits.Store(nil)
	}
}

// kill evicts a tally that still counts n. Nobody can be given credits of it then, and who spends finds it dead.
func (c *tally) kill(n int64) bool {
	c.retire()
	if !c.credits.CompareAndSwap(nil, sealed) {
		return false
	}
	if c.n.CompareAndSwap(n, deadCount) {
		return true
	}
	c.credits.Store(nil)
	return false
}
