package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// Agreement says which sources have to agree on the tenant and its environment. In each case the first authenticated
// source that names a tenant decides, or without one the first source that does, and a source that names an environment
// adds it to a decision that names none.
type Agreement uint8

const (
	// AgreementRequired: every source that yields must lead to the same tenant, and to the same environment if it names
	// one. What the registry does not know disagrees. This is the default.
	AgreementRequired Agreement = iota
	// AgreementAuthenticated: authenticated sources must agree; others that do not are ignored.
	AgreementAuthenticated
	// AgreementFirst: whatever disagrees with the source that decides is ignored.
	AgreementFirst
)

// String returns the word of the configuration.
func (a Agreement) String() string {
	switch a {
	case AgreementRequired:
		return "required"
	case AgreementAuthenticated:
		return "authenticated"
	case AgreementFirst:
		return "first"
	}
	return fmt.Sprintf("Agreement(%d)", uint8(a))
}

// ParseAgreement returns the agreement for a word of the configuration; "" is the default.
func ParseAgreement(s string) (Agreement, error) {
	switch s {
	case "", "required":
		return AgreementRequired, nil
	case "authenticated":
		return AgreementAuthenticated, nil
	case "first":
		return AgreementFirst, nil
	}
	return 0, fmt.Errorf("agreement %q is none of required, authenticated, first", s)
}

// demands reports whether the candidate has to agree with the decision.
func (a Agreement) demands(c *candidate) bool {
	return a == AgreementRequired || a == AgreementAuthenticated && c.yield.Authenticated
}

// refuseUnproven is for requests whose tenant nothing proves, where proof is required.
var refuseUnproven = refuseCredentialsInvalid.WithCause(
	errors.New("require authenticated: no token, session or API key of the request names its tenant"))

// agree decides between the candidates and writes the decision to d. unknown says that a soft reference was unknown to the
// registry.
func (rt *Router) agree(ctx context.Context, now time.Time, found []candidate, unknown bool, d *Decision) *Refusal {
	w := decider(found)
	switch {
	case rt.requireAuthenticated && (w == nil || !w.yield.Authenticated):
		return refuseUnproven
	case w == nil && unknown:
		return refuseTenantNotFound
	case w == nil:
		return refuseTenantRequired
	}
	// A default's environment gives way to one that the request names.
	named := w.namesEnvironment() && !w.yield.Fallback
	if !named {
		if lender := environmentOf(found, w); lender != nil && !lender.namesTenant() {
			w.yield.Reference.Environment = lender.yield.Reference.Environment
			w.res, w.missing, w.failure = nil, nil, nil
			named = true
		}
	}
	rt.lookUp(ctx, now, w)
	if w.failure != nil {
		return w.failure
	}
	if w.missing != nil {
		return refuseMissing(w.missing)
	}
	if len(found) > 1 {
		for _, authenticated := range [...]bool{true, false} {
			for i := range found {
				c := &found[i]
				if c == w || c.yield.Fallback || c.yield.Authenticated != authenticated {
					continue
				}
				var refusal *Refusal
				if named, refusal = rt.settle(ctx, now, w, c, named); refusal != nil {
					return refusal
				}
			}
		}
	}
	*d = Decision{Resolved: w.res, Source: rt.names[w.source], Authenticated: w.yield.Authenticated}
	w.agrees = true
	d.Credential = w.credential
	if c := user(found, w); c != nil {
		y := &c.yield
		d.User, d.SignedInAt, d.MFA, d.SSO, d.Member = y.User, y.SignedInAt, y.MFA, y.SSO, y.Member
		if c.namesTenant() {
			d.Roles = y.Roles
		}
		if d.Credential == nil {
			d.Credential = c.credential
		}
	}
	d.Machine = w.yield.Machine && w.yield.Authenticated
	if d.Machine && d.User == "" {
		d.Roles = w.yield.Roles // an API key of nobody has a role of its own
	}
	return nil
}

// decider returns the candidate that decides, or nil when none names a tenant.
func decider(found []candidate) *candidate {
	var w *candidate
	rank := 0
	for i := range found {
		c := &found[i]
		r := 2
		switch {
		case !c.namesTenant():
			continue
		case c.yield.Fallback:
			r = 1
		case c.yield.Authenticated:
			r = 3
		}
		if r > rank {
			w, rank = c, r
		}
	}
	return w
}

