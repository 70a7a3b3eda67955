// Package credential verifies what a client presents to say who it is: a JSON Web Token ([Verifier]), the session
// cookie of better-auth ([Session]), or an API key ([ParseKey]). It finds them in a request ([Extractor],
// [KeyExtractor], [Session.Extract]) and can take them out of what is forwarded. What they mean for tenants is for
// others to say: the package knows no registry and no Caddy.
//
//	keys, err := credential.NewJWKS(credential.JWKSOptions{URL: "https://id.example.com/.well-known/jwks.json"})
//	go keys.Run(ctx)
//	verifier, err := credential.NewVerifier(credential.VerifierOptions{
//		Keys:      keys,
//		Audiences: []string{"app"},
//		Claims:    credential.ClaimNames{Tenant: "organizationId"},
//	})
//	identity, err := verifier.Verify(r.Context(), token, now)
//
// # What is trusted
//
// The key decides which algorithm a signature must be of, never the token (RFC 8725 §3.1): a public key verifies no
// HMAC, an EC key only the algorithm of its curve, and "none" does not exist here. A token's payload is not parsed
// before its signature was found good. Nothing in a token's header can bring in a key. JSON is read strictly, so that
// gateway and upstream cannot read one token in two ways.
//
// # Errors
//
// An error is an [Error], which wraps [ErrRefused] and says why with a [Reason]: status 401. Or it wraps
// [ErrKeysUnavailable]: whether the token is good cannot be told now, status 503. Or it is that of the context. The
// texts are for the log and hold no secret; a client sees none of them.
//
// # Cost
//
// A token that was verified is remembered until it expires or its key is withdrawn, and is then found in some 100
// nanoseconds without allocation. The first time costs a signature: about 40 microseconds with HMAC, 70 with RSA, 90
// with Ed25519, 100 with P-256, but 500 with P-384 and 2,000 with P-521, for which Go has no assembly on amd64.
// A session cookie whose signature was good is remembered likewise; the first time costs less than a microsecond.
package credential
