package quota

import (
	"fmt"
	"strconv"
	"time"
)

const (
	// MaxRequests is the largest number of requests per period, and the largest burst: 2^53, the largest integer
	// that JSON clients agree on (RFC 8259 §6).
	MaxRequests = int64(1) << 53
	// MinPeriod is the shortest period of a rate.
	MinPeriod = time.Second
	// MaxPeriod is the longest period of a rate. What counts by the calendar (a day, a month) is an allowance.
	MaxPeriod = 24 * time.Hour
	// MaxRefill is the longest time that an empty bucket may take to fill (burst times the interval between two
	// requests): 2^54 ns, 208 days.
	MaxRefill = time.Duration(maxHorizon >> tickShift)
)

// Rate is so many requests per period, of which so many may come at once. It is a bucket that holds a burst and is
// filled evenly. Rates are immutable and comparable; [NewRate] makes them. The zero Rate is no limit at all.
type Rate struct {
	requests int64
	burst    int64
	period   time.Duration
	interval span // between two requests at the full rate, rounded up
	horizon  span // burst × interval: how far ahead of the clock the TAT may lie
}

// NewRate returns the rate of so many requests per period with the given burst: how many may come at once when the
// bucket is full. Burst 0 means requests, the whole period's worth.
//
// Requests and burst are from 1 to [MaxRequests]; the period is a whole number of seconds (the precision of the
// RateLimit-Policy header) from [MinPeriod] to [MaxPeriod]; and the burst must refill within [MaxRefill].
func NewRate(requests int64, period time.Duration, burst int64) (Rate, error) {
	if requests < 1 || requests > MaxRequests {
		return Rate{}, fmt.Errorf("requests per period must be from 1 to %d, not %d", MaxRequests, requests)
	}
	if period < MinPeriod || period > MaxPeriod {
		return Rate{}, fmt.Errorf("period must be from %v to %v, not %v", MinPeriod, MaxPeriod, period)
	}
	if period%time.Second != 0 {
		return Rate{}, fmt.Errorf("period must be a whole number of seconds, not %v", period)
	}
	if burst == 0 {
		burst = requests
	}
	if burst < 1 || burst > MaxRequests {
		return Rate{}, fmt.Errorf("burst must be from 1 to %d, not %d", MaxRequests, burst)
	}
	interval := intervalOf(requests, period)
	if most := maxBurst(interval); burst > most {
		return Rate{}, fmt.Errorf("burst of %d at %d requests per %v would take more than %d days to refill; it can be at most %d",
			burst, requests, period, MaxRefill/(24*time.Hour), most)
	}
	return Rate{requests: requests, burst: burst, period: period, interval: interval, horizon: span(burst) * interval}, nil
}

// MaxBurst returns the largest burst with which [NewRate] accepts a rate of so many requests per period: what refills
// within [MaxRefill], and at most [MaxRequests]. It is 0 for requests or periods that NewRate refuses.
func MaxBurst(requests int64, period time.Duration) int64 {
	if requests < 1 || requests > MaxRequests || period < MinPeriod || period > MaxPeriod || period%time.Second != 0 {
		return 0
	}
	return maxBurst(intervalOf(requests, period))
}

func maxBurst(interval span) int64 { return min(int64(maxHorizon/interval), MaxRequests) }

// Requests returns the number of requests per [Rate.Period]; 0 for the zero Rate.
func (r Rate) Requests() int64 { return r.requests }

// Period returns the time over which [Rate.Requests] are counted, a whole number of seconds.
func (r Rate) Period() time.Duration { return r.period }

// Burst returns how many requests may come at once when the bucket is full.
func (r Rate) Burst() int64 { return r.burst }

// IsZero reports whether r is the zero Rate, which limits nothing.
func (r Rate) IsZero() bool { return r.interval == 0 }

// String returns the rate for logs and errors, for example "60 per 1m0s burst 20".
func (r Rate) String() string {
	if r.IsZero() {
		return "no limit"
	}
	return strconv.FormatInt(r.requests, 10) + " per " + r.period.String() + " burst " + strconv.FormatInt(r.burst, 10)
}
