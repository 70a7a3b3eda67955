package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/tenantgate/tenantgate/forward"
)

func init() {
	caddy.RegisterModule(&TenantProxy{})
}

// TenantProxy forwards requests to the upstream of their environment, as `reverse_proxy` does with `dynamic tenant` and
// `transport tenant`, which are its defaults, at about two thirds of the cost: it knows where a request has to go, and makes
// no copy of it on the way.
//
// It is a reverse_proxy in everything else, and has all its options. What it does by itself are requests of a tenant with
// plain http upstreams, while no option is given but static upstreams, the transport tenant and its options, and those of
// upgraded connections (stream_timeout, stream_buffer_size, stream_close_delay). Upgrades such as WebSockets, https upstreams,
// requests without a tenant and whatever else [Transport] hands over are left to the reverse_proxy within; with any other
// option (header_up, lb_policy, health checks, handle_response, …) that gets everything, and the log says so at the start.
// Client and upstream see the same in both cases; retries, passive health checks and the counters of the admin API's
// /reverse_proxy/upstreams are reverse_proxy's alone.
//
// An upstream that cannot be connected to is left for the next one of its pool, in random order, before anything was sent:
// reverse_proxy does so with lb_try_duration. Of its placeholders there are {http.reverse_proxy.upstream.hostport}, its
// neighbours address, host, port, latency and latency_ms, {http.reverse_proxy.status_code}, status_text, and header.*.
type TenantProxy struct {
	reverseproxy.Handler

	app       *App
	forwarder *forward.Forwarder // nil where everything is left to reverse_proxy
	transport *Transport
	logger    *slog.Logger
	failures  *throttle
}

// CaddyModule returns the Caddy module information.
func (*TenantProxy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.tenant_proxy", New: func() caddy.Module { return new(TenantProxy) }}
}

// What reverse_proxy gets where the configuration does not say.
var (
	tenantUpstreams = json.RawMessage(`{"source":"tenant"}`)
	tenantTransport = json.RawMessage(`{"protocol":"tenant"}`)
)

// Provision implements caddy.Provisioner.
func (p *TenantProxy) Provision(ctx caddy.Context) error {
	p.logger, p.failures = ctx.Slogger(), newThrottle(failureInterval)
	app, err := ctx.App("tenants")
	if err != nil {
		return err
	}
	p.app = app.(*App)
	if p.DynamicUpstreamsRaw == nil {
		p.DynamicUpstreamsRaw = slices.Clone(tenantUpstreams)
	}
	if p.TransportRaw == nil {
		p.TransportRaw = slices.Clone(tenantTransport)
	}
	options, err := p.options() // before modules are loaded, whose configuration is gone then
	if err != nil {
		return err
	}
	if err := p.Handler.Provision(ctx); err != nil {
		return err
	}
	transport, ours := p.Transport.(*Transport)
	_, dynamic := p.DynamicUpstreams.(*Upstreams)
	switch {
	case !ours:
		options = append(options, "transport")
	case transport.lean == nil:
		return nil // the transport has said why
	case transport.proxied:
		options = append(options, "HTTP_PROXY")
	}
	if !dynamic {
		options = append(options, "dynamic_upstreams")
	}
	if len(options) > 0 {
		p.logger.Info("tenant_proxy leaves all requests to reverse_proxy", "because_of", options)
		return nil
	}
	p.transport, p.forwarder = transport, forward.New(transport.lean)
	return nil
}

