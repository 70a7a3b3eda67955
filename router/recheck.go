package router

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// usualRests is how many different references a decision may rest on without costing an allocation.
const usualRests = 2

// restOn keeps the references of the candidates that agree with the decision. What a request says twice is kept once.
func (r *Request) restOn(found []candidate) {
	r.rests = r.restSpace[:0]
	for i := range found {
		c := &found[i]
		ref := &c.yield.Reference
		switch {
		case c.proof.Kind != registry.KindNone && !c.namesTenant():
			ref = &c.proof // says only who the user is
		case !c.agrees:
			continue
		}
		if !slices.Contains(r.rests, *ref) {
			r.rests = append(r.rests, *ref)
		}
	}
}

// RestsOn reports whether one of the references that the decision about r rests on has that key, as in
// [registry.Change]: a host name, a slug, the hash of an API key or a session.
func (r *Request) RestsOn(key string) bool {
	for i := range r.rests {
		if r.rests[i].Key == key {
			return true
		}
	}
	return false
}

// refuseMoved is the refusal of what goes on under a name that has been given to another tenant or environment.
var refuseMoved = refuseMisdirectedRequest.
	WithDetail("The name that was asked for leads to another tenant or environment now. Connect again.")

// Recheck asks again, at now, whether something that [Router.Route] has admitted as r and d may go on: a WebSocket, or a
// response that takes long. It looks at the tenant and the environment as they are now, and at everything that led to
// them, so that it notices a suspension as well as a domain that was moved or a key that was revoked. It does not look at
// r.HTTP, whose header belongs to others by now.
//
// A refusal means that it must end. An error, which wraps [registry.ErrUnavailable], means that not all of it could be
// asked, and that nothing speaks against it so far: it may go on, and is to be asked about again.
func (rt *Router) Recheck(ctx context.Context, r *Request, d *Decision, now time.Time) (*Refusal, error) {
	again := *d
	var unsure error
	own := registry.Reference{Kind: registry.KindEnvironmentID, Key: d.Resolved.Environment.IDText()}
	// First what all streams of an environment have in common: where that is a refusal, no more has to be asked.
	switch res, missing, failure := rt.resolve(ctx, own, now); {
	case missing != nil:
		return refuseMissing(missing), nil
	case failure != nil:
		unsure = failure
	case res.Tenant.ID != d.Resolved.Tenant.ID:
		return refuseMoved, nil
	default:
		again.Resolved = res
	}
	at := *r
	at.Now = now
	switch refusal := rt.admit(ctx, &at, &again); {
	case refusal == nil:
	case refusal.Code == CodeRegistryUnavailable:
		unsure = refusal
	default:
		return refusal, nil
	}
	// Where nothing names an environment, it is the one to which the tenant's name leads.
	named := slices.ContainsFunc(r.rests, func(ref registry.Reference) bool {
		return namesEnvironment(&ref, d.Credential)
	})
	for i := range r.rests {
		refusal, err := rt.recheckReference(ctx, &r.rests[i], again.Resolved, named, now)
		if refusal != nil {
			return refusal, nil
		}
		if err != nil {
			unsure = err
		}
	}
	return nil, unsure
}

// recheckReference asks whether the reference still leads to the tenant and environment of res. named says that some
// reference of the request names the environment.
func (rt *Router) recheckReference(ctx context.Context, ref *registry.Reference, res *registry.Resolved, named bool, now time.Time,
) (*Refusal, error) {
	asked := *ref
	if ref.Kind == registry.KindNone {
		asked.Kind, asked.Key = registry.KindTenantID, res.Tenant.IDText()
	}
	found, missing, failure := rt.resolve(ctx, asked, now)
	switch {
	case failure != nil:
		return nil, failure
	case missing != nil && looksUp(ref.Kind) && missing.Credential == nil:
		return refuseCredentialsInvalid, nil
	case missing != nil && looksUp(ref.Kind) && !missing.Credential.NamesTenant && !missing.Credential.Expired(now):
		return nil, nil // says only who the user is
	case found != nil && found.Credential != nil && found.Credential.Expired(now):
		return refuseCredentialsInvalid, nil
	case missing != nil && missing.Tenant != uuid.Nil && missing.Tenant != res.Tenant.ID:
		return refuseMoved, nil
	case missing != nil:
		return refuseMissing(missing), nil
	case found.Tenant.ID != res.Tenant.ID,
		(namesEnvironment(ref, found.Credential) || !named) && found.Environment.ID != res.Environment.ID:
		return refuseMoved, nil
	}
	return nil, nil
}
