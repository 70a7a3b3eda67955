// Package router leads a request to its tenant: it finds out which tenant and which environment a request is for, and
// refuses what must not pass.
//
// A [Source] finds references in a [Request]: in the host name, the path, a header. A [Router] asks its sources in
// their order, leads what they yield to the snapshot of a tenant through a [Resolver], sees to it that they agree, and
// admits the tenant. The outcome is a [Decision] or a [Refusal]:
//
//	subdomain, err := router.NewSubdomain([]string{"{tenant}.app.example.com"}, router.DefaultReserved())
//	...
//	rt, err := router.New(router.Config{Sources: []router.Source{subdomain}, Resolver: resolver})
//	...
//	decision, err := rt.Route(r.Context(), &router.Request{HTTP: r, Now: now})
//
// # What it promises
//
// A decision never names a tenant that no source named. What two readers could understand differently (an escaped slash
// in a name, a repeated header, a path with dot segments) is refused as malformed, never guessed. A source with proof
// outranks one without. When the registry cannot be asked, nothing is taken for unknown and nothing for agreed. What a
// client may see is kept apart from what the log says: a refusal's text repeats nothing of the request and names nobody
// else's tenant.
//
// The way of a request with one source that yields takes no lock and makes no allocation, refusals of fixed cases
// included.
//
// The package knows nothing of Caddy.
package router
