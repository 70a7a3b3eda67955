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
	// ScopeKey is an API key's own limit; the ID is the key's id.
	ScopeKey
	// ScopeRoute is an extra limit on some routes of a tenant; the ID is a hash of the tenant, the limit, and what the
	// limit is kept by within the tenant (a user, a client address).
	ScopeRoute
)

// String returns the scope's name for logs and metrics.
func (s Scope) String() string {
	switch s {
	case ScopeTenant:
		return "tenant"
	case ScopeEnvironment:
		return "environment"
	case ScopeKey:
		return "key"
	case ScopeRoute:
		return "route"
	}
	return "unknown"
}

// Key says whose limit is meant. What is spent of a Key is counted once for rates, once for each [Period] of an
// allowance, and once for concurrency: two limits of the same kind with the same Key share one count, limits of
// different kinds have nothing to do with each other.
type Key struct {
	// Scope says what ID is the id of.
	Scope Scope
	// ID is a UUID, or 128 bits of a hash where there is no UUID.
	ID [16]byte
}

// Limit is one limit that applies to a request. Exactly one of Rate, Allowance and Concurrent is set; a limit with
// none of them is no limit and is skipped.
type Limit struct {
	// Name is the policy's name in the RateLimit and RateLimit-Policy headers: "requests" for the tenant's rate,
	// "environment" for the environment's own.
	Name string
	// Key says whose limit it is.
	Key Key
	// Tenant is the id of the tenant that Key belongs to: usage is kept, and keys are placed, by tenant. The zero value
	// means that Key.ID is the tenant's id.
	Tenant [16]byte
	// Rate is so many requests per second, minute, hour, with a burst.
	Rate Rate
	// Allowance is so many requests per calendar day or month.
	Allowance Allowance
	// Concurrent is how many requests may be in flight at once, from 1 to [MaxRequests]; 0 is no limit.
	Concurrent int64
	// Shadow limits count and report (Status.Exceeded), but never refuse, and are not told to clients.
	Shadow bool
}

// IsZero reports whether nothing is set: no limit.
func (l *Limit) IsZero() bool {
	return l.Rate.IsZero() && l.Allowance.IsZero() && l.Concurrent == 0
}

// Owner returns the id of the tenant that the limit belongs to.
func (l *Limit) Owner() [16]byte {
	if l.Tenant == ([16]byte{}) {
		return l.Key.ID
	}
	return l.Tenant
}

// Size returns the limit's number, which [Status.Remaining] counts down from: the burst of a rate, the Max of an
// allowance, the number of concurrent requests; 0 for no limit.
func (l *Limit) Size() int64 {
	switch {
	case !l.Rate.IsZero():
		return l.Rate.burst
	case !l.Allowance.IsZero():
		return l.Allowance.Max
	}
	return l.Concurrent
}

// reported reports whether the limit is told to clients: it has a number, and it can refuse.
func (l *Limit) reported() bool {
	return !l.Shadow && (!l.Rate.IsZero() || l.Allowance.Max > 0 || l.Concurrent > 0)
}

// Never is the RetryAfter of a request that costs more than the burst: however long the client waits, it cannot pass.
const Never time.Duration = -1

// Status is what a limit has to say after a request was checked against it. Its times count from the moment that
// was handed to [Store.Take], and hold if nobody else spends from the same bucket.
type Status struct {
	// Remaining is how many requests (of cost 1) may still come at once.
	Remaining int64
	// Next is the time until Remaining grows: by one, for a rate; back to the whole, for an allowance. It is 0 when the
	// bucket is full, and always for concurrency, where nobody knows.
	Next time.Duration
	// Reset is the time until the bucket is full again, 0 when it is: for an allowance with anything spent, the time to the
	// period's end; for concurrency always 0.
	Reset time.Duration
	// RetryAfter is how long to wait before the same request passes this limit: 0 unless Exceeded, [Never] when its
	// cost is higher than the limit can ever hold. For an allowance it is the time to the period's end, for concurrency
	// [ConcurrentRetry].
	RetryAfter time.Duration
	// Exceeded says that this limit had no room for the request, and refused it unless it is a shadow limit. More than
	// one can.
	Exceeded bool
}

// Tightest returns the index of the limit that matters most to the client: of those exceeded the one with the
// longest wait, otherwise the one with the fewest requests remaining. Shadow limits do not matter to the client. It
// returns -1 when there is no limit.
// Where only one limit can be told (X-RateLimit headers, a refusal's message), it is this one.
func Tightest(limits []Limit, statuses []Status) int {
	best := -1
	for i := range limits {
		if !limits[i].reported() {
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
