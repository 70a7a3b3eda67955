package cache

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/puzpuzpuz/xsync/v4"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	// shardCount spreads those who store and promote over locks of their own. Readers take no lock.
	shardCount = 16
	// promoteAfter is how long an entry stays where it is in the LRU, however often it is read.
	promoteAfter = int64(time.Second)
)

// table is a bounded set of entries by reference. Reading goes through an index without locks; order of use is kept by
// an LRU in each shard. What an entry's shard is follows from its reference, and every change to what is kept under a
// reference is made under that shard's lock, in index, LRU and owners together.
//
// The bound is one number for all shards: whoever adds an entry first takes one of size places, and makes room by
// evicting the entry that was used longest ago in any shard. So a table never holds more than size entries, uses its
// whole size however unevenly the names are spread, and evicts in the order of one large LRU.
type table struct {
	index  *xsync.Map[registry.Reference, *entry]
	seed   maphash.Seed // random, so that nobody can choose names that share a shard
	shards [shardCount]shard
	owners *owners

	size  atomic.Int64 // the bound
	count atomic.Int64 // places taken
	clock atomic.Uint64
	// evictions counts entries that gave way; changed counts what was added, removed or got another snapshot.
	evictions, changed atomic.Int64
}

// shard is the order of use of the entries that hash to it. The LRU's own size is without limit: see table.
type shard struct {
	mu  sync.Mutex
	lru *simplelru.LRU[*entry, struct{}]
	_   [48]byte // the next shard's lock lies on another cache line
}

func newTable(size int) *table {
	t := &table{
		index:  xsync.NewMap[registry.Reference, *entry](),
		seed:   maphash.MakeSeed(),
		owners: newOwners(),
	}
	t.size.Store(int64(size))
	for i := range t.shards {
		// NewLRU fails for a size below 1 only.
		t.shards[i].lru, _ = simplelru.NewLRU[*entry, struct{}](math.MaxInt, nil)
	}
	return t
}

func (t *table) shard(ref registry.Reference) *shard {
	return &t.shards[maphash.Comparable(t.seed, ref)%shardCount]
}

// get returns the entry of ref or nil. It takes no lock and does not count as use: see touch.
func (t *table) get(ref registry.Reference) *entry {
	e, _ := t.index.Load(ref)
	return e
}

// touch notes that e is used at now (Unix nanoseconds). It is for readers and does something at most once in
// promoteAfter.
func (t *table) touch(e *entry, now int64) {
	if used := e.used.Load(); now-used >= promoteAfter {
		t.promote(e, used, now)
	}
}

// promote moves e to the front of its shard's LRU. Of several readers at once one does it, and none when somebody else
// holds the shard's lock: the entry then keeps its place for another promoteAfter.
func (t *table) promote(e *entry, used, now int64) {
	if !e.used.CompareAndSwap(used, now) {
		return
	}
	s := t.shard(e.ref)
	if !s.mu.TryLock() {
		return
	}
	if _, ok := s.lru.Get(e); ok {
		e.order = t.clock.Add(1)
	}
	s.mu.Unlock()
}

// put keeps e, in place of whatever is kept under the same reference.
func (t *table) put(e *entry) {
	s := t.shard(e.ref)
	for {
		s.mu.Lock()
		old, replace := t.index.Load(e.ref)
		if replace {
			t.unkeep(s, old)
		} else if !t.takePlace() {
			s.mu.Unlock()
			t.evictOldest()
			continue
		}
		e.order = t.clock.Add(1)
		s.lru.Add(e, struct{}{})
		t.owners.add(e)
		t.index.Store(e.ref, e) // replaces at once: readers never find the reference missing
		if !replace || old.resolved != e.resolved {
			t.changed.Add(1)
		}
		s.mu.Unlock()
		return
	}
}

// remove drops e if it is still kept, and reports whether it was.
func (t *table) remove(e *entry) bool {
	s := t.shard(e.ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.drop(s, e)
}

// drop is remove with the shard's lock held.
func (t *table) drop(s *shard, e *entry) bool {
	if !e.kept() {
		return false
	}
	t.index.Delete(e.ref)
	t.unkeep(s, e)
	t.count.Add(-1)
	t.changed.Add(1)
	return true
}

// unkeep takes e out of everything but the index, with the shard's lock held.
func (t *table) unkeep(s *shard, e *entry) {
	e.order = 0
	s.lru.Remove(e)
	t.owners.remove(e)
}

// takePlace takes one of the table's places, if one is free.
func (t *table) takePlace() bool {
	for {
		n := t.count.Load()
		if n >= t.size.Load() {
			return false
		}
		if t.count.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// evictOldest drops the entry that was used longest ago. The shards are looked at one after the other, so when others
// add and touch at the same time it can be one that was just moved forward.
func (t *table) evictOldest() {
	var from *shard
	oldest := uint64(math.MaxUint64)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		if e, _, ok := s.lru.GetOldest(); ok && e.order < oldest {
			from, oldest = s, e.order
		}
		s.mu.Unlock()
	}
	if from == nil {
		return
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	// Somebody else may have made room in the meantime: evict only what is needed.
	if e, _, ok := from.lru.GetOldest(); ok && t.count.Load() >= t.size.Load() && t.drop(from, e) {
		t.evictions.Add(1)
	}
}

// resize changes the bound and evicts what is too much.
func (t *table) resize(size int) {
	t.size.Store(int64(size))
	for t.count.Load() > t.size.Load() { // not size: somebody else may resize too
		t.evictOldest()
	}
}

func (t *table) len() int { return int(t.count.Load()) }

// removeThose drops the entries of list for which f is true, and returns how many those were.
func (t *table) removeThose(list []*entry, f func(*entry) bool) (n int) {
	for _, e := range list {
		if f(e) && t.remove(e) {
			n++
		}
	}
	return n
}

// removeIf drops every entry for which f is true, and returns how many those were. It looks at all of them, each shard
// under its lock, so that none that was kept before the call escapes it.
func (t *table) removeIf(f func(*entry) bool) (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, e := range s.lru.Keys() {
			if f(e) && t.drop(s, e) {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// used is an entry with its place in the order of use.
type used struct {
	*entry
	order uint64
}

// all returns what is kept, the most recently used first.
func (t *table) all() []used {
	list := make([]used, 0, t.len())
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, e := range s.lru.Keys() {
			list = append(list, used{e, e.order})
		}
		s.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b used) int { return cmp.Compare(b.order, a.order) })
	return list
}

// expireBy sees to it that no entry is fresh for longer than lifetime (nanoseconds) after it was loaded.
func (t *table) expireBy(lifetime func() int64) {
	t.removeIf(func(e *entry) bool {
		if fresh := e.loaded + lifetime(); fresh < e.fresh.Load() {
			e.fresh.Store(fresh)
		}
		return false
	})
}
