package quota

import (
	"context"
	"time"
)

// Account names what is counted: the requests of a [Key] on a day. A month's allowance is what its days add up to.
type Account struct {
	// Tenant is the id of the tenant that Key belongs to.
	Tenant [16]byte
	// Key is whose requests are counted.
	Key Key
	// Day is the first instant of the day, in UTC.
	Day time.Time
}

// Usage is what is recorded of an [Account].
type Usage struct {
	// Own is what this node has recorded for the day, Others what all others have.
	Own, Others int64
	// Rest is what all nodes have recorded for the other days of the same month.
	Rest int64
}

// Record is what this node has counted for an [Account] all in all: not a difference, so that to record it twice is to
// record it once.
type Record struct {
	Account
	// Used is what this node has counted.
	Used int64
	// Was is what this node recorded before. It is above Used when it held a request that was refused in the end.
	Was int64
}

// UsageSource knows what was used before.
type UsageSource interface {
	// Load returns the usage of each account, in the same order. One that nothing is known of has the zero Usage.
	Load(ctx context.Context, accounts []Account) ([]Usage, error)
}

// UsageSink keeps what is used.
type UsageSink interface {
	// Save records what this node has counted: all of it or, with an error, perhaps nothing. A Record only lowers what
	// is recorded for the same account if that is exactly Was, so that one that arrives late does no harm.
	Save(ctx context.Context, records []Record) error
}
