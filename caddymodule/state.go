package caddymodule

import (
	"context"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// stateVar is the key under which a request's state lies in Caddy's table of variables. It is found there again after
// a proxy has wrapped the request's context for a retry.
const stateVar = "tenantgate"

// defaultFacts is how many headers go upstream by default.
const defaultFacts = int(factEnvironmentRegion) + 1

// moreFacts is how many more there is room for: the user's id and role, or the signed context.
const moreFacts = 2

// state is all that the gateway knows about a request. It is one allocation of 640 bytes, and everything that lasts as
// long as the request lives in it: the values of headers, the writer that guards the rate limit headers, the router's
// view of the request. It is written only before the next handler runs.
type state struct {
	handler  *Handler
	request  router.Request
	decision router.Decision
	refusal  *router.Refusal // nil unless refused

	// successor is the state of a later tenant handler in the same request, which speaks for it from then on.
	successor *state

	// writer is the response's, from the next handler on.
	writer streamWriter
	// generation is how many changes of the registry were heard of before the request was routed.
	generation uint64

	// values holds what the header maps point to, one element each. Caddy's header operations replace values in place,
	// so that no other request may ever see them.
	values [defaultFacts + moreFacts]string
	used   uint8

	// forwarding is set by tenant_proxy; nil for what it leaves to reverse_proxy.
	forwarding *forwarding

	// slots says at which levels the request has taken a slot of a limit of concurrency; see level.
	slots uint8
	// logged says that this state is among the fields of the request's log line.
	logged bool
	// placed is where headers were set that wait for that: see injectLate.
	placed *placement
	// told says that they are on their way.
	told bool
	// upgrade says that the client has sent Upgrade.
	upgrade bool
	// ownLimits is how much of the RateLimit header, in bytes, is about the limits of the tenant, environment and API key.
	ownLimits int32
}

// tenantID returns the text form of the tenant's id; empty until admitted.
func (st *state) tenantID() string {
	if st.decision.Resolved == nil {
		return ""
	}
	return st.decision.Resolved.Tenant.IDText()
}

// environmentID returns the text form of the environment's id; empty until admitted.
func (st *state) environmentID() string {
	if st.decision.Resolved == nil {
		return ""
	}
	return st.decision.Resolved.Environment.IDText()
}

// one returns a header value list that holds v, in st's own memory as long as there is room.
func (st *state) one(v string) []string {
	i := st.used
	if int(i) == len(st.values) {
		return []string{v}
	}
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
