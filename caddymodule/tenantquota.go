package caddymodule

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

func init() {
	caddy.RegisterModule(&TenantQuota{})
}

// TenantQuota puts an extra limit on some routes, on top of those of the tenant, the environment and the API key; or lets
// requests on some routes cost more than one of those. It stands behind `tenant` and counts within the tenant that is found
// there: no tenant spends what another one has. Several of them in a route all count. Where a request has no tenant, as on
// exempt paths, it passes, and a log line says so.
//
// A request that it refuses spends nothing anywhere: what tenant, or a tenant_quota before it, has counted is given back.
type TenantQuota struct {
	// Name of the policy in the RateLimit headers, and of what is counted: handlers of one name share it, and it lasts as
	// long as the name stays. 1 to 63 of a-z, 0-9, ".", "_" and "-". Default: route. The Caddyfile gives each directive a
	// name of its own: route-1, route-2, …
	Name string `json:"name,omitempty"`
	// Requests are how many requests each tenant may make in each Period. Default: no such limit.
	Requests int64 `json:"requests,omitempty"`
	// Period is from 1s to 24h, in whole seconds. Default: 1m.
	Period caddy.Duration `json:"period,omitempty"`
	// Burst is how many requests may come at once. Default: Requests.
	Burst int64 `json:"burst,omitempty"`
	// RequestsPerDay and RequestsPerMonth are how many requests each tenant may make in a calendar day and month, in
	// UTC. Default: no such limits.
	RequestsPerDay   int64 `json:"requests_per_day,omitempty"`
	RequestsPerMonth int64 `json:"requests_per_month,omitempty"`
	// Concurrency is how many requests of each tenant may be in flight at once. Default: no such limit.
	Concurrency int64 `json:"concurrency,omitempty"`
	// Cost is what each request counts for. With limits in this handler it is what these are charged; with none it is what
	// the limits of the tenant, the environment and the API key are charged in place of 1, except those of concurrency.
	// Default: 1.
	Cost int64 `json:"cost,omitempty"`
	// Key has placeholders, such as {client_ip} or {tenant.user.id}; requests of a tenant for which it has another value
	// are counted apart. Default: all requests of a tenant are counted together.
	Key string `json:"key,omitempty"`
	// Shadow limits count, and are seen in metrics, but refuse nothing and are not told to clients. Default: false.
	Shadow bool `json:"shadow,omitempty"`

	runtime   *runtime
	logger    *slog.Logger
	tenantles *throttle
	limits    []quota.Limit // without Key.ID and Tenant
}

// CaddyModule returns the Caddy module information.
func (*TenantQuota) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.tenant_quota", New: func() caddy.Module { return new(TenantQuota) }}
}

// Provision implements caddy.Provisioner.
func (q *TenantQuota) Provision(ctx caddy.Context) error {
	app, err := ctx.App("tenants")
	if err != nil {
		return err
	}
	q.runtime = app.(*App).runtime
	q.logger = ctx.Slogger()
	return q.build()
}

