// Package caddymodule is the glue between Caddy and Tenantgate: Caddy modules that translate configuration, and hand
// requests to the packages that decide about them. It has no business rule of its own.
//
// The modules:
//
//   - [App], the app `tenants`: registry, cache, plans, pools and default upstreams, shared by all sites. The part of it
//     that survives a reload (cache, what was spent from quotas) is a runtime, pooled by the registry's address.
//   - [Handler], the handler `tenant`: strip, exempt, identify, resolve, agree, admit, spend, inject, forward.
//   - the sources in the namespace `tenants.sources`: [Subdomain], [Domain], [Path], [Header], [Query], [JWT],
//     [Placeholder], [Default], and whatever guests somebody registers there.
//   - [MatchTenant], the matcher `tenant`, and [Upstreams], `dynamic tenant` of `reverse_proxy`.
//   - [TenantProxy], the handler `tenant_proxy`, which forwards to those upstreams at the least cost.
//   - [Transport], `transport tenant` of `reverse_proxy`, for plain HTTP/1.1 upstreams.
//   - [TenantKeys], the handler `tenant_keys`: the public keys of the token that `inject context` sends.
//   - [TLSPermission], `permission tenant` of `on_demand_tls`, for certificates of tenants' own domains; the app verifies
//     who owns them ([Domains]).
//   - the placeholders {tenant.*}, the log fields tenant, environment, tenant_source and tenant_refusal, and the metrics
//     tenantgate_*.
//   - the command `tenant` with the subcommands import and export.
//
// The shortest useful Caddyfile:
//
//	app.example.com, *.app.example.com {
//		tenant {
//			identify subdomain {tenant}.app.example.com
//		}
//		reverse_proxy {tenant.upstream}
//	}
package caddymodule
