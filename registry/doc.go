// Package registry is the control-plane database of Tenantgate: tenants, their environments, domains, plans,
// quotas, members, credentials, sessions, API keys, usage, audit log and change log, in libSQL.
//
// A [Store] speaks to one registry: an embedded SQLite file ("file:tenants.db") or a libSQL server
// ("http://", "https://", "libsql://", "ws://", "wss://"; sqld or Turso). It answers two questions of the data
// plane: which tenant and environment a [Reference] means ([Store.Resolve], giving an immutable [Resolved]
// snapshot), and what has changed since ([Store.Changes]). Every write by any writer adds a row to sys_change by
// trigger; gateways poll it and drop what it touches.
//
// The package knows nothing of HTTP or Caddy. All times are UTC, all ids are UUIDs.
package registry
