package adminapi

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// List is a page of a list.
type List[T any] struct {
	// Items are in the order of the list, never null.
	Items []T `json:"items"`
	// Next is the cursor of the next page; empty after the last one.
	Next string `json:"next,omitempty"`
}

// Instant is a time in a request that can also be removed: the zero time is written as null.
type Instant struct{ time.Time }

// MarshalJSON implements json.Marshaler: RFC 3339, or null for the zero time.
func (i Instant) MarshalJSON() ([]byte, error) {
	if i.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(i.UTC())
}

// TenantRequest is the body that creates a tenant, and in part the one that changes it. What is nil or empty is left out:
// a new tenant gets the default, an old one keeps what it has.
type TenantRequest struct {
	// ID, Status and Environments are only for creation.
	ID     string `json:"id,omitempty"`
	Slug   string `json:"slug,omitempty"`
	Name   string `json:"name,omitempty"`
	Plan   string `json:"plan,omitempty"`
	Status string `json:"status,omitempty"`
	// IsolationLevel is shared_schema, isolated_schema or isolated_db.
	IsolationLevel string `json:"isolationLevel,omitempty"`
	// SubscriptionExpiresAt is removed by the zero time.
	SubscriptionExpiresAt *Instant `json:"subscriptionExpiresAt,omitempty"`
	// Quotas replace all of the tenant's own; those without a value have no limit.
	Quotas *registry.Quotas `json:"quotas,omitempty"`
	// Upstreams replace the tenant's own; an empty list that is not nil removes them.
	Upstreams []string `json:"upstreams,omitzero"`
	// Metadata replaces all; an empty map that is not nil removes it.
	Metadata map[string]string `json:"metadata,omitzero"`
	// SecurityPolicy replaces the tenant's; one that demands nothing removes it.
	SecurityPolicy *registry.SecurityPolicy `json:"securityPolicy,omitempty"`
	Environments   []EnvironmentRequest     `json:"environments,omitempty"`
	// KeepAlias lets the former slug lead here still, until AliasExpiresAt where that is given. Only for changes.
	KeepAlias      bool     `json:"keepAlias,omitempty"`
	AliasExpiresAt *Instant `json:"aliasExpiresAt,omitempty"`
}

// EnvironmentRequest is the body that creates an environment, and in part the one that changes it. What is nil or empty
// is left out.
type EnvironmentRequest struct {
	// ID, Default, Status, Domains and Members are only for creation.
	ID   string `json:"id,omitempty"`
	Slug string `json:"slug,omitempty"`
	Name string `json:"name,omitempty"`
	// Type is default, development, test, sandbox, preview, trial, staging or production.
	Type    string `json:"type,omitempty"`
	Default *bool  `json:"isDefault,omitempty"`
	Status  string `json:"status,omitempty"`
	// Region is removed by "".
	Region *string          `json:"region,omitempty"`
	Quotas *registry.Quotas `json:"quotas,omitempty"`
	// Upstreams replace the environment's own; an empty list that is not nil removes them.
	Upstreams []string `json:"upstreams,omitzero"`
	// Metadata replaces all; an empty map that is not nil removes it.
	Metadata map[string]string `json:"metadata,omitzero"`
	// Domains count as verified: whoever creates an environment with them vouches for them.
	Domains  []string         `json:"domains,omitempty"`
	Members  []MemberRequest  `json:"members,omitempty"`
	Database *DatabaseRequest `json:"database,omitempty"`
	// KeepAlias lets the former slug lead here still, until AliasExpiresAt where that is given. Only for changes.
	KeepAlias      bool     `json:"keepAlias,omitempty"`
	AliasExpiresAt *Instant `json:"aliasExpiresAt,omitempty"`
}

// nullable is a text that is removed by null where it is empty.
type nullable string

// MarshalJSON implements json.Marshaler.
func (n nullable) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(n))
}

// MarshalJSON implements json.Marshaler.
func (e EnvironmentRequest) MarshalJSON() ([]byte, error) {
	type plain EnvironmentRequest
	return json.Marshal(struct {
		plain
		Region *nullable `json:"region,omitempty"`
	}{plain(e), (*nullable)(e.Region)})
}

