package registry

import (
	"io"
	"os"
	"time"

	"github.com/google/uuid"
)

// Document is an import file in memory. In all its parts nil, "" and the zero UUID mean that the document leaves the
// value out: what the registry has stays, and a new record gets the default.
type Document struct {
	// Plans have unique names.
	Plans []DocumentPlan
	// Tenants have unique slugs.
	Tenants []DocumentTenant
}

// DocumentPlan is a plan of an import document.
type DocumentPlan struct {
	// Name identifies the plan: 1 to 63 of a-z, 0-9, ".", "_" and "-".
	Name string
	// Quotas replace all quotas of the plan.
	Quotas *Quotas
	// Upstreams replace those of the plan; an empty list that is not nil removes them.
	Upstreams []Upstream

	line int
}

// DocumentTenant is a tenant of an import document.
type DocumentTenant struct {
	// ID identifies the tenant. Without one the slug does, and a new tenant gets a new id.
	ID uuid.UUID
	// Slug is required.
	Slug string
	// Name is the display name, at most 255 characters. Default: the slug.
	Name string
	// Plan is a plan's name. Default: free.
	Plan string
	// Status of the tenant. Default: active.
	Status Status
	// Isolation is the isolation level. Default: shared_schema.
	Isolation IsolationLevel
	// SubscriptionExpiresAt is the end of the subscription; the zero time means never. Default: never.
	SubscriptionExpiresAt *time.Time
	// Quotas replace all of the tenant's own.
	Quotas *Quotas
	// Upstreams serve the environments that have none of their own; an empty list that is not nil removes them.
	Upstreams []Upstream
	// Metadata replaces all of the tenant's; an empty map that is not nil removes it.
	Metadata map[string]string
	// SecurityPolicy replaces the tenant's; one that demands nothing removes it.
	SecurityPolicy *SecurityPolicy
	// Environments to create or change; others stay. A tenant that has none at all gets a default one, production.
	Environments []DocumentEnvironment

	line int
}

// DocumentEnvironment is an environment of an import document.
type DocumentEnvironment struct {
	// ID identifies the environment. Without one the slug does, within the tenant.
	ID uuid.UUID
	// Slug is required and unique in the tenant.
	Slug string
	// Name is the display name, at most 255 characters. Default: the slug.
	Name string
	// Type says what it is for. Default: the type that is named like the slug; else production for the default
	// environment, and development for others.
	Type EnvironmentType
	// Default makes it the tenant's default environment. Of several environments exactly one has to be; a single one
	// that says nothing becomes it where the tenant has none.
	Default *bool
	// Status of the environment. Default: active.
	Status Status
	// Region is where it runs, at most 63 letters, digits and ".", "_", "-"; "" removes it.
	Region *string
	// Upstreams serve it; an empty list that is not nil removes them.
	Upstreams []Upstream
	// Quotas replace all of the environment's own.
	Quotas *Quotas
	// Metadata replaces all of the environment's; an empty map that is not nil removes it.
	Metadata map[string]string
	// Domains are host names that lead here; others that do so stay. All count as verified: the operator vouches.
	Domains []string
	// Members may use it; others who may do so stay.
	Members []DocumentMember
	// Database is its data plane.
	Database *DocumentDatabase

	line int
}

// DocumentMember is a member of an environment.
type DocumentMember struct {
	// UserID is the user's id in the identity provider, at most 255 characters.
	UserID string
	// Role is env_admin, env_maker, env_user or env_viewer.
	Role string
}

// DocumentDatabase is an environment's data plane.
type DocumentDatabase struct {
	// Driver is turso, libsql, postgres, sqlite or memory. It is required.
	Driver string
	// Name never changes once it is in the registry. Default: the environment's id.
	Name string
	// URL is the address, without any secret; "" removes it.
	URL *string
	// Schema is for isolation level isolated_schema; "" removes it.
	Schema *string
	// Region is where it runs; "" removes it.
	Region *string
}

// ParseDocument reads an import document into memory. It is strict: unknown fields, names given twice, values out of
// range, and whatever has to be unique and is not, are errors. The error is a [*DocumentError] with the place and line
// of each problem.
func ParseDocument(r io.Reader) (*Document, error) {
	doc := new(Document)
	err := readDocument(r, newFileIndex(),
		func(p *DocumentPlan) error {
			doc.Plans = append(doc.Plans, *p)
			return nil
		},
		func(t *DocumentTenant) error {
			doc.Tenants = append(doc.Tenants, *t)
			return nil
		})
	if err != nil {
		return nil, err
	}
	return doc, nil
}

// CheckFile validates an import file as far as that is possible without a registry, in one pass over it. The error is
// a [*DocumentError], or one of opening the file.
func CheckFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	return readDocument(f, newFileIndex(),
		func(*DocumentPlan) error { return nil },
		func(*DocumentTenant) error { return nil })
}
