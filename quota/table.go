package quota

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// table maps the keys of one shard to their cells: open addressing with linear probing, at most half full.
//
// Looking up takes no lock, writes nothing, and touches two cache lines: the slot's and the cell's, which holds the
// key. Slots are only ever filled, or given a new cell of the same key; cells leave by building a new table. Whoever
// still reads the old table finds every cell that was not evicted, and may miss one that was added since; a
// spender then asks again under the lock.
type table []atomic.Pointer[cell]

// newTable returns an empty table with room for so many cells and a quarter more.
func newTable(cells int) *table {
	t := make(table, max(8, 1<<bits.Len(uint(cells*5/2))))
	return &t
}

// slot returns the slot that holds the key's cell, or else the free one where it belongs.
func (t *table) slot(hash uint64, k *Key) *atomic.Pointer[cell] {
	slots := *t
	for i := hash; ; i++ {
		slot := &slots[i&uint64(len(slots)-1)]
		if c := slot.Load(); c == nil || c.key == *k {
			return slot
		}
	}
}

// shard is one part of a Local's cells.
type shard struct {
	table atomic.Pointer[table]
	mu    sync.Mutex   // for changing the table
	cells atomic.Int64 // in the table; changed under mu
	_     [40]byte     // no two shards in one cache line
}

// find returns the cell of a key, or nil.
func (s *shard) find(hash uint64, k *Key) *cell { return s.table.Load().slot(hash, k).Load() }

// revive returns a living cell for the key. Where there is none, or only a dead one, it puts in a new cell that begins
// with the TAT that birth returns.
func (s *shard) revive(h *hasher, k *Key, birth func() instant) *cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := h.hash(k)
	slot := s.table.Load().slot(hash, k)
	old := slot.Load()
	if old != nil && old.load() != dead {
		return old
	}
	c := &cell{key: *k}
	c.tat.Store(uint64(alive(birth()))) // asked only now: not older than the sweep that killed the old cell
	if old == nil {
		if n := int(s.cells.Load()) + 1; 2*n > len(*s.table.Load()) {
			s.rebuild(h)
			slot = s.table.Load().slot(hash, k)
		}
		s.cells.Add(1)
	}
	slot.Store(c)
	return c
}

// clean gives back the memory of dead cells.
func (s *shard) clean(h *hasher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rebuild(h)
}

// rebuild puts the living cells into a new table of the right size. The caller holds mu.
func (s *shard) rebuild(h *hasher) {
	old := *s.table.Load()
	living := 0
	for i := range old {
		if c := old[i].Load(); c != nil && c.load() != dead {
			living++
		}
	}
	t := newTable(living)
	n := int64(0)
	for i := range old {
		// What has died since it was counted is left out; nothing comes back to life.
		if c := old[i].Load(); c != nil && c.load() != dead {
			t.slot(h.hash(&c.key), &c.key).Store(c)
			n++
		}
	}
	s.table.Store(t)
	s.cells.Store(n)
}

// hasher mixes keys into 64 bits by one wide multiplication. Ids are random or hashes as a rule, but those made by
// hand are consecutive numbers. Its two words are random, so that nobody can choose ids that collide.
type hasher [2]uint64

func (h *hasher) hash(k *Key) uint64 {
	a := binary.LittleEndian.Uint64(k.ID[:8]) ^ h[0]
	b := binary.LittleEndian.Uint64(k.ID[8:]) ^ h[1] ^ uint64(k.Scope)*0x9e3779b97f4a7c15 // 2^64 / golden ratio
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
