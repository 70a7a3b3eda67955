// Package lane tells goroutines that run at the same time apart, so that each can count in a cache line of its own.
//
// A lane is a number that belongs to a processor of the scheduler (a P), as far as that can be had without the
// runtime's help: a sync.Pool keeps one for each. Nothing may depend on it but speed.
package lane

import (
	"sync"
	"sync/atomic"
)

// Size is the distance in bytes that keeps two words out of each other's way: two cache lines, because processors
// fetch them in pairs.
const Size = 128

// Number is the number of a lane; 0 is none.
type Number uint32

var (
	last  atomic.Uint32
	lanes = sync.Pool{New: func() any { n := next(); return &n }}
)

func next() Number { return Number(last.Add(1) | 1<<31) }

// Mine returns the lane of the processor that the caller runs on. It does not allocate, except after the pool was
// emptied by the garbage collector.
func Mine() Number {
	l := lanes.Get().(*Number)
	n := *l
	lanes.Put(l)
	return n
}

// Move gives the processor that the caller runs on another lane, after somebody else was met in its own.
func Move() Number {
	l := lanes.Get().(*Number)
	*l = next()
	n := *l
	lanes.Put(l)
	return n
}

// Of returns the lane's place among so many, which must be a power of two.
func (n Number) Of(places int) int { return int(n) & (places - 1) }
