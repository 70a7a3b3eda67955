package quota

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// shards is the number of maps that a Local's cells are spread over, so that a sweep can go one small step at a
// time and growing never copies more than a part.
const shards = 64

// LocalOptions are the options of [NewLocal]. The zero value is useful.
type LocalOptions struct {
	// Now is the clock from which callers of Take read their now; default time.Now. Local itself reads it only
	// where it must know the present: in sweeps, and to take back a spend.
	Now func() time.Time
	// SweepInterval is the time in which [Local.Run] looks once at every bucket; default 10 s.
	SweepInterval time.Duration
}

// Local is the [Store] of a single process. Its buckets live in memory only; what reloads of the configuration are
// to keep is kept by keeping the Local.
type Local struct {
	now   func() time.Time
	every time.Duration
	epoch time.Time
	// floor is the time of the last sweep: no bucket that is not in the maps can have been in debt beyond it. New
	// cells begin with it.
	floor atomic.Uint64
	sweep sync.Mutex
	cells [shards]*xsync.Map[Key, *cell]
}

// NewLocal returns an empty store: every bucket is full.
func NewLocal(o LocalOptions) *Local {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SweepInterval <= 0 {
		o.SweepInterval = 10 * time.Second
	}
	l := &Local{now: o.Now, every: o.SweepInterval, epoch: o.Now()}
	for i := range l.cells {
		l.cells[i] = xsync.NewMap[Key, *cell]()
	}
	return l
}

// Take implements [Store].
func (l *Local) Take(now time.Time, cost int64, limits []Limit, out []Status) (allowed bool) {
	return true
}

// Len returns the number of buckets in memory: those that are not full, and those that no sweep has seen full yet.
func (l *Local) Len() int {
	n := 0
	for _, m := range l.cells {
		n += m.Size()
	}
	return n
}

// Sweep gives back the memory of every bucket that is full at now, and returns how many there were.
func (l *Local) Sweep(now time.Time) (removed int) { return 0 }

// Run sweeps, a part at a time, until ctx ends.
func (l *Local) Run(ctx context.Context) { <-ctx.Done() }
