package registry

import "fmt"

// MaxQuota is the largest value of any quota: 2^53, the largest integer that JSON clients agree on (RFC 8259 §6).
const MaxQuota = int64(1) << 53

// Quotas are the limits of a plan, a tenant or an environment. 0 means that no value is given, and so no limit at
// this level; an explicit 0, a negative value, or one above [MaxQuota] is refused where quotas are written.
type Quotas struct {
	// MaxUsers is owned by the application behind the gateway.
	MaxUsers int64 `json:"maxUsers,omitempty"`
	// MaxStorageBytes is owned by the application; the import format also accepts the name maxStorage.
	MaxStorageBytes int64 `json:"maxStorageBytes,omitempty"`
	// APIRateLimit is in requests per minute.
	APIRateLimit int64 `json:"apiRateLimit,omitempty"`
	// Burst is how many requests may come at once; left out, it is the whole minute's APIRateLimit.
	Burst int64 `json:"burst,omitempty"`
	// MaxAPICallsPerDay counts requests per calendar day in UTC.
	MaxAPICallsPerDay int64 `json:"maxApiCallsPerDay,omitempty"`
	// MaxAPICallsPerMonth counts requests per calendar month in UTC.
	MaxAPICallsPerMonth int64 `json:"maxApiCallsPerMonth,omitempty"`
	// MaxConcurrentRequests counts requests in flight.
	MaxConcurrentRequests int64 `json:"maxConcurrentRequests,omitempty"`
	// MaxObjects is owned by the application.
	MaxObjects int64 `json:"maxObjects,omitempty"`
	// MaxRecordsPerObject is owned by the application.
	MaxRecordsPerObject int64 `json:"maxRecordsPerObject,omitempty"`
	// MaxDeploymentsPerDay is owned by the application.
	MaxDeploymentsPerDay int64 `json:"maxDeploymentsPerDay,omitempty"`
}

// Override returns q with every value that over gives put in its place. APIRateLimit and Burst belong together: an
// override that gives a rate without a burst does not keep the burst of the rate that it replaces.
func (q Quotas) Override(over Quotas) Quotas {
	pick := func(base *int64, v int64) {
		if v != 0 {
			*base = v
		}
	}
	if over.APIRateLimit != 0 {
		q.APIRateLimit, q.Burst = over.APIRateLimit, 0
	}
	pick(&q.Burst, over.Burst)
	pick(&q.MaxUsers, over.MaxUsers)
	pick(&q.MaxStorageBytes, over.MaxStorageBytes)
	pick(&q.MaxAPICallsPerDay, over.MaxAPICallsPerDay)
	pick(&q.MaxAPICallsPerMonth, over.MaxAPICallsPerMonth)
	pick(&q.MaxConcurrentRequests, over.MaxConcurrentRequests)
	pick(&q.MaxObjects, over.MaxObjects)
	pick(&q.MaxRecordsPerObject, over.MaxRecordsPerObject)
	pick(&q.MaxDeploymentsPerDay, over.MaxDeploymentsPerDay)
	return q
}

// checkQuota returns an error for a value that no quota can have. Errors say nothing of where the value stood.
func checkQuota(v int64) error {
	if v < 1 || v > MaxQuota {
		return fmt.Errorf("must be from 1 to %d, not %d (leave it out for no limit)", MaxQuota, v)
	}
	return nil
}

// quotaCount is the number of quotas.
const quotaCount = 10

// fields returns pointers to the quotas in the order in which the tables have their columns.
func (q *Quotas) fields() [quotaCount]*int64 {
	return [quotaCount]*int64{
		&q.MaxUsers, &q.MaxStorageBytes, &q.APIRateLimit, &q.Burst, &q.MaxAPICallsPerDay, &q.MaxAPICallsPerMonth,
		&q.MaxConcurrentRequests, &q.MaxObjects, &q.MaxRecordsPerObject, &q.MaxDeploymentsPerDay,
	}
}
