package quota

import "time"

// inline is the number of limits that a Take can look at without allocating.
const inline = 8

// bucket is one limit's part of a Take under way.
type bucket struct {
	cell *cell   // nil when the key has none, or was not looked up yet
	tat  instant // as last read
	debt span    // as last read, or as it is after spending
}

// Take implements [Store].
//
// It first reads the buckets, so that a request that must be refused writes nothing: an overrun tenant costs no
// contention. Only when all have room does it spend from one after the other, each by compare-and-swap against
// what is there by then. If one has lost its room in between, what was spent from those before it is taken back.
// The first bucket is not read beforehand: when it refuses, nothing has been spent yet.
func (l *Local) Take(now time.Time, cost int64, limits []Limit, out []Status) (allowed bool) {
	out = out[:len(limits)]
	if len(limits) == 0 {
		return true
	}
	at := instantOf(now, l.epoch)
	var few [inline]bucket
	buckets := few[:]
	if len(limits) > inline {
		buckets = make([]bucket, len(limits))
	}
	buckets = buckets[:len(limits)]

	allowed = true
	for i := 1; i < len(limits); i++ {
		allowed = l.look(&buckets[i], &limits[i], at, cost) && allowed
	}
	if allowed && cost > 0 {
		for i := range limits {
			if !l.spend(&buckets[i], &limits[i], at, cost) {
				l.rollBack(limits[:i], buckets, at, cost)
				allowed = false
				break
			}
		}
	} else {
		allowed = l.look(&buckets[0], &limits[0], at, cost) && allowed
	}

	for i := range limits {
		switch r, debt := &limits[i].Rate, buckets[i].debt; {
		case r.IsZero():
			out[i] = unlimited()
		case allowed || r.fits(debt, cost):
			r.status(debt, &out[i])
		default:
			r.refusal(debt, cost, &out[i])
		}
	}
	return allowed
}

// look reads one bucket and reports whether it has room.
func (l *Local) look(b *bucket, limit *Limit, at instant, cost int64) bool {
	r := &limit.Rate
	if r.IsZero() {
		return true
	}
	b.cell = l.find(&limit.Key)
	b.tat = l.read(b.cell, at)
	b.debt = debtOf(b.tat, at)
	if cost < 1 || r.fits(b.debt, cost) {
		return true
	}
	b.debt = l.refused(b.cell, at, r, b.debt)
	return false
}

// spend charges one bucket if it has room.
func (l *Local) spend(b *bucket, limit *Limit, at instant, cost int64) bool {
	r := &limit.Rate
	if r.IsZero() {
		return true
	}
	if b.cell == nil {
		b.cell = l.find(&limit.Key)
		if b.cell == nil {
			b.cell = l.revive(&limit.Key, at)
		}
		b.tat = b.cell.load()
	}
	for {
		if b.tat == dead {
			b.cell = l.revive(&limit.Key, at)
			b.tat = b.cell.load()
			continue
		}
		b.debt = debtOf(b.tat, at)
		if !r.fits(b.debt, cost) {
			b.debt = l.refused(b.cell, at, r, b.debt)
			return false
		}
		if b.cell.swap(b.tat, r.after(b.debt, at, cost)) {
			b.debt += span(cost) * r.interval
			return true
		}
		b.cell.standBack(at)
		b.tat = b.cell.load()
	}
}
