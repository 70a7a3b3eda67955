package quota

import "time"

// inline is the number of limits that a Take can look at without allocating.
const inline = 8

// bucket is one limit's part of a Take under way.
type bucket struct {
	cell *cell
	debt span
}

// Take implements [Store].
//
// It first reads all buckets, so that a request that must be refused writes nothing: an overrun tenant costs no
// contention. Only when all have room does it spend from one after the other, each by compare-and-swap against
// what is there by then. If one has lost its room in between, what was spent from those before it is taken back.
func (l *Local) Take(now time.Time, cost int64, limits []Limit, out []Status) (allowed bool) {
	out = out[:len(limits)]
	at := instantOf(now, l.epoch)
	var few [inline]bucket
	buckets := few[:]
	if len(limits) > inline {
		buckets = make([]bucket, len(limits))
	}
	buckets = buckets[:len(limits)]

	allowed = true
	for i := range limits {
		if r := &limits[i].Rate; !r.IsZero() {
			b := &buckets[i]
			b.cell = l.find(&limits[i].Key)
			b.debt = debtOf(l.read(b.cell, at), at)
			if cost > 0 && !r.fits(b.debt, cost) {
				b.debt = l.refused(b.cell, at, r, b.debt)
				allowed = false
			}
		}
	}
	if allowed && cost > 0 {
		for i := range limits {
			if limits[i].Rate.IsZero() {
				continue
			}
			if !l.spend(&buckets[i], &limits[i], at, cost) {
				l.rollBack(limits[:i], buckets, at, cost)
				allowed = false
				break
			}
		}
	}
	for i := range limits {
		switch r, b := &limits[i].Rate, &buckets[i]; {
		case r.IsZero():
			out[i] = unlimited()
		case allowed || r.fits(b.debt, cost):
			out[i] = r.status(b.debt)
		default:
			out[i] = r.refusal(b.debt, cost)
		}
	}
	return allowed
}

// spend charges one bucket if it has room, and notes the debt that is then, or the one that left no room.
func (l *Local) spend(b *bucket, limit *Limit, at instant, cost int64) bool {
	r := &limit.Rate
	for {
		if b.cell == nil {
			b.cell = l.revive(&limit.Key, at)
		}
		tat := b.cell.load()
		if tat == dead {
			b.cell = nil
			continue
		}
		b.debt = debtOf(tat, at)
		if !r.fits(b.debt, cost) {
			b.debt = l.refused(b.cell, at, r, b.debt)
			return false
		}
		if b.cell.swap(tat, r.after(b.debt, at, cost)) {
			b.debt += span(cost) * r.interval
			return true
		}
	}
}
