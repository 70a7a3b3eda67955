package quota

import (
	"sync"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"golang.org/x/time/rate"
)

// The stores that Local is measured against. They decide the same, with less care: they neither evict nor take back.

// mutexStore is GCRA behind one mutex: what Local has to be faster than to be worth its care.
type mutexStore struct {
	mu    sync.Mutex
	epoch time.Time
	tats  map[Key]instant
}

func newMutexStore(epoch time.Time) *mutexStore {
	return &mutexStore{epoch: epoch, tats: make(map[Key]instant)}
}

func (s *mutexStore) Take(now time.Time, cost int64, limits []Limit, out []Status) bool {
	at := instantOf(now, s.epoch)
	s.mu.Lock()
	defer s.mu.Unlock()
	allowed := true
	for i := range limits {
		r := &limits[i].Rate
		if d := debtOf(s.tats[limits[i].Key], at); !r.fits(d, cost) {
			allowed = false
			r.refusal(d, cost, &out[i])
		} else {
			r.status(d, &out[i])
		}
	}
	if allowed {
		for i := range limits {
			r := &limits[i].Rate
			d := debtOf(s.tats[limits[i].Key], at)
			s.tats[limits[i].Key] = r.after(d, at, cost)
			r.status(d+span(cost)*r.interval, &out[i])
		}
	}
	return allowed
}

// shardedStore is Local's arithmetic over a sharded map with read-write locks, to see whether the lock-free map pays.
type shardedStore struct {
	epoch  time.Time
	shards [64]struct {
		sync.RWMutex
		m map[Key]*cell
		_ [32]byte
	}
}

func newShardedStore(epoch time.Time) *shardedStore {
	s := &shardedStore{epoch: epoch}
	for i := range s.shards {
		s.shards[i].m = make(map[Key]*cell)
	}
	return s
}

func (s *shardedStore) cell(k Key) *cell {
	shard := &s.shards[k.ID[15]%64]
	shard.RLock()
	c := shard.m[k]
	shard.RUnlock()
	if c == nil {
		shard.Lock()
		if c = shard.m[k]; c == nil {
			c = new(cell)
			shard.m[k] = c
		}
		shard.Unlock()
	}
	return c
}

func (s *shardedStore) Take(now time.Time, cost int64, limits []Limit, out []Status) bool {
	at := instantOf(now, s.epoch)
	for i := range limits {
		r, c := &limits[i].Rate, s.cell(limits[i].Key)
		for {
			tat := c.load()
			d := debtOf(tat, at)
			if !r.fits(d, cost) {
				r.refusal(d, cost, &out[i])
				return false
			}
			if c.swap(tat, r.after(d, at, cost)) {
				r.status(d+span(cost)*r.interval, &out[i])
				break
			}
		}
	}
	return true
}

// xrateStore is golang.org/x/time/rate in a sharded map.
type xrateStore struct {
	shards [64]struct {
		sync.RWMutex
		m map[Key]*rate.Limiter
		_ [32]byte
	}
}

func newXrateStore(time.Time) *xrateStore {
	s := &xrateStore{}
	for i := range s.shards {
		s.shards[i].m = make(map[Key]*rate.Limiter)
	}
	return s
}

func (s *xrateStore) Take(now time.Time, cost int64, limits []Limit, _ []Status) bool {
	for i := range limits {
		shard := &s.shards[limits[i].Key.ID[15]%64]
		shard.RLock()
		lim := shard.m[limits[i].Key]
		shard.RUnlock()
		if lim == nil {
			r := limits[i].Rate
			lim = rate.NewLimiter(rate.Limit(float64(r.requests)/r.period.Seconds()), int(r.burst))
			shard.Lock()
			shard.m[limits[i].Key] = lim
			shard.Unlock()
		}
		if !lim.AllowN(now, int(cost)) {
			return false
		}
	}
	return true
}

// xsyncStore is Local's arithmetic over xsync.Map.
type xsyncStore struct {
	epoch time.Time
	m     *xsync.Map[Key, *cell]
}

func (s *xsyncStore) cell(k Key) *cell {
	c, ok := s.m.Load(k)
	if !ok {
		c, _ = s.m.LoadOrStore(k, new(cell))
	}
	return c
}

func (s *xsyncStore) Take(now time.Time, cost int64, limits []Limit, out []Status) bool {
	at := instantOf(now, s.epoch)
	for i := range limits {
		r, c := &limits[i].Rate, s.cell(limits[i].Key)
		for {
			tat := c.load()
			d := debtOf(tat, at)
			if !r.fits(d, cost) {
				r.refusal(d, cost, &out[i])
				return false
			}
			if c.swap(tat, r.after(d, at, cost)) {
				r.status(d+span(cost)*r.interval, &out[i])
				break
			}
		}
	}
	return true
}

func (s *mutexStore) Refund(time.Time, int64, []Limit) {}
func (s *mutexStore) Release([]Limit)                  {}

func (s *shardedStore) Refund(time.Time, int64, []Limit) {}
func (s *shardedStore) Release([]Limit)                  {}

func (s *xrateStore) Refund(time.Time, int64, []Limit) {}
func (s *xrateStore) Release([]Limit)                  {}

func (s *xsyncStore) Refund(time.Time, int64, []Limit) {}
func (s *xsyncStore) Release([]Limit)                  {}
