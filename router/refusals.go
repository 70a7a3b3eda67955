package router

import "net/http"

// The refusals of fixed cases, made once.
var (
	refuseTenantRequired = &Refusal{
		Status: http.StatusBadRequest, Code: CodeTenantRequired,
		Title: "Tenant required", Detail: "The request does not say which tenant it is for.",
	}
	refuseTenantInvalid = &Refusal{
		Status: http.StatusBadRequest, Code: CodeTenantInvalid,
		Title: "Tenant invalid", Detail: "The part of the request that names the tenant is malformed.",
	}
	refuseTenantNotFound = &Refusal{
		Status: http.StatusNotFound, Code: CodeTenantNotFound,
		Title: "Tenant not found", Detail: "There is no such tenant.",
	}
	refuseEnvironmentNotFound = &Refusal{
		Status: http.StatusNotFound, Code: CodeEnvironmentNotFound,
		Title: "Environment not found", Detail: "The tenant has no such environment.",
	}
	refuseTenantConflict = &Refusal{
		Status: http.StatusForbidden, Code: CodeTenantConflict,
		Title: "Tenant conflict", Detail: "Parts of the request name different tenants or environments.",
	}
	refuseCredentialsInvalid = &Refusal{
		Status: http.StatusUnauthorized, Code: CodeCredentialsInvalid, Challenge: "Bearer",
		Title: "Credentials invalid", Detail: "The request carries no valid credentials for a tenant.",
	}
	refuseMembershipRequired = &Refusal{
		Status: http.StatusForbidden, Code: CodeMembershipRequired,
		Title: "Membership required", Detail: "You are not a member of this tenant.",
	}
	refuseRoleInsufficient = &Refusal{
		Status: http.StatusForbidden, Code: CodeRoleInsufficient,
		Title: "Role insufficient", Detail: "Your role in this environment does not allow this.",
	}
	refusePolicyDenied = &Refusal{
		Status: http.StatusForbidden, Code: CodePolicyDenied,
		Title: "Denied by policy", Detail: "The tenant's access policy does not allow this request.",
	}
	refuseTenantSuspended = &Refusal{
		Status: http.StatusForbidden, Code: CodeTenantSuspended,
		Title: "Tenant suspended", Detail: "This tenant is suspended.",
	}
	refuseEnvironmentSuspended = &Refusal{
		Status: http.StatusForbidden, Code: CodeEnvironmentSuspended,
		Title: "Environment suspended", Detail: "This environment is suspended.",
	}
	refuseTenantInactive = &Refusal{
		Status: http.StatusGone, Code: CodeTenantInactive,
		Title: "Tenant inactive", Detail: "This tenant is no longer active.",
	}
	refuseEnvironmentInactive = &Refusal{
		Status: http.StatusGone, Code: CodeEnvironmentInactive,
		Title: "Environment inactive", Detail: "This environment is no longer active.",
	}
	refuseTenantProvisioning = &Refusal{
		Status: http.StatusServiceUnavailable, Code: CodeTenantProvisioning, RetryAfter: RetryProvisioning,
		Title: "Tenant provisioning", Detail: "This tenant is being set up. Try again shortly.",
	}
	refuseTenantUnavailable = &Refusal{
		Status: http.StatusServiceUnavailable, Code: CodeTenantUnavailable, RetryAfter: RetryUnavailable,
		Title: "Tenant unavailable", Detail: "This tenant is not available at the moment.",
	}
	refuseSubscriptionExpired = &Refusal{
		Status: http.StatusPaymentRequired, Code: CodeSubscriptionExpired,
		Title: "Subscription expired", Detail: "The subscription of this tenant has expired.",
	}
	refuseQuotaExceeded = &Refusal{
		Status: http.StatusTooManyRequests, Code: CodeQuotaExceeded,
		Title: "Quota exceeded", Detail: "A limit of this tenant is used up. Try again later.",
	}
	refuseMisdirectedRequest = &Refusal{
		Status: http.StatusMisdirectedRequest, Code: CodeMisdirectedRequest,
		Title: "Misdirected request", Detail: "The connection was made for another host name. Open a new one.",
	}
	refuseRegistryUnavailable = &Refusal{
		Status: http.StatusServiceUnavailable, Code: CodeRegistryUnavailable, RetryAfter: RetryRegistry,
		Title: "Registry unavailable", Detail: "The tenant cannot be looked up at the moment. Try again shortly.",
	}
	refuseKeysUnavailable = &Refusal{
		Status: http.StatusServiceUnavailable, Code: CodeKeysUnavailable, RetryAfter: RetryKeys,
		Title: "Keys unavailable", Detail: "The credentials cannot be checked at the moment. Try again shortly.",
	}
	refuseClientClosedRequest = &Refusal{
		Status: StatusClientClosedRequest, Code: CodeClientClosedRequest,
		Title: "Client closed request", Detail: "The client closed the connection before the answer.",
	}
)

// refusals holds all of them for [Refuse].
var refusals = [...]*Refusal{
	refuseTenantRequired, refuseTenantInvalid, refuseTenantNotFound, refuseEnvironmentNotFound, refuseTenantConflict,
	refuseCredentialsInvalid, refuseMembershipRequired, refuseRoleInsufficient, refusePolicyDenied,
	refuseTenantSuspended, refuseEnvironmentSuspended, refuseTenantInactive, refuseEnvironmentInactive,
	refuseTenantProvisioning, refuseTenantUnavailable, refuseSubscriptionExpired, refuseQuotaExceeded,
	refuseMisdirectedRequest, refuseRegistryUnavailable, refuseKeysUnavailable,
	refuseClientClosedRequest,
}
