package quota

import (
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"
)

// flights counts the requests in flight of each Key.
type flights struct{ m *xsync.Map[Key, *flight] }

// flight is the count of one Key: never below 0, except deadCount once it was evicted.
type flight struct {
	n    atomic.Int64
	lost atomic.Uint64
	_    [48]byte
}

func newFlights() flights { return flights{xsync.NewMap[Key, *flight]()} }

// find returns the count of a Key, or nil.
func (s flights) find(k *Key) *flight {
	c, _ := s.m.Load(*k)
	return c
}

// inFlight returns the number of a count that may be nil or dead.
func (c *flight) inFlight() int64 {
	if c == nil {
		return 0
	}
	return max(c.n.Load(), 0)
}

// enter takes a slot if there is one, or in any case if shadow. It returns how many requests are in flight then, and
// whether this one is among them.
func (s flights) enter(limit *Limit, at instant) (inFlight int64, ok bool) {
	c := s.find(&limit.Key)
	for {
		if c == nil {
			c = s.create(limit.Key)
		}
		n := c.n.Load()
		switch {
		case n == deadCount:
			c = s.create(limit.Key)
		case n >= limit.Concurrent && !limit.Shadow:
			return n, false
		case c.n.CompareAndSwap(n, n+1):
			return n + 1, true
		default:
			standBack(often(&c.lost, at))
		}
	}
}

//go:noinline
func (s flights) create(k Key) *flight {
	c, _ := s.m.Compute(k, func(old *flight, loaded bool) (*flight, xsync.ComputeOp) {
		if loaded && old.n.Load() != deadCount {
			return old, xsync.CancelOp
		}
		return new(flight), xsync.UpdateOp
	})
	return c
}

// leave gives a slot back. A count above 0 is never evicted; without anybody there is nothing to give back.
func (s flights) leave(k *Key) {
	c := s.find(k)
	if c == nil {
		return
	}
	for {
		n := c.n.Load()
		if n <= 0 || c.n.CompareAndSwap(n, n-1) {
			return
		}
	}
}

// sweep evicts the counts of Keys that have nobody in flight.
func (s flights) sweep() (removed int) {
	s.m.Range(func(k Key, c *flight) bool {
		if c.n.Load() != 0 || !c.n.CompareAndSwap(0, deadCount) {
			return true
		}
		s.m.Compute(k, func(old *flight, loaded bool) (*flight, xsync.ComputeOp) {
			if loaded && old == c {
				return nil, xsync.DeleteOp
			}
			return old, xsync.CancelOp
		})
		removed++
		return true
	})
	return removed
}
