package router

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// usualYields is how many yields a request may have without costing an allocation.
const usualYields = 4

// candidate is a yield on its way to a decision.
type candidate struct {
	yield  Yield
	source int // index of its source
	// What the resolver said, once it was asked: one of the three.
	res     *registry.Resolved
	missing *registry.NotFoundError
	failure *Refusal
	// proof is the reference of a session or an API key, also where it names no tenant, and credential what the registry
	// knows of it.
	proof      registry.Reference
	credential *registry.Credential
	// agrees says that the candidate was found to mean the tenant that is decided on.
	agrees bool
}

// namesTenant reports whether the candidate says which tenant is meant.
func (c *candidate) namesTenant() bool { return c.yield.Reference.Kind != registry.KindNone }

// namesEnvironment reports whether the candidate says which environment is meant: by name, or because its key belongs to
// one environment, as a domain or an API key does. A bare tenant does not: its default environment stands in.
func (c *candidate) namesEnvironment() bool {
	return namesEnvironment(&c.yield.Reference, c.credential)
}

func namesEnvironment(ref *registry.Reference, credential *registry.Credential) bool {
	switch ref.Kind {
	case registry.KindHost, registry.KindEnvironmentID, registry.KindAPIKey, registry.KindMember:
		return true
	case registry.KindSession, registry.KindSessionToken:
		if credential != nil && credential.NamesEnvironment {
			return true
		}
	case registry.KindNone, registry.KindTenantID, registry.KindSlug:
	}
	return ref.Environment != ""
}

// identify asks the sources in their order and appends what they yield to found. unknown says that a soft reference was
// unknown to the registry and left out.
func (rt *Router) identify(ctx context.Context, r *Request, found []candidate) (_ []candidate, unknown bool, _ *Refusal) {
	hostRead := false
	for i, source := range rt.sources {
		if hostRead && rt.readsHost[i] {
			continue
		}
		found = append(found, candidate{})
		c := &found[len(found)-1]
		y := &c.yield
		if err := identifyInto(source, r, y); err != nil {
			return nil, false, refuseSource(err)
		}
		if y.empty() {
			found = found[:len(found)-1]
			continue
		}
		if y.Fallback {
			y.Authenticated = false // a standing answer proves nothing about this request
		}
		c.source = i
		if looksUp(y.Reference.Kind) {
			if refusal := rt.prove(ctx, r.Now, c); refusal != nil {
				return nil, false, refusal
			}
			if y.learn {
				if l, ok := source.(learner); ok {
					l.learn(r, c.proof)
				}
			}
			if c.yield.empty() {
				found = found[:len(found)-1]
			}
			continue
		}
		if y.Soft && c.namesTenant() {
			// Whether this is anything at all decides what later host sources may say, so it cannot wait.
			rt.lookUp(ctx, r.Now, c)
			if c.missing != nil && c.missing.Tenant == uuid.Nil {
				found, unknown = found[:len(found)-1], true
				continue
			}
		}
		hostRead = hostRead || rt.readsHost[i]
	}
	return found, unknown, nil
}

// identifyInto asks the source and writes what it yields to y, which is zero before. A Yield is large enough for its copies
// to be noticed: the usual sources write it in place. They are called as what they are, because whatever is handed to a
// method of an interface has to be on the heap.
func identifyInto(source Source, r *Request, y *Yield) (err error) {
	switch s := source.(type) {
	case *subdomainSource:
		return s.identify(r, y)
	case domainSource:
		return s.identify(r, y)
	case *headerSource:
		return s.identify(r, y)
	case *jwtSource:
		return s.identify(r, y)
	case removingJWT:
		return s.identify(r, y)
	case *sessionSource:
		return s.identify(r, y)
	case removingSession:
		return s.identify(r, y)
	case *apiKeySource:
		return s.identify(r, y)
	case removingAPIKey:
		return s.identify(r, y)
	}
	*y, err = source.Identify(r)
	return err
}

// refuseSource turns the error of a source into a refusal.
func refuseSource(err error) *Refusal {
	if r, ok := err.(*Refusal); ok { //nolint:errorlint // errors.As follows
		return r
	}
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return refuseTenantInvalid.WithCause(err)
}

// lookUp resolves the candidate's reference, unless that was done before.
func (rt *Router) lookUp(ctx context.Context, now time.Time, c *candidate) {
	if c.res == nil && c.missing == nil && c.failure == nil {
		c.res, c.missing, c.failure = rt.resolve(ctx, c.yield.Reference, now)
	}
}

// resolve asks the resolver. One of the results is set: what is meant, that it is unknown, or why that cannot be said.
func (rt *Router) resolve(ctx context.Context, ref registry.Reference, now time.Time,
) (*registry.Resolved, *registry.NotFoundError, *Refusal) {
	res, err := rt.resolver.Resolve(ctx, ref, now)
	if err == nil && res != nil {
		return res, nil, nil
	}
	if missing, ok := err.(*registry.NotFoundError); ok { //nolint:errorlint // the usual case costs nothing; errors.As follows
		return nil, missing, nil
	}
	var missing *registry.NotFoundError
	switch {
	case err == nil:
		return nil, nil, refuseRegistryUnavailable.WithCause(errors.New("resolver gave neither a tenant nor an error"))
	case errors.As(err, &missing):
		return nil, missing, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, nil, refuseClientClosedRequest.WithCause(err)
	}
	return nil, nil, refuseRegistryUnavailable.WithCause(err)
}

// refuseMissing is the refusal of something unknown.
func refuseMissing(missing *registry.NotFoundError) *Refusal {
	if missing.Tenant == uuid.Nil {
		return refuseTenantNotFound
	}
	return refuseEnvironmentNotFound
}
