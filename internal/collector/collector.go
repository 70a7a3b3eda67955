// Package collector makes Go's garbage collector run less often while a program's heap is small.
//
// The collector runs when the heap has grown by a percentage of what was live (GOGC). A proxy keeps little and throws away
// some kilobytes for each request: with a few megabytes live it collects dozens of times a second, and marks all that is
// live each time. A floor under the heap's goal makes that rare, at the price of a known amount of memory; a large heap, and
// the memory limit (GOMEMLIMIT), are not affected.
package collector

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// leastLive is what counts as live at least, in bytes: the runtime lets a heap of less grow as if it were as large.
const leastLive = 4 << 20

// What the goal is reckoned from: the percentage is taken of all that a collection looks at, not of the heap alone.
var measured = []string{"/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes"}

// Pace sets the percentage by which the heap grows from one collection to the next, but lets it grow to floor bytes in any
// case. It follows the heap: after each collection it looks at what is live. stop ends that and sets the percentage that
// there was before. There may be one Pace at a time.
func Pace(percent int, floor uint64) (stop func()) {
	p := &pace{percent: percent, floor: floor, sample: make([]metrics.Sample, len(measured))}
	for i, name := range measured {
		p.sample[i].Name = name
	}
	before := debug.SetGCPercent(percent)
	p.adjust()
	p.again()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stopped = true
		debug.SetGCPercent(before)
	}
}

type pace struct {
	percent int
	floor   uint64
	sample  []metrics.Sample

	mu      sync.Mutex
	set     int
	stopped bool
}

// cycle is an object that nothing refers to: it is found to be dead by the next collection.
type cycle struct{ _ [16]byte }

// again waits for the next collection.
func (p *pace) again() {
	runtime.SetFinalizer(new(cycle), func(*cycle) {
		if p.adjust() {
			p.again()
		}
	})
}

// adjust sets the percentage that what is live calls for, and reports whether that goes on.
func (p *pace) adjust() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	metrics.Read(p.sample)
	// Setting it stops the program for a moment: a change that is hardly one is not worth that.
	live, other := p.sample[0].Value.Uint64(), p.sample[1].Value.Uint64()+p.sample[2].Value.Uint64()
	if next := growth(p.percent, p.floor, live, other); next > p.set+p.set/20 || next < p.set-p.set/20 {
		p.set = next
		debug.SetGCPercent(next)
	}
	return true
}

// growth is the percentage by which a heap with so much live, and so much else to look at, may grow.
func growth(percent int, floor, live, other uint64) int {
	if live >= floor {
		return percent
	}
	return max(percent, int((floor-live)*100/max(live+other, leastLive)))
}
