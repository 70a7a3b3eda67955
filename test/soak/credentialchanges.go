package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// addDomain gives a tenant a host name that is nobody's.
func (d *director) addDomain(ctx context.Context, g *gateway, m *mover) error {
	if len(d.free) == 0 {
		return nil
	}
	r := d.free[0]
	if err := lead(g.number, m.subject, func() error {
		_, err := g.admin.AddDomain(ctx, m.slug, "production", adminapi.DomainRequest{Hostname: r.value, Verified: true})
		return err
	}, r); err != nil {
		return err
	}
	d.free, m.domains = d.free[1:], append(m.domains, r)
	return nil
}

// moveDomain takes a host name to another tenant: it is nobody's until the operator vouches for it there.
func (d *director) moveDomain(ctx context.Context, g *gateway, m *mover) error {
	to := d.movers[rand.IntN(len(d.movers))]
	if to == m {
		return nil
	}
	r := m.domains[0]
	if err := lead(g.number, nil, func() error {
		_, err := g.admin.MoveDomain(ctx, m.slug, "production", r.value, adminapi.MoveDomainRequest{Tenant: to.slug, Environment: "production"})
		return err
	}, r); err != nil {
		return err
	}
	m.domains, to.domains = m.domains[1:], append(to.domains, r)
	return lead(g.number, to.subject, func() error {
		_, err := g.admin.VerifyDomain(ctx, to.slug, "production", r.value)
		return err
	}, r)
}

func (d *director) createKey(ctx context.Context, g *gateway, m *mover) error {
	k, err := g.admin.CreateKey(ctx, m.slug, "production", adminapi.KeyRequest{Name: "soak"}, "")
	if err != nil {
		return err
	}
	r := &reference{kind: byKey, value: k.Key, leads: since(time.Now(), m.subject)}
	m.keys = append(m.keys, &ownKey{r, k.ID.String()})
	d.add(&d.moving, r)
	return nil
}

func (d *director) revokeKey(ctx context.Context, g *gateway, m *mover) error {
	k := m.keys[0]
	if err := lead(g.number, nil, func() error {
		_, err := g.admin.RevokeKey(ctx, m.slug, "production", k.id, 0)
		return err
	}, k.reference); err != nil {
		return err
	}
	m.keys = m.keys[1:]
	d.end(func(r *reference) bool { return r == k.reference })
	return nil
}

// signIn and revokeSession are what an application does on the registry, past the gateways.
func (d *director) signIn(ctx context.Context, _ *gateway, m *mover) error {
	token, err := d.newSession(ctx, m.subject)
	if err != nil {
		return err
	}
	r := &reference{kind: bySession, value: token, leads: since(time.Now(), m.subject)}
	m.session = append(m.session, r)
	d.add(&d.moving, r)
	return nil
}

func (d *director) revokeSession(ctx context.Context, _ *gateway, m *mover) error {
	r := m.session[0]
	if err := lead(elsewhere, nil, func() error {
		return d.system.store.RevokeSession(ctx, registry.Actor{ID: "soak", Kind: "application"}, hashOf(r.value))
	}, r); err != nil {
		return err
	}
	m.session = m.session[1:]
	d.end(func(other *reference) bool { return other == r })
	return nil
}
