package quota

import (
	"time"

	"github.com/tenantgate/tenantgate/quota/internal/lane"
)

const (
	// usual is the number of limits that most requests have at the most: their buckets are quickly zeroed.
	usual = 4
	// inline is the number of limits that a Take can look at without allocating.
	inline = 12
)

// bucket is one limit's part of a Take under way.
type bucket struct {
	cell *cell   // of a rate; nil when the key has none, or was not looked up yet
	tat  instant // as last read
	debt span    // as last read, or as it is after spending

	charge          // of an allowance, in the first one with its Key
	lead    int     // of an allowance: the first one with its Key
	seat    *flight // of concurrency; nil when the key has none
	flight  int64   // of concurrency: requests in flight, as last read or after entering
	charged bool    // something was spent, or a slot taken
	over    bool    // there was no room
}

// Take implements [Store].
//
// It first reads the buckets, so that a request that must be refused writes nothing: an overrun tenant costs no
// contention. Only when all have room does it spend from one after the other, each by compare-and-swap against
// what is there by then. If one has lost its room in between, what was spent from those before it is taken back.
// The first bucket is not read beforehand: when it refuses, nothing has been spent yet.
//
// Where Take has to wait, for an allowance whose use was not loaded yet, it waits before it spends anything, and for at most
// [UsageOptions].LoadTimeout.
func (l *Local) Take(now time.Time, cost int64, limits []Limit, out []Status) (allowed bool) {
	out = out[:len(limits)]
	switch n := len(limits); {
	case n == 0:
		return true
	case n <= usual:
		var few [usual]bucket
		return l.takeAll(now, cost, limits, out, few[:n])
	case n <= inline:
		return l.takeSome(now, cost, limits, out)
	default:
		return l.takeAll(now, cost, limits, out, make([]bucket, n))
	}
}

//go:noinline
func (l *Local) takeSome(now time.Time, cost int64, limits []Limit, out []Status) bool {
	var some [inline]bucket
	return l.takeAll(now, cost, limits, out, some[:len(limits)])
}

func (l *Local) takeAll(now time.Time, cost int64, limits []Limit, out []Status, buckets []bucket) (allowed bool) {
	t := take{now: now, at: instantOf(now, l.epoch), day: dayOf(now), cost: cost, limits: limits, buckets: buckets}
	// All cells are looked up before anything is written: so the processor waits for their memory only once.
	for i := range limits {
		switch b, limit := &buckets[i], &limits[i]; {
		case !limit.Rate.IsZero():
			b.cell = l.find(&limit.Key)
		case !limit.Allowance.IsZero():
			if b.lead = t.leader(i); b.lead == i {
				b.found = l.ledger.find(&limit.Key, t.day)
			}
		case limit.Concurrent > 0:
			b.seat = l.flights.find(&limit.Key)
		}
	}

	allowed = true
	for i := 1; i < len(limits); i++ {
		allowed = l.look(&t, i) && allowed
	}
	switch {
	case !allowed || cost < 1:
		allowed = l.look(&t, 0) && allowed
	default:
		for i := range limits {
			if !l.spend(&t, i) {
				l.rollBack(&t, i)
				allowed = false
				break
			}
		}
	}
	for i := range limits {
		l.report(&t, i, allowed, &out[i])
	}
	return allowed
}

// Refund implements [Store].
func (l *Local) Refund(now time.Time, cost int64, limits []Limit) {
	if cost < 1 {
		return
	}
	t := take{at: instantOf(now, l.epoch), day: dayOf(now), cost: cost, limits: limits}
	for i := range limits {
		var b bucket
		switch limit := &limits[i]; {
		case limit.Shadow:
		case !limit.Rate.IsZero():
			if b.cell = l.find(&limit.Key); b.cell != nil { // without one the bucket is full again
				l.rollBackRate(limit, &b, t.at, cost)
			}
		case !limit.Allowance.IsZero() && t.leader(i) == i:
			b.acct = l.ledger.open(limit, t.day, l.ledger.find(&limit.Key, t.day))
			l.ledger.rollBack(&t, i, &b.charge)
		}
	}
}

// Release implements [Store].
func (l *Local) Release(limits []Limit) {
	var mine lane.Number
	for i := range limits {
		if limits[i].Concurrent > 0 {
			l.flights.leave(&limits[i].Key, &mine)
		}
	}
}

