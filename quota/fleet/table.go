package fleet

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// table maps the limits of one shard to their cells, as that of [quota.Local] does: open addressing with linear probing,
// at most half full, read without a lock. Slots are only ever filled, or given a new cell for the same limit; limits
// leave by building a new table.
type table []slot

type slot struct {
	hash uint64 // of the cell's id; written once, before cell
	cell atomic.Pointer[cell]
}

func newTable(cells int) *table {
	t := make(table, max(8, 1<<bits.Len(uint(cells*5/2))))
	return &t
}

// find returns the slot that holds the limit's cell and that cell, or the free slot where it belongs and nil.
func (t *table) find(hash uint64, k *id) (*slot, *cell) {
	slots := *t
	for i := hash; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		if c := s.cell.Load(); c == nil || s.hash == hash && c.id == *k {
			return s, c
		}
	}
}

// put fills the free slot where the cell belongs.
func (t *table) put(hash uint64, c *cell) {
	s, _ := t.find(hash, &c.id)
	s.hash = hash
	s.cell.Store(c)
}

const (
	shardBits = 7
	shards    = 1 << shardBits
)

// shard is one part of a Store's cells.
type shard struct {
	table atomic.Pointer[table]
	mu    sync.Mutex   // for changing the table
	cells atomic.Int64 // in the table; changed under mu
	_     [40]byte     // no two shards in one cache line
}

// revive returns a living cell: the one that is there, or one that make returns.
func (s *shard) revive(hash uint64, k *id, make func() *cell) *cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, old := s.table.Load().find(hash, k)
	if old != nil && !old.dead() {
		return old
	}
	c := make()
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
		if c := old[i].cell.Load(); c != nil && !c.dead() {
			living++
		}
	}
	t := newTable(living)
	n := int64(0)
	for i := range old {
		// What has died since it was counted is left out; nothing comes back to life.
		if c := old[i].cell.Load(); c != nil && !c.dead() {
			t.put(old[i].hash, c)
			n++
		}
	}
	s.table.Store(t)
	s.cells.Store(n)
}

// hasher mixes limits into 64 bits. Its two words are random, so that nobody can choose ids that collide.
type hasher [2]uint64

func (h *hasher) hash(k *id) uint64 {
	a := binary.LittleEndian.Uint64(k.ID[:8]) ^ h[0]
	b := binary.LittleEndian.Uint64(k.ID[8:]) ^ h[1] ^ (uint64(k.Scope)|uint64(k.kind)<<8)*0x9e3779b97f4a7c15 // 2^64 / golden ratio
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
