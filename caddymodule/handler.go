package caddymodule

import (
	"encoding/json"
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
	caddy.RegisterModule(&Handler{})
}

// Handler finds out which tenant and environment a request is for, refuses what must not pass, counts the rest against
// the tenant's quotas, and tells the upstream about the tenant in headers that it can trust. Handlers after it have
// the placeholders {tenant.*} and the matcher tenant; `reverse_proxy` has `dynamic tenant` and {tenant.upstream}.
//
// Whatever a client sends in X-Tenant-*, X-Environment-*, X-User-ID and X-User-Role, in any spelling, never reaches
// what comes after this handler, also on exempt paths. In place of that it sets X-Tenant-ID, X-Tenant-Slug,
// X-Tenant-Name, X-Tenant-Plan, X-Tenant-Isolation, X-Environment-ID, X-Environment-Slug, X-Environment-Type,
// X-Environment-Region (each only if there is a value), and with an authenticated source X-User-ID and X-User-Role.
//
// Responses carry RateLimit-Policy and RateLimit where a limit applies; those of an upstream are replaced.
type Handler struct {
	// SourcesRaw are the sources of the tenant's identity, in the order in which they are asked: subdomain, domain,
	// path, header, query, placeholder, default, or guests in the namespace tenants.sources. At least one is required.
	SourcesRaw []json.RawMessage `json:"sources,omitempty" caddy:"namespace=tenants.sources inline_key=source"`
	// Reserved are names that the source subdomain never takes for a tenant; an empty list reserves none. Default: www,
	// app, api, admin, auth, static, assets, cdn, mail.
	Reserved []string `json:"reserved,omitzero"`
	// Agreement says which sources have to lead to the same tenant: "required" (all that name one), "authenticated"
	// (those with proof, where there are any), or "first" (the first with something to say decides). An authenticated
	// source always outranks others. Default: required.
	Agreement string `json:"agreement,omitempty"`
	// RequireAuthenticated refuses requests whose tenant is not named by an authenticated source. Default: false.
	RequireAuthenticated bool `json:"require_authenticated,omitempty"`
	// Exempt are path patterns that pass without a tenant: "/healthz" is that path alone, "/auth/*" all below.
	// Default: none.
	Exempt []string `json:"exempt,omitempty"`
	// ExemptMatch are matcher sets; a request that fits any of them passes without a tenant. Default: none.
	ExemptMatch caddyhttp.RawMatcherSets `json:"exempt_match,omitempty" caddy:"namespace=http.matchers"`
	// Inject says what goes upstream beyond the default headers, or under other names. Default: the default headers.
	Inject *Inject `json:"inject,omitempty"`
	// Headers are families of response headers to send as well: "X-RateLimit" adds X-RateLimit-Limit (how many may come
	// at once), X-RateLimit-Remaining and X-RateLimit-Reset (seconds until all may come at once again).
	// Default: none.
	Headers []string `json:"headers,omitempty"`
	// Errors says how requests are refused: "problem" answers with application/problem+json (RFC 9457), or a short page
	// where the client prefers HTML; "pass" hands the error to handle_errors, where {tenant.error.code} and its
	// neighbours tell the case. Default: problem.
	Errors string `json:"errors,omitempty"`

	app        *App
	runtime    *runtime
	router     *router.Router
	exempt     *router.Exempt
	exemptSets caddyhttp.MatcherSets
	owned      *ownedHeaders
	injections []injection
	passErrors bool
	xRateLimit bool
	outcomes   *outcomes
	logger     *slog.Logger
	failures   *throttle
}

// The values of Handler.Errors.
const (
	errorsProblem = "problem"
	errorsPass    = "pass"
)

// familyXRateLimit is the one family of Handler.Headers.
const familyXRateLimit = "X-RateLimit"

