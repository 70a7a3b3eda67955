package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// elsewhere stands for a change that was made past all gateways, straight on the registry.
const elsewhere = -2

// mover is a tenant that changes, as the director knows it.
type mover struct {
	*subject
	slugs   []*reference // the present one last
	domains []*reference
	keys    []*ownKey
	session []*reference
}

type ownKey struct {
	*reference
	id string
}

// director makes changes to tenants, one after the other, and writes down what they make possible.
type director struct {
	*world
	tally  *tally
	movers []*mover
	// announced is the slug of the next tenant: it is asked for already.
	announced *reference
	free      []*reference // domains that are nobody's
	made      int
}

func newDirector(w *world, t *tally) *director {
	d := &director{world: w, tally: t}
	for i := range movingDomains {
		r := &reference{kind: byDomain, value: fmt.Sprintf("moving-%02d.example.test", i), leads: since[*subject](time.Now(), nil)}
		d.free = append(d.free, r)
		d.add(&d.moving, r)
	}
	d.announce()
	return d
}

func (d *director) announce() {
	d.made++
	d.announced = &reference{kind: bySlug, value: fmt.Sprintf("moving-%05d", d.made), leads: since[*subject](time.Now(), nil)}
	d.add(&d.moving, d.announced)
}

// gateway returns one that is neither restarted nor reloaded now, and is not until its use is unlocked.
func (d *director) gateway() *gateway {
	for i := rand.IntN(len(d.system.gateways)); ; i++ {
		if g := d.system.gateways[i%len(d.system.gateways)]; g.use.TryRLock() {
			return g
		}
	}
}

// step makes one change, chosen at random.
func (d *director) step(ctx context.Context) {
	d.system.calm.RLock()
	defer d.system.calm.RUnlock()
	name, change, m := "create", d.create, (*mover)(nil)
	if len(d.movers) > 0 && (len(d.movers) >= movingTenants || rand.IntN(4) > 0) {
		m = d.movers[rand.IntN(len(d.movers))]
		name, change = d.choose(m)
	}
	g := d.gateway()
	defer g.use.RUnlock()
	began := time.Now()
	if err := change(ctx, g); err != nil {
		if ctx.Err() == nil {
			d.tally.fail("change", when{began, time.Now()}, fmt.Errorf("%s through gateway %d: %w", name, g.number+1, err))
		}
		d.abandon(m)
		return
	}
	d.tally.event(name)
}

// abandon leaves a tenant alone of which nobody knows any more what it is like, and all references that a change was
// begun for and not confirmed.
func (d *director) abandon(m *mover) {
	gone := map[*reference]bool{}
	if m != nil {
		for _, r := range m.references() {
			gone[r] = true
		}
		d.movers = slices.DeleteFunc(d.movers, func(other *mover) bool { return other == m })
	}
	unsure := func(r *reference) bool { return gone[r] || !r.leads.settled() }
	for _, other := range d.movers {
		other.domains = slices.DeleteFunc(other.domains, unsure)
	}
	d.free = slices.DeleteFunc(d.free, unsure)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.moving = slices.DeleteFunc(slices.Clone(d.moving), unsure)
}

// references are all that lead to a tenant.
func (m *mover) references() []*reference {
	all := append(append(slices.Clone(m.slugs), m.session...), m.domains...)
	for _, k := range m.keys {
		all = append(all, k.reference)
	}
	return all
}

type change = func(context.Context, *gateway) error

// choose returns a change that the tenant's status allows.
func (d *director) choose(m *mover) (name string, c change) {
	bind := func(f func(context.Context, *gateway, *mover) error) change {
		return func(ctx context.Context, g *gateway) error { return f(ctx, g, m) }
	}
	status := m.state.last().status
	switch status {
	case suspended:
		if rand.IntN(4) == 0 {
			return "archive", bind(d.archive)
		}
		return "restore", bind(d.restore)
	case archived:
		if rand.IntN(2) == 0 {
			return "restore", bind(d.restore)
		}
		return "remove", bind(d.remove)
	}
	switch n := rand.IntN(16); {
	case n < 2:
		return "suspend", bind(d.suspend)
	case n < 3:
		return "archive", bind(d.archive)
	case n < 5:
		return "move to another upstream", bind(d.moveUpstream)
	case n < 7:
		return "rename", bind(d.rename)
	case n < 9 && len(m.domains) > 0:
		return "move a domain to another tenant", bind(d.moveDomain)
	case n < 9:
		return "add a domain", bind(d.addDomain)
	case n < 11:
		return "change plan", bind(d.changePlan)
	case n < 13 && len(m.keys) > 1:
		return "revoke a key", bind(d.revokeKey)
	case n < 13:
		return "create a key", bind(d.createKey)
	case n < 15 && len(m.session) > 0:
		return "revoke a session", bind(d.revokeSession)
	case n < 15:
		return "sign in", bind(d.signIn)
	default:
		return "change quotas of a plan", d.changeQuotas
	}
}