// Found is what [Local.Find] has found.
type Found struct{ accounts [usual]*account }

// Find looks up what Count will need for the same limits on the same day, so that memory is on its way before it is needed.
// The zero Found does as well.
func (l *Local) Find(now time.Time, limits []Limit, found *Found) {
	d, n := dayOf(now), 0
	for i := range limits {
		if limits[i].Allowance.IsZero() {
			continue
		}
		if n < len(found.accounts) {
			found.accounts[n] = l.ledger.find(&limits[i].Key, d)
		}
		n++
	}
}

// Count counts a request that another store has admitted, in the allowances among the limits: it refuses nothing, and warns
// and records as if it had come by Take. A cost below 1 counts nothing.
func (l *Local) Count(now time.Time, cost int64, limits []Limit, found *Found) {
	if cost < 1 {
		return
	}
	t := take{at: instantOf(now, l.epoch), day: dayOf(now), cost: cost, limits: limits, admitted: true}
	n := 0
	for i := range limits {
		if limits[i].Allowance.IsZero() {
			continue
		}
		var c charge
		if n < len(found.accounts) {
			c.found = found.accounts[n]
		}
		if n++; t.leader(i) != i {
			continue
		}
		l.ledger.look(&t, i, &c)
		l.ledger.spend(&t, i, &c)
		for j := i; j < len(limits); j++ {
			if a := &limits[j].Allowance; a.Max > 0 && limits[j].Key == limits[i].Key {
				used := c.acct.used(a.Period, c.use)
				l.ledger.warn(c.acct, a, used-min(cost, MaxRequests), used)
			}
		}
	}
}

// take is a Take under way.
type take struct {
	now     time.Time
	at      instant
	day     day
	cost    int64
	limits  []Limit
	buckets []bucket
	lane    lane.Number // of the core, once it was asked for
	// admitted says that the request has passed already: no limit has a say.
	admitted bool
}

// leader returns the first allowance with the Key of the allowance i.
func (t *take) leader(i int) int {
	for j := range i {
		if !t.limits[j].Allowance.IsZero() && t.limits[j].Key == t.limits[i].Key {
			return j
		}
	}
	return i
}

// look reads one bucket and reports whether it lets the request pass.
func (l *Local) look(t *take, i int) bool {
	b, limit := &t.buckets[i], &t.limits[i]
	switch {
	case !limit.Rate.IsZero():
		b.over = !l.lookRate(b, &limit.Rate, t.at, t.cost)
	case !limit.Allowance.IsZero():
		if b.lead < i {
			return true // its leader speaks for it
		}
		return l.ledger.look(t, i, &b.charge)
	case limit.Concurrent > 0:
		if t.cost < 1 {
			b.flight = b.seat.inFlight()
		} else {
			b.flight = b.seat.look(limit.Concurrent)
		}
		b.over = t.cost > 0 && b.flight >= limit.Concurrent
	}
	return !b.over || limit.Shadow
}

// lookRate reads the bucket of a rate and reports whether it has room.
func (l *Local) lookRate(b *bucket, r *Rate, at instant, cost int64) bool {
	b.tat = l.read(b.cell, at)
	b.debt = debtOf(b.tat, at)
	if cost >= 1 && r.fits(b.debt, cost) {
		return true
	}
	if b.cell != nil {
		if s := b.cell.stripes.Load(); s != nil {
			if cost >= 1 && s.moving.Load() {
				return true // who spends will see
			}
			held := s.held(at)
			b.tat = l.read(b.cell, at)
			b.debt = max(debtOf(b.tat, at)-held, 0)
		}
	}
	if cost < 1 || r.fits(b.debt, cost) {
		return true
	}
	b.debt = l.refused(b.cell, at, r, b.debt)
	return false
}

// spend charges one bucket if it has room.
func (l *Local) spend(t *take, i int) bool {
	b, limit := &t.buckets[i], &t.limits[i]
	switch {
	case !limit.Rate.IsZero():
		b.charged = l.spendRate(t, b, limit)
		b.over = !b.charged
	case !limit.Allowance.IsZero():
		if b.lead < i {
			return true
		}
		if b.acct == nil { // the first limit
			l.ledger.look(t, i, &b.charge)
		}
		b.charged = l.ledger.spend(t, i, &b.charge)
		return b.charged
	case limit.Concurrent > 0:
		b.flight, b.charged = l.flights.enter(t, b.seat, limit)
		b.over = !b.charged || b.flight > limit.Concurrent
	}
	return !b.over || limit.Shadow
}

