package router

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// looksUp reports whether references of this kind are proof only if the registry knows them.
func looksUp(k registry.Kind) bool {
	return k == registry.KindSession || k == registry.KindSessionToken || k == registry.KindAPIKey
}

var (
	errUnknownCredential = errors.New("the session or API key is unknown, expired or revoked")
	errNoCredential      = errors.New("the registry gave a tenant but no credential")
)

// learner is a source that remembers what it has worked out of a credential, once the registry knows it: it asks for that
// by its yield's learn.
type learner interface {
	learn(r *Request, proof registry.Reference)
}

// prove looks up the session or API key of a candidate, whether it is going to decide or not: one that is no longer good
// is an error, not nothing. What the registry knows of it completes the yield.
func (rt *Router) prove(ctx context.Context, now time.Time, c *candidate) *Refusal {
	rt.lookUp(ctx, now, c)
	switch {
	case c.failure != nil:
		return c.failure
	case c.missing != nil:
		c.credential = c.missing.Credential
	default:
		c.credential = c.res.Credential
	}
	switch {
	case c.credential == nil && c.missing != nil && c.missing.Tenant == uuid.Nil:
		return RefuseCredentials(challengeInvalidToken, errUnknownCredential)
	case c.credential == nil:
		return refuseRegistryUnavailable.WithCause(errNoCredential)
	case c.credential.Expired(now):
		return RefuseCredentials(challengeInvalidToken, errUnknownCredential)
	}
	c.proof = c.yield.Reference
	if !c.credential.NamesTenant {
		c.yield.Reference, c.missing = registry.Reference{}, nil // says only who the user is
	}
	y := &c.yield
	y.Authenticated, y.User, y.Roles = true, c.credential.User, c.credential.Roles
	y.SignedInAt, y.MFA, y.SSO = c.credential.SignedInAt, c.credential.MFA, c.credential.SSO
	y.Member = y.Member && y.User != ""
	return nil
}
