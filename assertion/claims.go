package assertion

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// backdate is by how much "iat" and "nbf" lie before the moment of signing, so that an upstream whose clock is a little
// behind takes a fresh token.
const backdate = 30 * time.Second

// Facts are what a token says about a request.
type Facts struct {
	// Resolved is the snapshot that serves the request.
	Resolved *registry.Resolved
	// User is the id of the authenticated user, as it is; empty when there is none.
	User string
	// Roles are the user's; they are only told with a user.
	Roles []string
	// Database also tells the names of the environment's data plane, neither of which is a secret.
	Database bool
}

// Claims are the claims of a token (RFC 7519 §4): what an upstream finds in it.
type Claims struct {
	Issuer string `json:"iss"`
	// Audience is left out when the signer has none.
	Audience []string `json:"aud,omitempty"`
	// Subject is the id of the authenticated user; left out when there is none.
	Subject string `json:"sub,omitempty"`
	// Roles are the user's.
	Roles []string `json:"roles,omitempty"`
	// IssuedAt, NotBefore and Expires are Unix times in seconds. The first two lie 30 seconds before the signature.
	IssuedAt  int64 `json:"iat"`
	NotBefore int64 `json:"nbf"`
	Expires   int64 `json:"exp"`

	Tenant      TenantClaim      `json:"tenant"`
	Environment EnvironmentClaim `json:"environment"`
	// Database and Schema name the data plane, where that is asked for and there is one.
	Database string `json:"database,omitempty"`
	Schema   string `json:"schema,omitempty"`
}

// TenantClaim is the claim "tenant".
type TenantClaim struct {
	ID        uuid.UUID               `json:"id"`
	Slug      string                  `json:"slug"`
	Name      string                  `json:"name,omitempty"`
	Plan      string                  `json:"plan,omitempty"`
	Isolation registry.IsolationLevel `json:"isolation,omitempty"`
}

// EnvironmentClaim is the claim "environment".
type EnvironmentClaim struct {
	ID     uuid.UUID                `json:"id"`
	Slug   string                   `json:"slug"`
	Type   registry.EnvironmentType `json:"type,omitempty"`
	Region string                   `json:"region,omitempty"`
}

// tenantClaim and environmentClaim return what a snapshot gives.
func tenantClaim(t *registry.ResolvedTenant) TenantClaim {
	return TenantClaim{t.ID, t.Slug, t.Name, t.Plan, t.Isolation}
}

func environmentClaim(e *registry.ResolvedEnvironment) EnvironmentClaim {
	return EnvironmentClaim{e.ID, e.Slug, e.Type, e.Region}
}

// sameFacts reports whether two snapshots give the same claims.
func sameFacts(a, b *registry.Resolved, database bool) bool {
	return tenantClaim(&a.Tenant) == tenantClaim(&b.Tenant) &&
		environmentClaim(&a.Environment) == environmentClaim(&b.Environment) &&
		(!database || a.Database.Name == b.Database.Name && a.Database.Schema == b.Database.Schema)
}

// encode returns the claims of a token that is signed now, as JSON.
func (s *Signer) encode(f Facts, now time.Time) ([]byte, error) {
	issued := now.Add(-backdate).Unix()
	c := Claims{
		Issuer: s.issuer, Audience: s.audience, IssuedAt: issued, NotBefore: issued, Expires: now.Add(s.lifetime).Unix(),
		Tenant: tenantClaim(&f.Resolved.Tenant), Environment: environmentClaim(&f.Resolved.Environment),
	}
	if f.User != "" {
		c.Subject, c.Roles = f.User, f.Roles
	}
	if f.Database {
		c.Database, c.Schema = f.Resolved.Database.Name, f.Resolved.Database.Schema
	}
	return json.Marshal(c)
}