// turn makes a change of a tenant's state.
func (d *director) turn(g *gateway, m *mover, next state, act func() error) error {
	m.state.begin(time.Now(), g.number, next)
	if err := act(); err != nil {
		return err
	}
	m.state.done(time.Now())
	return nil
}

// lead makes a change of where references lead.
func lead(by int, to *subject, act func() error, references ...*reference) error {
	now := time.Now()
	for _, r := range references {
		r.leads.begin(now, by, to)
	}
	if err := act(); err != nil {
		return err
	}
	now = time.Now()
	for _, r := range references {
		r.leads.done(now)
	}
	return nil
}

func (d *director) create(ctx context.Context, g *gateway) error {
	plan, upstream := planMoving, upstreamFirst
	m := &mover{slugs: []*reference{d.announced}}
	m.subject = &subject{
		tenant: registry.NewID().String(), environment: registry.NewID().String(), slug: d.announced.value,
		state: since(time.Now(), state{active, upstream, plan}),
	}
	d.announce()
	if err := lead(g.number, m.subject, func() error {
		_, err := g.admin.CreateTenant(ctx, d.newTenant(m.subject, nil), uuid.NewString())
		return err
	}, m.slugs...); err != nil {
		return err
	}
	d.movers = append(d.movers, m)
	return nil
}

func (d *director) transition(ctx context.Context, g *gateway, m *mover, action registry.Action, status string) error {
	next := m.state.last()
	next.status = status
	return d.turn(g, m, next, func() error {
		_, err := g.admin.TransitionTenant(ctx, m.slug, action, 0, adminapi.TransitionRequest{Reason: "soak"})
		return err
	})
}

func (d *director) suspend(ctx context.Context, g *gateway, m *mover) error {
	return d.transition(ctx, g, m, registry.ActionSuspend, suspended)
}

func (d *director) restore(ctx context.Context, g *gateway, m *mover) error {
	return d.transition(ctx, g, m, registry.ActionRestore, active)
}

func (d *director) archive(ctx context.Context, g *gateway, m *mover) error {
	return d.transition(ctx, g, m, registry.ActionArchive, archived)
}

// remove ends an archived tenant and all that leads to it.
func (d *director) remove(ctx context.Context, g *gateway, m *mover) error {
	all := m.references()
	if err := lead(g.number, nil, func() error { return g.admin.DeleteTenant(ctx, m.slug, 0, m.slug) }, all...); err != nil {
		return err
	}
	d.free = append(d.free, m.domains...)
	gone := map[*reference]bool{}
	for _, r := range all {
		gone[r] = r.kind != byDomain
	}
	d.end(func(r *reference) bool { return gone[r] })
	d.movers = slices.DeleteFunc(d.movers, func(other *mover) bool { return other == m })
	return nil
}

func (d *director) moveUpstream(ctx context.Context, g *gateway, m *mover) error {
	next := m.state.last()
	next.upstream = upstreamFirst + upstreamSecond - next.upstream
	return d.turn(g, m, next, func() error {
		_, err := g.admin.UpdateEnvironment(ctx, m.slug, "production", 0, adminapi.EnvironmentRequest{
			Upstreams: []string{d.system.upstreams[next.upstream].address},
		})
		return err
	})
}

func (d *director) changePlan(ctx context.Context, g *gateway, m *mover) error {
	next := m.state.last()
	if next.plan == planMoving {
		next.plan = planOther
	} else {
		next.plan = planMoving
	}
	return d.turn(g, m, next, func() error {
		_, err := g.admin.UpdateTenant(ctx, m.slug, 0, adminapi.TenantRequest{Plan: next.plan})
		return err
	})
}

// changeQuotas changes a limit that nobody comes near to.
func (d *director) changeQuotas(ctx context.Context, g *gateway) error {
	_, err := g.admin.PutPlan(ctx, adminapi.PlanRequest{
		Name: planMoving, Quotas: &registry.Quotas{APIRateLimit: 500_000 + rand.Int64N(1000)},
	}, 0)
	return err
}

// rename gives a tenant another slug; the old one leads there on, or not.
func (d *director) rename(ctx context.Context, g *gateway, m *mover) error {
	d.made++
	next, keep := fmt.Sprintf("moving-%05d", d.made), rand.IntN(2) == 0
	act := func() error {
		_, err := g.admin.UpdateTenant(ctx, m.slug, 0, adminapi.TenantRequest{Slug: next, KeepAlias: keep})
		return err
	}
	old := m.slugs[len(m.slugs)-1]
	var err error
	if keep {
		err = act()
	} else {
		err = lead(g.number, nil, act, old)
	}
	if err != nil {
		return err
	}
	if !keep {
		m.slugs = m.slugs[:len(m.slugs)-1]
		d.end(func(r *reference) bool { return r == old })
	}
	// Nobody has asked for it before, so nobody remembers it as unknown.
	m.slug = next
	r := &reference{kind: bySlug, value: next, leads: since(time.Now(), m.subject)}
	m.slugs = append(m.slugs, r)
	d.add(&d.moving, r)
	return nil
}
