package quota

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

// One bucket that all cores spend from at once is one cache line that travels between them, and the more cores there
// are the fewer requests are decided. So a bucket that is contended gets stripes: each core charges some of it ahead
// of need, in one step, and spends from that in a cache line of its own.
//
// Why no limit is exceeded. Think of a TAT as a line that is drawn to the right: a request that spends c of a bucket
// marks the next c × interval of it, beginning at max(TAT, now) and ending at most at now + horizon. GCRA is no more
// than that, with one hand that draws. Now let several hands draw, as long as
//
//  1. no two marks overlap,
//  2. no mark begins before its request's now, and
//  3. none ends after its request's now + horizon.
//
// Then the marks of all requests that come between two moments a and b lie apart from each other between a and
// b + horizon, so together they are at most b - a + horizon long: burst + rate × (b - a) requests, which is the promise.
//
// A stripe owns a stretch of the line that was marked for it in the TAT when it was charged. Who spends from it marks
// the piece that begins at max(how far it is spent, now), and may not go beyond its end. (1) holds because
// stretches do not overlap, (2) and (3) because the same comparisons are made as for the TAT. What of a stretch lies
// before now has lapsed: the bucket has been refilled by as much meanwhile. So a stripe has no expiry of its own, and
// is nothing but a small GCRA that ends somewhere.
//
// What is given back makes a gap in the line. Everything that was marked beyond a gap may be thought moved to the left
// by its length: that is still after each request's now if the gap begins after the present. So a TAT goes back by as
// much as lies after the present, and only when no stripe owns a stretch beyond any more. That is settle.
type stripes struct {
	// moving is held while a stretch is charged, and while all are given back: some of the bucket is then on its way into
	// a stripe or out of one. Nobody waits for it who can pass without it. It is no sync.Mutex, because what is
	// handed to one lives on the heap, and so would all that a Take knows.
	moving atomic.Bool
	// retired says that the bucket has no stripes any more; under moving.
	retired bool
	list    []stripe
}

func (s *stripes) tryLock() bool { return s.moving.CompareAndSwap(false, true) }

func (s *stripes) lock() {
	for !s.tryLock() {
		runtime.Gosched() // it is held for less than a microsecond, unless its holder has lost the processor
	}
}

func (s *stripes) unlock() { s.moving.Store(false) }

// stripe is a stretch of the line, from base to base + length.
type stripe struct {
	// word is how far the stretch is spent, and in its upper bits the number of the stretch: who spends by
	// compare-and-swap cannot take one stretch for another.
	word atomic.Uint64
	// base and length are changed under stripes.moving, while word says that the stripe is closed.
	base, length atomic.Uint64
	_            [lane.Size - 24]byte
}

const (
	spentBits = 40
	// closed is how far a stripe is spent from which nothing can be spent: farther than any stretch is long.
	closed = 1<<spentBits - 1
	// longest is the longest stretch: 2.1 s.
	longest = span(1) << (spentBits - 1)
)

const (
	// leastBatch is the number of requests below which charging ahead does not pay, and so the 1/freeShare of the bucket
	// that must at least be free × leastBatch: buckets of fewer than 256 requests have no stripes.
	leastBatch = 4
	// freeShare bounds what a stripe takes: that part of what is free.
	freeShare = 64
	// mostStripes bounds the stripes of a bucket.
	mostStripes = 16
)

// A stretch is as long as ahead, or as aheadRequests are if that is longer: so much of a bucket one core is in charge of.
const (
	ahead         = span(time.Millisecond) << tickShift
	aheadRequests = 64
)

func newStripes() *stripes {
	n := 1 << bits.Len(uint(2*runtime.GOMAXPROCS(0)-1))
	s := &stripes{list: make([]stripe, min(n, mostStripes))}
	for i := range s.list {
		s.list[i].word.Store(closed)
	}
	return s
}

// batch returns how much is charged ahead from a bucket with this debt, in whole requests; 0 when too little is left for
// that.
func (r *Rate) batch(debt span) span {
	length := min((r.horizon-debt)/freeShare, max(ahead, aheadRequests*r.interval), longest)
	if length < leastBatch*r.interval {
		return 0
	}
	return length - length%r.interval
}

