package quota

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// table maps the keys of one shard to their cells: open addressing with linear probing, at most half full.
//
// Looking up takes no lock and writes nothing. Slots are only ever filled, or given a new cell for the same key; keys
// leave by building a new table. Whoever still reads the old table finds every cell that was not evicted, and may
// miss one that was added since; a spender then asks again under the lock.
type table []slot

// slot is one place of a table: a cell, and the hash of its key, so that a look-up touches no other cell's memory.
type slot struct {
	hash uint64 // written once, before cell
	cell atomic.Pointer[cell]
}

// newTable returns an empty table with room for so many cells and a quarter more.
func newTable(cells int) *table {
	t := make(table, max(8, 1<<bits.Len(uint(cells*5/2))))
	return &t
}

// find returns the slot that holds the key's cell and that cell, or the free slot where it belongs and nil.
func (t *table) find(hash uint64, k *Key) (*slot, *cell) {
	slots := *t
	for i := hash; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		if c := s.cell.Load(); c == nil || s.hash == hash && c.key == *k {
			return s, c
		}
	}
}

// put fills the free slot where the cell belongs.
func (t *table) put(hash uint64, c *cell) {
	s, _ := t.find(hash, &c.key)
	s.hash = hash
	s.cell.Store(c)
}

// shard is one part of a Local's cells.
type shard struct {
	table atomic.Pointer[table]
	mu    sync.Mutex   // for changing the table
	cells atomic.Int64 // in the table; changed under mu
	_     [40]byte     // no two shards in one cache line
}

// find returns the cell of a key, or nil.
func (s *shard) find(hash uint64, k *Key) *cell {
	_, c := s.table.Load().find(hash, k)
	return c
}

// revive returns a living cell for the key. Where there is none, or only a dead one, it puts in a new cell that begins
// with the TAT that birth returns.
func (s *shard) revive(hash uint64, k *Key, birth func() instant) *cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, old := s.table.Load().find(hash, k)
	if old != nil && old.load() != dead {
		return old
	}
	c := &cell{key: *k}
	c.tat.Store(uint64(alive(birth()))) // asked only now: not older than the sweep that killed the old cell
	if old != nil {
		slot.cell.Store(c)
		return c
	}
	if n := int(s.cells.Load()) + 1; 2*n > len(*s.table.Load()) {
		s.rebuild()
	}
	s.table.Load().put(hash, c)
	s.cells.Add(1)
	return c
}

// clean gives back the memory of dead cells.
func (s *shard) clean() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rebuild()
}

// rebuild puts the living cells into a new table of the right size. The caller holds mu.
func (s *shard) rebuild() {
	old := *s.table.Load()
	living := 0
	for i := range old {
		if c := old[i].cell.Load(); c != nil && c.load() != dead {
			living++
		}
	}
	t := newTable(living)
	n := int64(0)
	for i := range old {
		// What has died since it was counted is left out; nothing comes back to life.
		if c := old[i].cell.Load(); c != nil && c.load() != dead {
			t.put(old[i].hash, c)
			n++
		}
	}
	s.table.Store(t)
	s.cells.Store(n)
}

// hasher mixes keys into 64 bits by one wide multiplication. Ids are random or hashes as a rule, but those made by
// hand are consecutive numbers. Its two words are random, so that nobody can choose ids that collide.
type hasher [2]uint64

func (h *hasher) hash(k *Key) uint64 { return h.with(k, 0) }

// with hashes a key together with a number.
func (h *hasher) with(k *Key, n uint64) uint64 {
	a := binary.LittleEndian.Uint64(k.ID[:8]) ^ h[0]
	b := binary.LittleEndian.Uint64(k.ID[8:]) ^ h[1] ^ (uint64(k.Scope)|n<<8)*0x9e3779b97f4a7c15 // 2^64 / golden ratio
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
