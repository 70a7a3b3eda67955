package fleet

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// cell is what this node knows and holds of one limit. On the hot path one word of it is changed, by compare-and-swap.
//
// Times are nanoseconds since the store's epoch, by the node's own clock.
type cell struct {
	// tokens is what may still be spent of the lease; far below zero when the cell was evicted.
	tokens atomic.Int64
	// expires is when the lease ends. It lies before the end that Redis knows, since it is counted from before the call.
	expires atomic.Int64
	// level is what Redis said last: of a rate when its bucket is full, otherwise what is free.
	level atomic.Int64
	// stripes are tokens that cores have taken ahead of need; nil unless the cell is contended.
	stripes atomic.Pointer[stripes]
	*record
	// low is how many tokens are left when more are fetched in the background; -1: never.
	low atomic.Int32
	id  id
}

// record is the part of a cell that a warm decision has no need of, except for concurrency. It lies elsewhere in memory,
// so that the cell is one cache line and many cells are in few pages.
type record struct {
	// closed is until when it is of no use to ask for closedCost or more.
	closed, closedCost atomic.Int64
	// lost is when a spender last lost a race for the tokens.
	lost atomic.Int64
	// used is, of concurrency, how many slots are taken here, but for those that are counted in stripes.
	used atomic.Int64
	// crowded says, of concurrency, that cores race for the slots, and that too few are on lease for stripes.
	crowded atomic.Bool
	// queued says that a fetch in the background is due.
	queued atomic.Bool
	// refused counts the requests that were refused without asking, since the last call.
	refused atomic.Int64
	// waiting counts the requests that wait for mu.
	waiting atomic.Int32

	tag [16]byte
	// order is the order in which the locks of several cells are taken.
	order uint64

	// mu is held while Redis is asked about this limit.
	mu sync.Mutex
	// rate or most is the limit, as it came last.
	rate quota.Rate
	most int64
	// owned is, of concurrency, how many slots Redis has for this node: those that are taken and those in tokens.
	owned int64
	// target is how much should be on lease, had how many tokens there were after the last call, asked when that was.
	target, had, asked int64
	// demand is how many requests come to this node, in one second.
	demand float64
	// pause is how long it is of no use to ask again, while there is less than wanted.
	pause time.Duration
	// lostSeq, lostHeld and lostCharge are of the last call that was sent, when it was never answered; see part.
	lostSeq, lostHeld, lostCharge int64
	// owed is what was admitted without Redis, and Redis has to be told: of an allowance the requests, of concurrency the
	// slots that are still taken. Of a rate, lossy says so, and the local bucket how much.
	owed  atomic.Int64
	lossy atomic.Bool
	// born is when Redis made the key that level is of, in µs by its clock.
	born atomic.Int64
	// spare says that what is on lease should be given back.
	spare atomic.Bool
	// barred is until when Redis is not asked, because it cannot answer for this limit alone.
	barred atomic.Int64
	// loss is the loss in which the local bucket was last given this cell's debt.
	loss atomic.Int64
	// seen is how many tokens the last sweep saw, since since when that number has not changed.
	seen, since int64
}

func newCell(k id) *cell {
	c := &cell{id: k, record: new(record)}
	c.low.Store(-1)
	return c
}

// evicted is what tokens is far below of in a cell that has left the table.
const evicted = math.MinInt64 / 2

func (c *cell) dead() bool { return c.tokens.Load() < evicted }

// kill evicts a cell without tokens.
func (c *cell) kill() bool { return c.tokens.CompareAndSwap(0, math.MinInt64) }

// spend takes tokens from the lease, and says how many are left.
func (c *cell) spend(at, cost int64) (left int64, ok bool) {
	for {
		n := c.tokens.Load()
		if n < cost || at >= c.expires.Load() {
			return 0, false
		}
		if c.tokens.CompareAndSwap(n, n-cost) {
			return n - cost, true
		}
		c.contended(at)
	}
}

// take is spend for the warm path: from the stripe of the core's lane, if the cell has stripes and that one tokens.
func (c *cell) take(n *lane.Number, at, cost int64) (left int64, ok bool) {
	if s := c.stripes.Load(); s != nil {
		if left, ok = s.spend(c, n, at, cost); ok {
			return left, ok
		}
	}
	return c.spend(at, cost)
}

