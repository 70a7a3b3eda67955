package quota

import (
	"fmt"
	"time"
)

// ConcurrentRetry is the RetryAfter of a request that finds too many others in flight. Nobody knows when one of them
// ends; it is the shortest wait that a Retry-After header can name.
const ConcurrentRetry = time.Second

// CheckConcurrent returns an error for a number that no [Limit.Concurrent] can have: below 1 or above [MaxRequests].
func CheckConcurrent(most int64) error {
	if most < 1 || most > MaxRequests {
		return fmt.Errorf("concurrent requests must be from 1 to %d, not %d", MaxRequests, most)
	}
	return nil
}

// ConcurrentStatus describes a limit of concurrency with so many requests in flight, which one more asks to join if
// asked is true.
func ConcurrentStatus(most, inFlight int64, asked bool) Status {
	s := Status{Remaining: max(most-inFlight, 0)}
	if asked && inFlight >= most {
		s.Exceeded = true
		s.RetryAfter = ConcurrentRetry
	}
	return s
}
