package caddymodule

import (
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/router"
)

// maxExplained is how many handlers are asked when none is named.
const maxExplained = 100

// Explain implements adminapi.Live. Which site a request would reach is for Caddy's routes to say, so that the handlers
// are asked in the order of the configuration. The request comes from no trusted proxy.
func (l *liveGateway) Explain(r *http.Request, handler int) (*adminapi.Explanation, error) {
	handlers := l.app.handlers
	if handler >= len(handlers) || len(handlers) == 0 {
		return nil, adminapi.ErrNoHandler
	}
	if handler >= 0 {
		return handlers[handler].explain(r, handler, len(handlers)), nil
	}
	var best *adminapi.Explanation
	for i, h := range handlers[:min(len(handlers), maxExplained)] {
		e := h.explain(r, i, len(handlers))
		if e.Refusal == nil {
			return e, nil
		}
		if best == nil || best.Refusal.Code == router.CodeTenantRequired && e.Refusal.Code != router.CodeTenantRequired {
			best = e
		}
	}
	return best, nil
}

// explain goes the way of ServeHTTP as far as the decision, on a copy of the request.
func (h *Handler) explain(r *http.Request, number, of int) *adminapi.Explanation {
	e := &adminapi.Explanation{Handler: number, Handlers: of}
	repl := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r.Clone(r.Context()), repl, &noWriter{}, nil)
	if client, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, client)
	}
	exempt, err := h.isExempt(r)
	if err != nil {
		e.Refusal = &router.ExplainedRefusal{
			Status: http.StatusInternalServerError, Code: adminapi.CodeInternal,
			Title: http.StatusText(http.StatusInternalServerError), Detail: "A matcher of exempt paths fails.", Cause: err.Error(),
		}
		return e
	}
	if e.Exempt = exempt; exempt {
		e.Explanation = router.Explanation{Agreement: h.router.Agreement().String(), Sources: []router.ExplainedSource{}}
		return e
	}
	st := h.newState(r.Context(), r)
	e.Explanation = *h.router.Explain(r.Context(), &st.request)
	if e.Resolved != nil {
		if scheme, addresses, err := h.app.upstreams(e.Resolved); err == nil {
			for _, address := range addresses {
				if scheme == "https" {
					address = "https://" + address
				}
				e.Upstreams = append(e.Upstreams, address)
			}
		}
	}
	return e
}

// noWriter is the response of a request that nobody answers.
type noWriter struct{ header http.Header }

// Header implements http.ResponseWriter.
func (w *noWriter) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

// Write implements http.ResponseWriter.
func (*noWriter) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (*noWriter) WriteHeader(int) {}
