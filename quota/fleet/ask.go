package fleet

import (
	"errors"
	"slices"
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

// claim is what a request wants of one cell. Limits with the same key and kind are one claim.
type claim struct {
	c *cell
	k kind
	// first is the index of the limit.
	first int
	size  int64
	need  int64
	soft  bool
	// taken: it has been spent from the lease. full: there is no room.
	taken, full bool
}

// errSlow is why a request that has waited for others too long does not ask any more.
var errSlow = errors.New("others who asked before took too long")

// ask decides a request for which not enough is on lease.
func (s *Store) ask(now time.Time, cost int64, limits []quota.Limit, out []quota.Status) bool {
	var few [inline]claim
	claims := s.claims(few[:0], cost, limits)
	if !s.link.up.Load() {
		s.awaitFirst()
	}
	at := s.at(now)
	if s.denies && !s.link.up.Load() {
		return s.without(now, at, cost, limits, out)
	}
	if s.settle(claims, at) {
		return s.conclude(now, at, cost, claims, limits, out)
	}
	return s.askMore(now, at, cost, slices.Clone(claims), limits, out)
}

// askMore goes on where the leases do not decide. The claims are its own: they outlive the caller's stack.
func (s *Store) askMore(now time.Time, at, cost int64, claims []claim, limits []quota.Limit, out []quota.Status) bool {
	err := errLost
	if s.link.up.Load() {
		err = s.fill(claims, limits, at)
	}
	if err != nil {
		s.returnTaken(claims)
		return s.without(now, at, cost, limits, out)
	}
	return s.conclude(now, max(at, s.clock()), cost, claims, limits, out)
}

// conclude decides when every claim is known to be taken or full, or one is full that refuses.
func (s *Store) conclude(now time.Time, at, cost int64, claims []claim, limits []quota.Limit, out []quota.Status) bool {
	allowed := true
	for i := range claims {
		allowed = allowed && (!claims[i].full || claims[i].soft)
	}
	if !allowed {
		s.returnTaken(claims)
	}
	s.report(now, at, cost, claims, limits, out)
	if allowed {
		for i := range limits {
			if !limits[i].Allowance.IsZero() {
				s.local.Count(now, cost, limits, new(quota.Found))
				break
			}
		}
	}
	return allowed
}

// claims lists the cells of the limits.
func (s *Store) claims(list []claim, cost int64, limits []quota.Limit) []claim {
next:
	for i := range limits {
		l := &limits[i]
		k := kindOf(l)
		if k == kindNone {
			continue
		}
		key := id{l.Key, k}
		c := s.find(&key)
		if c == nil || c.dead() {
			c = s.revive(key, l)
		}
		for j := range list {
			if list[j].c == c {
				// Written so that no sum can overflow.
				list[j].need += min(price(k, cost), quota.MaxRequests)
				list[j].soft = list[j].soft && l.Shadow
				continue next
			}
		}
		list = append(list, claim{c: c, k: k, first: i, size: sizeOf(l, k), need: min(price(k, cost), 2*quota.MaxRequests), soft: l.Shadow})
	}
	return list
}

// settle takes from the leases what is there, and reports whether that decides the request: all is taken, or something
// that is needed is known to be used up.
func (s *Store) settle(claims []claim, at int64) (decided bool) {
	open := false
	for i := range claims {
		d := &claims[i]
		if d.need > d.size {
			d.full = true // nobody need be asked
			continue
		}
		if d.taken || d.full || !s.leased(d.k) {
			open = open || !d.taken && !d.full
			continue
		}
		if _, ok := d.c.spendAll(at, d.need); ok {
			d.taken = true
			if d.k == kindConcurrent {
				d.c.used.Add(1)
			}
		} else if at < d.c.closed.Load() && d.need >= d.c.closedCost.Load() {
			d.full = true
			d.c.refused.Add(1)
		} else {
			open = true
		}
	}
	return !open || slices.ContainsFunc(claims, func(d claim) bool { return d.full && !d.soft })
}

// returnTaken gives back what settle has taken.
func (s *Store) returnTaken(claims []claim) {
	for i := range claims {
		d := &claims[i]
		if d.taken {
			d.taken = false
			if d.k == kindConcurrent {
				d.c.used.Add(-1)
			}
			d.c.unspend(d.need)
		}
	}
}

// fill asks Redis for what is missing. An error means that it could not be asked; otherwise each claim is taken or full.
//
// At any time one request of this node asks for a leased limit; it asks for those that wait too.
func (s *Store) fill(claims []claim, limits []quota.Limit, at int64) error {
	began := time.Now()
	var few [inline]*claim
	locked := few[:0]
	for i := range claims {
		if d := &claims[i]; !d.taken && !d.full && s.leased(d.k) {
			locked = append(locked, d)
		}
	}
	slices.SortFunc(locked, func(a, b *claim) int { return int(int64(a.c.order) - int64(b.c.order)) })
	for _, d := range locked {
		d.c.waiting.Add(1)
		d.c.mu.Lock()
		d.c.waiting.Add(-1)
	}
	defer func() {
		for _, d := range locked {
			d.c.mu.Unlock()
		}
	}()
	if len(locked) > 0 {
		// Whoever had the lock may have brought enough, or bad news.
		if s.settle(claims, max(at, s.clock())) {
			return nil
		}
		if time.Since(began) > s.o.Timeout {
			return errSlow
		}
	}
	return s.callFor(claims, limits)
}

// callFor makes the calls: one, except in a cluster for limits that are in different places.
func (s *Store) callFor(claims []claim, limits []quota.Limit) error {
	var (
		fewParts [inline]part
		fewDone  [inline]*claim
		made     = fewDone[:0]
	)
	for {
		parts, asked := fewParts[:0], make([]*claim, 0, inline)
		for i := range claims {
			d := &claims[i]
			if d.taken || d.full || s.o.Address.Cluster && len(asked) > 0 && asked[0].c.tag != d.c.tag {
				continue
			}
			if s.clock() < d.c.barred.Load() {
				s.refund(made, limits)
				return errLost
			}
			parts = append(parts, s.partOf(d, &limits[d.first]))
			asked = append(asked, d)
		}
		if len(asked) == 0 {
			return nil
		}
		sent := s.clock()
		if err := s.send(parts); err != nil {
			for i := range parts {
				s.unsent(&parts[i], err)
			}
			s.refund(made, limits)
			return err
		}
		fits := true
		for i, d := range asked {
			fits = fits && (parts[i].fits || d.soft)
		}
		for i, d := range asked {
			d.full = !parts[i].fits
			s.apply(d.c, &parts[i], sent, s.leased(d.k))
			if fits && parts[i].fits {
				d.taken = true
				if d.k == kindConcurrent {
					d.c.used.Add(1)
					d.c.owned++
				}
				made = append(made, d)
			}
		}
		if !fits {
			s.refund(made, limits)
			// What was not asked for any more counts as undecided: it is neither taken nor full.
			return nil
		}
	}
}

// refund gives back what calls have taken before a later one was refused: to the lease or, of what is not leased, to Redis.
// Of an allowance Redis counts what it was asked for as used and what is on lease apart from that: it is told with the next
// call that less is used, which is right also where Redis has not heard yet that it was spent from a lease.
func (s *Store) refund(made []*claim, limits []quota.Limit) {
	for _, d := range made {
		d.taken = false
		if d.k == kindConcurrent {
			d.c.used.Add(-1)
		}
		if s.leased(d.k) && d.k.allowance() {
			d.c.owed.Add(-d.need)
			s.enqueue(d.c)
			continue
		}
		if s.leased(d.k) {
			d.c.unspend(d.need)
			continue
		}
		l := &limits[d.first]
		p := s.describe(d.c, l.Rate, sizeOf(l, d.k))
		p.charge -= d.need
		parts, sent := []part{p}, s.clock()
		if err := s.send(parts); err != nil {
			d.c.owed.Add(p.charge)
			continue
		}
		s.apply(d.c, &parts[0], sent, false)
	}
}

// report fills in the statuses.
func (s *Store) report(now time.Time, at, cost int64, claims []claim, limits []quota.Limit, out []quota.Status) {
	for i := range limits {
		l := &limits[i]
		k := kindOf(l)
		d := (*claim)(nil)
		for j := range claims {
			if claims[j].k == k && claims[j].c.id.Key == l.Key {
				d = &claims[j]
			}
		}
		switch {
		case d == nil:
			out[i] = quota.Status{Remaining: quota.MaxRequests}
		case d.full:
			d.c.refusal(now, at, cost, l, k, &out[i])
		default:
			d.c.status(now, at, l, k, &out[i])
		}
	}
}

// awaitFirst lets requests that come right after the start wait until it is known whether Redis answers.
func (s *Store) awaitFirst() {
	select {
	case <-s.link.first:
		return
	default:
	}
	timer := time.NewTimer(s.o.Timeout)
	defer timer.Stop()
	select {
	case <-s.link.first:
	case <-timer.C:
	}
}
