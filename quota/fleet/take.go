package fleet

import (
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// Take implements [quota.Store]. With enough on lease of every limit it takes no lock, makes no round trip and allocates
// nothing. Otherwise it asks Redis, for at most the timeout, together with all others that wait for the same limit.
func (s *Store) Take(now time.Time, cost int64, limits []quota.Limit, out []quota.Status) (allowed bool) {
	out = out[:len(limits)]
	if len(limits) == 0 {
		return true
	}
	at := s.at(now)
	if cost < 1 {
		s.look(now, at, limits, out)
		return true
	}
	if s.denies && !s.link.up.Load() {
		return s.ask(now, cost, limits, out)
	}
	var few [inline]*cell
	cells := few[:]
	if len(limits) > inline {
		cells = make([]*cell, len(limits))
	}
	cells = cells[:len(limits)]
	// All cells are looked up before anything is written: so the processor waits for their memory only once.
	for i := range limits {
		if k := kindOf(&limits[i]); k != kindNone {
			cells[i] = s.find(&id{limits[i].Key, k})
			if k == kindConcurrent && cells[i] != nil {
				cells[i].used.Load() // so is the record's
			}
		}
	}
	var (
		mine  lane.Number
		found quota.Found
	)
	counted := false
	s.local.Find(now, limits, &found)
	for i := range limits {
		l, c := &limits[i], cells[i]
		k := kindOf(l)
		if k == kindNone {
			out[i] = quota.Status{Remaining: quota.MaxRequests}
			counted = counted || !l.Allowance.IsZero()
			continue
		}
		counted = counted || k.allowance()
		if c == nil || !s.leased(k) {
			s.putBack(cells[:i], limits, cost)
			return s.ask(now, cost, limits, out)
		}
		left, ok := c.take(&mine, at, price(k, cost))
		if !ok {
			s.putBack(cells[:i], limits, cost)
			return s.ask(now, cost, limits, out)
		}
		if k == kindConcurrent {
			c.enter(&mine)
		}
		if left <= int64(c.low.Load()) {
			s.enqueue(c)
		}
		if k == kindRate {
			l.Rate.Status(time.Duration(c.level.Load()-at), left, &out[i])
		} else {
			c.status(now, at, l, k, &out[i])
		}
	}
	if counted {
		s.local.Count(now, cost, limits, &found) // which records what tenants use of their allowances, and warns of it
	}
	return true
}

// price is what a request costs of a limit: one slot, whatever the cost.
func price(k kind, cost int64) int64 {
	if k == kindConcurrent {
		return 1
	}
	return cost
}

// putBack gives back what was spent from these cells; nil means nothing was.
func (s *Store) putBack(cells []*cell, limits []quota.Limit, cost int64) {
	for i, c := range cells {
		if c == nil {
			continue
		}
		k := kindOf(&limits[i])
		if k == kindConcurrent {
			c.used.Add(-1)
		}
		c.unspend(price(k, cost))
	}
}

// look only reads.
func (s *Store) look(now time.Time, at int64, limits []quota.Limit, out []quota.Status) {
	for i := range limits {
		k := kindOf(&limits[i])
		var c *cell
		if k != kindNone {
			if c = s.find(&id{limits[i].Key, k}); c != nil {
				c.gather()
			}
		}
		c.status(now, at, &limits[i], k, &out[i])
	}
}

// Release implements [quota.Store].
func (s *Store) Release(limits []quota.Limit) {
	var mine lane.Number
	for i := range limits {
		l := &limits[i]
		if kindOf(l) != kindConcurrent {
			continue
		}
		c := s.find(&id{l.Key, kindConcurrent})
		if c == nil || !c.release(&mine) {
			// The slot was taken before this store was there.
			s.local.Release(limits[i : i+1])
			continue
		}
		if s.exact {
			c.spare.Store(true)
			s.enqueue(c)
		}
	}
}

// release gives back one slot, if one is taken: to the lease, unless it was taken without one.
func (c *cell) release(n *lane.Number) bool {
	if !c.leave(n) {
		return false
	}
	if lower(&c.owed) {
		return true
	}
	if s := c.stripes.Load(); s != nil {
		if st := s.mine(n); st.tokens.Load() < mostBatch {
			st.tokens.Add(1)
			return true
		}
	}
	c.tokens.Add(1)
	return true
}

// enqueue has a cell looked after in the background, soon. It never waits: when there is too much to do, the cell's next
// request asks itself.
func (s *Store) enqueue(c *cell) {
	if c.queued.CompareAndSwap(false, true) {
		select {
		case s.fetch <- c:
		default:
			c.queued.Store(false)
		}
	}
}