// build makes the limits.
func (q *TenantQuota) build() error {
	q.tenantles = newThrottle(failureInterval)
	if q.Name == "" {
		q.Name = defaultQuotaName
	}
	if !validName(q.Name) {
		return fmt.Errorf("tenant_quota name %q: %s", q.Name, wantName)
	}
	if err := checkCounts(q.RequestsPerDay, q.RequestsPerMonth, q.Concurrency); err != nil {
		return err
	}
	if q.Cost < 0 || q.Cost > registry.MaxQuota {
		return fmt.Errorf("cost must be from 1 to %d, not %d", registry.MaxQuota, q.Cost)
	}
	add := func(l quota.Limit, kind string, size int64) error {
		if q.Cost > size && l.Concurrent == 0 {
			return fmt.Errorf("cost of %d is more than the limit of %d can ever hold: every request would be refused", q.Cost, size)
		}
		l.Name, l.Key.Scope, l.Shadow = q.Name+kind, quota.ScopeRoute, q.Shadow
		q.limits = append(q.limits, l)
		return nil
	}
	var errs []error
	switch {
	case q.Requests != 0:
		if q.Period == 0 {
			q.Period = caddy.Duration(time.Minute)
		}
		rate, err := quota.NewRate(q.Requests, time.Duration(q.Period), q.Burst)
		if err != nil {
			return err
		}
		errs = append(errs, add(quota.Limit{Rate: rate}, "", rate.Burst()))
	case q.Burst != 0 || q.Period != 0:
		return errors.New("burst and period without requests")
	}
	if n := q.RequestsPerDay; n != 0 {
		errs = append(errs, add(quota.Limit{Allowance: quota.Allowance{Max: n, Period: quota.PeriodDay}}, "-day", n))
	}
	if n := q.RequestsPerMonth; n != 0 {
		errs = append(errs, add(quota.Limit{Allowance: quota.Allowance{Max: n, Period: quota.PeriodMonth}}, "-month", n))
	}
	if q.Concurrency != 0 {
		errs = append(errs, add(quota.Limit{Concurrent: q.Concurrency}, "-concurrency", q.Concurrency))
	}
	switch {
	case errors.Join(errs...) != nil:
		return errors.Join(errs...)
	case len(q.limits) > 0:
		return nil
	case q.Cost == 0:
		return errors.New("tenant_quota needs a limit or a cost")
	case q.Key != "" || q.Shadow:
		return errors.New("key and shadow are for limits of tenant_quota's own; with cost alone they have no meaning")
	}
	return nil
}

// defaultQuotaName is the name of a handler that has none.
const defaultQuotaName = "route"

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (q *TenantQuota) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	st := stateOf(r.Context())
	if st != nil {
		st = st.last()
	}
	if st.resolved() == nil {
		if n, ok := q.tenantles.allow(time.Now()); ok {
			q.logger.WarnContext(r.Context(), "a request without a tenant is not counted: tenant_quota belongs behind tenant, and counts nothing on its exempt paths",
				"name", q.Name, "since_last", n)
		}
		return next.ServeHTTP(w, r)
	}
	var (
		refusal *router.Refusal
		id      [16]byte
		now     = time.Now()
	)
	if len(q.limits) > 0 {
		w, refusal, id = q.spend(w, r, st, now)
	} else {
		refusal = q.surcharge(st, now)
	}
	if refusal != nil {
		return st.handler.refuse(w, r, st, refusal)
	}
	if q.Concurrency > 0 {
		defer q.release(st, id)
	}
	err := next.ServeHTTP(w, r)
	if st.refusal != nil { // by a later tenant_quota
		q.refund(st, id, now)
	}
	return err
}

// release gives back the slot of a request that has ended.
func (q *TenantQuota) release(st *state, id [16]byte) {
	slot := [1]quota.Limit{{Key: quota.Key{Scope: quota.ScopeRoute, ID: id}, Tenant: st.decision.Resolved.Tenant.ID, Concurrent: q.Concurrency}}
	q.runtime.quota.Release(slot[:])
}

// refund gives back what the request has spent here.
func (q *TenantQuota) refund(st *state, id [16]byte, now time.Time) {
	sp := spendings.Get().(*spending)
	defer spendings.Put(sp)
	if len(q.limits) > 0 {
		q.runtime.quota.Refund(now, max(q.Cost, 1), q.limitsOf(sp.limits[:0], st, id))
		return
	}
	q.runtime.quota.Refund(now, q.Cost-1, appendLimits(sp.limits[:0], st.decision.Resolved, st.decision.Credential))
}

// limitsOf appends the handler's own limits, for what is counted under that id.
func (q *TenantQuota) limitsOf(limits []quota.Limit, st *state, id [16]byte) []quota.Limit {
	limits = append(limits, q.limits...)
	for i := range limits {
		limits[i].Key.ID, limits[i].Tenant = id, st.decision.Resolved.Tenant.ID
	}
	return limits
}

