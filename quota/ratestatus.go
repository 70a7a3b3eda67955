package quota

import "time"

// Status fills in s for a bucket of this rate that is full again after debt (0: it is full), while held more requests may
// come that were taken from it ahead of need. It is for stores that keep the bucket somewhere else.
func (r *Rate) Status(debt time.Duration, held int64, s *Status) {
	if r.IsZero() {
		*s = unlimited()
		return
	}
	d := span(min(max(debt, 0), time.Duration(maxDebt>>tickShift))) << tickShift
	if held > 0 {
		d = max(d-span(min(held, r.burst))*r.interval, 0)
	}
	r.status(d, s)
}

// RetryAfter returns how long to wait before a request of that cost fits a bucket that is full again after debt: [Never]
// when none is long enough, 0 when it fits now.
func (r *Rate) RetryAfter(debt time.Duration, cost int64) time.Duration {
	if cost > r.burst {
		return Never
	}
	d := span(min(max(debt, 0), time.Duration(maxDebt>>tickShift))) << tickShift
	return max(d-(r.horizon-span(max(cost, 0))*r.interval), 0).duration()
}
