package quota

// refused looks again at a bucket that has no room, and returns its debt.
//
// A debt of more than a full bucket (the horizon) has one of three causes. The request is older than the one before
// it, because its now was read earlier: nothing is wrong, and waiting for what the debt says is right. Or the clock has
// gone back. Or the rate was changed for one with a shorter horizon. In the last two the debt could lock the tenant
// out for as long as the clock went back, or as long as the old rate's bucket takes to refill.
//
// The present tells the first cause from the others: the TAT was written by a request that had read its clock before,
// so under a clock that only goes forward it cannot lie beyond the present plus the horizon of the rate that wrote it.
func (l *Local) refused(c *cell, at instant, r *Rate, debt span) span {
	if debt <= r.horizon || c == nil {
		return debt
	}
	return l.pardon(c, at, r, debt)
}

// pardon shortens a debt to a full bucket's: the bucket is then empty, and nobody waits longer than it takes to fill.
//
// How much was pardoned is noted in the cell, and for as long a time no more is. Otherwise two requests that
// alternate between an old, larger rate and a new one (two environments of a tenant, one of them resolved before the
// change), or a clock that jumps to and fro, could each time reopen what the other has spent. So at the worst
// pardons let pass once more what the rates let pass anyway.
//
//go:noinline
func (l *Local) pardon(c *cell, at instant, r *Rate, debt span) span {
	tat := c.load()
	if tat == dead {
		return debt
	}
	// The clock is read after the TAT: whoever wrote that TAT had read the clock before.
	present := l.present()
	excess := tat.since(present) - r.horizon
	if excess <= 0 {
		return debtOf(tat, at)
	}
	l.pardoning.Lock()
	defer l.pardoning.Unlock()
	if s := c.stripes.Load(); s != nil {
		s.discard() // nothing may lie beyond the TAT
	}
	if since := present.since(c.pardoned); since >= 0 && since < c.excess {
		return debtOf(tat, at)
	}
	if full := present + instant(r.horizon); c.swap(tat, full) {
		c.pardoned, c.excess = present, excess
		return debtOf(full, at)
	}
	return debtOf(c.load(), at)
}
