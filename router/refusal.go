package router

import (
	"net/http"
	"time"
)

// The codes of refusals: stable names for clients, one or more to each row of the table of refusals.
const (
	// CodeTenantRequired (400): no source names a tenant.
	CodeTenantRequired = "tenant_required"
	// CodeTenantInvalid (400): something that should name a tenant or an environment is malformed.
	CodeTenantInvalid = "tenant_invalid"
	// CodeTenantNotFound (404): the registry does not know the tenant.
	CodeTenantNotFound = "tenant_not_found"
	// CodeEnvironmentNotFound (404): the tenant has no such environment.
	CodeEnvironmentNotFound = "environment_not_found"
	// CodeTenantConflict (403): the sources disagree.
	CodeTenantConflict = "tenant_conflict"
	// CodeCredentialsInvalid (401): a bad, expired, unverifiable or missing token, key or session.
	CodeCredentialsInvalid = "credentials_invalid"
	// CodeMembershipRequired (403): the user is not a member of the tenant.
	CodeMembershipRequired = "membership_required"
	// CodeRoleInsufficient (403): the user's role is too low.
	CodeRoleInsufficient = "role_insufficient"
	// CodePolicyDenied (403): the tenant's policy (address, MFA, SSO) does not admit the request.
	CodePolicyDenied = "policy_denied"
	// CodeTenantSuspended (403): the tenant is suspended.
	CodeTenantSuspended = "tenant_suspended"
	// CodeEnvironmentSuspended (403): the environment is suspended.
	CodeEnvironmentSuspended = "environment_suspended"
	// CodeTenantInactive (410): the tenant is archived or being destroyed.
	CodeTenantInactive = "tenant_inactive"
	// CodeEnvironmentInactive (410): the environment is archived.
	CodeEnvironmentInactive = "environment_inactive"
	// CodeTenantProvisioning (503 with Retry-After): the tenant or the environment is being set up.
	CodeTenantProvisioning = "tenant_provisioning"
	// CodeTenantUnavailable (503 with Retry-After): setting up the tenant or the environment has failed.
	CodeTenantUnavailable = "tenant_unavailable"
	// CodeSubscriptionExpired (402): the tenant's subscription is over.
	CodeSubscriptionExpired = "subscription_expired"
	// CodeQuotaExceeded (429 with Retry-After): a limit of the tenant or the environment is used up.
	CodeQuotaExceeded = "quota_exceeded"
	// CodeMisdirectedRequest (421): TLS name and Host belong to different tenants.
	CodeMisdirectedRequest = "misdirected_request"
	// CodeRegistryUnavailable (503 with Retry-After): the registry cannot be asked and nothing is cached.
	CodeRegistryUnavailable = "registry_unavailable"
	// CodeKeysUnavailable (503 with Retry-After): whether a token is good cannot be told, because its issuer's keys
	// cannot be had.
	CodeKeysUnavailable = "keys_unavailable"
	// CodeClientClosedRequest (499): the client went away while it waited; nobody reads this, but logs show it.
	CodeClientClosedRequest = "client_closed_request"
)

// StatusClientClosedRequest is the status that nginx and Caddy log when the client went away before the answer.
const StatusClientClosedRequest = 499

// What Retry-After says where the case itself gives no time.
const (
	// RetryProvisioning is for a tenant or an environment that is being set up.
	RetryProvisioning = 10 * time.Second
	// RetryUnavailable is for one whose setting up has failed: an operator has to act.
	RetryUnavailable = 60 * time.Second
	// RetryRegistry is for a registry that cannot be asked.
	RetryRegistry = 5 * time.Second
	// RetryKeys is for an issuer's keys that cannot be had.
	RetryKeys = 5 * time.Second
)

// Refusal is the error of every request that is not admitted. What a client may see (Status to Challenge, Exceeded) is
// kept apart from what the log says (Cause). Refusals are shared between requests and must not be modified; [Refuse]
// and the With methods return copies where something differs.
type Refusal struct {
	// Status is the HTTP status.
	Status int
	// Code is the stable name of the case: one of the Code constants.
	Code string
	// Title is the case in a few words, the same for each refusal of that code (RFC 9457 §3.1.3).
	Title string
	// Detail is a sentence for the client. It never names another tenant, a database or an internal address, and never
	// repeats bytes of the request.
	Detail string
	// RetryAfter is the value of the Retry-After header, to be rounded up to seconds; 0 means none.
	RetryAfter time.Duration
	// Challenge is the value of the WWW-Authenticate header (RFC 9110 §11.6.1); empty except with status 401.
	Challenge string
	// Exceeded says which quota is used up; nil except with quota_exceeded.
	Exceeded *Exceeded
	// Cause is for the log only; nil when there is nothing to add.
	Cause error

	words *wording // nil where nothing was worded beforehand
}

// Exceeded is what the body of a quota_exceeded refusal says beyond the usual.
type Exceeded struct {
	// Quota is the name of the quota: apiRateLimit, maxApiCallsPerDay, …
	Quota string
	// Usage is what has been used, in the unit of the quota.
	Usage int64
	// Limit is the quota's value.
	Limit int64
	// Policies are the names of all limits that refused, as in the RateLimit headers.
	Policies []string
}

// Error implements error. It leaves out Cause, because a server may show the text of an error to clients.
func (r *Refusal) Error() string { return r.Code + ": " + r.Detail }

// Unwrap returns Cause.
func (r *Refusal) Unwrap() error { return r.Cause }

// WithCause returns r itself when cause is nil, else a copy with that cause.
func (r *Refusal) WithCause(cause error) *Refusal {
	if cause == nil {
		return r
	}
	c := *r
	c.Cause = cause
	return &c
}

// WithDetail returns a copy with another text for the client.
func (r *Refusal) WithDetail(detail string) *Refusal {
	c := *r
	c.Detail = detail
	return &c
}

// Refuse returns the refusal with that code. Without a cause it is a shared value and costs no allocation. A code that
// does not exist is a mistake of the caller and gives a refusal with status 500.
func Refuse(code string, cause error) *Refusal {
	for _, r := range refusals {
		if r.Code == code {
			return r.WithCause(cause)
		}
	}
	return (&Refusal{
		Status: http.StatusInternalServerError, Code: "internal_error",
		Title: "Internal error", Detail: "The gateway made a mistake.",
	}).WithCause(cause)
}

// RefuseCredentials returns the refusal of credentials that do not hold, with the challenge to answer, such as
// `Bearer error="invalid_token"` (RFC 6750 §3); an empty challenge is "Bearer".
func RefuseCredentials(challenge string, cause error) *Refusal {
	c := *refuseCredentialsInvalid
	if challenge != "" {
		c.Challenge = challenge
	}
	c.Cause = cause
	return &c
}