// options returns the names of the options that only reverse_proxy knows.
func (p *TenantProxy) options() ([]string, error) {
	text, err := json.Marshal(&p.Handler)
	if err != nil {
		return nil, fmt.Errorf("tenant_proxy: %w", err)
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(text, &given); err != nil {
		return nil, fmt.Errorf("tenant_proxy: %w", err)
	}
	for _, known := range []string{
		"transport", "dynamic_upstreams", "upstreams",
		"stream_timeout", "stream_buffer_size", "stream_close_delay", // of upgraded connections, which it serves anyway
	} {
		delete(given, known)
	}
	return slices.Sorted(maps.Keys(given)), nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (p *TenantProxy) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	st := stateOf(r.Context())
	if p.forwarder != nil && st.resolved() != nil && forward.CanForward(r) && p.transport.sends(r) {
		if scheme, address, others := p.app.targets(st.resolved()); scheme == "http" {
			return p.forward(w, r, st, address, others)
		}
	}
	injectLate(r)
	return p.Handler.ServeHTTP(w, r, next)
}

// forward passes a request on to an address, or to one of the others if nobody answers there.
func (p *TenantProxy) forward(w http.ResponseWriter, r *http.Request, st *state, address string, others []string) error {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	x := &forwarding{address: address, exchange: forward.Exchange{Request: r, Writer: w, Trusted: trusted}}
	if st.late() {
		x.exchange.Fields = st
	}
	st.forwarding = x
	err := p.forwarder.Do(&x.exchange, address)
	for i := 0; i < len(others) && isDialError(err) && r.Context().Err() == nil; i++ {
		x.address = others[i]
		err = p.forwarder.Do(&x.exchange, x.address)
	}
	switch {
	case err == nil:
		return nil
	case x.exchange.Begun:
		p.abort(w, st, err)
	case errors.Is(err, context.Canceled):
		w.WriteHeader(statusClientClosed) // the client went away, or what it sent was broken: nobody else is to blame
		return nil
	}
	return proxyError(err)
}

// statusClientClosed is what access logs know requests by whose client did not wait for the response, since nginx.
const statusClientClosed = 499

func isDialError(err error) bool {
	var dial reverseproxy.DialError
	return errors.As(err, &dial)
}

// abort ends a response that has begun so that nobody takes it for whole. The log hears of upstreams that break off, and not
// too often.
func (p *TenantProxy) abort(w http.ResponseWriter, st *state, err error) {
	if !forward.IsClientError(err) && !errors.Is(err, context.Canceled) {
		if n, ok := p.failures.allow(time.Now()); ok {
			p.logger.Warn("an upstream broke off its response", "error", err, "upstream", st.forwarding.address,
				"tenant", st.tenantID(), "environment", st.environmentID(), "since_last", n)
		}
	}
	_ = http.NewResponseController(w).Flush() // what there is; the client sees that the rest is missing
	panic(http.ErrAbortHandler)
}

// proxyError returns what reverse_proxy returns for an error of its transport: 504 for a timeout, else 502.
func proxyError(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return caddyhttp.Error(http.StatusGatewayTimeout, err)
	}
	return caddyhttp.Error(http.StatusBadGateway, err)
}

// forwarding is a request on its way, for placeholders.
type forwarding struct {
	exchange forward.Exchange
	address  string
}

// proxyPlaceholderPrefix begins the names of the placeholders of reverse_proxy.
const proxyPlaceholderPrefix = "http.reverse_proxy."

// placeholder provides those of reverse_proxy's placeholders that log lines and header operations use.
func (f *forwarding) placeholder(name string) (any, bool) {
	x := &f.exchange
	if rest, ok := strings.CutPrefix(name, "upstream."); ok {
		return f.upstream(rest)
	}
	switch name {
	case "status_code":
		return x.Status, x.Status != 0
	case "status_text":
		return fmt.Sprint(x.Status, " ", http.StatusText(x.Status)), x.Status != 0
	}
	if field, ok := strings.CutPrefix(name, "header."); ok && x.Header != nil {
		values, ok := x.Header[http.CanonicalHeaderKey(field)]
		return strings.Join(values, ","), ok
	}
	return nil, false
}

func (f *forwarding) upstream(name string) (any, bool) {
	colon := strings.LastIndexByte(f.address, ':')
	switch name {
	case "address", "hostport":
		return f.address, true
	case "host":
		return strings.Trim(f.address[:colon], "[]"), true
	case "port":
		return f.address[colon+1:], true
	case "latency":
		return f.exchange.Latency, f.exchange.Status != 0
	case "latency_ms":
		return f.exchange.Latency.Seconds() * 1e3, f.exchange.Status != 0
	}
	return nil, false
}

// Interface guards
var (
	_ caddy.Provisioner           = (*TenantProxy)(nil)
	_ caddy.CleanerUpper          = (*TenantProxy)(nil)
	_ caddyhttp.MiddlewareHandler = (*TenantProxy)(nil)
)
