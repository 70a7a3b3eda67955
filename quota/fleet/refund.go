package fleet

import (
	"time"

	"github.com/tenantgate/tenantgate/quota"
)

// Refund implements [quota.Store]. What was spent from a lease goes back to it; what Redis was asked for by itself is given
// back by one more call, for at most the timeout. While Redis cannot be asked, rates are not refunded: they refill.
func (s *Store) Refund(now time.Time, cost int64, limits []quota.Limit) {
	if cost < 1 {
		return
	}
	s.refundCounted(now, cost, limits)
	var (
		few  [inline]claim
		made []*claim
		up   = s.link.up.Load()
	)
	claims := s.claims(few[:0], cost, limits)
	for i := range claims {
		d := &claims[i]
		switch {
		case d.k == kindConcurrent || limits[d.first].Shadow:
		case up:
			made = append(made, d)
		case d.k.allowance():
			d.c.owed.Add(-d.need)
		}
	}
	s.refund(made, limits)
}

// refundCounted tells the local store, which has counted the request.
func (s *Store) refundCounted(now time.Time, cost int64, limits []quota.Limit) {
	var few [inline]quota.Limit
	list := few[:0]
	for i := range limits {
		if l := &limits[i]; !l.Allowance.IsZero() && !l.Shadow {
			list = append(list, quota.Limit{Name: l.Name, Key: l.Key, Tenant: l.Tenant, Allowance: l.Allowance})
		}
	}
	s.local.Refund(now, cost, list)
}
