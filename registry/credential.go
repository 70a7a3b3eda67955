package registry

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Role is what a member may do in an environment. A higher role may do all that a lower one may.
type Role string

// The roles, from the lowest to the highest.
const (
	RoleViewer Role = "env_viewer"
	RoleUser   Role = "env_user"
	RoleMaker  Role = "env_maker"
	RoleAdmin  Role = "env_admin"
)

// rank orders the roles; 0 is no role.
func (r Role) rank() int {
	switch r {
	case RoleViewer:
		return 1
	case RoleUser:
		return 2
	case RoleMaker:
		return 3
	case RoleAdmin:
		return 4
	}
	return 0
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return r.rank() > 0 }

// AtLeast reports whether r may do what least may. What is no role may do nothing.
func (r Role) AtLeast(least Role) bool { return r.Valid() && r.rank() >= least.rank() }

// Lower returns the lower of two roles; where one of them is none, the other.
func (r Role) Lower(other Role) Role {
	if !r.Valid() || other.Valid() && other.rank() < r.rank() {
		return other
	}
	return r
}

// Credential is what the registry knows of a session, an API key or a membership: of a key of kind [KindSession],
// [KindSessionToken], [KindAPIKey] or [KindMember]. It is shared and must not be modified.
type Credential struct {
	// ID is that of the session or API key; empty for a membership.
	ID string `json:"id,omitempty"`
	// User is whose session or membership it is, or whom the API key acts as; empty for an API key of nobody.
	User string `json:"user,omitempty"`
	// Role is that of the membership, or the API key's own; empty where there is none.
	Role Role `json:"role,omitempty"`
	// Roles holds Role alone, for whoever wants a list; nil where there is none.
	Roles []string `json:"roles,omitempty"`
	// ExpiresAt is UTC; zero means never. The registry finds nothing that has expired, but a cache may.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// SignedInAt is when the user signed in, UTC: that of the session's creation where nothing else is known.
	SignedInAt time.Time `json:"signedInAt,omitzero"`
	// MFA says that the user signed in with more than one factor, SSO with the tenant's own identity provider.
	MFA bool `json:"mfa,omitempty"`
	SSO bool `json:"sso,omitempty"`
	// NamesTenant and NamesEnvironment say what the key itself leads to. A session that names only a tenant leads to its
	// default environment; one that names neither says who the user is.
	NamesTenant      bool `json:"namesTenant,omitempty"`
	NamesEnvironment bool `json:"namesEnvironment,omitempty"`
	// Quotas are an API key's own, on top of those of its environment and tenant: only APIRateLimit, Burst,
	// MaxAPICallsPerDay, MaxAPICallsPerMonth and MaxConcurrentRequests.
	Quotas Quotas `json:"quotas,omitzero"`
	// Scopes are the API key's, for the upstream to heed; nil where there are none.
	Scopes []string `json:"scopes,omitempty"`
}

// Expired reports whether c is no longer valid at now.
func (c *Credential) Expired(now time.Time) bool {
	return !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt)
}

// ofCredential reports whether keys of this kind lead to a [Credential].
func (k Kind) ofCredential() bool {
	return k == KindSession || k == KindSessionToken || k == KindAPIKey || k == KindMember
}

// MaxUserID is the longest id of a user that can be a member, in bytes.
const MaxUserID = 255

const (
	selectAPIKey = `SELECT id, user_id, role, scopes, api_rate_limit, burst, max_api_calls_per_day, max_api_calls_per_month,
  max_concurrent_requests, expires_at, key_hash, environment_id
  FROM sys_api_key WHERE key_hash = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR julianday(expires_at) > julianday(?2))`
	selectSession = `SELECT id, user_id, expires_at, coalesce(authenticated_at, created_at), mfa, sso, token_hash,
  active_organization_id, active_environment_id
  FROM sys_session WHERE token_hash = ?1 AND revoked_at IS NULL AND julianday(expires_at) > julianday(?2)`
	selectMembership = `SELECT role FROM sys_environment_member WHERE environment_id = ?1 AND user_id = ?2`
)

// resolveCredential is Resolve for the keys of credentials. It asks twice: what the key is, and what it leads to. A key
// that changes in between is in the change log after both.
func (s *Store) resolveCredential(ctx context.Context, ref Reference) (*Resolved, error) {
	var c *Credential
	var next Reference
	var err error
	switch ref.Kind {
	case KindAPIKey:
		c, next, err = s.apiKey(ctx, ref.Key)
	case KindSession:
		c, next, err = s.session(ctx, ref.Key)
	case KindSessionToken:
		c, next, err = s.tableSession(ctx, ref.Key)
	case KindMember:
		c, next, err = s.member(ctx, ref.Key, ref.Environment)
	}
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, &NotFoundError{}
	}
	if next.Kind == KindNone {
		return nil, &NotFoundError{Credential: c}
	}
	if ref.Kind != KindMember && !c.NamesEnvironment {
		next.Environment = ref.Environment
	}
	r, err := s.Resolve(ctx, next)
	if missing, ok := asNotFound(err); ok {
		return nil, &NotFoundError{Tenant: missing.Tenant, Credential: c}
	}
	if err != nil {
		return nil, err
	}
	if c.NamesEnvironment && ref.Kind != KindMember && ref.Environment != "" &&
		ref.Environment != r.Environment.Slug && ref.Environment != r.Environment.IDText() {
		return nil, &NotFoundError{Tenant: r.Tenant.ID, Credential: c}
	}
	r.Credential = c
	return r, nil
}

