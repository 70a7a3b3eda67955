package fleet

import (
	"errors"
	"math"
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

// barredFor is how long a limit is decided without Redis after an error that is of this limit alone.
const barredFor = time.Second

// partOf says of a claim what Redis has to know. The caller holds the cell's lock if it is leased.
func (s *Store) partOf(d *claim, l *quota.Limit) part {
	c := d.c
	if s.leased(d.k) {
		c.rate, c.most = l.Rate, sizeOf(l, d.k)
	}
	p := s.describe(c, l.Rate, sizeOf(l, d.k))
	p.need, p.soft = d.need, d.soft
	if s.leased(d.k) {
		s.lease(c, &p)
		p.want += int64(c.waiting.Load()) * d.need
		if s.exact || s.closing.Load() {
			p.want = 0
		}
	}
	return p
}

// describe is a part that asks for nothing.
func (s *Store) describe(c *cell, rate quota.Rate, size int64) part {
	now := s.link.redisTime()
	p := part{c: c, kind: c.id.kind, size: size, born: c.born.Load()}
	period := quota.PeriodDay
	switch c.id.kind {
	case kindRate:
		p.step = math.Nextafter(float64(rate.Period().Microseconds())/float64(rate.Requests()), math.MaxFloat64)
		p.hint = float64(max(c.level.Load()-s.clock(), 0)) / 1e3
		if c.lossy.Swap(false) {
			p.charge = s.owes(c, rate)
		}
		if n := c.owed.Swap(0); n != 0 {
			p.charge += n
		}
	case kindMonth:
		period = quota.PeriodMonth
		fallthrough
	case kindDay:
		// An hour more, in which the clocks of Redis and its replicas may differ.
		p.step = float64(period.End(now).Add(time.Hour).UnixMilli())
		p.charge = c.owed.Swap(0)
		p.hint = float64(s.usedBefore(c, quota.Allowance{Max: size, Period: period}, now))
	}
	p.name = string(appendName(nil, s.o.Prefix, &c.tag, &c.id, now))
	return p
}

// lease fills in what is on lease, and how much more should be. The caller holds the lock.
func (s *Store) lease(c *cell, p *part) {
	at := s.clock()
	if n := c.gather(); n > 0 && at >= c.expires.Load() {
		// Redis counts what was left of it as spent.
		c.owned -= c.empty()
	}
	held := max(c.gather(), 0)
	p.held = held
	if c.id.kind == kindConcurrent {
		// Slots that were taken without Redis are on record from now on.
		p.charge = c.owed.Swap(0)
		c.owned += p.charge
		p.held = c.owned
	}
	s.adapt(c, at, held, p.need)
	p.want = max(c.target-held, 0)
	p.lostSeq, p.lostHeld, p.lostCharge = c.lostSeq, c.lostHeld, c.lostCharge
}

// crowd is how many free slots are on lease where cores race for them: enough for stripes, also when some are taken.
const crowd = 2 * tokenShare * leastBatch

// adapt sets how much should be on lease: what is spent in the time ahead, at the rate since the last call. It grows
// fourfold at the most from call to call, so that a few requests at once do not look like a flood, and shrinks by half.
func (s *Store) adapt(c *cell, at, held, need int64) {
	if s.exact {
		return
	}
	if c.asked == 0 {
		c.asked, c.target = max(at, 1), 0
		return
	}
	elapsed := max(at-c.asked, int64(time.Microsecond))
	spent := max(c.had-held, 0) + need
	c.demand = float64(spent+c.refused.Swap(0)) * float64(time.Second) / float64(elapsed)
	target := int64(float64(spent) * float64(ahead) / float64(elapsed))
	target = min(max(target, c.target/2), 4*max(c.target, 1))
	// So that all nodes together lease no more than half.
	c.target = min(target, c.most/(2*s.link.nodes.Load()))
	if c.id.kind == kindConcurrent {
		// Slots come back, so that few are spent between two calls however many cores use them.
		if c.crowded.Load() {
			c.target = max(c.target, crowd)
		}
		c.target = min(c.target, c.most/(8*s.link.nodes.Load()))
	}
	c.asked = at
}

// send makes one call.
func (s *Store) send(parts []part) error {
	seq := s.seq.Add(1)
	for i := range parts {
		parts[i].seq = seq
	}
	keys, args := takeArgs(s.o.Node, seq, s.o.Lease, s.link.nodes.Load(), parts)
	r, err := s.link.call(keys, args)
	if err != nil {
		return err
	}
	return readAnswer(r, parts)
}

// usedBefore returns what the local store knows to be used of an allowance in the period that it is by Redis's clock:
// what this node has counted, and what all have recorded. It may wait once until that is loaded.
func (s *Store) usedBefore(c *cell, allowance quota.Allowance, now time.Time) int64 {
	var out [1]quota.Status
	one := [1]quota.Limit{{Key: c.id.Key, Tenant: c.tag, Allowance: allowance}}
	s.local.Take(now, 0, one[:], out[:])
	return max(allowance.Max-out[0].Remaining, 0)
}

// unsent undoes what building a part did to its cell, after a call that failed. The caller holds the lock if it is leased.
func (s *Store) unsent(p *part, err error) {
	c := p.c
	switch {
	case c.id.kind == kindRate && p.charge != 0:
		c.lossy.Store(true)
	case c.id.kind != kindRate:
		c.owed.Add(p.charge)
		if c.id.kind == kindConcurrent {
			c.owned -= p.charge
		}
	}
	if errors.Is(err, errLost) {
		return
	}
	if s.leased(c.id.kind) && c.id.kind != kindConcurrent {
		c.lostSeq, c.lostHeld, c.lostCharge = p.seq, p.held, p.charge
	}
	// In a cluster Redis as a whole may be well while the place of this limit is not.
	if s.link.up.Load() || s.o.Address.Cluster {
		c.barred.Store(s.clock() + int64(barredFor))
		s.o.Logger.Debug("redis cannot answer for one limit; deciding without it", "kind", c.id.kind.letter(),
			"scope", c.id.Scope.String(), "error", safeError(err))
	}
}

// apply takes note of an answer. The caller holds the lock if the cell is leased.
func (s *Store) apply(c *cell, p *part, sent int64, leased bool) {
	at := max(s.clock(), sent)
	c.born.Store(p.born)
	if c.id.kind == kindRate {
		// The script has rounded up: as it is, a whole number of requests would look like one less.
		c.level.Store(at + max(p.level-1, 0)*int64(time.Microsecond))
	} else {
		c.level.Store(p.level)
	}
	if !leased {
		return
	}
	ends := sent + s.life
	if c.id.kind.allowance() {
		now := s.link.redisTime()
		period := quota.PeriodDay
		if c.id.kind == kindMonth {
			period = quota.PeriodMonth
		}
		ends = min(ends, sent+int64(period.End(now).Sub(now)))
	}
	c.lostSeq = 0
	c.expires.Store(ends)
	c.tokens.Add(p.extra)
	c.owned += p.extra
	c.had = max(c.gather(), 0)
	if p.need > 0 && !p.fits || p.short {
		c.pause = min(max(2*c.pause, time.Millisecond), s.mostPause(c, p))
		wait := int64(c.pause)
		if !p.fits && p.retry > 0 {
			wait = max(wait, p.retry*int64(time.Microsecond))
		}
		c.closed.Store(min(at+wait, max(ends, at+int64(c.pause))))
		c.closedCost.Store(1)
		if !p.fits {
			c.closedCost.Store(p.need)
		}
		c.low.Store(-1)
		return
	}
	c.pause /= 2
	c.low.Store(-1)
	if c.target > 0 {
		c.low.Store(int32(min(c.had/4, math.MaxInt32)))
	}
}

// mostPause is how long a node waits at the most before it asks again for what is used up: until two hundred requests have
// come, because after each pause one call may find something and the next nothing; and so short that a bucket that is empty
// now cannot be full by then.
func (s *Store) mostPause(c *cell, p *part) time.Duration {
	pause := time.Duration(min(200*float64(time.Second)/max(c.demand, 1), float64(longestPause)))
	pause = max(pause, shortestPause)
	if c.id.kind != kindRate {
		return pause
	}
	refill := float64(p.size) * p.step * 1e3 / 4
	return time.Duration(min(refill, float64(pause)))
}
