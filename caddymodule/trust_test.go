package caddymodule

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// trustingGuest is a guest source that names a tenant to trusted proxies only.
type trustingGuest struct{}

// Name implements router.Source.
func (trustingGuest) Name() string { return "trusting" }

// Identify implements router.Source.
func (trustingGuest) Identify(r *router.Request) (y router.Yield, _ error) {
	if r.TrustedProxy {
		y.Reference = registry.Reference{Kind: registry.KindSlug, Key: "acme"}
	}
	return y, nil
}

// Promise: whichever source asks whether the peer is a trusted proxy is told, a guest as well as header, and not only when it
// is the first.
func TestTrustIsTold(t *testing.T) {
	header := http.Header{"X-Tenant-Id": {"acme"}}
	for name, sources := range map[string][]any{
		"header":       {&Header{FromTrustedProxies: true}},
		"second":       {&Domain{}, &Header{FromTrustedProxies: true}},
		"guest":        {trustingGuest{}},
		"second guest": {&Domain{}, trustingGuest{}},
	} {
		h := testHandler(t, testApp(t, acme()), &Handler{}, sources...)
		for _, trusted := range []bool{true, false} {
			w, r := testRequest(http.MethodGet, "http://any.test/", header.Clone())
			caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, trusted)
			admitted := false
			err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
				admitted = true
				return nil
			}))
			if err != nil || admitted != trusted {
				t.Errorf("%s: with trust %t, admitted %t, %v", name, trusted, admitted, err)
			}
		}
	}
}
