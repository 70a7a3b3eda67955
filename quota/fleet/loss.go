package fleet

import (
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// lossRetry is how long clients are told to wait that are refused because Redis is lost.
const lossRetry = time.Second

// without decides a request while Redis cannot be asked.
func (s *Store) without(now time.Time, at, cost int64, limits []quota.Limit, out []quota.Status) bool {
	switch s.o.OnLoss {
	case LossAllow:
		s.allowAll(now, at, cost, limits, out)
		return true
	case LossDeny:
		return s.denyAll(now, at, cost, limits, out)
	}
	return s.decideLocally(now, at, cost, limits, out)
}

// allowAll admits a request and remembers what Redis has to be told of it.
func (s *Store) allowAll(now time.Time, at, cost int64, limits []quota.Limit, out []quota.Status) {
	for i := range limits {
		l := &limits[i]
		k := kindOf(l)
		c := s.cellOf(l, k)
		c.status(now, at, l, k, &out[i])
		switch {
		case k == kindConcurrent:
			c.used.Add(1)
			c.owed.Add(1)
		case k.allowance():
			c.owed.Add(cost)
		}
	}
	s.local.Count(now, cost, limits, new(quota.Found))
}

// denyAll refuses a request if any limit applies to it.
func (s *Store) denyAll(now time.Time, at, cost int64, limits []quota.Limit, out []quota.Status) bool {
	allowed := true
	for i := range limits {
		l := &limits[i]
		k := kindOf(l)
		c := s.cellOf(l, k)
		c.status(now, at, l, k, &out[i])
		if k != kindNone && !l.Shadow {
			allowed = false
			out[i] = quota.Status{Exceeded: true, RetryAfter: lossRetry}
		}
	}
	if allowed {
		s.allowAll(now, at, cost, limits, out)
	}
	return allowed
}

// cellOf returns the cell of a limit, which will have something to tell Redis; nil for what limits nothing.
func (s *Store) cellOf(l *quota.Limit, k kind) *cell {
	if k == kindNone {
		return nil
	}
	key := id{l.Key, k}
	c := s.find(&key)
	if c == nil || c.dead() {
		c = s.revive(key, l)
	}
	// Whoever has the lock is about to ask, and notes the limit itself.
	if c.mu.TryLock() {
		c.rate, c.most = l.Rate, sizeOf(l, k)
		c.mu.Unlock()
	}
	return c
}

// decideLocally lets the local store decide over this node's share of each limit. Allowances come to it whole: it counts
// what this node has admitted all along, and reads back what the others have recorded. Concurrency is counted here,
// together with what was taken from Redis before.
func (s *Store) decideLocally(now time.Time, at, cost int64, limits []quota.Limit, out []quota.Status) bool {
	var few [inline]quota.Limit
	shares := append(few[:0], limits...)
	nodes := s.link.nodes.Load()
	fits := true
	for i := range limits {
		l := &limits[i]
		switch k := kindOf(l); k {
		case kindRate:
			shares[i].Rate = share(l.Rate, nodes)
			s.seed(now, at, s.cellOf(l, k), &shares[i], intervalOf(&l.Rate)*float64(nodes))
		case kindConcurrent:
			shares[i].Concurrent = 0 // the local store passes it over
			c := s.cellOf(l, k)
			if !c.borrow(max(l.Concurrent/nodes, 1)) {
				fits = fits && l.Shadow
				if l.Shadow {
					c.used.Add(1)
					c.owed.Add(1)
				}
				// Marked below, once the local store has filled in the rest.
				shares[i].Concurrent = -1
			}
		}
	}
	allowed := s.takeShares(now, cost, fits, shares, out) && fits
	for i := range limits {
		l := &limits[i]
		k := kindOf(l)
		switch {
		case k == kindConcurrent:
			c, exceeded := s.cellOf(l, k), shares[i].Concurrent < 0
			if !allowed && (!exceeded || l.Shadow) {
				c.release(new(lane.Number))
			}
			out[i] = quota.ConcurrentStatus(max(l.Concurrent/nodes, 1), c.slots(), false)
			if exceeded {
				out[i] = quota.Status{Exceeded: true, RetryAfter: quota.ConcurrentRetry}
			}
		case k == kindRate && allowed:
			if c := s.cellOf(l, k); !c.lossy.Load() {
				c.lossy.Store(true)
			}
		case k.allowance() && allowed:
			s.cellOf(l, k).owed.Add(cost)
		}
	}
	return allowed
}

// takeShares asks the local store; with fits false it only reads.
func (s *Store) takeShares(now time.Time, cost int64, fits bool, shares []quota.Limit, out []quota.Status) bool {
	var few [inline]quota.Limit
	list := append(few[:0], shares...)
	for i := range list {
		list[i].Concurrent = 0
	}
	if !fits {
		cost = 0
	}
	return s.local.Take(now, cost, list, out)
}

// borrow takes a slot without Redis if fewer are taken here.
func (c *cell) borrow(most int64) bool {
	for {
		n := c.used.Load()
		if c.slots() >= most {
			return false
		}
		if c.used.CompareAndSwap(n, n+1) {
			c.owed.Add(1)
			return true
		}
	}
}

// share returns a node's part of a rate: the requests divided among the nodes or, where that would not come out even,
// the same requests over as many times the period. The burst is at least 1.
func share(r quota.Rate, nodes int64) quota.Rate {
	if nodes <= 1 {
		return r
	}
	requests, period, burst := r.Requests(), r.Period(), max(r.Burst()/nodes, 1)
	switch {
	case requests%nodes == 0:
		requests /= nodes
	case nodes <= int64(quota.MaxPeriod/period):
		period *= time.Duration(nodes)
	default:
		requests = max(requests/nodes, 1)
	}
	part, err := quota.NewRate(requests, period, burst)
	if err != nil {
		// Only the burst can be wrong: a slow rate takes too long to refill it.
		part, err = quota.NewRate(requests, period, max(quota.MaxBurst(requests, period), 1))
	}
	if err != nil {
		return r
	}
	return part
}

// seed lets a bucket of the local store begin a loss as empty as the shared one was when Redis was last heard of.
// interval is the time between two requests of this node's share, in ns.
func (s *Store) seed(now time.Time, at int64, c *cell, l *quota.Limit, interval float64) {
	loss := s.link.losses.Load()
	before := c.loss.Load()
	if before == loss || !c.loss.CompareAndSwap(before, loss) {
		return
	}
	debt := c.level.Load() - at
	if debt <= 0 {
		return
	}
	var out [1]quota.Status
	one := [1]quota.Limit{*l}
	s.local.Take(now, 0, one[:], out[:])
	if n := min(int64(float64(debt)/interval), out[0].Remaining); n > 0 {
		s.local.Take(now, n, one[:], out[:])
	}
}

// owes returns how many requests of a rate this node has admitted without Redis that have not been refilled since.
func (s *Store) owes(c *cell, r quota.Rate) int64 {
	var out [1]quota.Status
	l := [1]quota.Limit{{Key: c.id.Key, Tenant: c.tag, Rate: share(r, s.link.nodes.Load())}}
	s.local.Take(s.o.Now(), 0, l[:], out[:])
	return max(l[0].Rate.Burst()-out[0].Remaining, 0)
}
