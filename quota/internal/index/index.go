// Package index finds entries by their keys. Looking up takes no lock and writes nothing, and an entry costs 27 bytes of
// index or less: its key is its own.
//
// Entries leave by dying, which their users arrange by a word of the entry's own: who comes too late finds it dead and asks
// for a living one. Some time later [Index.Sweep] or [Index.Revive] forgets it.
package index

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Entry is a pointer to an E with the key K, which never changes.
type Entry[K, E any] interface {
	*E
	// Has reports whether the entry's key is k.
	Has(k K) bool
	// Dead reports whether the entry is of no use any more. The dead stay dead.
	Dead() bool
}

const (
	shardBits = 7
	// Shards is the number of parts: one that grows copies only itself.
	Shards = 1 << shardBits
)

// Index is a set of entries. [New] makes one. All methods may be called at any time by anybody.
type Index[K, E any, P Entry[K, E]] struct {
	shards [Shards]shard[E]
}

// shard is one part of the entries: a table with open addressing and linear probing. Slots are only ever filled, or given a
// new entry for the same key; entries leave by building a new table. Whoever still reads the old one finds every entry that
// has not died, and may miss one that was added since.
type shard[E any] struct {
	table   atomic.Pointer[table[E]]
	mu      sync.Mutex   // for changing the table
	entries atomic.Int64 // in the table; changed under mu
	_       [40]byte     // no two shards in one cache line
}

// table has at least one free slot.
type table[E any] []slot[E]

// slot is one place of a table: an entry, and the hash of its key, so that a look-up touches no other entry's memory.
type slot[E any] struct {
	hash  uint64 // written once, before entry
	entry atomic.Pointer[E]
}

// New returns an empty index.
func New[K, E any, P Entry[K, E]]() *Index[K, E, P] {
	x := new(Index[K, E, P])
	for i := range x.shards {
		x.shards[i].table.Store(newTable[E](0))
	}
	return x
}

// newTable returns an empty table that is three fifths full with so many entries.
func newTable[E any](entries int) *table[E] {
	t := make(table[E], entries*5/3+4)
	return &t
}

// start returns where the search for a hash begins. The shard was chosen by its upper bits, the place by those that follow.
func (t table[E]) start(hash uint64) int {
	hi, _ := bits.Mul64(hash<<shardBits, uint64(len(t)))
	return int(hi)
}

// First returns an entry whose key has that hash, or nil when there is none. It is nearly always the one that Find would
// return, for a look at its key; where that is another, Find knows more.
func (x *Index[K, E, P]) First(hash uint64) P {
	slots := *x.shards[hash>>(64-shardBits)].table.Load()
	for i := slots.start(hash); ; i++ {
		if i >= len(slots) {
			i = 0
		}
		s := &slots[i]
		if e := s.entry.Load(); e == nil || s.hash == hash {
			return e
		}
	}
}

// Find returns the entry with a key, which may be dead; or nil. hash must be the same for each call with the key, and should
// look random.
func (x *Index[K, E, P]) Find(hash uint64, k K) P {
	slots := *x.shards[hash>>(64-shardBits)].table.Load()
	for i := slots.start(hash); ; i++ {
		if i == len(slots) {
			i = 0
		}
		s := &slots[i]
		e := P(s.entry.Load())
		if e == nil || s.hash == hash && e.Has(k) {
			return e
		}
	}
}

// Revive returns a living entry: the one that is there, or one that birth returns, with the same key. birth is called under a
// lock, and must not use the index.
func (x *Index[K, E, P]) Revive(hash uint64, k K, birth func() P) P {
	s := &x.shards[hash>>(64-shardBits)]
	s.mu.Lock()
	defer s.mu.Unlock()
	old := x.Find(hash, k)
	if old != nil && !old.Dead() {
		return old
	}
	e := birth()
	if old != nil {
		slots := *s.table.Load()
		for i := slots.start(hash); ; i++ {
			if i == len(slots) {
				i = 0
			}
			if slots[i].entry.Load() == (*E)(old) {
				slots[i].entry.Store((*E)(e))
				return e
			}
		}
	}
	if n := int(s.entries.Load()) + 1; 4*n > 3*len(*s.table.Load()) {
		rebuild[K, E, P](s)
	}
	s.table.Load().put(hash, (*E)(e))
	s.entries.Add(1)
	return e
}

// put fills the first free slot.
func (t *table[E]) put(hash uint64, e *E) {
	slots := *t
	i := slots.start(hash)
	for slots[i].entry.Load() != nil {
		if i++; i == len(slots) {
			i = 0
		}
	}
	slots[i].hash = hash
	slots[i].entry.Store(e)
}

// rebuild puts the living entries into a new table of the right size. The caller holds the shard's mu.
func rebuild[K, E any, P Entry[K, E]](s *shard[E]) {
	old := *s.table.Load()
	living := 0
	for i := range old {
		if e := P(old[i].entry.Load()); e != nil && !e.Dead() {
			living++
		}
	}
	t := newTable[E](living)
	n := int64(0)
	for i := range old {
		// What has died since it was counted is left out; nothing comes back to life.
		if e := P(old[i].entry.Load()); e != nil && !e.Dead() {
			t.put(old[i].hash, (*E)(e))
			n++
		}
	}
	s.table.Store(t)
	s.entries.Store(n)
}

// Range calls f for every entry that was there when it began, and perhaps for those that come meanwhile, until f returns
// false. Some of them may be dead.
func (x *Index[K, E, P]) Range(f func(P) bool) {
	for i := range x.shards {
		table := *x.shards[i].table.Load()
		for j := range table {
			if e := P(table[j].entry.Load()); e != nil && !f(e) {
				return
			}
		}
	}
}

// Sweep calls f for every entry of one shard, and forgets the dead: f may have killed them, and says whether it has. It returns
// how many f has killed.
func (x *Index[K, E, P]) Sweep(shard int, f func(P) (killed bool)) (removed int) {
	s := &x.shards[shard]
	table := *s.table.Load()
	for j := range table {
		if e := P(table[j].entry.Load()); e != nil && f(e) {
			removed++
		}
	}
	if removed > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		rebuild[K, E, P](s)
	}
	return removed
}

// Len returns the number of entries, the dead included that were not forgotten yet.
func (x *Index[K, E, P]) Len() int {
	n := 0
	for i := range x.shards {
		n += int(x.shards[i].entries.Load())
	}
	return n
}
