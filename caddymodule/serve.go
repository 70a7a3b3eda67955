package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// readyLimit bounds how long a request waits for the app to start: servers accept connections before that.
const readyLimit = 10 * time.Second

// ServeHTTP implements caddyhttp.MiddlewareHandler: exempt, identify, resolve, agree, admit, spend, strip, inject, forward.
// What the gateway owns is stripped on every way out, after the sources have read it and before anything else can.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	guardBody(r)
	ctx := r.Context()
	st := h.newState(ctx, r)
	exempt, err := h.isExempt(r)
	if exempt || err != nil {
		h.owned.strip(r)
		if err == nil {
			h.outcomes.exempt.Inc()
			return next.ServeHTTP(w, r)
		}
		return err
	}
	if !h.runtime.ready.Load() && !h.runtime.waitReady(ctx, readyLimit) {
		h.owned.strip(r)
		return h.refuse(w, r, st, router.Refuse(router.CodeRegistryUnavailable, errNotStarted))
	}
	if refusal := h.router.Decide(ctx, &st.request, &st.decision); refusal != nil {
		h.owned.strip(r)
		return h.refuse(w, r, st, refusal)
	}
	if refusal := h.spend(w, st); refusal != nil {
		h.owned.strip(r)
		return h.refuse(w, r, st, refusal)
	}
	if st.slots != 0 {
		defer h.releaseSlots(st)
	}
	h.inject(r, st)
	st.logFields(ctx)
	st.spanAttributes(ctx)
	h.outcomes.admit(st.decision.Source)
	h.router.Rewrite(r, &st.decision)
	err = h.forward(w, r, st, next)
	if st.refusal != nil { // by a tenant_quota
		h.refund(st)
	}
	return err
}

var errNotStarted = errors.New("the app has not started yet")

// newState makes the request's state and lets placeholders, matchers and upstreams find it.
func (h *Handler) newState(ctx context.Context, r *http.Request) *state {
	vars, _ := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	trusted := false
	if h.asksForTrust {
		trusted, _ = vars[caddyhttp.TrustedProxyVarKey].(bool)
	}
	client, _ := vars[caddyhttp.ClientIPVarKey].(string)
	st := &state{handler: h, request: router.Request{HTTP: r, Now: time.Now(), ClientIP: client, TrustedProxy: trusted}}
	st.generation = h.runtime.streams.generation.Load()
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

// refuse answers a request that is not admitted, or hands it to handle_errors.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, st *state, refusal *router.Refusal) error {
	st.refusal = refusal
	ctx := r.Context()
	st.logFields(ctx)
	st.spanAttributes(ctx)
	h.outcomes.refuse(refusal.Code)
	h.logRefusal(r, refusal)
	if h.passErrors {
		st.refusalHeaders(w.Header(), refusal)
		return caddyhttp.Error(refusal.Status, refusal)
	}
	st.writeRefusal(w, r, refusal)
	return nil
}

// logRefusal says nothing of ordinary refusals, which the access log has, and not too often that the registry fails or
// an issuer does.
func (h *Handler) logRefusal(r *http.Request, refusal *router.Refusal) {
	ctx := r.Context()
	if errors.Is(refusal.Cause, registry.ErrUnavailable) || refusal.Code == router.CodeRegistryUnavailable {
		if n, ok := h.failures.allow(time.Now()); ok {
			h.logger.ErrorContext(ctx, "a tenant could not be looked up", "error", refusal.Cause, "since_last", n)
		}
		return
	}
	if refusal.Code == router.CodeKeysUnavailable {
		if n, ok := h.keyFailures.allow(time.Now()); ok {
			h.logger.WarnContext(ctx, "a token could not be checked", "error", refusal.Cause, "since_last", n)
		}
		return
	}
	if h.debug {
		h.logger.DebugContext(ctx, "refused", "code", refusal.Code, "status", refusal.Status, "cause", refusal.Cause)
	}
}
