package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

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
	// path, header, query, jwt, session, api_key, placeholder, default, or guests in the namespace tenants.sources. At least one is required.
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
	// RequireRole refuses requests of users who are not members of the environment with at least this role (env_viewer <
	// env_user < env_maker < env_admin), and requests that do not say who makes them. Default: none; then only users of
	// the source session, and those whom an API key acts as, have to be members, in any role.
	RequireRole string `json:"require_role,omitempty"`
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
	signing    *signing // nil without inject context
	late       bool     // the headers are set when the request is forwarded
	passErrors bool
	xRateLimit bool
	outcomes   *outcomes
	logger     *slog.Logger
	debug      bool // the logger takes lines of that level; a configuration's loggers never change
	failures   *throttle
	// asksForTrust says that a source may want to know whether the peer is a trusted proxy.
	asksForTrust bool
	// accessLog is what is known of the server's; see logs.
	accessLog atomic.Uint32
	// keyFailures is for issuers whose keys cannot be had, failures for the registry.
	keyFailures *throttle
}

// The values of Handler.Errors.
const (
	errorsProblem = "problem"
	errorsPass    = "pass"
)

// familyXRateLimit is the one family of Handler.Headers.
const familyXRateLimit = "X-RateLimit"

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.tenant", New: func() caddy.Module { return new(Handler) }}
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Slogger()
	h.debug = h.logger.Enabled(ctx, slog.LevelDebug)
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
	h.app.handlers = append(h.app.handlers, h)
	return nil
}

var errNoSource = errors.New("a tenant handler needs at least one source: identify")

// build makes the parts of the handler from its configuration.
func (h *Handler) build(modules []any) error {
	reserved := h.Reserved
	if reserved == nil {
		reserved = router.DefaultReserved()
	}
	sources, proof, err := sourcesOf(modules, reserved)
	if err != nil {
		return err
	}
	agreement, err := router.ParseAgreement(h.Agreement)
	if err != nil {
		return err
	}
	if h.RequireAuthenticated && !proof {
		return errNoProof
	}
	if err := checkRole(h.RequireRole, authenticates(modules)); err != nil {
		return err
	}
	h.asksForTrust = asksForTrust(modules)
	h.router, err = router.New(router.Config{
		Sources: sources, Resolver: h.runtime.cache, Agreement: agreement, RequireAuthenticated: h.RequireAuthenticated,
		RequireRole: registry.Role(h.RequireRole),
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
	h.late = h.Inject != nil && h.Inject.Late
	if h.Inject != nil && h.Inject.Context {
		if h.signing, err = h.app.contextSigner(); err != nil {
			return err
		}
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
	h.keyFailures = newThrottle(failureInterval)
	return nil
}

var errNoProof = errors.New("require authenticated: none of the sources proves which tenant is meant, so every request would be refused")

// checkRole refuses what is no role, and one that no request can have.
func checkRole(role string, authenticated bool) error {
	switch {
	case role == "":
		return nil
	case !registry.Role(role).Valid():
		return fmt.Errorf("require role: there is no role %q; there are env_viewer, env_user, env_maker and env_admin", role)
	case !authenticated:
		return errNobody
	}
	return nil
}

var errNobody = errors.New("require role: none of the sources says who makes a request, so every request would be refused")

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

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
