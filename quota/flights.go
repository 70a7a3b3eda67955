package quota

import (
	"github.com/tenantgate/tenantgate/quota/internal/index"
	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// flights counts the requests in flight of each Key.
type flights struct {
	hasher hasher
	*index.Index[Key, flight, *flight]
}

// flight is the count of one Key: never below 0, except deadCount once it was evicted.
type flight struct {
	tally
	lost losses
	key  Key      // never changed
	_    [27]byte // fills a cache line
}

// Has reports whether it is the count of a Key; see package index.
func (c *flight) Has(k Key) bool { return c.key == k }

// Dead reports whether the count was evicted.
func (c *flight) Dead() bool { return c.top() == deadCount }

func newFlights(h hasher) flights { return flights{h, index.New[Key, flight]()} }

// find returns the count of a Key, or nil.
func (s *flights) find(k *Key) *flight {
	hash := s.hasher.hash(k)
	if c := s.First(hash); c == nil || c.key == *k {
		return c
	}
	return s.Find(hash, *k)
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
// does, and whether this one is among them. c is what find has returned.
func (s *flights) enter(t *take, c *flight, limit *Limit) (inFlight int64, ok bool) {
	most := limit.Concurrent
	if limit.Shadow {
		most = MaxRequests
	}
	for {
		if c == nil {
			c = s.create(&limit.Key)
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
			c.contended(&c.lost, limit.Concurrent-n, 0, t.at)
		}
	}
}

//go:noinline
func (s *flights) create(k *Key) *flight {
	return s.Revive(s.hasher.hash(k), *k, func() *flight { return &flight{key: *k} })
}

// leave gives a slot back. A count above 0 is never evicted; without anybody there is nothing to give back.
func (s *flights) leave(k *Key, mine *lane.Number) {
	if c := s.find(k); c != nil {
		c.lower(mine, 1, 0)
	}
}

// sweep evicts the counts of Keys that have nobody in flight.
func (s *flights) sweep() (removed int) {
	for shard := range index.Shards {
		removed += s.Sweep(shard, func(c *flight) bool { return c.Load() == 0 && c.kill(0) })
	}
	return removed
}
