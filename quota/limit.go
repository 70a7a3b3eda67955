package quota

import "time"

// Scope says what a [Key] is about, so that a tenant and an environment can never share a bucket by having the
// same id, and so that one tenant can have several limits.
type Scope uint8

const (
	// ScopeTenant is a tenant's total, across all of its environments and routes.
	ScopeTenant Scope = iota + 1
	// ScopeEnvironment is an environment's own limit, on top of its tenant's.
	ScopeEnvironment
)

// String returns the scope's name for logs and metrics.
func (s Scope) String() string {
	switch s {
	case ScopeTenant:
		return "tenant"
	case ScopeEnvironment:
		return "environment"
	}
	return "unknown"
}

// Key says whose bucket is meant. Two limits with the same Key share one bucket.
type Key struct {
	// Scope says what ID is the id of.
	Scope Scope
	// ID is a UUID, or 128 bits of a hash where there is no UUID.
	ID [16]byte
}

// Limit is one limit that applies to a request.
type Limit struct {
	// Name is the policy's name in the RateLimit and RateLimit-Policy headers: "requests" for the tenant's,
	// "environment" for the environment's own.
	Name string
	// Key says whose bucket it is.
	Key Key
	// Rate is how much of it there is; the zero Rate is no limit.
	Rate Rate
}

// Never is the RetryAfter of a request that costs more than the burst: however long the client waits, it cannot pass.
const Never time.Duration = -1

// Status is what a limit has to say after a request was checked against it. Its times count from the moment that
// was handed to [Store.Take], and hold if nobody else spends from the same bucket.
type Status struct {
	// Remaining is how many requests (of cost 1) may still come at once.
	Remaining int64
	// Next is the time until Remaining grows by one; 0 when the bucket is full.
	Next time.Duration
	// Reset is the time until the bucket is full again; 0 when it is.
	Reset time.Duration
	// RetryAfter is how long to wait before the same request passes this limit: 0 unless Exceeded, [Never] when its
	// cost is higher than the burst.
	RetryAfter time.Duration
	// Exceeded says that this limit refused the request. More than one can.
	Exceeded bool
}

// Tightest returns the index of the limit that matters most to the client: of those exceeded the one with the
// longest wait, otherwise the one with the fewest requests remaining. It returns -1 when there is no limit.
// Where only one limit can be told (X-RateLimit headers, a refusal's message), it is this one.
func Tightest(limits []Limit, statuses []Status) int {
	best := -1
	for i := range limits {
		if limits[i].Rate.IsZero() {
			continue
		}
		if best < 0 || tighter(&statuses[i], &statuses[best]) {
			best = i
		}
	}
	return best
}

func tighter(a, b *Status) bool {
	switch {
	case a.Exceeded != b.Exceeded:
		return a.Exceeded
	case a.Exceeded && a.RetryAfter != b.RetryAfter:
		return b.RetryAfter != Never && (a.RetryAfter == Never || a.RetryAfter > b.RetryAfter)
	case a.Remaining != b.Remaining:
		return a.Remaining < b.Remaining
	}
	return a.Reset > b.Reset
}