// spend counts a request against the handler's own limits, and adds them to the headers. id is what it was counted under.
func (q *TenantQuota) spend(
	w http.ResponseWriter, r *http.Request, st *state, now time.Time,
) (_ http.ResponseWriter, _ *router.Refusal, id [16]byte) {
	sp := spendings.Get().(*spending)
	defer spendings.Put(sp)
	value := ""
	if q.Key != "" {
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			value = repl.ReplaceAll(q.Key, "")
		}
	}
	id = routeID(st.decision.Resolved.Tenant.ID, q.Name, value)
	limits := q.limitsOf(sp.limits[:0], st, id)
	statuses := sp.statuses[:len(limits)]
	allowed := q.runtime.quota.Take(now, max(q.Cost, 1), limits, statuses)
	countQuotaShadows(limits, statuses)
	if !q.Shadow {
		b := quota.AppendPolicy(sp.text[:0], limits)
		cut := len(b)
		b = quota.AppendRateLimit(b, limits, statuses)
		s := string(b)
		sp.text = b
		if st.writer.ResponseWriter == nil {
			st.writer.ResponseWriter = w
			w = &st.writer
		}
		st.writer.values[0] = join(st.writer.values[0], s[:cut])
		st.writer.values[1] = join(st.writer.values[1], s[cut:])
		st.writer.set()
	}
	if !allowed {
		countQuotaRefusals(limits, statuses)
		return w, overQuota(limits, statuses, quota.Tightest(limits, statuses)), id
	}
	return w, nil, id
}

// join appends to a header's list.
func join(list, more string) string {
	if list == "" {
		return more
	}
	return list + ", " + more
}

// surcharge charges the limits of the tenant, the environment and the API key for what the request costs beyond the one
// request that was counted already, and tells in the headers what is left.
func (q *TenantQuota) surcharge(st *state, now time.Time) *router.Refusal {
	if q.Cost <= 1 {
		return nil
	}
	sp := spendings.Get().(*spending)
	defer spendings.Put(sp)
	all := appendLimits(sp.limits[:0], st.decision.Resolved, st.decision.Credential)
	charged := all[:0]
	for i := range all {
		if all[i].Concurrent == 0 { // the request has its slot
			charged = append(charged, all[i])
		}
	}
	statuses := sp.statuses[:len(charged)]
	allowed := q.runtime.quota.Take(now, q.Cost-1, charged, statuses)
	var refusal *router.Refusal
	if !allowed {
		countQuotaRefusals(charged, statuses)
		refusal = overQuota(charged, statuses, quota.Tightest(charged, statuses))
	}
	if st.ownLimits > 0 {
		// The list is made anew from all limits, as they are now.
		all = appendLimits(sp.limits[:0], st.decision.Resolved, st.decision.Credential)
		statuses = sp.statuses[:len(all)]
		q.runtime.quota.Take(now, 0, all, statuses)
		b := quota.AppendRateLimit(sp.text[:0], all, statuses)
		rest := st.writer.values[1][st.ownLimits:]
		st.ownLimits = int32(len(b)) //nolint:gosec // a header is no longer than that
		st.writer.values[1] = string(append(b, rest...))
		sp.text = b
		st.writer.set()
	}
	return refusal
}

// routeID returns the id of what is counted for one value of the key within a tenant: 128 bits of a hash, so that no two
// can be made to meet. The name's length keeps name and value apart.
func routeID(tenant [16]byte, name, value string) (id [16]byte) {
	b := make([]byte, 0, 256)
	b = append(b, tenant[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(name)))
	b = append(b, name...)
	b = append(b, value...)
	sum := sha256.Sum256(b)
	copy(id[:], sum[:])
	return id
}

// Interface guards
var (
	_ caddy.Provisioner           = (*TenantQuota)(nil)
	_ caddyhttp.MiddlewareHandler = (*TenantQuota)(nil)
)
