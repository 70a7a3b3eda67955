package registry

import (
	"time"

	"github.com/google/uuid"
)

// Status of a tenant or an environment.
type Status string

// The statuses. An environment has all but StatusDestroying.
const (
	StatusProvisioning Status = "provisioning"
	StatusActive       Status = "active"
	StatusSuspended    Status = "suspended"
	StatusArchived     Status = "archived"
	StatusFailed       Status = "failed"
	StatusDestroying   Status = "destroying"
)

// IsolationLevel says how a tenant's data is kept apart from that of others.
type IsolationLevel string

// The isolation levels.
const (
	IsolationSharedSchema   IsolationLevel = "shared_schema"
	IsolationIsolatedSchema IsolationLevel = "isolated_schema"
	IsolationIsolatedDB     IsolationLevel = "isolated_db"
)

// EnvironmentType says what an environment is for.
type EnvironmentType string

// The environment types.
const (
	EnvironmentDefault     EnvironmentType = "default"
	EnvironmentDevelopment EnvironmentType = "development"
	EnvironmentTest        EnvironmentType = "test"
	EnvironmentSandbox     EnvironmentType = "sandbox"
	EnvironmentPreview     EnvironmentType = "preview"
	EnvironmentTrial       EnvironmentType = "trial"
	EnvironmentStaging     EnvironmentType = "staging"
	EnvironmentProduction  EnvironmentType = "production"
)

// Resolved is the snapshot that serves a request: tenant, environment, plan, effective quotas, upstreams. It is
// built once by [Store.Resolve], shared by all requests until something changes, and must never be modified.
type Resolved struct {
	Tenant      ResolvedTenant      `json:"tenant"`
	Environment ResolvedEnvironment `json:"environment"`
	// Upstreams are those of the environment, else of the tenant, else of the plan; empty means the gateway's default.
	Upstreams []Upstream `json:"upstreams,omitempty"`
	// Database names the environment's data plane; it holds no secret.
	Database Database `json:"database,omitzero"`
	// Credential is what the registry knows of the session, API key or membership by which this was found; nil where it
	// was found by name.
	Credential *Credential `json:"credential,omitempty"`
}

// Seal works out what is asked of a snapshot over and over: the text of ids, the ranges of addresses. Whoever makes a
// snapshot calls it before sharing; one that is not sealed means the same, and costs more.
func (r *Resolved) Seal() {
	ids := string(appendID(appendID(make([]byte, 0, 2*idLength), r.Tenant.ID), r.Environment.ID)) // one piece of memory for both
	r.Tenant.text, r.Environment.text = ids[:idLength], ids[idLength:]
	if r.Tenant.SecurityPolicy != nil {
		r.Tenant.SecurityPolicy.AccessControl.seal()
	}
}

// idLength is that of an id's text, in bytes.
const idLength = 36

// ResolvedTenant is the tenant's half of a [Resolved].
type ResolvedTenant struct {
	// ID never changes.
	ID uuid.UUID `json:"id"`
	// Slug is the current slug, whatever name the reference used.
	Slug string `json:"slug"`
	Name string `json:"name"`
	// Plan is the plan's name.
	Plan      string         `json:"plan"`
	Status    Status         `json:"status"`
	Isolation IsolationLevel `json:"isolation"`
	// SubscriptionExpiresAt is UTC; zero means never.
	SubscriptionExpiresAt time.Time `json:"subscriptionExpiresAt,omitzero"`
	// Quotas are the plan's, overridden by the tenant's own. They count across all of the tenant's environments.
	Quotas Quotas `json:"quotas,omitzero"`
	// Metadata is the operator's; nil when there is none.
	Metadata map[string]string `json:"metadata,omitempty"`
	// SecurityPolicy is nil when the tenant has none.
	SecurityPolicy *SecurityPolicy `json:"securityPolicy,omitempty"`

	text string // of ID; empty until sealed
}

// IDText returns the text form of ID (RFC 9562 §4), 36 bytes. In a sealed snapshot it costs nothing.
func (t *ResolvedTenant) IDText() string {
	if t.text != "" {
		return t.text
	}
	return t.ID.String()
}

// ResolvedEnvironment is the environment's half of a [Resolved].
type ResolvedEnvironment struct {
	// ID never changes.
	ID   uuid.UUID       `json:"id"`
	Slug string          `json:"slug"`
	Name string          `json:"name"`
	Type EnvironmentType `json:"type"`
	// Default is true for the tenant's one default environment.
	Default bool   `json:"default,omitempty"`
	Status  Status `json:"status"`
	Region  string `json:"region,omitempty"`
	// Quotas are the environment's own and come on top of the tenant's; nil when it has none, as most.
	Quotas *Quotas `json:"quotas,omitempty"`
	// Metadata is nil when there is none.
	Metadata map[string]string `json:"metadata,omitempty"`

	text string // of ID; empty until sealed
}

// IDText returns the text form of ID (RFC 9562 §4), 36 bytes. In a sealed snapshot it costs nothing.
func (e *ResolvedEnvironment) IDText() string {
	if e.text != "" {
		return e.text
	}
	return e.ID.String()
}

// Database names the data plane of an environment.
type Database struct {
	// Driver is turso, libsql, postgres, sqlite or memory.
	Driver string `json:"driver,omitempty"`
	// Name is UUID-based and never changes.
	Name string `json:"name,omitempty"`
	// Schema is set with isolation level isolated_schema.
	Schema string `json:"schema,omitempty"`
}

// SecurityPolicy is what a tenant demands of those who use it.
type SecurityPolicy struct {
	AccessControl AccessControl `json:"accessControl,omitzero"`
}
