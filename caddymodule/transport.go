package caddymodule

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/http/httpguts"

	"github.com/tenantgate/tenantgate/wire"
)

func init() {
	caddy.RegisterModule(&Transport{})
}

// defaultIdlePerHost is how many idle connections to one upstream are kept, where the configuration does not say.
const defaultIdlePerHost = 256

// Transport sends requests to plain HTTP/1.1 upstreams at less cost than the standard transport: without two goroutines
// for each connection. It has the options of the standard transport `http`, with the same defaults, except for keep_alive
// and compression as said here, and hands what is not plain HTTP/1.1 to one that it has inside: upgrades such as WebSockets,
// TLS, HTTP/2 and HTTP/3, unix sockets, requests for a forward proxy, `Expect: 100-continue` with expect_continue_timeout,
// and GET, HEAD, DELETE and the like with a body of unknown length. It hands over everything where the configuration has
// max_conns_per_host, proxy_protocol, network_proxy, or the versions h2c or 3.
//
// keep_alive: idle connections per upstream (max_idle_conns_per_host) are 256 by default, not 32.
//
// compression: nothing asks plain upstreams for compressed responses that the client has not asked for; the option is for
// what is handed over.
//
// It is stricter than the standard transport about what upstreams answer: lines that do not end with CR LF, folded header
// lines, Content-Length more than once or together with Transfer-Encoding, and control characters in headers are an error (502).
type Transport struct {
	reverseproxy.HTTPTransport

	lean *wire.Transport // nil where everything is handed over
	// proxied says that the environment names a forward proxy for some hosts.
	proxied bool
}

// CaddyModule returns the Caddy module information.
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.tenant",
		New: func() caddy.Module { return new(Transport) },
	}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	transport tenant {
//		<the options of transport http>
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	d.Reset()
	return t.HTTPTransport.UnmarshalCaddyfile(d)
}

// Provision implements caddy.Provisioner.
func (t *Transport) Provision(ctx caddy.Context) error {
	if t.KeepAlive == nil {
		t.KeepAlive = new(reverseproxy.KeepAlive)
	}
	t.KeepAlive.MaxIdleConnsPerHost = cmp.Or(t.KeepAlive.MaxIdleConnsPerHost, defaultIdlePerHost)
	reason := t.handsOverAll() // before modules are loaded, whose configuration is gone then
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	if reason != "" {
		ctx.Slogger().Warn("transport tenant hands all requests to the standard transport", "because_of", reason)
		return nil
	}
	dialer, err := t.dialer(ctx)
	if err != nil {
		return err
	}
	t.proxied = cmp.Or(os.Getenv("HTTP_PROXY"), os.Getenv("http_proxy")) != ""
	t.lean = wire.New(wire.Options{
		Dial: dialer.DialContext, Address: t.address, Fallback: &t.HTTPTransport,
		ResponseHeaderTimeout:  time.Duration(t.ResponseHeaderTimeout),
		ReadTimeout:            time.Duration(t.ReadTimeout),
		WriteTimeout:           time.Duration(t.WriteTimeout),
		MaxResponseHeaderBytes: int(t.MaxResponseHeaderSize),
		ReadBufferSize:         t.ReadBufferSize,
		MaxIdle:                t.KeepAlive.MaxIdleConns,
		MaxIdlePerHost:         t.KeepAlive.MaxIdleConnsPerHost,
		IdleTimeout:            time.Duration(t.KeepAlive.IdleConnTimeout),
		DisableKeepAlives:      t.KeepAlive.Enabled != nil && !*t.KeepAlive.Enabled,
	})
	return nil
}

// dialer returns a standard transport that only dials: its connections have no timeouts of their own.
func (t *Transport) dialer(ctx caddy.Context) (*http.Transport, error) {
	h := reverseproxy.HTTPTransport{
		Resolver: t.Resolver, KeepAlive: t.KeepAlive, DialTimeout: t.DialTimeout, FallbackDelay: t.FallbackDelay,
		LocalAddress: t.LocalAddress,
	}
	dialer, err := h.NewTransport(ctx)
	if err != nil {
		return nil, fmt.Errorf("transport tenant: %w", err)
	}
	return dialer, nil
}

// handsOverAll returns the option that plain requests cannot be sent with, or nothing.
func (t *Transport) handsOverAll() string {
	switch {
	case t.MaxConnsPerHost > 0:
		return "max_conns_per_host"
	case t.ProxyProtocol != "":
		return "proxy_protocol"
	case t.ForwardProxyURL != "", len(t.NetworkProxyRaw) > 0:
		return "network_proxy"
	case slices.Contains(t.Versions, "h2c"), slices.Contains(t.Versions, "3"):
		return "versions"
	}
	return ""
}

// address returns where the upstream of a request is, if it can be sent there as it is.
func (t *Transport) address(r *http.Request) (string, bool) {
	upstream, ok := reverseproxy.GetDialInfo(r.Context())
	if !ok || upstream.Network != "tcp" || !t.sends(r) {
		return "", false
	}
	if t.proxied {
		if proxy, err := http.ProxyFromEnvironment(r); err != nil || proxy != nil {
			return "", false
		}
	}
	return upstream.Address, true
}

// sends reports whether the options allow a request to be sent as it is.
func (t *Transport) sends(r *http.Request) bool {
	return t.ExpectContinueTimeout <= 0 || !httpguts.HeaderValuesContainsToken(r.Header["Expect"], "100-continue")
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.SetScheme(r)
	injectLate(r)
	if t.lean == nil {
		return t.HTTPTransport.RoundTrip(r)
	}
	return t.lean.RoundTrip(r)
}

// Cleanup implements caddy.CleanerUpper. Connections in use are closed when their requests end.
func (t *Transport) Cleanup() error {
	if t.lean != nil {
		t.lean.Close()
	}
	return t.HTTPTransport.Cleanup()
}

// Interface guards
var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ caddyfile.Unmarshaler                            = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
)