// spendRate charges the bucket of a rate if it has room.
func (l *Local) spendRate(t *take, b *bucket, limit *Limit) bool {
	r, at, cost := &limit.Rate, t.at, t.cost
	if b.cell == nil {
		b.cell = l.revive(&limit.Key, at)
	}
	for {
		b.tat = b.cell.load()
		if b.tat == dead {
			b.cell = l.revive(&limit.Key, at)
			continue
		}
		s := b.cell.stripes.Load()
		if s != nil && l.spendStripe(t, b, s, r) {
			return true
		}
		b.debt = debtOf(b.tat, at)
		if r.fits(b.debt, cost) {
			if b.cell.swap(b.tat, r.after(b.debt, at, cost)) {
				b.debt += span(cost) * r.interval
				return true
			}
			b.cell.contended(r, b.debt, at)
			continue
		}
		if s != nil && (s.moving.Load() || r.fits(max(b.debt-s.held(at), 0), cost)) {
			debt, ok, done := l.settle(b.cell, s, r, at, 0, cost)
			if !done {
				continue
			}
			if b.debt = debt; ok {
				return true
			}
		}
		b.debt = l.refused(b.cell, at, r, b.debt)
		return false
	}
}

// spendStripe spends from this core's part of a contended bucket, which it first charges if need be. The status is then
// on the safe side: what all cores have charged ahead counts as spent.
func (l *Local) spendStripe(t *take, b *bucket, s *stripes, r *Rate) bool {
	if t.lane == 0 {
		t.lane = lane.Mine()
	}
	st := &s.list[t.lane.Of(len(s.list))]
	ok, met := st.spend(r, t.at, t.cost)
	if met {
		t.lane = lane.Move()
	}
	ok = ok || s.charge(b.cell, st, r, t.at, t.cost)
	if b.tat = b.cell.load(); ok {
		b.debt = 0
		if b.tat != dead {
			b.debt = debtOf(b.tat, t.at)
		}
	}
	return ok
}

// report says what a limit has to say.
func (l *Local) report(t *take, i int, allowed bool, s *Status) {
	b, limit := &t.buckets[i], &t.limits[i]
	switch {
	case !limit.Rate.IsZero():
		// A bucket that was not read any more, or that gave back what was spent, is as it was read or as it is now.
		if b.over || !allowed && t.cost > 0 && !limit.Rate.fits(b.debt, t.cost) {
			limit.Rate.refusal(b.debt, t.cost, s)
		} else {
			limit.Rate.status(b.debt, s)
		}
	case !limit.Allowance.IsZero():
		l.reportAllowance(t, i, allowed, s)
		return
	case limit.Concurrent > 0:
		*s = ConcurrentStatus(limit.Concurrent, b.flight, false)
		if b.over || !allowed && t.cost > 0 && b.flight >= limit.Concurrent {
			s.Exceeded, s.RetryAfter = true, ConcurrentRetry
		}
	default:
		*s = unlimited()
	}
	if limit.Shadow {
		s.RetryAfter = 0
	}
}

func (l *Local) reportAllowance(t *take, i int, allowed bool, s *Status) {
	limit := &t.limits[i]
	lead := &t.buckets[t.buckets[i].lead]
	a := lead.acct
	used := a.used(limit.Allowance.Period, lead.use)
	if !allowed && limit.Allowance.Max > 0 && t.cost > limit.Allowance.Max-used {
		used = a.used(limit.Allowance.Period, a.exactly()) // what cores hold is not used
	}
	a.status(&limit.Allowance, t.now, used, s)
	if limit.Allowance.Max == 0 || t.cost < 1 {
		return
	}
	if allowed {
		l.ledger.warn(a, &limit.Allowance, used-min(t.cost, MaxRequests), used)
		s.Exceeded = limit.Shadow && used > limit.Allowance.Max
		return
	}
	if t.cost <= limit.Allowance.Max-used {
		return
	}
	s.Exceeded = true
	if limit.Shadow {
		return
	}
	if s.RetryAfter = a.wait(limit.Allowance.Period, t.now); t.cost > limit.Allowance.Max {
		s.RetryAfter = Never
	} else {
		l.ledger.warn(a, &limit.Allowance, used, limit.Allowance.Max)
	}
}