// spendAll is spend for those who cannot do without: it spends what is in stripes too.
func (c *cell) spendAll(at, cost int64) (left int64, ok bool) {
	if left, ok = c.spend(at, cost); ok || c.stripes.Load() == nil {
		return left, ok
	}
	c.gather()
	return c.spend(at, cost)
}

// contended is called after another core has spent from the same lease between our look and our swap. When that happens
// again and again, it gives the cell stripes; otherwise it waits a little, without touching memory, so that the winner
// keeps the cache line. See the local store's, which does the same.
func (c *cell) contended(at int64) {
	const few, many = 1_000, 40_000 // turns of a quarter of a nanosecond
	turns := few
	if ago := at - c.lost.Swap(at); ago < int64(50*time.Microsecond) && ago > -int64(time.Millisecond) {
		if c.tokens.Load() >= leastBatch*tokenShare {
			if c.stripes.Load() == nil {
				c.stripes.CompareAndSwap(nil, newStripes())
			}
			return
		}
		if c.id.kind == kindConcurrent && !c.crowded.Load() {
			c.crowded.Store(true)
			c.low.Store(math.MaxInt32) // more are fetched at once
		}
		turns = many
	}
	for range turns {
	}
}

// unspend gives back what spend took a moment ago.
func (c *cell) unspend(cost int64) {
	// A cell that has died meanwhile stays dead: its tokens are too far below zero for any cost.
	c.tokens.Add(cost)
}

// onLease is what is left of the lease.
func (c *cell) onLease(at int64) int64 {
	if n := c.tokens.Load(); n > 0 && at < c.expires.Load() {
		return n
	}
	return 0
}

// intervalOf returns the time between two requests, in ns.
func intervalOf(r *quota.Rate) float64 { return float64(r.Period()) / float64(r.Requests()) }

// status describes the limit as far as this node knows; c may be nil, and the limit is then untouched.
func (c *cell) status(now time.Time, at int64, l *quota.Limit, k kind, s *quota.Status) {
	switch k {
	case kindRate:
		c.rateStatus(at, &l.Rate, s)
	case kindDay, kindMonth:
		used := int64(0)
		if c != nil {
			used = l.Allowance.Max - min(c.level.Load()+c.onLease(at), l.Allowance.Max)
		}
		*s = l.Allowance.Status(now, used, 0)
	case kindConcurrent:
		used := int64(0)
		if c != nil {
			used = l.Concurrent - min(c.level.Load()+c.onLease(at), l.Concurrent)
		}
		*s = quota.ConcurrentStatus(l.Concurrent, used, false)
	default:
		*s = quota.Status{Remaining: quota.MaxRequests}
	}
}

// rateStatus counts what is on lease here as not spent: it is still this tenant's to spend.
func (c *cell) rateStatus(at int64, r *quota.Rate, s *quota.Status) {
	if c == nil {
		*s = quota.Status{Remaining: r.Burst()}
		return
	}
	r.Status(time.Duration(c.level.Load()-at), c.onLease(at), s)
}

// refusal is the status of a limit that has no room for the cost.
func (c *cell) refusal(now time.Time, at, cost int64, l *quota.Limit, k kind, s *quota.Status) {
	c.status(now, at, l, k, s)
	s.Exceeded = true
	switch {
	case cost > sizeOf(l, k) && k != kindConcurrent:
		s.RetryAfter = quota.Never
	case k == kindConcurrent:
		s.RetryAfter = quota.ConcurrentRetry
	case k.allowance():
		s.RetryAfter = l.Allowance.Period.End(now).Sub(now)
	default:
		s.RetryAfter = time.Nanosecond
		if c != nil {
			s.RetryAfter = max(l.Rate.RetryAfter(time.Duration(c.level.Load()-at), cost), time.Duration(c.closed.Load()-at), s.RetryAfter)
		}
	}
}

// kindOf says how a limit counts.
func kindOf(l *quota.Limit) kind {
	switch {
	case !l.Rate.IsZero():
		return kindRate
	case l.Allowance.Max > 0 && l.Allowance.Period == quota.PeriodDay:
		return kindDay
	case l.Allowance.Max > 0 && l.Allowance.Period == quota.PeriodMonth:
		return kindMonth
	case l.Concurrent > 0:
		return kindConcurrent
	}
	return kindNone
}

// sizeOf is the most that a limit can ever admit at once.
func sizeOf(l *quota.Limit, k kind) int64 {
	switch k {
	case kindRate:
		return l.Rate.Burst()
	case kindConcurrent:
		return l.Concurrent
	}
	return l.Allowance.Max
}
