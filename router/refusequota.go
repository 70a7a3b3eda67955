package router

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// quotaRefusals are refusals of the last kinds of quota and numbers. Who is over quota asks again and again, and is told the
// same for a second at least; so are all tenants of a plan. A refusal says nothing of the tenant.
var quotaRefusals [1 << quotaRefusalBits]atomic.Pointer[Refusal]

// quotaRefusalBits is how many of them there are, as a power of two: 512, of half a kilobyte each.
const quotaRefusalBits = 9

// RefuseQuota returns the refusal of a request that is over quota. It keeps nothing of exceeded. The time to wait is rounded
// up to seconds, as a client is told it. When the same was refused not long ago, it is the same value and costs no allocation.
func RefuseQuota(exceeded Exceeded, retryAfter time.Duration) *Refusal {
	retryAfter = roundUp(retryAfter)
	place := &quotaRefusals[placeOf(&exceeded, retryAfter)]
	if r := place.Load(); r != nil && r.RetryAfter == retryAfter && r.Exceeded.equal(&exceeded) {
		return r
	}
	r := new(Refusal)
	*r = *refuseQuotaExceeded
	r.RetryAfter = retryAfter
	r.Exceeded = &Exceeded{
		Quota: strings.Clone(exceeded.Quota), Usage: exceeded.Usage, Limit: exceeded.Limit, Policies: slices.Clone(exceeded.Policies),
	}
	r.words = newWording(r)
	place.Store(r)
	return r
}

// equal reports whether e and o say the same.
func (e *Exceeded) equal(o *Exceeded) bool {
	return e.Usage == o.Usage && e.Limit == o.Limit && e.Quota == o.Quota && slices.Equal(e.Policies, o.Policies)
}

// placeOf returns where a refusal is kept: the upper bits of a product (Fibonacci hashing).
func placeOf(e *Exceeded, retryAfter time.Duration) uint64 {
	const golden = 0x9e3779b97f4a7c15
	h := uint64(e.Usage)*golden + uint64(e.Limit)
	h = h*golden + uint64(retryAfter/time.Second)
	h = h*golden + uint64(len(e.Quota)+len(e.Policies))
	return h * golden >> (64 - quotaRefusalBits)
}

// roundUp rounds a time to wait up to seconds. What is negative, for never, stays, and so do the last of 292 years.
func roundUp(d time.Duration) time.Duration {
	if rest := d % time.Second; rest > 0 && d < math.MaxInt64-time.Second {
		d += time.Second - rest
	}
	return d
}
