package quota

import (
	"github.com/puzpuzpuz/xsync/v4"

	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// flights counts the requests in flight of each Key.
type flights struct{ m *xsync.Map[Key, *flight] }

// flight is the count of one Key: never below 0, except deadCount once it was evicted.
type flight struct {
	tally
	_ [40]byte
}

func newFlights() flights { return flights{xsync.NewMap[Key, *flight]()} }

// find returns the count of a Key, or nil.
func (s flights) find(k *Key) *flight {
	c, _ := s.m.Load(*k)
	return c
}

// inFlight returns the number of a count that may be nil or dead, exactly.
func (c *flight) inFlight() int64 {
	if c == nil {
		return 0
	}
	return max(c.Load(), 0)
}

// look returns how many requests are in flight: at least that many if most are not, exactly otherwise.
func (c *flight) look(most int64) int64 {
	if c == nil {
		return 0
	}
	n := c.top()
	if n >= most && c.credits.Load() != nil {
		n = c.settle()
	}
	return max(n, 0)
}

// enter takes a slot if there is one, or in any case if shadow. It returns how many requests are in flight then, as look
// does, and whether this one is among them.
func (s flights) enter(t *take, limit *Limit) (inFlight int64, ok bool) {
	most := limit.Concurrent
	if limit.Shadow {
		most = MaxRequests
	}
	c := s.find(&limit.Key)
	for {
		if c == nil {
			c = s.create(limit.Key)
		}
		n, end := c.raise(c.credits.Load(), &t.lane, 1, most, limit.Concurrent)
		switch end {
		case raised:
			return n, true
		case full:
			return n, false
		case evicted:
			c = nil
		case lost:
			c.contended(limit.Concurrent-n, 0, t.at)
		}
	}
}

//go:noinline
func (s flights) create(k Key) *flight {
	c, _ := s.m.Compute(k, func(old *flight, loaded bool) (*flight, xsync.ComputeOp) {
		if loaded && old.top() != deadCount {
			return old, xsync.CancelOp
		}
		return new(flight), xsync.UpdateOp
	})
	return c
}

// leave gives a slot back. A count above 0 is never evicted; without anybody there is nothing to give back.
func (s flights) leave(k *Key, mine *lane.Number) {
	if c := s.find(k); c != nil {
		c.lower(mine, 1, 0)
	}
}

// sweep evicts the counts of Keys that have nobody in flight.
func (s flights) sweep() (removed int) {
	s.m.Range(func(k Key, c *flight) bool {
		if c.inFlight() != 0 || !c.kill(0) {
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
