package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// How many tenants there are. Of the moving ones it is about so many, now and then one fewer or more.
const (
	steadyTenants  = 30
	limitedTenants = 3
	movingTenants  = 20
	// movingDomains are host names that go from one moving tenant to another.
	movingDomains = 12
	// askedAfterEnd is how many references that have ended are still asked for.
	askedAfterEnd = 40
)

// The plans. Moving tenants change between the last two.
const (
	planSteady  = "steady"
	planLimited = "limited"
	planMoving  = "moving-a"
	planOther   = "moving-b"
)

// The limit of [planLimited]: requests a minute, and how many at once.
const (
	limitedRate  = 120
	limitedBurst = 20
)

// world is all that requests can be for.
type world struct {
	system *system

	mu      sync.RWMutex
	steady  []*reference // of subjects that are served, and by everything that names one
	refused []*reference // of subjects that are suspended or archived for ever
	limited []*reference
	slow    []*reference
	mortal  []*reference
	moving  []*reference // of those that change
	ended   []*reference // that have led to somebody once, the newest last
}

// pick returns one of a list; nil from an empty one.
func (w *world) pick(list *[]*reference) *reference {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(*list) == 0 {
		return nil
	}
	return (*list)[rand.IntN(len(*list))]
}

func (w *world) add(list *[]*reference, r *reference) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, r)
}

// end moves references to those that have ended.
func (w *world) end(over func(*reference) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var stay []*reference
	for _, r := range w.moving {
		if over(r) {
			w.ended = append(w.ended, r)
		} else {
			stay = append(stay, r)
		}
	}
	w.moving = stay
	w.ended = append([]*reference(nil), w.ended[max(0, len(w.ended)-askedAfterEnd):]...)
}

// kindOf returns a reference of some kind among the steady ones.
func (w *world) kindOf(kind string) *reference {
	for {
		if r := w.pick(&w.steady); r.kind == kind && r.environment == "" {
			return r
		}
	}
}

// other returns the slug of a steady tenant that is not this reference's.
func (w *world) other(than *reference) *reference {
	for {
		if r := w.kindOf(bySlug); r.leads.last().tenant != than.leads.last().tenant {
			return r
		}
	}
}

// populate makes the plans and the tenants that nobody changes.
func (w *world) populate(ctx context.Context) error {
	admin := w.system.gateways[0].admin
	for name, quotas := range map[string]registry.Quotas{
		planSteady:  {APIRateLimit: 600_000, MaxAPICallsPerMonth: 1_000_000_000},
		planLimited: {APIRateLimit: limitedRate, Burst: limitedBurst},
		planMoving:  {APIRateLimit: 500_000},
		planOther:   {APIRateLimit: 400_000, MaxAPICallsPerDay: 100_000_000},
	} {
		if _, err := admin.CreatePlan(ctx, adminapi.PlanRequest{Name: name, Quotas: &quotas}); err != nil {
			return err
		}
	}
	for i := range steadyTenants {
		upstream := i % 2
		list := &w.steady
		switch i % 10 {
		case 8:
			upstream, list = upstreamSlow, &w.slow
		case 9:
			upstream, list = upstreamMortal, &w.mortal
		}
		if err := w.addSteady(ctx, fmt.Sprintf("steady-%02d", i), upstream, list); err != nil {
			return err
		}
	}
	for i := range limitedTenants {
		p, err := w.newSubject(ctx, fmt.Sprintf("limited-%d", i), planLimited, upstreamFirst, nil)
		if err != nil {
			return err
		}
		p.limited = true
		w.limited = append(w.limited, w.steadily(bySlug, p.slug, "", p))
	}
	for slug, status := range map[string]string{"suspended-for-ever": suspended, "archived-for-ever": archived} {
		p, err := w.newSubject(ctx, slug, planSteady, upstreamFirst, nil)
		if err != nil {
			return err
		}
		action := registry.ActionSuspend
		if status == archived {
			action = registry.ActionArchive
		}
		if _, err := admin.TransitionTenant(ctx, slug, action, 0, adminapi.TransitionRequest{}); err != nil {
			return err
		}
		p.state = since(time.Now(), state{status, upstreamFirst, planSteady})
		w.refused = append(w.refused, w.steadily(bySlug, slug, "", p))
	}
	return nil
}

func (w *world) steadily(kind, value, environment string, p *subject) *reference {
	p.steady = true
	return &reference{kind: kind, value: value, environment: environment, leads: since(time.Now(), p), steady: true}
}

// addSteady makes a tenant with two environments, a domain, a key and a session, and references by all of them.
func (w *world) addSteady(ctx context.Context, slug string, upstream int, list *[]*reference) error {
	domain := "www." + slug + ".example.test"
	p, err := w.newSubject(ctx, slug, planSteady, upstream, []string{domain})
	if err != nil {
		return err
	}
	admin := w.system.gateways[0].admin
	second := &subject{tenant: p.tenant, environment: registry.NewID().String(), slug: slug, state: p.state}
	if _, err := admin.CreateEnvironment(ctx, slug, adminapi.EnvironmentRequest{
		ID: second.environment, Slug: "dev", Type: "development", Upstreams: []string{w.system.upstreams[upstream].address},
	}, ""); err != nil {
		return err
	}
	key, err := admin.CreateKey(ctx, slug, "production", adminapi.KeyRequest{Name: "soak"}, "")
	if err != nil {
		return err
	}
	token, err := w.newSession(ctx, p)
	if err != nil {
		return err
	}
	*list = append(*list, w.steadily(bySlug, slug, "", p), w.steadily(bySlug, slug, "dev", second), w.steadily(byDomain, domain, "", p),
		w.steadily(byKey, key.Key, "", p), w.steadily(bySession, token, "", p), w.steadily(byToken, p.tenant, "", p))
	return nil
}

// newSubject creates an active tenant with one environment, through the first gateway that is not busy.
func (w *world) newSubject(ctx context.Context, slug, plan string, upstream int, domains []string) (*subject, error) {
	p := &subject{
		tenant: registry.NewID().String(), environment: registry.NewID().String(), slug: slug,
		state: since(time.Now(), state{active, upstream, plan}),
	}
	_, err := w.system.gateways[0].admin.CreateTenant(ctx, w.newTenant(p, domains), "")
	return p, err
}

func (w *world) newTenant(p *subject, domains []string) adminapi.TenantRequest {
	isDefault, st := true, p.state.last()
	return adminapi.TenantRequest{
		ID: p.tenant, Slug: p.slug, Name: strings.ToUpper(p.slug), Plan: st.plan,
		Environments: []adminapi.EnvironmentRequest{{
			ID: p.environment, Slug: "production", Type: "production", Default: &isDefault, Domains: domains,
			Upstreams: []string{w.system.upstreams[st.upstream].address}, Members: []adminapi.MemberRequest{{UserID: "u1", Role: "env_user"}},
		}},
	}
}

// newSession signs a user in, straight on the registry as an application does, and returns the token.
func (w *world) newSession(ctx context.Context, p *subject) (string, error) {
	token := uuid.NewString()
	_, err := w.system.store.CreateSession(ctx, registry.Actor{ID: "soak", Kind: "application"}, registry.NewSession{
		Hash: hashOf(token), UserID: "u1", Tenant: p.tenant, Environment: p.environment, ExpiresAt: time.Now().Add(24 * time.Hour),
	})
	return token, err
}
