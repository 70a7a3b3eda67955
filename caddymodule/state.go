package caddymodule

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// stateVar is the key under which a request's state lies in Caddy's table of variables. It is found there again after
// a proxy has wrapped the request's context for a retry.
const stateVar = "tenantgate"

// maxLimits is how many rate limits can apply to a request: the tenant's and the environment's.
const maxLimits = 2

// state is all that the gateway knows about a request. It is one allocation, and everything that lasts as long as the
// request lives in it: the values of headers, the writer that guards the rate limit headers, the router's view of the
// request. It is written only before the next handler runs.
type state struct {
	app      *App
	request  router.Request
	decision router.Decision
	refusal  *router.Refusal // nil unless refused

	// successor is the state of a later tenant handler in the same request, which speaks for it from then on.
	successor *state
	// logged says that this state is among the fields of the request's log line.
	logged bool

	// The text forms of the ids; empty until admitted.
	tenantID, environmentID string

	// writer is used only when a limit applies.
	writer limitWriter

	// values holds what the header maps point to, one element each. Caddy's header operations replace values in place,
	// so that no other request may ever see them.
	values [factCount]string
	used   int
}

// one returns a header value list that holds v, in st's own memory.
func (st *state) one(v string) []string {
	i := st.used
	st.used++
	st.values[i] = v
	return st.values[i : i+1 : i+1]
}

// resolved returns the snapshot that serves the request, or nil: on exempt paths, for refused requests, and where no
// tenant handler has run.
func (st *state) resolved() *registry.Resolved {
	if st == nil {
		return nil
	}
	return st.decision.Resolved
}

// last returns the state of the request's last tenant handler.
func (st *state) last() *state {
	for st.successor != nil {
		st = st.successor
	}
	return st
}

// String hides what is inside from the placeholder {http.vars.tenantgate}.
func (st *state) String() string {
	if res := st.resolved(); res != nil {
		return res.Tenant.Slug
	}
	return ""
}

// stateOf returns the state of the request with that context, or nil where no tenant handler has run.
func stateOf(ctx context.Context) *state {
	st, _ := caddyhttp.GetVar(ctx, stateVar).(*state)
	return st
}

// trustedProxy reports whether the peer is one of the server's trusted proxies.
func trustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}
