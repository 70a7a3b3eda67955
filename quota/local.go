package quota

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenantgate/tenantgate/quota/internal/index"
)

// LocalOptions are the options of [NewLocal]. The zero value is useful.
type LocalOptions struct {
	// Now is the clock from which callers of Take read their now; default time.Now. Local itself reads it only
	// where it must know the present: in [Local.Run], and on the rare ways where a request lost a race or finds a
	// bucket that the clock or a change of rate has left impossibly empty.
	Now func() time.Time
	// SweepInterval is the time in which [Local.Run] looks once at every bucket; default 10 s.
	SweepInterval time.Duration
	// Usage says where what is used of allowances is kept; default in memory only.
	Usage UsageOptions
}

// Local is the [Store] of a single process. Its buckets, and its count of requests in flight, live in memory only: what
// is to outlive a reload of the configuration outlives it by keeping the Local. What is used of allowances outlives the
// process where [UsageOptions] name a source and a sink; see there.
//
// Reading a bucket takes no lock, spending from it one compare-and-swap, and neither allocates; only the first spend
// from a key, and the first after its bucket was full and swept, adds a cell to an index. A bucket of 256 requests or more
// that cores keep racing for is given stripes, an allowance or a count of slots credits: each core takes some requests out of
// it ahead of need. The limit stays exact, but [Status.Remaining] of a request that was admitted does not count what other
// cores hold, and is then lower than what is left, never higher; a Take with a cost below 1 tells it exactly. All methods are
// safe for concurrent use, at any time: a Local needs no closing, and one whose Run has ended only stops giving memory back.
type Local struct {
	now   func() time.Time
	every time.Duration
	epoch time.Time
	// floor is the instant of the last sweep. What a sweep evicted was full then, so this is the latest TAT that a
	// key without a cell can have; a new cell begins with it. A request whose now is older than the sweep is thereby
	// charged as if it came at the sweep, and finds no bucket fresher than it was.
	floor atomic.Uint64
	// sweeping is held by a sweep, so that floor does not move back while cells are evicted by a later one.
	sweeping sync.Mutex
	// pardoning guards the pardons of all cells; see pardon.
	pardoning sync.Mutex
	hasher    hasher
	cells     *index.Index[Key, cell, *cell]
	ledger    *ledger
	flights   flights
}

// NewLocal returns an empty store: every bucket is full.
func NewLocal(o LocalOptions) *Local {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SweepInterval <= 0 {
		o.SweepInterval = 10 * time.Second
	}
	l := &Local{now: o.Now, every: o.SweepInterval, epoch: o.Now(), hasher: hasher{rand.Uint64(), rand.Uint64()}}
	l.cells, l.ledger, l.flights = index.New[Key, cell](), newLedger(o.Usage, l.hasher), newFlights(l.hasher)
	return l
}

// Len returns the number of counts in memory: buckets that are not full, and those that no sweep has seen full yet;
// accounts of allowances; and Keys with requests in flight, now or since the last sweep.
func (l *Local) Len() int {
	return l.cells.Len() + l.ledger.accounts.Len() + l.flights.Len()
}

// find returns the cell of a key, or nil.
func (l *Local) find(k *Key) *cell {
	hash := l.hasher.hash(k)
	if c := l.cells.First(hash); c == nil || c.key == *k {
		return c
	}
	return l.cells.Find(hash, *k)
}

// revive returns a living cell for a key whose cell is nil or dead. It does not wait for the sweep that killed the
// old one to clean up.
//
//go:noinline
func (l *Local) revive(k *Key, at instant) *cell {
	return l.cells.Revive(l.hasher.hash(k), *k, func() *cell {
		c := &cell{key: *k}
		c.tat.Store(uint64(alive(l.bottom(at)))) // asked only now: not older than the sweep that killed the old cell
		return c
	})
}

// read returns the TAT of a cell that may be nil or dead.
func (l *Local) read(c *cell, at instant) instant {
	if c != nil {
		if tat := c.load(); tat != dead {
			return tat
		}
	}
	return l.bottom(at)
}

// bottom returns the TAT that a key without a cell has at the given instant: the floor. A floor beyond the present
// means that the clock went back after the last sweep; it then comes down to the present.
func (l *Local) bottom(at instant) instant {
	floor := l.floor.Load()
	if instant(floor).since(at) <= 0 {
		return instant(floor)
	}
	if present := l.present(); instant(floor).since(present) > 0 {
		l.floor.CompareAndSwap(floor, uint64(present))
		return present
	}
	return instant(floor)
}

// present reads the clock.
func (l *Local) present() instant { return instantOf(l.now(), l.epoch) }
