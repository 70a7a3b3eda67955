package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Promise: what comes after the tenant handler finds the injected headers, and none that a client made up, however many
// headers the client sends, and also by way of placeholders when a handler before (tracing, timeouts) has put another
// context around the request.
func TestInjectedHeadersAreSeen(t *testing.T) {
	type key struct{}
	alias := "x_tenant.slug"
	h := benchHandler(t)
	for _, wrapped := range []bool{false, true} {
		for n := range 40 {
			header := http.Header{}
			for i := range n {
				header.Set(fmt.Sprintf("Header-%d", i), "value")
			}
			header["X-Tenant-Id"] = []string{"spoofed"}
			header[alias] = []string{"spoofed"}
			header["X-User-Id"] = []string{"spoofed"}
			header["Connection"] = []string{"keep-alive, X-Tenant-ID"}
			w, r := testRequest(http.MethodGet, "http://acme.app.example.com/", header)
			original := r
			if wrapped {
				r = r.WithContext(context.WithValue(r.Context(), key{}, "other"))
			}
			repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
			err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
				if r.Method != http.MethodGet || original.Method != http.MethodGet {
					t.Errorf("%d headers: the method is %q", n, r.Method)
				}
				for name, want := range map[string]string{
					"X-Tenant-Id": acmeID.String(), "X-Tenant-Slug": "acme", "X-Environment-Region": "eu-west-1", "X-User-Id": "",
				} {
					placeholder, _ := repl.GetString("http.request.header." + name)
					if got := r.Header.Get(name); got != want || placeholder != want {
						t.Errorf("%d headers, wrapped %t: %s is %q, and %q by placeholder; want %q", n, wrapped, name, got, placeholder, want)
					}
				}
				for _, seen := range []http.Header{r.Header, original.Header} {
					if seen[alias] != nil || len(seen["X-User-Id"]) > 0 || seen.Get("Connection") != "keep-alive" {
						t.Errorf("%d headers, wrapped %t: something is left of what the client made up: %v", n, wrapped, seen)
					}
				}
				for i := range n {
					if r.Header.Get(fmt.Sprintf("Header-%d", i)) != "value" {
						t.Errorf("%d headers, wrapped %t: header %d is lost", n, wrapped, i)
					}
				}
				return nil
			}))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Promise: a request without a body costs nothing to guard, even when Caddy's idle timeout is around it.
func TestGuardBodyWithoutBody(t *testing.T) {
	idle := &caddyhttp.IdleTimeoutReader{ReadCloser: http.NoBody}
	r := &http.Request{Body: idle}
	if guardBody(r); r.Body != idle {
		t.Error("no body is guarded")
	}
	idle.ReadCloser = clientBody{http.NoBody}
	if guardBody(r); r.Body == idle {
		t.Error("a body is not guarded")
	}
}
