package cache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/registry"
)

// oneTenant is a registry with one tenant; a gateway uses *registry.Store.
type oneTenant struct{ questions int }

func (s *oneTenant) Resolve(_ context.Context, ref registry.Reference) (*registry.Resolved, error) {
	s.questions++
	if ref != (registry.Reference{Kind: registry.KindSlug, Key: "acme"}) {
		return nil, &registry.NotFoundError{}
	}
	return &registry.Resolved{
		Tenant:      registry.ResolvedTenant{ID: uuid.MustParse("0190a000-0000-7000-8000-000000000001"), Slug: "acme", Name: "Acme Corp"},
		Environment: registry.ResolvedEnvironment{ID: uuid.MustParse("0190a000-0000-7000-8000-000000000011"), Slug: "production"},
	}, nil
}

func (s *oneTenant) Changes(context.Context, int64, int) (registry.Changes, error) {
	return registry.Changes{Oldest: 1}, nil
}

func Example() {
	store := &oneTenant{}
	c := cache.New(store, cache.Options{Size: 1000, TTL: time.Minute})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go c.Run(ctx) // follows the change log

	for range 3 {
		r, err := c.Resolve(ctx, registry.Reference{Kind: registry.KindSlug, Key: "acme"}, time.Now())
		if err != nil {
			panic(err)
		}
		fmt.Println(r.Tenant.Name, r.Environment.Slug)
	}
	_, err := c.Resolve(ctx, registry.Reference{Kind: registry.KindSlug, Key: "nobody"}, time.Now())
	fmt.Println(errors.Is(err, registry.ErrNotFound), store.questions)
	// Output:
	// Acme Corp production
	// Acme Corp production
	// Acme Corp production
	// true 2
}