// readyLimit bounds how long a request waits for the app to start: servers accept connections before that.
const readyLimit = 10 * time.Second

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.tenant", New: func() caddy.Module { return new(Handler) }}
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Slogger()
	h.failures = newThrottle(failureInterval)
	app, err := ctx.App("tenants")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	h.runtime = h.app.runtime
	if h.SourcesRaw == nil {
		return errNoSource
	}
	modules, err := ctx.LoadModule(h, "SourcesRaw")
	if err != nil {
		return fmt.Errorf("loading sources: %w", err)
	}
	if err := h.build(modules.([]any)); err != nil {
		return err
	}
	if h.ExemptMatch != nil {
		sets, err := ctx.LoadModule(h, "ExemptMatch")
		if err != nil {
			return fmt.Errorf("loading exempt matchers: %w", err)
		}
		if err := h.exemptSets.FromInterface(sets); err != nil {
			return err
		}
	}
	return nil
}

var errNoSource = errors.New("a tenant handler needs at least one source: identify")

// build makes the parts of the handler from its configuration.
func (h *Handler) build(modules []any) error {
	reserved := h.Reserved
	if reserved == nil {
		reserved = router.DefaultReserved()
	}
	sources, guests, err := sourcesOf(modules, reserved)
	if err != nil {
		return err
	}
	agreement, err := router.ParseAgreement(h.Agreement)
	if err != nil {
		return err
	}
	if h.RequireAuthenticated && !guests {
		return errNoProof
	}
	h.router, err = router.New(router.Config{
		Sources: sources, Resolver: h.runtime.cache, Agreement: agreement, RequireAuthenticated: h.RequireAuthenticated,
	})
	if err != nil {
		return err
	}
	if h.exempt, err = router.NewExempt(h.Exempt); err != nil {
		return err
	}
	if h.injections, err = h.Inject.plan(); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	h.owned = newOwnedHeaders(h.injections)
	if h.passErrors, err = parseErrors(h.Errors); err != nil {
		return err
	}
	for _, family := range h.Headers {
		if family != familyXRateLimit {
			return fmt.Errorf("headers: there is no family %q; there is %s", family, familyXRateLimit)
		}
		h.xRateLimit = true
	}
	h.outcomes = newOutcomes(sources)
	return nil
}

var errNoProof = errors.New("require authenticated: none of the sources authenticates, so every request would be refused")

// parseErrors reads the value of Handler.Errors.
func parseErrors(mode string) (pass bool, err error) {
	switch mode {
	case "", errorsProblem:
		return false, nil
	case errorsPass:
		return true, nil
	}
	return false, fmt.Errorf("errors must be %s or %s, not %q", errorsProblem, errorsPass, mode)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler: strip, exempt, identify, resolve, agree, admit, spend, inject,
// forward. What the gateway owns is stripped right after the sources have read it, before anything else can.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	st := h.newState(r)
	exempt, err := h.isExempt(r)
	if exempt || err != nil {
		h.owned.strip(r)
		if err == nil {
			h.outcomes.exempt.Inc()
			return next.ServeHTTP(w, r)
		}
		return err
	}
	if !h.runtime.ready.Load() && !h.runtime.waitReady(r.Context(), readyLimit) {
		h.owned.strip(r)
		return h.refuse(w, r, st, router.Refuse(router.CodeRegistryUnavailable, errNotStarted))
	}
	st.decision, err = h.router.Route(r.Context(), &st.request)
	h.owned.strip(r)
	if err != nil {
		var refusal *router.Refusal
		if !errors.As(err, &refusal) {
			refusal = router.Refuse(router.CodeRegistryUnavailable, err)
		}
		return h.refuse(w, r, st, refusal)
	}
	if refusal := h.spend(w, st); refusal != nil {
		return h.refuse(w, r, st, refusal)
	}
	if st.writer.ResponseWriter != nil {
		w = &st.writer
	}
	h.inject(r.Header, st)
	st.logFields(r)
	st.spanAttributes(r)
	h.outcomes.admit(st.decision.Source)
	h.router.Rewrite(r, &st.decision)
	return next.ServeHTTP(w, r)
}

var errNotStarted = errors.New("the app has not started yet")

