package quota

// rollBackRate takes back what a Take that lost a race at a later limit has spent from the bucket of a rate.
//
// Taking the cost off the TAT again is right as long as no time has passed: costs add up in any order, so what is
// left is what would be there had this request never come. (Others may have been refused meanwhile for want of what
// is now given back; that errs on the safe side, and only at the very edge of a limit.)
//
// When time has passed, part of the cost may have been refilled, and to give it back too would grant it twice: say
// the bucket was full, this request took one, a second later (one interval) the bucket was full again, and another
// request was charged from now; then the TAT holds nothing of ours any more. How much it still holds cannot be read
// from one word. But it is at least the cost less the time since our own now: after our spend the TAT was at least
// now + cost, and as long as nobody's clock had passed that, nobody was charged from a later moment than the present
// one. So that much is taken back. At most the time between reading the clock and losing the race is lost to the
// tenant, commonly microseconds, and never is more admitted than the rate allows.
//
// The clock is read after the TAT: whoever wrote that TAT had read the clock before.
func (l *Local) rollBackRate(limit *Limit, b *bucket, at instant, cost int64) {
	r := &limit.Rate
	for {
		tat := b.cell.load()
		if tat == dead {
			// Evicted as full, at a time when all of ours was refilled.
			b.debt = 0
			return
		}
		// After the TAT, too: had it been given stripes and charged for them since, it would not be there any more.
		if s := b.cell.stripes.Load(); s != nil {
			debt, _, done := l.settle(b.cell, s, r, at, span(cost)*r.interval, 0)
			if b.debt = debt; done {
				return
			}
			continue
		}
		present := l.present()
		back := span(cost)*r.interval - max(present.since(at), 0)
		if back <= 0 {
			b.debt = debtOf(tat, at)
			return
		}
		if b.cell.swap(tat, tat-instant(back)) {
			b.debt = debtOf(tat-instant(back), at)
			return
		}
	}
}

// rollBack takes back what a Take that lost a race at the limit end has spent from those before it.
func (l *Local) rollBack(t *take, end int) {
	for i := range end {
		b, limit := &t.buckets[i], &t.limits[i]
		if !b.charged {
			continue
		}
		switch {
		case !limit.Rate.IsZero():
			l.rollBackRate(limit, b, t.at, t.cost)
		case !limit.Allowance.IsZero():
			l.ledger.rollBack(t, i, &b.charge)
		default:
			l.flights.leave(&limit.Key, &t.lane)
			b.flight = max(b.flight-1, 0)
		}
	}
}