// environmentOf returns the first candidate other than w that names an environment, authenticated ones first.
func environmentOf(found []candidate, w *candidate) *candidate {
	var lender *candidate
	for i := range found {
		c := &found[i]
		if c == w || c.yield.Fallback || !c.namesEnvironment() {
			continue
		}
		if c.yield.Authenticated {
			return c
		}
		if lender == nil {
			lender = c
		}
	}
	return lender
}

// settle compares the candidate c with w, which decides, and takes c's environment over into w when none is named yet.
// It returns whether one is named now.
func (rt *Router) settle(ctx context.Context, now time.Time, w, c *candidate, named bool) (bool, *Refusal) {
	strict := rt.agreement.demands(c)
	if !c.namesTenant() && !c.namesEnvironment() {
		return named, nil // says only who the user is
	}
	if !strict && (named || !c.namesEnvironment()) {
		return named, nil // ignored if it disagrees, and nothing to add if it agrees
	}
	conflict := rt.conflicts[w.source][c.source]
	if c.namesTenant() {
		same, refusal := rt.sameTenant(ctx, now, c, w.res)
		switch {
		case refusal != nil:
			return named, refusal
		case !same && strict:
			return named, conflict
		case !same:
			return named, nil
		}
	}
	c.agrees = true
	if !c.namesEnvironment() || c.meansEnvironment(w.res) {
		return named || c.namesEnvironment(), nil
	}
	if named {
		return named, conflict
	}
	res := c.res
	if res == nil {
		ref := w.yield.Reference
		ref.Environment = c.yield.Reference.Environment
		var missing *registry.NotFoundError
		var failure *Refusal
		if res, missing, failure = rt.resolve(ctx, ref, now); failure != nil {
			return named, failure
		} else if missing != nil {
			return named, refuseMissing(missing)
		} else if res.Tenant.ID != w.res.Tenant.ID {
			return named, conflict // the registry changed between the two questions
		}
	}
	w.res = res
	return true, nil
}

// sameTenant reports whether the candidate means the tenant of res. What the registry does not know means another one;
// an environment that this very tenant does not have is a refusal.
func (rt *Router) sameTenant(ctx context.Context, now time.Time, c *candidate, res *registry.Resolved) (bool, *Refusal) {
	// Where the reference and the snapshot spell the same name, or different ids, there is nothing to ask.
	switch ref := &c.yield.Reference; ref.Kind {
	case registry.KindTenantID:
		return equalID(ref.Key, res.Tenant.ID), nil
	case registry.KindSlug:
		if ref.Key == res.Tenant.Slug {
			return true, nil
		}
	case registry.KindEnvironmentID:
		if equalID(ref.Key, res.Environment.ID) {
			return true, nil
		}
	case registry.KindNone, registry.KindHost, registry.KindAPIKey, registry.KindSession, registry.KindSessionToken,
		registry.KindMember:
	}
	rt.lookUp(ctx, now, c)
	switch {
	case c.failure != nil:
		return false, c.failure
	case c.missing != nil && c.missing.Tenant == res.Tenant.ID:
		return false, refuseEnvironmentNotFound
	case c.missing != nil:
		return false, nil
	}
	return c.res.Tenant.ID == res.Tenant.ID, nil
}

// meansEnvironment reports whether the candidate, which means the tenant of res, means its environment, too.
func (c *candidate) meansEnvironment(res *registry.Resolved) bool {
	if c.res != nil {
		return c.res.Environment.ID == res.Environment.ID
	}
	ref := &c.yield.Reference
	if ref.Kind == registry.KindEnvironmentID {
		return equalID(ref.Key, res.Environment.ID)
	}
	return ref.Environment == res.Environment.Slug || equalID(ref.Environment, res.Environment.ID)
}

// equalID reports whether s is the canonical form of id.
func equalID(s string, id uuid.UUID) bool {
	if len(s) != 36 {
		return false
	}
	parsed, err := uuid.Parse(s)
	return err == nil && parsed == id
}

// user returns the candidate that says who makes the request: the one that decides, else the first authenticated one that
// agrees or names no tenant; nil when none says it. Its roles count only if it names this tenant.
func user(found []candidate, w *candidate) *candidate {
	if w.yield.Authenticated && w.yield.User != "" {
		return w
	}
	for i := range found {
		c := &found[i]
		if c.yield.Authenticated && c.yield.User != "" && (c.agrees || !c.namesTenant()) {
			return c
		}
	}
	return nil
}
