package fleet

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

// Store is a [quota.Store] whose limits hold across all gateways that share one Redis. [New] makes one; it must be
// closed.
type Store struct {
	o     Options
	exact bool
	// denies says that not even what is on lease is given while Redis is lost.
	denies bool
	life   int64 // of leases, ns
	epoch  time.Time
	link   *link
	local  *quota.Local

	hasher hasher
	shards [shards]shard
	order  atomic.Uint64
	seq    atomic.Int64

	// fetch are the cells that want more, or have something to say.
	fetch chan *cell

	ctx    context.Context
	cancel context.CancelFunc
	loops  sync.WaitGroup
	once   sync.Once
	// closing says that no call leases anything ahead of need any more.
	closing atomic.Bool
}

const (
	// inline is the number of limits that a Take can look at without allocating.
	inline = 8
	// fetchers is how many calls this node has under way at once in the background. The client sends them together.
	fetchers = 8
	// ahead is the time for which a lease should last at a tenant's present rate.
	ahead = 500 * time.Millisecond
	// shortestPause and longestPause bound how long a node that is much asked goes on without asking for more of what was
	// used up.
	shortestPause = 20 * time.Millisecond
	longestPause  = 250 * time.Millisecond
)

// New returns a store. It does not wait for Redis, and no error says that Redis cannot be reached: the store connects in
// the background, and decides as [Options.OnLoss] says until it has.
func New(o Options) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Store{
		exact: o.Mode == ModeExact, denies: o.OnLoss == LossDeny, life: int64(o.Lease), epoch: o.Now(), local: o.Local,
		hasher: hasher{rand.Uint64(), rand.Uint64()}, fetch: make(chan *cell, 4096),
	}
	s.o = o
	s.link = newLink(&s.o)
	for i := range s.shards {
		s.shards[i].table.Store(newTable(0))
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if s.local == nil {
		s.local = quota.NewLocal(quota.LocalOptions{Now: o.Now})
		s.loops.Go(func() { s.local.Run(s.ctx) })
	}
	s.loops.Go(func() { s.link.run(s.ctx) })
	for range fetchers {
		s.loops.Go(s.fetching)
	}
	s.loops.Go(s.sweeping)
	return s, nil
}

// Stats are figures of a [Store], all since it was made where they count.
type Stats struct {
	// Up says whether Redis is in use.
	Up bool
	// Nodes is how many gateways share the limits, this one included, as last known.
	Nodes int64
	// Calls is the number of round trips, Failures how many of them ended with an error.
	Calls, Failures int64
	// Losses is how often Redis was lost.
	Losses int64
	// Cells is the number of limits in memory.
	Cells int
}

// Stats returns the store's figures.
func (s *Store) Stats() Stats {
	n := 0
	for i := range s.shards {
		n += int(s.shards[i].cells.Load())
	}
	return Stats{
		Up: s.link.up.Load(), Nodes: s.link.nodes.Load(), Calls: s.link.calls.Load(), Failures: s.link.failures.Load(),
		Losses: s.link.losses.Load(), Cells: n,
	}
}

// at converts a time.
func (s *Store) at(now time.Time) int64 { return int64(now.Sub(s.epoch)) }

// clock reads the clock.
func (s *Store) clock() int64 { return s.at(s.o.Now()) }

// find returns the cell of a limit, or nil.
func (s *Store) find(k *id) *cell {
	hash := s.hasher.hash(k)
	_, c := s.shards[hash>>(64-shardBits)].table.Load().find(hash, k)
	return c
}

// revive returns a living cell for a limit.
//
//go:noinline
func (s *Store) revive(k id, l *quota.Limit) *cell {
	tag, hash := l.Owner(), s.hasher.hash(&k)
	return s.shards[hash>>(64-shardBits)].revive(hash, &k, func() *cell {
		c := newCell(k)
		c.tag, c.order = tag, s.order.Add(1)
		switch k.kind {
		case kindRate:
			c.level.Store(s.clock())
		default:
			c.level.Store(sizeOf(l, k.kind))
		}
		return c
	})
}

// leased says whether a limit of this kind is spent from a lease.
func (s *Store) leased(k kind) bool { return !s.exact || k == kindConcurrent }

// Interface guards
var _ quota.Store = (*Store)(nil)