// newState makes the request's state and lets placeholders, matchers and upstreams find it.
func (h *Handler) newState(r *http.Request) *state {
	ctx := r.Context()
	vars, _ := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	trusted, _ := vars[caddyhttp.TrustedProxyVarKey].(bool)
	st := &state{app: h.app, request: router.Request{HTTP: r, Now: time.Now(), TrustedProxy: trusted}}
	repl, _ := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if repl != nil {
		st.request.Placeholders = repl
	}
	if before, ok := vars[stateVar].(*state); ok {
		// Another tenant handler has run: its placeholders and log fields are ours from now on.
		before.last().successor = st
		st.logged = before.logged
	} else if repl != nil {
		repl.Map(st.placeholder)
	}
	if vars != nil {
		vars[stateVar] = st
	}
	return st
}

func (h *Handler) isExempt(r *http.Request) (bool, error) {
	if h.exempt != nil && h.exempt.Match(r) {
		return true, nil
	}
	if len(h.exemptSets) == 0 {
		return false, nil
	}
	return h.exemptSets.AnyMatchWithError(r)
}

// spend counts an admitted request against its limits, and prepares everything about it that has to be put into words:
// one string holds them all.
func (h *Handler) spend(w http.ResponseWriter, st *state) *router.Refusal {
	var (
		limitMemory  [maxLimits]quota.Limit
		statusMemory [maxLimits]quota.Status
		text         [320]byte
	)
	res := st.decision.Resolved
	limits := appendLimits(limitMemory[:0], res)
	statuses := statusMemory[:len(limits)]
	allowed := h.runtime.quota.Take(st.request.Now, 1, limits, statuses)

	b := appendUUID(text[:0], res.Tenant.ID)
	b = appendUUID(b, res.Environment.ID)
	var cuts [5]int
	if len(limits) > 0 {
		b = quota.AppendPolicy(b, limits)
		cuts[0] = len(b)
		b = quota.AppendRateLimit(b, limits, statuses)
		cuts[1] = len(b)
		if h.xRateLimit {
			i := quota.Tightest(limits, statuses)
			b = quota.AppendXLimit(b, &limits[i])
			cuts[2] = len(b)
			b = quota.AppendXRemaining(b, &statuses[i])
			cuts[3] = len(b)
			b = quota.AppendXReset(b, &statuses[i])
			cuts[4] = len(b)
		}
	}
	s := string(b)
	st.ids = s[:2*idLength]
	if len(limits) > 0 {
		st.writer.ResponseWriter = w
		st.writer.values[0], st.writer.values[1] = s[2*idLength:cuts[0]], s[cuts[0]:cuts[1]]
		if h.xRateLimit {
			for i := range cuts[2:] {
				st.writer.values[2+i] = s[cuts[1+i]:cuts[2+i]]
			}
		}
		st.writer.set()
	}
	if !allowed {
		countQuotaRefusals(limits, statuses)
		return overQuota(limits, statuses)
	}
	return nil
}

// refuse answers a request that is not admitted, or hands it to handle_errors.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, st *state, refusal *router.Refusal) error {
	st.refusal = refusal
	st.logFields(r)
	st.spanAttributes(r)
	h.outcomes.refuse(refusal.Code)
	h.logRefusal(r, refusal)
	if h.passErrors {
		refusalHeaders(w.Header(), refusal)
		return caddyhttp.Error(refusal.Status, refusal)
	}
	writeRefusal(w, r, refusal)
	return nil
}

// logRefusal says nothing of ordinary refusals, which the access log has, and not too often that the registry fails.
func (h *Handler) logRefusal(r *http.Request, refusal *router.Refusal) {
	ctx := r.Context()
	if errors.Is(refusal.Cause, registry.ErrUnavailable) || refusal.Code == router.CodeRegistryUnavailable {
		if n, ok := h.failures.allow(time.Now()); ok {
			h.logger.ErrorContext(ctx, "a tenant could not be looked up", "error", refusal.Cause, "since_last", n)
		}
		return
	}
	if h.logger.Enabled(ctx, slog.LevelDebug) {
		h.logger.DebugContext(ctx, "refused", "code", refusal.Code, "status", refusal.Status, "cause", refusal.Cause)
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
