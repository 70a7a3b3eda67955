package quota

import (
	"sync/atomic"
	"time"
)

// dead marks a cell that was evicted. It is one of the 2^64 values that a TAT can have; a TAT that would be equal to
// it is moved on by one tick.
const dead instant = 1<<64 - 1

// cell is the bucket of one key. All that is ever changed on the hot path is the one word of its TAT.
//
// A cell lives in the index from its first spend until it is full again and a sweep evicts it. Eviction changes the
// TAT to dead by compare-and-swap before the cell leaves the index: a spend that comes first makes the eviction fail,
// and one that comes later finds the cell dead and looks the key up again. So no spend is ever lost with a cell.
//
// The key stands next to the TAT, so that all of a cell is one cache line: of limits that were not asked for a moment ago,
// waiting for memory is most of what a decision costs.
type cell struct {
	tat atomic.Uint64
	// stripes are what cores have charged ahead of need; nil unless the cell is contended.
	stripes atomic.Pointer[stripes]
	// lost is when a spender last lost a race for the TAT, by its own now.
	lost atomic.Uint64
	// pardoned is when the last pardon was granted, excess what was pardoned; both under Local.pardoning.
	pardoned instant
	excess   span

	key Key     // never changed
	_   [7]byte // fills a cache line: neighbours in memory do not slow each other down
}

// Has reports whether it is the cell of a key; see package index.
func (c *cell) Has(k Key) bool { return c.key == k }

// Dead reports whether the cell was evicted.
func (c *cell) Dead() bool { return c.load() == dead }

func (c *cell) load() instant { return instant(c.tat.Load()) }

// swap replaces a TAT that is still there.
func (c *cell) swap(old, new instant) bool {
	return c.tat.CompareAndSwap(uint64(old), uint64(alive(new)))
}

// kill evicts a cell whose TAT is still the given one.
func (c *cell) kill(tat instant) bool { return c.tat.CompareAndSwap(uint64(tat), uint64(dead)) }

// alive returns a TAT that is not dead, never an earlier one.
func alive(tat instant) instant {
	if tat == dead {
		tat++
	}
	return tat
}

// contended is called after another core has changed the TAT between our look and our swap. When that happens again
// and again, it gives a bucket stripes that holds enough for them; otherwise it stands back.
func (c *cell) contended(r *Rate, debt span, at instant) {
	many := often(&c.lost, at)
	if many && r.batch(debt) > 0 {
		if c.stripes.Load() == nil {
			c.stripes.CompareAndSwap(nil, newStripes())
		}
		return
	}
	standBack(many)
}

// often notes a lost race and reports whether the last one is less than 50 µs ago.
func often(lost *atomic.Uint64, at instant) bool {
	ago := at.since(instant(lost.Swap(uint64(at))))
	return ago < span(50*time.Microsecond)<<tickShift && ago > -span(time.Millisecond)<<tickShift
}

// standBack waits a little, without touching memory. A word that several cores keep changing costs each of them the time
// in which its cache line travels; when those that lose a race for it stand back, the winner keeps the line and goes on
// at full speed.
//
// A lone loss, which is what happens beside real work, costs a few hundred nanoseconds. Only when they come often, so
// that cores do nothing but spend from this word, it is about 10 µs.
func standBack(often bool) {
	const few, many = 1_000, 40_000 // turns of a quarter of a nanosecond
	turns := few
	if often {
		turns = many
	}
	for range turns {
	}
}
