package caddymodule

import (
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

// placeholderPrefix begins the names of all placeholders.
const placeholderPrefix = "tenant."

// placeholder provides the placeholders of a request:
//
//	{tenant.id}                        immutable id (UUID)
//	{tenant.slug}                      slug
//	{tenant.name}                      display name
//	{tenant.plan}                      name of the plan
//	{tenant.status}                    active, …
//	{tenant.isolation}                 shared_schema, isolated_schema or isolated_db
//	{tenant.metadata.KEY}              the tenant's metadata
//	{tenant.environment.id}            immutable id (UUID)
//	{tenant.environment.slug}          slug, unique within the tenant
//	{tenant.environment.name}          display name
//	{tenant.environment.type}          production, staging, …
//	{tenant.environment.region}        region
//	{tenant.environment.status}        active, …
//	{tenant.environment.metadata.KEY}  the environment's metadata
//	{tenant.database}                  name of the environment's data plane
//	{tenant.schema}                    its schema, with isolation level isolated_schema
//	{tenant.upstream}                  the first upstream: host:port, or https://host:port, which a static reverse_proxy
//	                                   refuses, rather than to speak plain HTTP to it; dynamic tenant knows both
//	{tenant.upstream.address}          the same without the scheme
//	{tenant.upstream.scheme}           http or https
//	{tenant.source}                    the source that named the tenant: subdomain, domain, …
//	{tenant.user.id}                   the authenticated user's id
//	{tenant.user.role}                 the user's roles, with commas between them
//	{tenant.api_key.id}                the id of the API key of the request (not the key)
//	{tenant.api_key.scopes}            its scopes, with spaces between them
//	{tenant.error.code}                why the request was refused: tenant_not_found, …
//	{tenant.error.status}              the HTTP status of the refusal
//	{tenant.error.title}               the refusal in a few words
//	{tenant.error.detail}              the refusal in a sentence
//
// Every other name that begins with "tenant.", and each of these where there is nothing to say, is empty.
func (st *state) placeholder(key string) (any, bool) {
	st = st.last()
	name, ok := strings.CutPrefix(key, placeholderPrefix)
	if !ok {
		if rest, ok := strings.CutPrefix(key, proxyPlaceholderPrefix); ok && st.forwarding != nil {
			return st.forwarding.placeholder(rest)
		}
		return nil, false
	}
	if rest, ok := strings.CutPrefix(name, "error."); ok {
		return st.errorPlaceholder(rest), true
	}
	if st.decision.Resolved == nil {
		return "", true
	}
	if rest, ok := strings.CutPrefix(name, "environment."); ok {
		return st.environmentPlaceholder(rest), true
	}
	return st.tenantPlaceholder(name), true
}

func (st *state) tenantPlaceholder(name string) string {
	res := st.decision.Resolved
	switch name {
	case "id":
		return st.tenantID()
	case "slug":
		return res.Tenant.Slug
	case "name":
		return res.Tenant.Name
	case "plan":
		return res.Tenant.Plan
	case "status":
		return string(res.Tenant.Status)
	case "isolation":
		return string(res.Tenant.Isolation)
	case "database":
		return res.Database.Name
	case "schema":
		return res.Database.Schema
	case "source":
		return st.decision.Source
	case "upstream":
		if st.late() && !st.told {
			return ""
		}
		return st.handler.app.firstUpstream(res)
	case "upstream.address":
		if st.late() && !st.told {
			return ""
		}
		_, address := st.handler.app.firstTarget(res)
		return address
	case "upstream.scheme":
		scheme, _ := st.handler.app.firstTarget(res)
		return scheme
	case "user.id":
		return st.decision.User
	case "user.role":
		return strings.Join(st.decision.Roles, ",")
	case "api_key.id":
		if key := st.apiKey(); key != nil {
			return key.ID
		}
		return ""
	case "api_key.scopes":
		if key := st.apiKey(); key != nil {
			return strings.Join(key.Scopes, " ")
		}
		return ""
	}
	if key, ok := strings.CutPrefix(name, "metadata."); ok {
		return res.Tenant.Metadata[key]
	}
	return ""
}

// apiKey returns what the registry knows of the request's API key, or nil.
func (st *state) apiKey() *registry.Credential {
	if st.decision.Machine {
		return st.decision.Credential
	}
	return nil
}

func (st *state) environmentPlaceholder(name string) string {
	env := &st.decision.Resolved.Environment
	switch name {
	case "id":
		return st.environmentID()
	case "slug":
		return env.Slug
	case "name":
		return env.Name
	case "type":
		return string(env.Type)
	case "region":
		return env.Region
	case "status":
		return string(env.Status)
	}
	if key, ok := strings.CutPrefix(name, "metadata."); ok {
		return env.Metadata[key]
	}
	return ""
}

func (st *state) errorPlaceholder(name string) any {
	if st.refusal == nil {
		return ""
	}
	switch name {
	case "code":
		return st.refusal.Code
	case "status":
		return st.refusal.Status
	case "title":
		return st.refusal.Title
	case "detail":
		return st.refusal.Detail
	}
	return ""
}