// DatabaseRequest says where the data plane of an environment is. It holds no secret.
type DatabaseRequest struct {
	// Driver is turso, libsql, postgres, sqlite or memory.
	Driver string `json:"driver"`
	// Name never changes once it is set. Default: the environment's id.
	Name string `json:"name,omitempty"`
	// URL, Schema and Region are removed by "".
	URL    *string `json:"url,omitempty"`
	Schema *string `json:"schema,omitempty"`
	Region *string `json:"region,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (d DatabaseRequest) MarshalJSON() ([]byte, error) {
	type plain DatabaseRequest
	return json.Marshal(struct {
		plain
		URL    *nullable `json:"url,omitempty"`
		Schema *nullable `json:"schema,omitempty"`
		Region *nullable `json:"region,omitempty"`
	}{plain(d), (*nullable)(d.URL), (*nullable)(d.Schema), (*nullable)(d.Region)})
}

// MemberRequest is the body that adds a member; for a change only Role counts.
type MemberRequest struct {
	UserID string `json:"userId,omitempty"`
	// Role is env_admin, env_maker, env_user or env_viewer.
	Role string `json:"role"`
}

// PlanRequest is the body that creates or changes a plan.
type PlanRequest struct {
	// Name is left out where the path has it.
	Name      string           `json:"name,omitempty"`
	Quotas    *registry.Quotas `json:"quotas,omitempty"`
	Upstreams []string         `json:"upstreams,omitzero"`
}

// TransitionRequest is the body of an action; it can be left out.
type TransitionRequest struct {
	// Reason is for people, at most 1000 characters.
	Reason string `json:"reason,omitempty"`
	// Force repeats the slug of what is protected.
	Force string `json:"force,omitempty"`
}

// KeyRequest is the body that creates an API key.
type KeyRequest struct {
	Name string `json:"name"`
	// UserID is whom the key acts as.
	UserID string   `json:"userId,omitempty"`
	Role   string   `json:"role,omitempty"`
	Scopes []string `json:"scopes,omitempty"`
	// Quotas are the key's own: apiRateLimit, burst, maxApiCallsPerDay, maxApiCallsPerMonth and maxConcurrentRequests.
	Quotas *registry.Quotas `json:"quotas,omitempty"`
	// ExpiresAt is in the future; nil for never.
	ExpiresAt *Instant `json:"expiresAt,omitempty"`
}

// RotateRequest is the body that rotates an API key; it can be left out.
type RotateRequest struct {
	// GraceSeconds is for how long the old key still holds, at most 30 days. Default: 0, it ends at once.
	GraceSeconds int64 `json:"graceSeconds,omitempty"`
}

// NewKey is the answer to the creation or rotation of an API key.
type NewKey struct {
	registry.APIKey
	// Key is the key itself, which nobody can be shown again. It is missing in the answer to a repeated request: rotate
	// the key where the first answer was lost.
	Key string `json:"key,omitempty"`
}

// CredentialRequest is the body that stores a credential of an environment's database.
type CredentialRequest struct {
	// Scope is readwrite, readonly or admin. Default: readwrite.
	Scope string `json:"scope,omitempty"`
	// Secret is 1 to [registry.MaxSecret] bytes of text.
	Secret string `json:"secret"`
	// ExpiresAt is when the database ceases to take it, in the future; nil for never.
	ExpiresAt *Instant `json:"expiresAt,omitempty"`
}

// RotateCredentialRequest is the body that rotates a credential.
type RotateCredentialRequest struct {
	// Secret is the new one, 1 to [registry.MaxSecret] bytes of text.
	Secret string `json:"secret"`
	// ExpiresAt is when the database ceases to take it, in the future; nil for never.
	ExpiresAt *Instant `json:"expiresAt,omitempty"`
}

// RevealedCredential is the answer that shows a secret.
type RevealedCredential struct {
	registry.DatabaseCredential
	Secret string `json:"secret"`
}

// ResealRequest is the body that seals credentials anew; it can be left out.
type ResealRequest struct {
	// Limit is how many are looked at, at most [registry.MaxReseal]. Default: that.
	Limit int `json:"limit,omitempty"`
	// Cursor is what the answer before gave; empty for the first.
	Cursor string `json:"cursor,omitempty"`
}

// ExplainRequest is the body that describes a request to be explained.
type ExplainRequest struct {
	// URL is http or https, with a host.
	URL string `json:"url"`
	// Method of the request. Default: GET.
	Method string `json:"method,omitempty"`
	// Headers are like "Name: value", at most 64 of at most 8192 bytes each.
	Headers []string `json:"headers,omitempty"`
	// ClientIP is the address of the client, for the tenants' allow lists. Default: 127.0.0.1.
	ClientIP string `json:"clientIp,omitempty"`
	// Handler is the tenant handler to ask, from 0 in the order of the configuration. Default: see [Live.Explain].
	Handler *int64 `json:"handler,omitempty"`
}

// PurgeRequest is the body of a purge of the cache; it can be left out, and then means all.
type PurgeRequest struct {
	// Tenant is the id or slug of the only tenant to drop.
	Tenant string `json:"tenant,omitempty"`
}

// CacheStats are the counters of a gateway's cache; they grow from its start on.
type CacheStats struct {
	// Hits were answered by a fresh entry, StaleHits by one past its lifetime, NegativeHits by a remembered "unknown",
	// and Misses had to wait for the registry.
	Hits         int64 `json:"hits"`
	StaleHits    int64 `json:"staleHits"`
	NegativeHits int64 `json:"negativeHits"`
	Misses       int64 `json:"misses"`
	// HitRate is the part of all these that was not a miss, from 0 to 1; 0 before the first.
	HitRate float64 `json:"hitRate"`
	// Loads are questions to the registry; LoadErrors those that it could not answer.
	Loads      int64 `json:"loads"`
	LoadErrors int64 `json:"loadErrors"`
	// Evictions gave way to others; Invalidations were dropped because of a change or a purge.
	Evictions     int64 `json:"evictions"`
	Invalidations int64 `json:"invalidations"`
	// Entries and NegativeEntries are in memory now, at most Size and NegativeSize.
	Entries         int `json:"entries"`
	NegativeEntries int `json:"negativeEntries"`
	Size            int `json:"size"`
	NegativeSize    int `json:"negativeSize"`
	// LastPoll is when the change log was last read; left out when it never was.
	LastPoll time.Time `json:"lastPoll,omitzero"`
}

// Usage is what a tenant may use and has used.
type Usage struct {
	TenantID uuid.UUID `json:"tenantId"`
	Slug     string    `json:"slug"`
	// Gateway is true where a running gateway answers: then Limits say what is spent.
	Gateway bool `json:"gateway"`
	// Limits are those of the tenant, of all its environments together.
	Limits []LimitUsage `json:"limits"`
	// Environments are the tenant's, at most 1000, by slug.
	Environments []EnvironmentUsage `json:"environments"`
	// Resources are what applications have reported: users, storage, objects; never null.
	Resources []registry.TenantUsage `json:"resources"`
}

// EnvironmentUsage is what one environment may use and has used.
type EnvironmentUsage struct {
	EnvironmentID uuid.UUID `json:"environmentId"`
	Slug          string    `json:"slug"`
	// Limits are the environment's own; they come on top of the tenant's.
	Limits []LimitUsage `json:"limits"`
}

// LimitUsage is one limit, and what is spent of it. Without a running gateway only Name and Limit are known.
type LimitUsage struct {
	// Name is the quota's: apiRateLimit, maxApiCallsPerDay, maxApiCallsPerMonth or maxConcurrentRequests.
	Name string `json:"name"`
	// Limit is its value; for a rate in requests per minute.
	Limit int64 `json:"limit"`
	// Burst is how many may come at once; only for rates.
	Burst int64 `json:"burst,omitempty"`
	// Used and Remaining are nil where they are not known.
	Used      *int64 `json:"used,omitempty"`
	Remaining *int64 `json:"remaining,omitempty"`
	// ResetSeconds is when all of it can be used again; nil where that is not known.
	ResetSeconds *int64 `json:"resetSeconds,omitempty"`
}

// ResourceUsageRequest is what an application says that it uses of a quota that it owns, or asks whether it may use.
type ResourceUsageRequest struct {
	// Metric is one of [registry.ResourceMetrics].
	Metric string `json:"metric"`
	// Used is the value, or how much more is wanted: from 0 to [registry.MaxQuota].
	Used int64 `json:"used"`
	// Environment is an id or a slug; empty for the tenant as a whole.
	Environment string `json:"environment,omitempty"`
}