// row runs a query that finds at most one row, and reports whether it did.
func (s *Store) row(ctx context.Context, to []any, query string, args ...any) (found bool, err error) {
	err = s.query(ctx, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(to...)
	}, query, args...)
	return found, err
}

// apiKey returns the API key of that hash, and the reference of its environment.
func (s *Store) apiKey(ctx context.Context, hash string) (*Credential, Reference, error) {
	var (
		c                                  Credential
		user, role, scopes, expires        sql.NullString
		rate, burst, day, month, concurent sql.NullInt64
		stored, environment                string
	)
	found, err := s.row(ctx, []any{
		&c.ID, &user, &role, &scopes, &rate, &burst, &day, &month, &concurent, &expires, &stored, &environment,
	}, selectAPIKey, hash, formatTime(s.now()))
	if err != nil || !found || !equalHash(stored, hash) {
		return nil, Reference{}, err
	}
	c.User, c.NamesTenant, c.NamesEnvironment = user.String, true, true
	c.setRole(Role(role.String))
	c.Quotas = Quotas{
		APIRateLimit: rate.Int64, Burst: burst.Int64, MaxAPICallsPerDay: day.Int64, MaxAPICallsPerMonth: month.Int64,
		MaxConcurrentRequests: concurent.Int64,
	}
	if expires.String != "" {
		if c.ExpiresAt, err = parseTime(expires.String); err != nil {
			return nil, Reference{}, s.unreadableCredential("an API key's expires_at", err)
		}
	}
	if scopes.String != "" {
		if err := json.Unmarshal([]byte(scopes.String), &c.Scopes); err != nil {
			return nil, Reference{}, s.unreadableCredential("an API key's scopes", err)
		}
	}
	return &c, Reference{Kind: KindEnvironmentID, Key: environment}, nil
}

// session returns the session of that hash, and what it leads to: a reference of kind KindNone if it names no tenant.
func (s *Store) session(ctx context.Context, hash string) (*Credential, Reference, error) {
	var (
		c                           Credential
		expires, signedIn, stored   string
		organization, environmentID sql.NullString
	)
	found, err := s.row(ctx, []any{
		&c.ID, &c.User, &expires, &signedIn, &c.MFA, &c.SSO, &stored, &organization, &environmentID,
	}, selectSession, hash, formatTime(s.now()))
	if err != nil || !found || !equalHash(stored, hash) {
		return nil, Reference{}, err
	}
	if c.ExpiresAt, err = parseTime(expires); err != nil {
		return nil, Reference{}, s.unreadableCredential("a session's expires_at", err)
	}
	if c.SignedInAt, err = parseTime(signedIn); err != nil {
		return nil, Reference{}, s.unreadableCredential("a session's authenticated_at", err)
	}
	return &c, c.activeReference(organization.String, environmentID.String), nil
}

// activeReference returns what a session leads to, and notes in c what it names.
func (c *Credential) activeReference(tenant, environment string) Reference {
	switch {
	case environment != "":
		c.NamesTenant, c.NamesEnvironment = true, true
		return Reference{Kind: KindEnvironmentID, Key: environment}
	case tenant != "":
		c.NamesTenant = true
		return Reference{Kind: KindTenantID, Key: tenant}
	}
	return Reference{}
}

// member returns the membership of a user in the environment of that id.
func (s *Store) member(ctx context.Context, user, environment string) (*Credential, Reference, error) {
	var role string
	found, err := s.row(ctx, []any{&role}, selectMembership, environment, user)
	if err != nil || !found {
		return nil, Reference{}, err
	}
	c := &Credential{User: user, NamesTenant: true, NamesEnvironment: true}
	c.setRole(Role(role))
	return c, Reference{Kind: KindEnvironmentID, Key: environment}, nil
}

func (c *Credential) setRole(r Role) {
	if r.Valid() {
		c.Role, c.Roles = r, []string{string(r)}
	}
}

// equalHash compares what the registry returned with what was asked for, in constant time.
func equalHash(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// unreadableCredential is the error for a record that another writer left in a form that nobody can read.
func (s *Store) unreadableCredential(what string, err error) error {
	return s.unavailable(fmt.Sprintf("it holds a record that cannot be read: %s: %v", what, err))
}
