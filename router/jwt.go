package router

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router/credential"
)

// challengeInvalidToken is what a client is told whose token was refused (RFC 6750 §3.1). It never says why: that is
// for the log.
const challengeInvalidToken = `Bearer error="invalid_token"`

// JWTOptions configure the source "jwt".
type JWTOptions struct {
	// Verifier says whether a token is good, and what it says. Required.
	Verifier *credential.Verifier
	// Extractor finds the token in a request. Required.
	Extractor *credential.Extractor
	// TenantClaim is the name of the claim that names the tenant, for the log. A token without it is refused, unless
	// it is [credential.Unread]: then tokens name no tenant by design, and say only who the user is, or which
	// environment is meant. Default: "tenant_id".
	TenantClaim string
	// MFA and SSO say which tokens prove a sign-in with more than one factor, and one with the tenant's identity provider.
	// Default: those whose claim "amr" (RFC 8176) lists "mfa", and those that list "sso".
	MFA, SSO ClaimTest
	// Remove takes the token out of what is forwarded. Default: false.
	Remove bool
}

// ClaimTest asks whether a claim lists one of some values.
type ClaimTest struct {
	// Claim is one of the names in the verifier's ClaimNames.Extra, or empty for the methods of the sign-in.
	Claim string
	// Values are those of which one is enough.
	Values []string
}

// holds reports whether a token passes the test.
func (t *ClaimTest) holds(id *credential.Identity) bool {
	list := id.Methods
	if t.Claim != "" {
		list = id.Extra[t.Claim]
	}
	for _, v := range list {
		if slices.Contains(t.Values, v) {
			return true
		}
	}
	return false
}

// jwtSource takes the tenant and the user from a verified token.
type jwtSource struct {
	verifier    *credential.Verifier
	extractor   *credential.Extractor
	tenantClaim string
	mfa, sso    ClaimTest
}

// removingJWT is a jwtSource that is a [Rewriter].
type removingJWT struct{ *jwtSource }

// NewJWT returns the source "jwt". Its yields are authenticated. A request without a token yields nothing; one with two
// different tokens, or with one that is malformed, not valid, or names no tenant, is refused with 401
// credentials_invalid. What the token's claims name are ids or slugs of the tenant and the environment. While nobody
// can say whether the token is good, the refusal is 503 keys_unavailable.
func NewJWT(o JWTOptions) (Source, error) {
	if o.Verifier == nil || o.Extractor == nil {
		return nil, errors.New("jwt: a verifier and an extractor are needed")
	}
	if o.TenantClaim == "" {
		o.TenantClaim = "tenant_id"
	}
	if o.MFA.Values == nil {
		o.MFA.Values = []string{"mfa"}
	}
	if o.SSO.Values == nil {
		o.SSO.Values = []string{"sso"}
	}
	s := &jwtSource{
		verifier: o.Verifier, extractor: o.Extractor, tenantClaim: o.TenantClaim, mfa: o.MFA, sso: o.SSO,
	}
	if o.Remove {
		return removingJWT{s}, nil
	}
	return s, nil
}

// Name implements [Source].
func (*jwtSource) Name() string { return "jwt" }

// Identify implements [Source].
func (s *jwtSource) Identify(r *Request) (y Yield, err error) {
	err = s.identify(r, &y)
	return y, err
}

// identify is Identify for [identifyInto].
func (s *jwtSource) identify(r *Request, y *Yield) error {
	token, _, err := s.extractor.Extract(r.HTTP)
	if err != nil {
		return RefuseCredentials(challengeInvalidToken, err)
	}
	if token == "" {
		return nil
	}
	ctx := r.HTTP.Context()
	id, err := s.verifier.Verify(ctx, token, r.Now)
	if err != nil {
		return refuseToken(ctx, err)
	}
	ref, err := s.reference(id)
	if err != nil {
		return RefuseCredentials(challengeInvalidToken, err)
	}
	y.Reference, y.Authenticated, y.User, y.Roles = ref, true, id.User, id.Roles
	y.SignedInAt, y.MFA, y.SSO = id.SignedInAt(), s.mfa.holds(id), s.sso.holds(id)
	return nil
}

var errTokenNames = errors.New("the token's claims for tenant and environment are no ids and no slugs")

// reference returns what the token's claims name.
func (s *jwtSource) reference(id *credential.Identity) (registry.Reference, error) {
	if id.Tenant == "" && s.tenantClaim != credential.Unread {
		// Without this, whoever gets a token that lacks the claim could pass it off as any tenant's.
		return registry.Reference{}, credential.MissingClaim(s.tenantClaim)
	}
	ref, ok := nameReference(id.Tenant, id.Environment)
	if !ok {
		return registry.Reference{}, errTokenNames
	}
	return ref, nil
}

// refuseToken turns the error of a verification into a refusal. What is not known to be the token's fault is not
// blamed on it: on a 401 clients throw their token away.
func refuseToken(ctx context.Context, err error) *Refusal {
	switch {
	case errors.Is(err, credential.ErrRefused):
		return RefuseCredentials(challengeInvalidToken, err)
	case !errors.Is(err, credential.ErrKeysUnavailable) && errors.Is(ctx.Err(), context.Canceled):
		return refuseClientClosedRequest.WithCause(err)
	}
	return refuseKeysUnavailable.WithCause(err)
}

// Rewrite implements [Rewriter].
func (s removingJWT) Rewrite(r *http.Request) {
	query := r.URL.RawQuery
	s.extractor.Remove(r)
	if r.URL.RawQuery != query && r.RequestURI != "" {
		r.RequestURI = r.URL.RequestURI()
	}
}
