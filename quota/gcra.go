package quota

import "time"

// The generic cell rate algorithm keeps one number for a bucket: the theoretical arrival time (TAT), the moment at
// which the bucket is full again. A request at time now that costs n moves it to max(TAT, now) + n × interval, and
// passes if that is at most now + horizon, with horizon = burst × interval. What lies between now and the TAT is the
// bucket's debt, in time.
//
// The unit is the tick, 2^-8 ns (3.9 ps). The interval is rounded up to a whole tick, so a limit is never exceeded
// by rounding: the rate that is really granted is below the rate that was asked for, by a share of at most
// rate × 2^-8 ns. That is 4e-12 for 60 requests a minute, 2e-7 for 50,000 a second, 4e-6 for a million a second. Above
// 256e9 requests a second the interval is one tick and the rate granted stays 256e9 a second. The burst is exact
// whatever the rounding, because the horizon is a multiple of the rounded interval.
//
// Instants are counted modulo 2^64 ticks from an epoch of the store's choosing, and only differences are ever looked
// at, as with TCP sequence numbers: no process lives too long. A difference is right while it is within 2^63 ticks,
// 417 days. Debts are within maxHorizon, 2^62 ticks, so that the sum of a debt and a cost cannot overflow either.
const tickShift = 8

// maxHorizon is the longest horizon, 208 days.
const maxHorizon span = 1 << 62

// instant is a point in time: ticks since the store's epoch, modulo 2^64.
type instant uint64

// span is a length of time in ticks.
type span int64

// instantOf converts a time. Both times normally carry a monotonic reading, so that a step of the wall clock does
// not show here.
func instantOf(now, epoch time.Time) instant { return instant(now.Sub(epoch)) << tickShift }

// since returns t - u; negative when t is before u.
func (t instant) since(u instant) span { return span(t - u) }

// duration converts a span that is not negative, rounding up to whole nanoseconds, so that who waits for it has
// waited long enough.
func (s span) duration() time.Duration { return time.Duration((s + 1<<tickShift - 1) >> tickShift) }

// intervalOf returns period/requests, rounded up. The period is at most 24 h, 2^54.3 ticks.
func intervalOf(requests int64, period time.Duration) span {
	return (span(period)<<tickShift + span(requests) - 1) / span(requests)
}

// maxDebt is beyond every horizon, and leaves room for adding an interval to it.
const maxDebt = maxHorizon + maxHorizon/2

// debtOf returns how long it takes at now until the bucket is full; 0 when it is full. It is more than the horizon
// only after the clock has gone back or the rate was changed, or when now is older than the last request's.
func debtOf(tat, now instant) span { return min(max(tat.since(now), 0), maxDebt) }

// fits reports whether a bucket with this debt has room for the cost, which is at least 1.
func (r *Rate) fits(debt span, cost int64) bool {
	// The first comparison keeps the product below the horizon, and the difference from overflowing.
	return cost <= r.burst && debt <= r.horizon-span(cost)*r.interval
}

// after returns the TAT once the cost, which must fit, is spent.
func (r *Rate) after(debt span, now instant, cost int64) instant {
	return now + instant(debt+span(cost)*r.interval)
}

// status describes a bucket with this debt.
func (r *Rate) status(debt span, s *Status) {
	*s = Status{Remaining: r.burst, Reset: debt.duration()}
	if debt == 0 {
		return
	}
	free := r.horizon - debt
	if free < 0 {
		s.Remaining, s.Next = 0, (r.interval - free).duration()
		return
	}
	s.Remaining = int64(free / r.interval)
	s.Next = (span(s.Remaining+1)*r.interval - free).duration()
}

// refusal describes a bucket with this debt that has no room for the cost.
func (r *Rate) refusal(debt span, cost int64, s *Status) {
	r.status(debt, s)
	s.Exceeded = true
	if cost > r.burst {
		s.RetryAfter = Never
	} else {
		s.RetryAfter = (debt - (r.horizon - span(cost)*r.interval)).duration()
	}
}

// unlimited describes the zero Rate.
func unlimited() Status { return Status{Remaining: MaxRequests} }
