package registry

import (
	"io"
	"time"

	"github.com/google/uuid"
)

// Document is an import file in memory. In all its parts nil, "" and the zero UUID mean that the file leaves the
// value out: what the registry has stays, and a new record gets the default.
type Document struct {
	// Plans are the plans, by name.
	Plans []DocumentPlan `json:"plans,omitempty"`
	// Tenants are the tenants, by slug.
	Tenants []DocumentTenant `json:"tenants,omitempty"`
}

// DocumentPlan is a plan of an import file.
type DocumentPlan struct {
	// Name identifies the plan.
	Name string `json:"name"`
	// Quotas are the plan's; nil leaves what is there.
	Quotas *Quotas `json:"quotas,omitempty"`
	// Upstreams are the plan's; nil leaves what is there, empty removes them.
	Upstreams []Upstream `json:"-"`

	line int
}

// DocumentTenant is a tenant of an import file.
type DocumentTenant struct {
	// ID identifies the tenant; zero means that the slug does, and that a new tenant gets a new id.
	ID uuid.UUID
	// Slug is required.
	Slug string
	// Name is the display name. Default: the slug.
	Name string
	// Plan is a plan's name. Default: free.
	Plan string
	// Status of the tenant. Default: active.
	Status Status
	// Isolation is the isolation level. Default: shared_schema.
	Isolation IsolationLevel
	// SubscriptionExpiresAt is UTC; nil leaves it, a zero time removes it.
	SubscriptionExpiresAt *time.Time
	// Quotas are the tenant's own.
	Quotas *Quotas
	// Upstreams serve the environments that have none of their own.
	Upstreams []Upstream
	// Metadata is the operator's.
	Metadata map[string]string
	// SecurityPolicy is the tenant's; nil leaves it, an empty one removes it.
	SecurityPolicy *SecurityPolicy
	// Environments of the tenant. A tenant without any gets a default one, production.
	Environments []DocumentEnvironment

	line int
}

// DocumentEnvironment is an environment of an import file.
type DocumentEnvironment struct {
	// ID identifies the environment; zero means that the slug within the tenant does.
	ID uuid.UUID
	// Slug is required, and unique in the tenant.
	Slug string
	// Name is the display name. Default: the slug.
	Name string
	// Type of the environment. Default: production for the default environment, development for others.
	Type EnvironmentType
	// Default is true for exactly one environment of the tenant.
	Default *bool
	// Status of the environment. Default: active.
	Status Status
	// Region is free text; nil leaves it.
	Region *string
	// Upstreams of the environment.
	Upstreams []Upstream
	// Quotas are the environment's own.
	Quotas *Quotas
	// Metadata is the operator's.
	Metadata map[string]string
	// Domains are host names that lead here; all count as verified.
	Domains []string
	// Members may use the environment.
	Members []DocumentMember
	// Database is the data plane.
	Database *DocumentDatabase

	line int
}

// DocumentMember is a member of an environment.
type DocumentMember struct {
	// UserID is the user's id in the identity provider.
	UserID string
	// Role is env_admin, env_maker, env_user or env_viewer.
	Role string

	line int
}

// DocumentDatabase is an environment's data plane.
type DocumentDatabase struct {
	// Driver is turso, libsql, postgres, sqlite or memory.
	Driver string
	// Name never changes once it is in the registry.
	Name string
	// URL is the address, without any secret.
	URL string
	// Schema is for isolation level isolated_schema.
	Schema string
	// Region is free text.
	Region string

	line int
}

// PlaceError says what is wrong with an import file, and where.
type PlaceError struct {
	// Place is like tenants[3].environments[0].slug.
	Place string
	// Line in the file, from 1; 0 where the document is no file.
	Line int
	// Err says what is wrong.
	Err error
}

// Error implements error.
func (e *PlaceError) Error() string { return e.Place + ": " + e.Err.Error() }

// Unwrap returns what is wrong without the place.
func (e *PlaceError) Unwrap() error { return e.Err }

// ParseDocument reads an import file into memory.
func ParseDocument(r io.Reader) (*Document, error) { return nil, errUnbuilt }

// CheckFile validates an import file without a registry.
func CheckFile(path string) error { return errUnbuilt }

// ImportOptions are the options of an import.
type ImportOptions struct {
	// Actor is written to the audit log. Default: import.
	Actor string
	// DryRun compares and reports without writing.
	DryRun bool
	// Progress, when set, is called now and then from the importing goroutine.
	Progress func(ImportProgress)
}

// ImportProgress says how far an import is.
type ImportProgress struct {
	// Phase is checking, comparing or writing.
	Phase string
	// Tenants and Environments are done in this phase.
	Tenants, Environments int64
	// TotalTenants and TotalEnvironments are 0 while unknown.
	TotalTenants, TotalEnvironments int64
}

// ImportCount counts one kind of record.
type ImportCount struct {
	// Created, Updated and Unchanged records.
	Created, Updated, Unchanged int64
}

// ImportReport says what an import did, or with DryRun would do.
type ImportReport struct {
	Plans, Tenants, Environments, Domains, Members, Databases ImportCount
}

// Changed reports whether anything was, or would be, written.
func (r ImportReport) Changed() bool {
	for _, c := range []ImportCount{r.Plans, r.Tenants, r.Environments, r.Domains, r.Members, r.Databases} {
		if c.Created+c.Updated > 0 {
			return true
		}
	}
	return false
}
