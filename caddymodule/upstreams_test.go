package caddymodule

import (
	"net/http"
	"slices"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// TestGetUpstreams keeps the promise of which upstreams a request gets, and that they are made anew for each attempt.
func TestGetUpstreams(t *testing.T) {
	pools := map[string]*pool{
		"big":    {scheme: "http", addresses: []string{"10.0.0.1:80", "10.0.0.2:80"}},
		"secure": {scheme: "https", addresses: []string{"10.0.1.1:443"}},
	}
	for _, tt := range []struct {
		name     string
		ups      []registry.Upstream
		fallback *pool
		scheme   string
		want     []string // nil: an error
	}{
		{"own", []registry.Upstream{{Scheme: "http", Address: "a:1"}, {Scheme: "http", Address: "b:2"}}, pools["big"], "http", []string{"a:1", "b:2"}},
		{"https", []registry.Upstream{{Scheme: "https", Address: "a:443"}}, nil, "https", []string{"a:443"}},
		{"pool", []registry.Upstream{{Pool: "secure"}}, nil, "https", []string{"10.0.1.1:443"}},
		{"pool and own", []registry.Upstream{{Pool: "big"}, {Scheme: "http", Address: "c:3"}}, nil, "http", []string{"10.0.0.1:80", "10.0.0.2:80", "c:3"}},
		{"default", nil, pools["big"], "http", []string{"10.0.0.1:80", "10.0.0.2:80"}},
		{"none", nil, nil, "", nil},
		{"unknown pool", []registry.Upstream{{Pool: "none"}}, pools["big"], "", nil},
		{"unknown pool among others", []registry.Upstream{{Scheme: "http", Address: "a:1"}, {Pool: "none"}}, nil, "", nil},
		{"mixed", []registry.Upstream{{Pool: "big"}, {Pool: "secure"}}, nil, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := acme()
			res.Upstreams = tt.ups
			app := testApp(t, res)
			app.pools, app.fallback = pools, tt.fallback
			h := testHandler(t, app, &Handler{}, subdomains())
			_, r := serve(t, h, http.MethodGet, "http://acme.app.test/", nil)
			u := &Upstreams{app: app}
			r.URL.Scheme = ""
			first, err := u.GetUpstreams(r)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("error: %v", err)
			}
			if err != nil {
				return
			}
			if r.URL.Scheme != tt.scheme {
				t.Errorf("scheme %q", r.URL.Scheme)
			}
			second, err := u.GetUpstreams(r)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, up := range first {
				got = append(got, up.Dial)
				if up == second[i] {
					t.Error("two attempts share an upstream")
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q", got)
			}
		})
	}
	_, bare := testRequest(http.MethodGet, "http://acme.app.test/", nil)
	if _, err := (&Upstreams{app: testApp(t)}).GetUpstreams(bare); err == nil {
		t.Error("a request without a tenant has upstreams")
	}
}