// spend marks the cost in a stripe, if it has room. met says that somebody else spends from it too.
func (s *stripe) spend(r *Rate, at instant, cost int64) (ok, met bool) {
	for {
		word := s.word.Load()
		if word&closed == closed {
			return false, met
		}
		base := instant(s.base.Load())
		debt := debtOf(base+instant(word&closed), at)
		if !r.fits(debt, cost) {
			return false, met
		}
		spent := r.after(debt, at, cost) - base
		if spent > instant(s.length.Load()) {
			return false, met
		}
		if s.word.CompareAndSwap(word, word&^closed|uint64(spent)) {
			return true, met
		}
		met = true
	}
}

// left returns what may still be spent of the stripe at the given instant.
func (s *stripe) left(at instant) span {
	for {
		word := s.word.Load()
		if word&closed == closed {
			return 0
		}
		base, length := instant(s.base.Load()), instant(s.length.Load())
		if s.word.Load()>>spentBits == word>>spentBits {
			return gap{base + instant(word&closed), base + length}.after(at)
		}
	}
}

// open gives an empty stripe a stretch of which so much is spent. The caller holds moving.
func (s *stripe) open(base instant, length, spent span) {
	s.close()
	s.base.Store(uint64(base))
	s.length.Store(uint64(length))
	s.word.Store(s.word.Load()&^closed | uint64(spent))
}

// close ends a stripe's stretch and returns how far it was spent. The caller holds moving.
func (s *stripe) close() (word uint64) {
	for {
		word = s.word.Load()
		next := word&^closed + 1<<spentBits | closed
		if s.word.CompareAndSwap(word, next) {
			return word
		}
	}
}

// held returns what may be spent of all stripes.
func (s *stripes) held(at instant) (sum span) {
	for i := range s.list {
		sum += s.list[i].left(at)
	}
	return sum
}

// gap is a part of the line that no request has marked.
type gap struct{ from, to instant }

// after returns the length of a gap's part that lies after an instant.
func (g gap) after(at instant) span { return max(min(g.to.since(g.from), g.to.since(at)), 0) }

// charge spends the cost from a bucket together with a stretch for the stripe, unless too little is free, or the
// stripe has a request left.
func (s *stripes) charge(c *cell, st *stripe, r *Rate, at instant, cost int64) bool {
	if !s.tryLock() {
		return false
	}
	defer s.unlock()
	tat := c.load()
	debt := debtOf(tat, at)
	length := r.batch(debt)
	if s.retired || tat == dead || length == 0 || cost > leastBatch || st.left(at) >= r.interval {
		return false
	}
	start := at + instant(debt)
	if !c.swap(tat, start+instant(length)) {
		return false
	}
	st.open(start, length, span(cost)*r.interval)
	return true
}

// empty takes what is left out of all stripes. The caller holds moving.
func (s *stripes) empty(gaps []gap) []gap {
	for i := range s.list {
		st := &s.list[i]
		if spent := st.close() & closed; spent != closed {
			base := instant(st.base.Load())
			gaps = append(gaps, gap{base + instant(spent), base + instant(st.length.Load())})
		}
	}
	return gaps
}

// discard takes what is left out of all stripes, for nobody.
func (s *stripes) discard() {
	s.lock()
	defer s.unlock()
	var few [mostStripes]gap
	s.empty(few[:0])
}

// settle gives back to the bucket what all stripes hold, and of back, which was spent at the instant at, what cannot
// have been refilled since; then it spends the cost if it fits. It returns the bucket's debt.
func (l *Local) settle(c *cell, s *stripes, r *Rate, at instant, back span, cost int64) (debt span, ok, done bool) {
	s.lock()
	defer s.unlock()
	if s.retired {
		return 0, false, false
	}
	var few [mostStripes]gap
	gaps := s.empty(few[:0])
	for {
		tat := c.load()
		if tat == dead {
			return 0, false, false
		}
		// The clock is read after the TAT and the stripes: whoever changed them had read the clock before.
		present := l.present()
		sum := max(back-max(present.since(at), 0), 0)
		for _, g := range gaps {
			sum += g.after(present)
		}
		after := tat - instant(sum)
		debt = debtOf(after, at)
		ok = cost > 0 && r.fits(debt, cost)
		if ok {
			after = r.after(debt, at, cost)
			debt += span(cost) * r.interval
		}
		if after == tat || c.swap(tat, after) {
			return debt, ok, true
		}
	}
}

// retire takes the stripes from a bucket if nothing is left in them, so that only what is contended has any.
func (c *cell) retire(at instant) {
	s := c.stripes.Load()
	if s == nil || s.held(at) > 0 || !s.tryLock() {
		return
	}
	defer s.unlock()
	if s.held(at) == 0 {
		s.retired = true
		c.stripes.Store(nil)
	}
}
