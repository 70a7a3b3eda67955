package router_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// tenants is a resolver over a map; a gateway has a cache in its place.
type tenants map[string]*registry.Resolved

func (t tenants) Resolve(_ context.Context, ref registry.Reference, _ time.Time) (*registry.Resolved, error) {
	if res := t[ref.Key]; res != nil {
		return res, nil
	}
	return nil, &registry.NotFoundError{}
}

func Example() {
	known := tenants{}
	for _, slug := range []string{"acme", "globex"} {
		known[slug] = &registry.Resolved{
			Tenant:      registry.ResolvedTenant{ID: registry.NewID(), Slug: slug, Status: registry.StatusActive},
			Environment: registry.ResolvedEnvironment{ID: registry.NewID(), Slug: "production", Status: registry.StatusActive},
		}
	}
	subdomain, err := router.NewSubdomain([]string{"{tenant}.app.example.com"}, router.DefaultReserved())
	if err != nil {
		panic(err)
	}
	header, err := router.NewHeader("X-Tenant-ID", "X-Environment-ID", false)
	if err != nil {
		panic(err)
	}
	rt, err := router.New(router.Config{Sources: []router.Source{subdomain, header}, Resolver: known})
	if err != nil {
		panic(err)
	}

	for _, host := range []string{"acme.app.example.com", "initech.app.example.com", "www.app.example.com"} {
		r := httptest.NewRequestWithContext(context.Background(), "GET", "https://"+host+"/api/tasks", nil)
		decision, err := rt.Route(r.Context(), &router.Request{HTTP: r, Now: time.Now()})
		if err != nil {
			fmt.Println(host, err)
			continue
		}
		fmt.Println(host, decision.Resolved.Tenant.Slug, "by", decision.Source)
	}

	r := httptest.NewRequestWithContext(context.Background(), "GET", "https://acme.app.example.com/api/tasks", nil)
	r.Header.Set("X-Tenant-ID", "globex")
	_, err = rt.Route(r.Context(), &router.Request{HTTP: r, Now: time.Now()})
	var refusal *router.Refusal
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Status, refusal.Code)
	}
	// Output:
	// acme.app.example.com acme by subdomain
	// initech.app.example.com tenant_not_found: There is no such tenant.
	// www.app.example.com tenant_required: The request does not say which tenant it is for.
	// 403 tenant_conflict
}
