package main

import (
	"context"
	"fmt"

	"github.com/tenantgate/tenantgate/registry"
)

// headerValue is one header that is sent upstream.
type headerValue struct {
	Name, Value string
}

// tenantFacts is what a peer has to know of a tenant to do what the gateway does: the same headers, with the same values,
// from the same registry.
type tenantFacts struct {
	Slug string
	// Plan is the name of the plan.
	Plan string
	// PerMinute is how many requests the plan allows in a minute.
	PerMinute int64
	// Headers are those that go upstream.
	Headers []headerValue
}

// factsOf asks the registry for the tenants 0 to n-1, and for the one whose limit is used up at once, which comes last.
func factsOf(ctx context.Context, url string, n int) ([]tenantFacts, error) {
	store, err := registry.Open(registry.Options{URL: url})
	if err != nil {
		return nil, err
	}
	defer store.Close()                        //nolint:errcheck // nothing was written
	if err := store.Migrate(ctx); err != nil { // it is there already; the store wants to have seen that
		return nil, err
	}
	slugs := make([]string, 0, n+1)
	for i := range n {
		slugs = append(slugs, fmt.Sprintf(tenantSlugs, i))
	}
	var facts []tenantFacts
	for _, slug := range append(slugs, limitedSlug) {
		found, err := store.Resolve(ctx, registry.Reference{Kind: registry.KindSlug, Key: slug})
		if err != nil {
			return nil, fmt.Errorf("looking up %s: %w", slug, err)
		}
		facts = append(facts, factsIn(found))
	}
	return facts, nil
}

// factsIn returns the headers that the gateway makes of a tenant by default.
func factsIn(r *registry.Resolved) tenantFacts {
	return tenantFacts{
		Slug: r.Tenant.Slug, Plan: r.Tenant.Plan, PerMinute: r.Tenant.Quotas.APIRateLimit,
		Headers: []headerValue{
			{"X-Tenant-ID", r.Tenant.IDText()},
			{"X-Tenant-Slug", r.Tenant.Slug},
			{"X-Tenant-Name", r.Tenant.Name},
			{"X-Tenant-Plan", r.Tenant.Plan},
			{"X-Tenant-Isolation", string(r.Tenant.Isolation)},
			{"X-Environment-ID", r.Environment.IDText()},
			{"X-Environment-Slug", r.Environment.Slug},
			{"X-Environment-Type", string(r.Environment.Type)},
			{"X-Environment-Region", r.Environment.Region},
		},
	}
}
