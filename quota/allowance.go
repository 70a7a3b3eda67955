package quota

import (
	"fmt"
	"strconv"
	"time"
)

// Period is a period of the calendar, in UTC.
type Period uint8

const (
	// PeriodDay is a calendar day in UTC.
	PeriodDay Period = iota + 1
	// PeriodMonth is a calendar month in UTC.
	PeriodMonth
)

// String returns "day" or "month".
func (p Period) String() string {
	switch p {
	case PeriodDay:
		return "day"
	case PeriodMonth:
		return "month"
	}
	return "unknown"
}

// Start returns the first instant of the period that now lies in.
func (p Period) Start(now time.Time) time.Time {
	y, m, d := now.UTC().Date()
	if p == PeriodMonth {
		d = 1
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// End returns the first instant after the period that now lies in.
func (p Period) End(now time.Time) time.Time {
	y, m, d := now.UTC().Date()
	if p == PeriodMonth {
		return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
}

// end returns the first day after the period that a day lies in.
func (p Period) end(d day) day {
	if p == PeriodMonth {
		return d.monthEnd()
	}
	return d + 1
}

// left returns the time to the period's end.
func (p Period) left(now time.Time) time.Duration {
	end := int64(p.end(dayOf(now))) * daySeconds
	return time.Duration(end-now.Unix())*time.Second - time.Duration(now.Nanosecond())
}

// Allowance is so many requests per calendar period. What is not used when a period ends is gone.
//
// An Allowance with a Period and no Max counts and never refuses, and is not told to clients: it is for tenants that
// are billed by use, and lets a limit that is set in mid-period find what was spent before. The zero Allowance is
// nothing at all.
type Allowance struct {
	// Max is the number of requests in each period, from 1 to [MaxRequests]; 0 is no limit.
	Max int64
	// Period is the period.
	Period Period
}

// NewAllowance returns an allowance of so many requests, from 1 to [MaxRequests], per period.
func NewAllowance(most int64, period Period) (Allowance, error) {
	if most < 1 || most > MaxRequests {
		return Allowance{}, fmt.Errorf("requests per %v must be from 1 to %d, not %d", period, MaxRequests, most)
	}
	if period != PeriodDay && period != PeriodMonth {
		return Allowance{}, fmt.Errorf("there is no period %d", period)
	}
	return Allowance{Max: most, Period: period}, nil
}

// IsZero reports whether a is the zero Allowance, which neither limits nor counts.
func (a Allowance) IsZero() bool { return a.Period == 0 }

// String returns the allowance for logs and errors, for example "10000 per month".
func (a Allowance) String() string {
	switch {
	case a.IsZero():
		return "no limit"
	case a.Max == 0:
		return "counted per " + a.Period.String()
	}
	return strconv.FormatInt(a.Max, 10) + " per " + a.Period.String()
}

// Status describes an allowance of which so much is used at now, which a request of that cost asks for: Exceeded unless
// it fits. With a cost below 1 it is never exceeded.
func (a Allowance) Status(now time.Time, used, cost int64) Status {
	if a.Max == 0 {
		return unlimited()
	}
	s := Status{Remaining: max(a.Max-used, 0)}
	if used > 0 {
		s.Reset = a.Period.left(now)
		s.Next = s.Reset
	}
	// Written so that no sum can overflow.
	if cost >= 1 && cost > a.Max-used {
		s.Exceeded = true
		if s.RetryAfter = a.Period.left(now); cost > a.Max {
			s.RetryAfter = Never
		}
	}
	return s
}
