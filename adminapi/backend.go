package adminapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// Store is the registry as this package uses it; a *[registry.Store] is one.
type Store interface {
	tenants
	environments
	members
	hostnames
	keys
	credentials
	plans
	usage
	// ListAudit returns rows of the audit log, the newest first.
	ListAudit(ctx context.Context, f registry.AuditFilter) ([]*registry.AuditEntry, string, error)
}

type tenants interface {
	GetTenant(ctx context.Context, idOrSlug string) (*registry.Tenant, error)
	ListTenants(ctx context.Context, f registry.TenantFilter) ([]*registry.Tenant, string, error)
	CreateTenant(ctx context.Context, actor registry.Actor, n registry.NewTenant) (*registry.Tenant, error)
	UpdateTenant(ctx context.Context, actor registry.Actor, idOrSlug string, version int64, p registry.TenantPatch) (*registry.Tenant, error)
	TransitionTenant(ctx context.Context, actor registry.Actor, idOrSlug string, version int64, t registry.Transition) (*registry.Tenant, error)
	DestroyTenant(ctx context.Context, actor registry.Actor, idOrSlug string, version int64, force string) error
	TenantAliases(ctx context.Context, tenant string) ([]registry.Alias, error)
	RemoveTenantAlias(ctx context.Context, actor registry.Actor, tenant, slug string) error
}

type environments interface {
	GetEnvironment(ctx context.Context, tenant, environment string) (*registry.Environment, error)
	ListEnvironments(ctx context.Context, tenant string, f registry.EnvironmentFilter) ([]*registry.Environment, string, error)
	CreateEnvironment(ctx context.Context, actor registry.Actor, tenant string, n registry.NewEnvironment) (*registry.Environment, error)
	UpdateEnvironment(ctx context.Context, actor registry.Actor, tenant, environment string, version int64, p registry.EnvironmentPatch) (*registry.Environment, error)
	TransitionEnvironment(ctx context.Context, actor registry.Actor, tenant, environment string, version int64, t registry.Transition) (*registry.Environment, error)
	MakeDefault(ctx context.Context, actor registry.Actor, tenant, environment string, version int64) (*registry.Environment, error)
	DestroyEnvironment(ctx context.Context, actor registry.Actor, tenant, environment string, version int64, force string) error
	EnvironmentAliases(ctx context.Context, tenant, environment string) ([]registry.Alias, error)
	RemoveEnvironmentAlias(ctx context.Context, actor registry.Actor, tenant, environment, slug string) error
}

type members interface {
	GetMember(ctx context.Context, tenant, environment, user string) (*registry.Member, error)
	ListMembers(ctx context.Context, tenant, environment string, f registry.MemberFilter) ([]*registry.Member, string, error)
	AddMember(ctx context.Context, actor registry.Actor, tenant, environment string, n registry.NewMember) (*registry.Member, error)
	SetMemberRole(ctx context.Context, actor registry.Actor, tenant, environment, user, role string, version int64) (*registry.Member, error)
	RemoveMember(ctx context.Context, actor registry.Actor, tenant, environment, user string, version int64) error
}

type keys interface {
	GetAPIKey(ctx context.Context, tenant, environment, id string) (*registry.APIKey, error)
	ListAPIKeys(ctx context.Context, tenant, environment string, p registry.Page) ([]*registry.APIKey, string, error)
	CreateAPIKey(ctx context.Context, actor registry.Actor, tenant, environment string, n registry.NewAPIKey) (*registry.APIKey, error)
	RotateAPIKey(ctx context.Context, actor registry.Actor, tenant, environment, id string, version int64, secret registry.KeySecret, grace time.Duration) (*registry.APIKey, error)
	RevokeAPIKey(ctx context.Context, actor registry.Actor, tenant, environment, id string, version int64) (*registry.APIKey, error)
}

type credentials interface {
	GetDatabaseCredential(ctx context.Context, tenant, environment, id string) (*registry.DatabaseCredential, error)
	ListDatabaseCredentials(ctx context.Context, tenant, environment string, p registry.Page) ([]*registry.DatabaseCredential, string, error)
	CreateDatabaseCredential(ctx context.Context, actor registry.Actor, tenant, environment string, n registry.NewDatabaseCredential) (*registry.DatabaseCredential, error)
	RotateDatabaseCredential(ctx context.Context, actor registry.Actor, tenant, environment, id string, version int64, secret string, expires time.Time) (*registry.DatabaseCredential, error)
	RevokeDatabaseCredential(ctx context.Context, actor registry.Actor, tenant, environment, id string, version int64) (*registry.DatabaseCredential, error)
	RevealDatabaseCredential(ctx context.Context, actor registry.Actor, tenant, environment, id string, version int64) (*registry.DatabaseCredential, string, error)
	ResealDatabaseCredentials(ctx context.Context, actor registry.Actor, p registry.Page) (*registry.Reseal, error)
}

type plans interface {
	GetPlan(ctx context.Context, name string) (*registry.Plan, error)
	ListPlans(ctx context.Context, p registry.Page) ([]*registry.Plan, string, error)
	PutPlan(ctx context.Context, actor registry.Actor, p registry.DocumentPlan, version int64) (*registry.Plan, bool, error)
	DeletePlan(ctx context.Context, actor registry.Actor, name string, version int64, force bool) error
}

// Live is what only a running gateway knows.
type Live interface {
	// Changed is called after a write by this API, so that the gateway itself holds it when the answer goes out. It
	// returns when ctx ends at the latest; what it cannot do now the next poll does.
	Changed(ctx context.Context)
	// Cache returns the counters of the cache.
	Cache() CacheStats
	// Purge drops everything that the cache has.
	Purge()
	// PurgeTenant drops everything that the cache has of a tenant.
	PurgeTenant(id uuid.UUID)
	// Limits says what is spent of limits that are given by name and value; for the tenant as a whole where environment
	// is the nil UUID, else for that environment alone. It spends nothing.
	Limits(tenant, environment uuid.UUID, q registry.Quotas) []LimitUsage
	// Explain goes the way of a request through a tenant handler, and spends nothing. handler counts the handlers of the
	// configuration from 0; -1 is the first one that admits the request, else the first one that knows more of it than
	// that nobody names a tenant, else the first. The error is ErrNoHandler where there is none.
	Explain(r *http.Request, handler int) (*Explanation, error)
}

// Explanation says for a request which source gave what, and why the request would be refused.
type Explanation struct {
	router.Explanation
	// Handler is the tenant handler that was asked, from 0 in the order of the configuration; Handlers is how many
	// there are.
	Handler  int `json:"handler"`
	Handlers int `json:"handlers"`
	// Exempt says that the request passes without a tenant; nothing was asked then.
	Exempt bool `json:"exempt"`
	// Upstreams are those that the request would go to, as "host:port" or "https://host:port".
	Upstreams []string `json:"upstreams,omitempty"`
	// LeadsHere says, where a tenant was named, whether that one is it.
	LeadsHere *bool `json:"leadsHere,omitempty"`
}

// Backend is what one request works on.
type Backend struct {
	// Store is required.
	Store Store
	// Live is nil where no gateway runs.
	Live Live
}

// Fixed is for [Options.Backend] where it is always the same one.
func Fixed(b Backend) func(*http.Request) (Backend, func(), error) {
	return func(*http.Request) (Backend, func(), error) { return b, func() {}, nil }
}
