package router

import (
	"context"
	"net/http"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// Request is what a [Source] may look at. One belongs to one HTTP request and is not shared.
type Request struct {
	// HTTP is the request itself; sources read it and never change it.
	HTTP *http.Request
	// Host is the normalised host name of HTTP.Host, set by [Router.Route]; empty when the request names none.
	Host string
	// Now is the time of the request, read once by the caller; [Router.Route] fills it in when it is zero.
	Now time.Time
	// ClientIP is the address of the client, without a port: for the tenants' allow lists. Empty when it is not known.
	ClientIP string
	// TrustedProxy says that the peer is one of the proxies that the operator trusts. Default: false.
	TrustedProxy bool
	// Placeholders gives the values of named placeholders; nil when there are none. A *caddy.Replacer fits.
	Placeholders Placeholders

	// rests are the references that the decision rests on, set by [Router.Route] for [Router.Recheck].
	rests     []registry.Reference
	restSpace [usualRests]registry.Reference
}

// Placeholders gives values by name, without braces: "tls.client.subject".
type Placeholders interface {
	// Get returns the value of the placeholder, and whether it is known at all.
	Get(key string) (any, bool)
}

// Yield is what a [Source] found in a request. The zero Yield means nothing.
type Yield struct {
	// Reference names a tenant, or only an environment within the tenant that another source names (KindNone).
	Reference registry.Reference
	// Authenticated says that the source has proof (a verified token, session or key). Such a yield always outranks
	// one without.
	Authenticated bool
	// User is the id of the authenticated user; empty when none is known. Only counts with Authenticated.
	User string
	// Roles are the roles that the source gives to User. They are shared and must not be modified.
	Roles []string
	// SignedInAt is when User signed in, MFA whether that was with more than one factor, SSO whether with the tenant's
	// identity provider: for tenants that demand it. The zero values mean that nobody knows.
	SignedInAt time.Time
	MFA, SSO   bool
	// Machine says that the proof is not a person's: demands on how somebody signed in do not concern it.
	Machine bool
	// Member says that User has to be a member of the environment, whatever the router's configuration says.
	Member bool
	// Soft says that a reference which is unknown to the registry counts as nothing, and not as a request for an
	// unknown tenant: any host name may be somebody's domain.
	Soft bool
	// Fallback says that the reference counts only when no other source names a tenant.
	Fallback bool

	learn bool // see learner
}

// empty reports whether the yield says neither which tenant, nor which environment, nor who.
func (y *Yield) empty() bool {
	return y.Reference.Kind == registry.KindNone && y.Reference.Environment == "" && (y.User == "" || !y.Authenticated)
}

// Source finds references in requests. Sources are called by many requests at once.
type Source interface {
	// Name is the source's name in configuration, logs and the placeholder {tenant.source}: "subdomain", "header", …
	Name() string
	// Identify returns what the request says, the zero Yield if it says nothing, or an error if it says something
	// malformed or unproven. A *[Refusal] goes to the client as it is; any other error becomes 400 tenant_invalid.
	Identify(r *Request) (Yield, error)
}

// HostSource is a [Source] that reads the host name. The first host source with something to say speaks for the host
// name; those after it are not asked. Something that wraps a HostSource has to be one, too.
type HostSource interface {
	Source
	// ReadsHost does nothing; it marks the source.
	ReadsHost()
}

// Rewriter is a [Source] that changes what is forwarded, so that the upstream does not see the part of the request that
// named the tenant: it strips a path prefix, or removes a query parameter or a token. Something that wraps a Rewriter
// has to be one, too.
type Rewriter interface {
	// Rewrite changes r.URL or r.Header. It is called after the request was admitted, also when the source did not decide, and
	// leaves a request alone in which there is nothing for it to remove.
	Rewrite(r *http.Request)
}

// Resolver leads a reference to the snapshot of its tenant and environment: a cache, or the registry itself.
type Resolver interface {
	// Resolve returns the shared snapshot, which nobody may modify, a *[registry.NotFoundError], or an error that
	// wraps [registry.ErrUnavailable].
	Resolve(ctx context.Context, ref registry.Reference, now time.Time) (*registry.Resolved, error)
}

// Decision is the outcome of [Router.Route] for a request that is admitted.
type Decision struct {
	// Resolved is the snapshot that serves the request; it is shared and must not be modified.
	Resolved *registry.Resolved
	// Source is the name of the source that decided.
	Source string
	// User is the id of the authenticated user; empty when there is none.
	User string
	// Roles are the user's: the one of the membership where that was asked for, else those that the user's source gives
	// within this tenant. Shared, not to be modified.
	Roles []string
	// Credential is what the registry knows of the session or API key of the request; nil when there is none. Shared, not
	// to be modified.
	Credential *registry.Credential
	// SignedInAt, MFA, SSO, Machine and Member are those of the user's source; see [Yield].
	SignedInAt                time.Time
	MFA, SSO, Machine, Member bool
	// Authenticated says that the source that decided had proof.
	Authenticated bool
}
