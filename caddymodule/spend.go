package caddymodule

import (
	"net/http"
	"sync"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/router"
)

// spending is the memory that it takes to count one request.
type spending struct {
	limits   [maxLimits]quota.Limit
	statuses [maxLimits]quota.Status
	text     []byte
}

// spendings are not made anew for each request: they are too large to be cleared each time.
var spendings = sync.Pool{New: func() any { return &spending{text: make([]byte, 0, 1024)} }}

// spend counts an admitted request against its limits, and prepares everything about it that has to be put into words:
// one string holds them all.
func (h *Handler) spend(w http.ResponseWriter, st *state) *router.Refusal {
	sp := spendings.Get().(*spending)
	defer spendings.Put(sp)
	res := st.decision.Resolved
	limits := appendLimits(sp.limits[:0], res, st.decision.Credential)
	statuses := sp.statuses[:len(limits)]
	allowed := h.runtime.quota.Take(st.request.Now, 1, limits, statuses)
	if allowed {
		st.slots = slotsOf(limits)
	}

	tightest := quota.Tightest(limits, statuses)
	if tightest >= 0 { // -1: there are none to tell
		var cuts [5]int
		b := quota.AppendPolicy(sp.text[:0], limits)
		cuts[0] = len(b)
		b = quota.AppendRateLimit(b, limits, statuses)
		cuts[1] = len(b)
		if h.xRateLimit {
			b = quota.AppendXLimit(b, &limits[tightest])
			cuts[2] = len(b)
			b = quota.AppendXRemaining(b, &statuses[tightest])
			cuts[3] = len(b)
			b = quota.AppendXReset(b, &statuses[tightest])
			cuts[4] = len(b)
		}
		s := string(b)
		sp.text = b
		st.writer.ResponseWriter = w
		st.writer.values[0], st.writer.values[1] = s[:cuts[0]], s[cuts[0]:cuts[1]]
		st.ownLimits = int32(len(st.writer.values[1])) //nolint:gosec // a header is no longer than that
		if h.xRateLimit {
			st.writer.older = &[len(olderLimitKeys)]string{s[cuts[1]:cuts[2]], s[cuts[2]:cuts[3]], s[cuts[3]:cuts[4]]}
		}
		st.writer.set()
	}
	if !allowed {
		countQuotaRefusals(limits, statuses)
		return overQuota(limits, statuses, tightest)
	}
	return nil
}

// refund gives back what a request has spent that tenant_quota has refused.
func (h *Handler) refund(st *state) {
	sp := spendings.Get().(*spending)
	defer spendings.Put(sp)
	h.runtime.quota.Refund(st.request.Now, 1, appendLimits(sp.limits[:0], st.decision.Resolved, st.decision.Credential))
}
