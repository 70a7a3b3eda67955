// Package adminapi is the HTTP interface with which operators and programs run tenants: create, change, suspend, restore,
// inspect. It knows the registry by the interface [Store], and what only a running gateway knows by [Live].
//
//	api, err := adminapi.New(adminapi.Options{Backend: adminapi.Fixed(adminapi.Backend{Store: store})})
//	...
//	http.Handle("/tenants", api)
//	http.Handle("/tenants/", api)
//
// # What it promises
//
// Requests and answers are JSON, errors application/problem+json (RFC 9457) with a stable code and the place of each
// mistake. A body is at most 1 MB and read strictly: unknown members, members given twice and anything after the value
// are refused. Records carry their version as ETag (RFC 9110 §8.8.3); a change with If-Match is made only on that version,
// and refused with 412 on another. Creations take an Idempotency-Key. Lists come in pages with an opaque cursor. Every
// change is in the audit log with its actor.
//
// Answers hold no secret, with two exceptions, which say so in Cache-Control: the answer to the creation of an API key, and
// the one that reveals the credential of a database.
//
// The OpenAPI 3.1 document of all this is at /tenants/_openapi.json.
//
// The package authenticates nobody: it stands behind Caddy's admin endpoint, which knows its hosts, origins and client
// certificates. Package client is the other end.
package adminapi
