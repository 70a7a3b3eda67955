// Package domains finds out whether a tenant owns the host name that it claims, before anything is served there.
//
// A claim (a [registry.Domain] that is not verified) has a random token of the tenant's own. Its owner shows it in one of
// two places, and [Verifier.Check] looks for it:
//
//   - DNS: a TXT record at _tenantgate.HOST that is "tenantgate-verification=TOKEN". Other TXT records may stand beside it.
//   - HTTP: http://HOST/.well-known/tenantgate/TOKEN answers 200 with "tenantgate-verification=TOKEN" and nothing else.
//     The prefix is part of the proof: a server that repeats what it was asked for proves nothing.
//
// A [Loop] checks the claims of a registry in the background, on any number of gateways at once.
//
// # What it promises
//
// Every part of a check has a timeout and a bound on what is read. The HTTP check opens connections to public addresses
// only: loopback, private, link-local, multicast, carrier-grade NAT and reserved addresses are refused after the name was
// resolved, in the connection itself, in their IPv4-mapped and translated forms too. It uses no proxy and follows
// redirects within the name alone.
//
// That a name points to the gateway is no proof: names are often left pointing there when a customer has gone, and then
// anybody's claim would do. So the gateway never answers for a token itself; a name that already points to it is proved
// by DNS. Where names that are nobody's are served from one tenant's upstream all the same (the source default), that
// tenant could answer for them, so that there DNS should be the only method.
//
// The package knows nothing of Caddy.
package domains
