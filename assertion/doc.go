// Package assertion signs what the gateway tells an upstream about a request: a JSON Web Token (RFC 7519) that names
// tenant, environment and user, so that an upstream need not trust the network between the gateway and itself.
//
// A [Signer] signs with the first key of its [KeySet] and keeps what it signed: a token is made once for each
// environment and user, used for all of their requests, and renewed in the background from half of its life on if it
// was used since. A request never waits for a signature while its tenant is busy, and never gets a token with less than
// a quarter of its life left.
//
// Keys are Ed25519 (EdDSA, RFC 8037) or one secret (HS256). They come from files of the operator's ([ReadKeys]), or are
// made and rotated in a directory ([KeyDir]). The public halves are published as a JSON Web Key Set (RFC 7517) by
// [KeySet.JWKS], from before a key signs until what it signed has expired.
//
//	keys, err := assertion.ReadKeys("new.pem", "old.pem") // new.pem signs, both are published
//	if err != nil {
//		return err
//	}
//	signer, err := assertion.NewSigner(assertion.Options{Keys: keys, Audience: []string{"app"}})
//	if err != nil {
//		return err
//	}
//	go signer.Run(ctx)
//	token, err := signer.Token(assertion.Facts{Resolved: resolved, User: "u1"}, time.Now())
package assertion
