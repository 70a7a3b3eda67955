package adminapi

import (
	"net/http"

	"github.com/tenantgate/tenantgate/registry"
)

// route is one method of one path, and what the OpenAPI document says of it.
type route struct {
	method, path string
	serve        serve
	// summary is one line for people.
	summary string
	// params are the query parameters that the route knows.
	params []string
	// body is the schema of the request's body, optional whether it can be left out; "" where there is none.
	body     string
	optional bool
	// status and answer are those of success; answer is a schema, "" for no content.
	status int
	answer string
	// creates says that the route takes an Idempotency-Key, versioned that the record has an ETag and a change of it takes
	// If-Match.
	creates, versioned bool
}

// writes reports whether the route can change the registry.
func (r *route) writes() bool {
	return r.method != http.MethodGet && r.path != purgePath && r.path != checkPath && r.answer != "Explanation"
}

const (
	tenantPath      = "/tenants/{tenant}"
	environmentPath = tenantPath + "/environments/{environment}"
	memberPath      = environmentPath + "/members/{user}"
	domainPath      = environmentPath + "/domains/{domain}"
	keyPath         = environmentPath + "/api-keys/{key}"
	credentialPath  = environmentPath + "/credentials/{credential}"
	planPath        = "/tenants/_plans/{plan}"
	purgePath       = "/tenants/_cache/purge"
	checkPath       = tenantPath + "/usage/check"
)

// The query parameters that several routes have.
var (
	pageParams    = []string{"limit", "cursor"}
	auditParams   = []string{"limit", "cursor", "environment", "actor", "action", "since", "until"}
	resolveParams = []string{"url", "method", "header", "clientIp", "handler"}
	forceParams   = []string{"force"}
)

// allRoutes returns all that the API has. The OpenAPI document is made of them.
func allRoutes() []route { return append(recordRoutes(), actionRoutes()...) }

func recordRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: "/tenants", serve: listTenants, summary: "List tenants by slug",
			params: []string{"limit", "cursor", "status", "plan", "region", "prefix"}, answer: "TenantList",
		},
		{
			method: http.MethodPost, path: "/tenants", serve: createTenant, summary: "Create a tenant with its environments",
			body: "NewTenant", status: http.StatusCreated, answer: "Tenant", creates: true, versioned: true,
		},
		{method: http.MethodGet, path: tenantPath, serve: getTenant, summary: "Show a tenant", answer: "Tenant", versioned: true},
		{
			method: http.MethodPatch, path: tenantPath, serve: updateTenant, summary: "Change a tenant",
			body: "TenantPatch", answer: "Tenant", versioned: true,
		},
		{
			method: http.MethodDelete, path: tenantPath, serve: deleteTenant, params: forceParams, status: http.StatusNoContent, versioned: true,
			summary: "Remove an archived or failed tenant with all that belongs to it; force repeats its slug",
		},
		{method: http.MethodGet, path: tenantPath + "/aliases", serve: listTenantAliases, summary: "List former slugs of a tenant", answer: "AliasList"},
		{method: http.MethodDelete, path: tenantPath + "/aliases/{alias}", serve: deleteTenantAlias, summary: "End a former slug of a tenant", status: http.StatusNoContent},
		{method: http.MethodGet, path: tenantPath + "/usage", serve: getUsage, summary: "Show limits and what is spent of them", answer: "Usage"},
		{
			method: http.MethodPost, path: tenantPath + "/usage", serve: reportUsage, body: "ResourceUsage", answer: "QuotaEnforcementResult",
			summary: "Report what an application uses of a quota that it owns",
		},
		{
			method: http.MethodPost, path: checkPath, serve: checkUsage, body: "ResourceUsage", answer: "QuotaEnforcementResult",
			summary: "Ask whether an application may use so much more",
		},
		{
			method: http.MethodGet, path: tenantPath + "/audit", serve: listTenantAudit, summary: "List the audit log of a tenant, the newest first",
			params: auditParams, answer: "AuditList",
		},
		{
			method: http.MethodPost, path: tenantPath + "/resolve", serve: resolveTenant, body: "ExplainRequest", answer: "Explanation",
			summary: "The same with the request in the body: URLs are logged, and so no place for credentials",
		},
		{
			method: http.MethodGet, path: tenantPath + "/resolve", serve: resolveTenant, params: resolveParams, answer: "Explanation",
			summary: "Explain how a request would be led, and whether that is to this tenant",
		},

		{
			method: http.MethodGet, path: tenantPath + "/environments", serve: listEnvironments, summary: "List environments of a tenant by slug",
			params: []string{"limit", "cursor", "status", "type", "region"}, answer: "EnvironmentList",
		},
		{
			method: http.MethodPost, path: tenantPath + "/environments", serve: createEnvironment, summary: "Create an environment",
			body: "NewEnvironment", status: http.StatusCreated, answer: "Environment", creates: true, versioned: true,
		},
		{method: http.MethodGet, path: environmentPath, serve: getEnvironment, summary: "Show an environment", answer: "Environment", versioned: true},
		{
			method: http.MethodPatch, path: environmentPath, serve: updateEnvironment, summary: "Change an environment",
			body: "EnvironmentPatch", answer: "Environment", versioned: true,
		},
		{
			method: http.MethodDelete, path: environmentPath, serve: deleteEnvironment, params: forceParams, status: http.StatusNoContent, versioned: true,
			summary: "Remove an archived or failed environment; force repeats the slug of a protected one",
		},
		{
			method: http.MethodPost, path: environmentPath + "/default", serve: makeDefault, summary: "Make an environment its tenant's default",
			answer: "Environment", versioned: true,
		},
		{method: http.MethodGet, path: environmentPath + "/aliases", serve: listEnvironmentAliases, summary: "List former slugs of an environment", answer: "AliasList"},
		{method: http.MethodDelete, path: environmentPath + "/aliases/{alias}", serve: deleteEnvironmentAlias, summary: "End a former slug of an environment", status: http.StatusNoContent},

		{
			method: http.MethodGet, path: environmentPath + "/members", serve: listMembers, summary: "List members by user id",
			params: []string{"limit", "cursor", "role"}, answer: "MemberList",
		},
		{
			method: http.MethodPost, path: environmentPath + "/members", serve: addMember, summary: "Add a member",
			body: "NewMember", status: http.StatusCreated, answer: "Member", creates: true, versioned: true,
		},
		{method: http.MethodGet, path: memberPath, serve: getMember, summary: "Show a member", answer: "Member", versioned: true},
		{method: http.MethodPatch, path: memberPath, serve: updateMember, summary: "Change a member's role", body: "MemberPatch", answer: "Member", versioned: true},
		{method: http.MethodDelete, path: memberPath, serve: removeMember, summary: "End a membership", status: http.StatusNoContent, versioned: true},

		{method: http.MethodGet, path: environmentPath + "/domains", serve: listDomains, summary: "List host names, verified and claimed", answer: "DomainList"},
		{
			method: http.MethodPost, path: environmentPath + "/domains", serve: addDomain, summary: "Add a host name, as a claim to be proved, or verified",
			body: "NewDomain", status: http.StatusCreated, answer: "Domain",
		},
		{method: http.MethodGet, path: domainPath, serve: getDomain, summary: "Show a host name, and how to prove it", answer: "Domain"},
		{method: http.MethodDelete, path: domainPath, serve: removeDomain, summary: "Take a host name from an environment", status: http.StatusNoContent},
		{method: http.MethodPost, path: domainPath + "/verify", serve: verifyDomain, summary: "Vouch for a host name", answer: "Domain"},
		{
			method: http.MethodPost, path: domainPath + "/move", serve: moveDomain, summary: "Take a host name to another environment; another tenant has to prove it anew",
			body: "MoveDomain", answer: "Domain",
		},

		{
			method: http.MethodGet, path: environmentPath + "/api-keys", serve: listKeys, summary: "List API keys in the order of their creation",
			params: pageParams, answer: "KeyList",
		},
		{
			method: http.MethodPost, path: environmentPath + "/api-keys", serve: createKey, summary: "Create an API key; the answer shows it once",
			body: "NewKeyRequest", status: http.StatusCreated, answer: "NewKey", creates: true, versioned: true,
		},
		{method: http.MethodGet, path: keyPath, serve: getKey, summary: "Show the record of an API key", answer: "Key", versioned: true},
		{method: http.MethodDelete, path: keyPath, serve: revokeKey, summary: "Revoke an API key; its record stays", answer: "Key", versioned: true},
		{
			method: http.MethodPost, path: keyPath + "/rotate", serve: rotateKey, summary: "Replace an API key; the answer shows the new one once",
			body: "RotateRequest", optional: true, status: http.StatusCreated, answer: "NewKey", versioned: true,
		},

		{
			method: http.MethodGet, path: environmentPath + "/credentials", serve: listCredentials, answer: "CredentialList", params: pageParams,
			summary: "List the credentials of an environment's database in the order of their creation, without their secrets",
		},
		{
			method: http.MethodPost, path: environmentPath + "/credentials", serve: createCredential, summary: "Store a credential of an environment's database, sealed",
			body: "NewCredential", status: http.StatusCreated, answer: "Credential", creates: true, versioned: true,
		},
		{method: http.MethodGet, path: credentialPath, serve: getCredential, summary: "Show the record of a credential, without its secret", answer: "Credential", versioned: true},
		{method: http.MethodDelete, path: credentialPath, serve: revokeCredential, summary: "Revoke a credential and destroy its secret; its record stays", answer: "Credential", versioned: true},
		{
			method: http.MethodPost, path: credentialPath + "/rotate", serve: rotateCredential, summary: "Replace an active credential; the old one can be revealed until it is revoked",
			body: "RotateCredential", status: http.StatusCreated, answer: "Credential", versioned: true,
		},
		{
			method: http.MethodPost, path: credentialPath + "/reveal", serve: revealCredential, summary: "Show the secret of a credential; the audit log says who asked",
			answer: "RevealedCredential", versioned: true,
		},

		{method: http.MethodGet, path: "/tenants/_plans", serve: listPlans, summary: "List plans by name", params: pageParams, answer: "PlanList"},
		{method: http.MethodPost, path: "/tenants/_plans", serve: createPlan, summary: "Create a plan", body: "NewPlan", status: http.StatusCreated, answer: "Plan", versioned: true},
		{method: http.MethodGet, path: planPath, serve: getPlan, summary: "Show a plan", answer: "Plan", versioned: true},
		{method: http.MethodPut, path: planPath, serve: putPlan, summary: "Create a plan, or change what is given of it", body: "PlanPatch", answer: "Plan", versioned: true},
		{
			method: http.MethodDelete, path: planPath, serve: deletePlan, params: forceParams, status: http.StatusNoContent, versioned: true,
			summary: "Remove a plan; force repeats the name of one that tenants have",
		},

		{
			method: http.MethodGet, path: "/tenants/_audit", serve: listAudit, summary: "List the audit log, the newest first",
			params: append([]string{"tenant"}, auditParams...), answer: "AuditList",
		},
		{
			method: http.MethodGet, path: "/tenants/_usage", serve: listUsage, summary: "List the requests that were counted, by month or by day",
			params: []string{"limit", "cursor", "tenant", "period", "from", "to"}, answer: "UsageList",
		},
		{
			method: http.MethodPost, path: "/tenants/_credentials/reseal", serve: resealCredentials, body: "ResealRequest", optional: true, answer: "Reseal",
			summary: "Seal the credentials of all tenants with the first key, some at a time",
		},
		{method: http.MethodGet, path: "/tenants/_cache", serve: getCache, summary: "Show the counters of the gateway's cache", answer: "CacheStats"},
		{
			method: http.MethodPost, path: purgePath, serve: purgeCache, summary: "Drop one tenant from the gateway's cache, or all",
			body: "PurgeRequest", optional: true, status: http.StatusNoContent,
		},
		{
			method: http.MethodPost, path: "/tenants/_resolve", serve: resolve, body: "ExplainRequest", answer: "Explanation",
			summary: "The same with the request in the body: URLs are logged, and so no place for credentials",
		},
		{
			method: http.MethodGet, path: "/tenants/_resolve", serve: resolve, params: resolveParams, answer: "Explanation",
			summary: "Explain how a request would be led, source by source, and why it would be refused",
		},
		{method: http.MethodGet, path: "/tenants/_openapi.json", serve: getOpenAPI, summary: "This document", answer: "OpenAPI"},
	}
}

// tenantActions and environmentActions are the last element of a path.
var (
	environmentActions = []registry.Action{
		registry.ActionActivate, registry.ActionFail, registry.ActionProvision, registry.ActionSuspend, registry.ActionRestore, registry.ActionArchive,
	}
	tenantActions = append(environmentActions[:len(environmentActions):len(environmentActions)], registry.ActionDestroy)
)

// actionRoutes are those of the state machine.
func actionRoutes() []route {
	var list []route
	add := func(path string, action registry.Action, of, answer string, f func(registry.Action) serve) {
		list = append(list, route{
			method: http.MethodPost, path: path + "/" + string(action), serve: f(action), answer: answer,
			summary: "Lead " + of + " to another status: " + string(action), body: "TransitionRequest", optional: true, versioned: true,
		})
	}
	for _, action := range tenantActions {
		add(tenantPath, action, "a tenant", "Tenant", transitionTenant)
	}
	for _, action := range environmentActions {
		add(environmentPath, action, "an environment", "Environment", transitionEnvironment)
	}
	return list
}
