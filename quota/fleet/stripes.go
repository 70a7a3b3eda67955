package fleet

import (
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// stripes hold tokens of a lease that many cores spend from at once: each core takes some ahead of need, in one step, and
// spends from those in a cache line of its own. They are on lease like the others and end with it, so that nothing has
// to be said of them to Redis; but whoever wants to know how much is on lease gathers them first.
type stripes struct {
	// moving is held while tokens go into a stripe or out of all, so that none is missed on its way.
	moving atomic.Bool
	list   []stripe
}

type stripe struct {
	tokens atomic.Int64
	// used is, of concurrency, how many more slots were taken here than given back.
	used atomic.Int64
	_    [lane.Size - 16]byte
}

const (
	// tokenShare bounds what a stripe takes: that part of the tokens that are left, if that is leastBatch at least.
	tokenShare = 64
	leastBatch = 4
	// mostBatch is more than any core spends in the time that a cache line needs to travel.
	mostBatch = 1024
	// mostStripes bounds the stripes of a cell.
	mostStripes = 16
)

func newStripes() *stripes {
	n := 1 << bits.Len(uint(2*runtime.GOMAXPROCS(0)-1))
	return &stripes{list: make([]stripe, min(n, mostStripes))}
}

func (s *stripes) tryLock() bool { return s.moving.CompareAndSwap(false, true) }

func (s *stripes) lock() {
	for !s.tryLock() {
		runtime.Gosched() // it is held for less than a microsecond, unless its holder has lost the processor
	}
}

func (s *stripes) unlock() { s.moving.Store(false) }

// mine returns the stripe of the caller's lane.
func (s *stripes) mine(n *lane.Number) *stripe {
	if *n == 0 {
		*n = lane.Mine()
	}
	return &s.list[n.Of(len(s.list))]
}

// spend takes tokens from a lane's stripe, which it first fills if need be. What it says to be left does not count what
// is in stripes.
func (s *stripes) spend(c *cell, n *lane.Number, at, cost int64) (left int64, ok bool) {
	st := s.mine(n)
	for {
		have := st.tokens.Load()
		if have < cost {
			return s.fill(c, st, at, cost)
		}
		if at >= c.expires.Load() {
			return 0, false
		}
		if st.tokens.CompareAndSwap(have, have-cost) {
			return max(c.tokens.Load(), 0), true
		}
		*n = lane.Move()
	}
}

// fill spends from the lease, and takes some more for the stripe if there is enough.
func (s *stripes) fill(c *cell, st *stripe, at, cost int64) (left int64, ok bool) {
	if !s.tryLock() {
		return 0, false
	}
	defer s.unlock()
	n := c.tokens.Load()
	batch := min(n/tokenShare, mostBatch)
	if batch < leastBatch || cost > leastBatch || at >= c.expires.Load() || !c.tokens.CompareAndSwap(n, n-batch-cost) {
		return 0, false
	}
	st.tokens.Add(batch)
	return n - batch - cost, true
}

// collect moves what is in stripes back to the cell. The caller holds moving.
func (s *stripes) collect(c *cell) {
	for i := range s.list {
		if n := s.list[i].used.Swap(0); n != 0 {
			c.used.Add(n)
		}
		if n := s.list[i].tokens.Swap(0); n != 0 {
			c.tokens.Add(n)
		}
	}
}

// gather returns how many tokens there are, in stripes or not.
func (c *cell) gather() int64 {
	n := c.tokens.Load()
	s := c.stripes.Load() // after the tokens: without stripes, none of them was in one
	if s == nil {
		return n
	}
	s.lock()
	defer s.unlock()
	s.collect(c)
	return c.tokens.Load()
}

// empty takes all tokens that are left, and returns how many there were.
func (c *cell) empty() int64 {
	for {
		n, locked := c.tokens.Load(), c.stripes.Load()
		if locked != nil {
			locked.lock()
			locked.collect(c)
			n = c.tokens.Load()
		}
		taken := n > 0 && c.tokens.CompareAndSwap(n, 0)
		if locked != nil {
			locked.unlock()
		}
		if n <= 0 {
			return 0
		}
		if taken {
			return n
		}
	}
}

// enter notes that a slot is taken.
func (c *cell) enter(n *lane.Number) {
	if s := c.stripes.Load(); s != nil {
		s.mine(n).used.Add(1)
		return
	}
	c.used.Add(1)
}

// slots returns how many slots are taken.
func (c *cell) slots() int64 {
	s := c.stripes.Load()
	if s == nil {
		return c.used.Load()
	}
	s.lock() // so that none is on its way from a stripe
	defer s.unlock()
	sum := c.used.Load()
	for i := range s.list {
		sum += s.list[i].used.Load()
	}
	return sum
}

// leave notes that a slot is given back, if one is taken.
func (c *cell) leave(n *lane.Number) bool {
	s := c.stripes.Load()
	if s != nil && lower(&s.mine(n).used) || lower(&c.used) {
		return true
	}
	if s == nil {
		return false
	}
	c.gather() // it was taken in another lane
	return lower(&c.used)
}

// lower takes one from a number that is above 0.
func lower(v *atomic.Int64) bool {
	for {
		n := v.Load()
		if n <= 0 {
			return false
		}
		if v.CompareAndSwap(n, n-1) {
			return true
		}
	}
}
