// Package registry is the control-plane database of Tenantgate: tenants, their environments, domains, plans,
// quotas, members, credentials, sessions, API keys, usage, audit log and change log, in libSQL.
//
// A [Store] speaks to one registry. It answers two questions of the data plane: which tenant and environment a
// [Reference] means ([Store.Resolve], giving an immutable [Resolved] snapshot), and what has changed since
// ([Store.Changes]). Every write by any writer adds a row to sys_change by trigger; gateways poll it and drop what it
// touches. [Store.ImportFile] and [Store.Export] bring tenants in and out as JSON. For operators there are changes and
// lists of tenants, environments, plans, members, API keys and sessions: see Changes below.
//
//	store, err := registry.Open(registry.Options{URL: "file:tenants.db"})
//	...
//	if err := store.Migrate(ctx); err != nil { ... }
//	r, err := store.Resolve(ctx, registry.Reference{Kind: registry.KindSlug, Key: "acme"})
//
// # URLs
//
//   - file:PATH is an embedded SQLite file in WAL mode. The path is taken as it stands: "%" and "#" are part of names.
//   - libsql://HOST and https://HOST are a libSQL server (Turso, or sqld behind TLS) by HTTP with TLS.
//   - http://HOST:PORT is a libSQL server without TLS: how a plain sqld is reached.
//   - wss://HOST and ws://HOST:PORT read over WebSockets, which is about twice as fast as HTTP, with and without TLS.
//     They write by HTTP to the same host all the same, because over a WebSocket the client may repeat a write whose
//     answer was lost.
//
// The token of a server is an option of its own; a URL that holds one is refused. Proxies and certificate authorities
// come from the environment (HTTPS_PROXY, SSL_CERT_FILE), as in Go's net/http.
//
// # Failures
//
// Each call has a timeout, and each error that says nothing about the data wraps [ErrUnavailable]: a registry that is
// down, hangs, refuses the token or answers nonsense never looks like one without the tenant. [NotFoundError] is a
// registry's answer.
//
// # Changes
//
// A change such as [Store.CreateTenant], [Store.UpdateEnvironment] or [Store.RevokeAPIKey] names its [Actor] and, where
// it wants to be sure, the version that it has read: a stale one is a [ConflictError], and of several writers with one
// version one gets in. Without a version it is decided anew on whatever there is, so that no writer undoes what another
// one has just done. [Action] is the state machine of tenants and environments, in one table. What is refused is
// refused as a whole, with a stable [Code]; a [FieldError] says in its Field which value it is about.
//
// Each change is one INSERT into sys_operation, whose trigger writes all of it together with its rows in the audit log
// ([Store.ListAudit]), or nothing: a process that is killed, or a connection that is cut, leaves no half of it. Where
// the answer of a server is lost, the change is sent again under the same id, which the server does only once. When it
// stays unknown whether a change was made, the error says so and wraps [ErrUnavailable]; an [Idempotency] key makes it
// safe to ask for a creation again. [Store.CheckInvariants] looks for what no writer can leave behind.
//
// Lists come in parts: their cursors go by the key of the last record, so that a part costs the same wherever it is and
// nothing is missing or comes twice while others write.
//
// [Store.TrimAudit], [Store.TrimAliases] and [Store.TrimChanges] keep what grows small; a gateway calls them now and then.
//
// # Secrets
//
// The passwords and tokens of environments' databases ([DatabaseCredential]) are sealed by a [Keyring], which [Options] has
// and the registry has not. They are in nothing that a data plane is given, and in no export; [Store.RevealDatabaseCredential]
// alone opens one, and the audit log says for whom. [Store.ResealDatabaseCredentials] changes the key.
//
// # Writers
//
// A plain SQL client is a writer like any other: the schema (see migrations/README.md) checks what it writes and
// notices every change. What reads and then writes does so under the write lock in a file, and by comparing versions
// on a server, where a transaction over several requests can be taken away.
//
// The package knows nothing of HTTP servers or Caddy. All times are UTC, all ids are UUIDs.
package registry
