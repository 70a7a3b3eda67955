package caddymodule

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/router"
	"github.com/tenantgate/tenantgate/router/credential"
)

func init() {
	caddy.RegisterModule(&JWT{})
}

// JWT takes the tenant, its environment and the user from a JSON Web Token (RFC 7519) that it verifies. It is an
// authenticated source: it outranks whatever else a request says. A token that is not valid, or names no tenant, is
// refused with 401 credentials_invalid; a request without one is left to the other sources.
//
// Exactly one of Secrets, KeyFile and JWKS is required. The keys decide which algorithms are accepted, never the token.
type JWT struct {
	// Secrets are the HMAC secrets, for HS256 (32 bytes at least), HS384 (48) and HS512 (64): several while one is being
	// rotated. Placeholders are replaced, so that the secret itself need not stand in the configuration, which Caddy's
	// admin endpoint shows: {env.NAME} or {file./PATH}.
	Secrets []string `json:"secrets,omitempty"`
	// KeyFile is the path of a file of public keys: PEM (public keys or certificates) or a JSON Web Key Set. It is read
	// when the configuration is loaded. Placeholders are replaced.
	KeyFile string `json:"key_file,omitempty"`
	// JWKS is the URL where the issuer publishes its keys (RFC 7517). They are fetched in the background, are kept for
	// seven days while the issuer does not answer, and survive a reload. Placeholders are replaced.
	JWKS string `json:"jwks,omitempty"`
	// AllowHTTP accepts a URL of http for JWKS that is not of this machine: for an issuer in the same private network.
	// Whoever can change its answer can sign tokens. Default: false.
	AllowHTTP bool `json:"allow_http,omitempty"`
	// Algorithms are those accepted: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384,
	// ES512, EdDSA. Default: whatever the keys allow.
	Algorithms []string `json:"algorithms,omitempty"`
	// Issuers are those accepted as "iss". Default: any.
	Issuers []string `json:"issuers,omitempty"`
	// Audiences are those of which "aud" must name one. Default: any, which is safe only where the keys sign tokens for
	// nobody else.
	Audiences []string `json:"audiences,omitempty"`
	// TenantClaim names the tenant, by id or slug; a dot leads into an object, brackets hold a name that has dots. "-"
	// says that tokens name no tenant: then they say who the user is, and another source says which tenant is meant.
	// Default: tenant_id.
	TenantClaim string `json:"tenant_claim,omitempty"`
	// EnvironmentClaim names the environment, by id or slug; "-" is none. Default: environment_id.
	EnvironmentClaim string `json:"environment_claim,omitempty"`
	// UserClaim names the user; "-" is none. Default: sub.
	UserClaim string `json:"user_claim,omitempty"`
	// RoleClaim lists the user's roles: an array of strings, or one string with spaces or commas between them; "-" is
	// none. Default: roles.
	RoleClaim string `json:"role_claim,omitempty"`
	// MFA says which tokens prove a sign-in with more than one factor, for tenants that demand it. Default: those whose claim
	// amr (RFC 8176) lists "mfa".
	MFA *ClaimTest `json:"mfa,omitempty"`
	// SSO says which tokens prove a sign-in with the tenant's identity provider, for tenants that demand it. Default: those
	// whose claim amr lists "sso".
	SSO *ClaimTest `json:"sso,omitempty"`
	// Leeway is how far the clocks of issuer and gateway may differ, 10m at most; 0 is not at all. Default: 30s.
	Leeway *caddy.Duration `json:"leeway,omitempty"`
	// From are the places where a token may be: "header" (Authorization: Bearer), "header NAME", "cookie NAME",
	// "query NAME", "subprotocol" (Sec-WebSocket-Protocol). Two different tokens are refused. Default: header.
	From []string `json:"from,omitempty"`
	// Remove takes the token out of what goes upstream. Default: false.
	Remove bool `json:"remove,omitempty"`

	keys credential.KeySource
	// poolKey is what was acquired from issuers; empty: nothing.
	poolKey string
}

// ClaimTest asks whether a claim is, or lists, one of some values.
type ClaimTest struct {
	// Claim is its name; a dot leads into an object, brackets hold a name that has dots. Required.
	Claim string `json:"claim"`
	// Values are those of which one is enough; a boolean reads as "true" or "false". At least one.
	Values []string `json:"values"`
}

// methodsClaim lists the methods of a sign-in (RFC 8176); the verifier reads it in any case.
const methodsClaim = "amr"

// test returns the router's word for t.
func (t *ClaimTest) test() router.ClaimTest {
	switch {
	case t == nil:
		return router.ClaimTest{}
	case t.Claim == methodsClaim:
		return router.ClaimTest{Values: t.Values}
	}
	return router.ClaimTest{Claim: t.Claim, Values: t.Values}
}

// extraClaims returns the claims that only the tests read.
func (s *JWT) extraClaims() (names []string) {
	for _, t := range []*ClaimTest{s.MFA, s.SSO} {
		if t != nil && t.Claim != methodsClaim && !slices.Contains(names, t.Claim) {
			names = append(names, t.Claim)
		}
	}
	return names
}

// CaddyModule returns the Caddy module information.
func (*JWT) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".jwt", New: func() caddy.Module { return new(JWT) }}
}

// String hides the secrets wherever the module is printed.
func (*JWT) String() string { return "jwt" }

// GoString is String, for %#v.
func (s *JWT) GoString() string { return s.String() }

// Provision takes the keys into use. It reads a key file, but asks no issuer: `caddy validate` can run it anywhere.
func (s *JWT) Provision(ctx caddy.Context) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	switch {
	case s.JWKS != "":
		return s.follow(ctx)
	case s.KeyFile != "":
		s.keys, err = s.readKeyFile()
	default:
		s.keys, err = s.readSecrets()
	}
	return err
}

// follow acquires the issuer.
func (s *JWT) follow(ctx caddy.Context) error {
	url, err := replaced("jwks", s.JWKS)
	if err != nil {
		return err
	}
	if len(s.Audiences) == 0 {
		ctx.Slogger().Warn("tokens for any audience are accepted: whatever else the issuer signs tokens for, they pass here, too; name an audience")
	}
	app, err := ctx.App("tenants")
	if err != nil {
		return err
	}
	o := credential.JWKSOptions{URL: url, AllowHTTP: s.AllowHTTP}
	is, err := acquireIssuer(o)
	if err != nil {
		return fmt.Errorf("jwt: jwks: %w", err)
	}
	s.keys, s.poolKey = is.keys, o.Identity()
	app.(*App).follow(is)
	return nil
}

func (s *JWT) readKeyFile() (credential.KeySource, error) {
	path, err := replaced("key_file", s.KeyFile)
	if err != nil {
		return nil, err
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("jwt: key_file: %w", err)
	}
	set, err := credential.ParseKeys(file)
	if err != nil {
		return nil, fmt.Errorf("jwt: key_file %s: %w", path, err)
	}
	return set, nil
}

func (s *JWT) readSecrets() (credential.KeySource, error) {
	secrets := make([][]byte, len(s.Secrets))
	for i, secret := range s.Secrets {
		text, err := replaced("secret", secret)
		if err != nil {
			return nil, err
		}
		secrets[i] = []byte(text)
	}
	set, err := credential.SecretKeys(secrets...)
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	return set, nil
}

// replaced returns the value of an option with its placeholders replaced. No error of it shows any part of the value.
func replaced(option, value string) (string, error) {
	text, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
	if err != nil {
		return "", fmt.Errorf("jwt: %s: a placeholder in it is unknown or empty", option)
	}
	return text, nil
}

// Cleanup gives back what Provision acquired, and only that. Requests that are still inside the handler keep the keys
// that they have.
func (s *JWT) Cleanup() error {
	if s.poolKey == "" {
		return nil
	}
	_, err := issuers.Delete(s.poolKey)
	s.poolKey = ""
	return err
}

// check finds what is wrong with the configuration as it is written, without a look at any key that is elsewhere.
func (s *JWT) check() error {
	if err := s.checkKinds(); err != nil {
		return err
	}
	if err := s.checkKeys(); err != nil {
		return err
	}
	if err := s.checkVerifier(); err != nil {
		return err
	}
	_, err := s.extractor()
	return err
}

func (s *JWT) checkKinds() error {
	kinds := 0
	for _, given := range []bool{len(s.Secrets) > 0, s.KeyFile != "", s.JWKS != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("jwt: one of secret, key_file and jwks is needed, and only one")
	}
	for _, t := range []*ClaimTest{s.MFA, s.SSO} {
		if t != nil && (t.Claim == "" || len(t.Values) == 0) {
			return errors.New("jwt: mfa and sso need a claim and its values")
		}
	}
	if s.AllowHTTP && s.JWKS == "" {
		return errors.New("jwt: allow_http is for jwks only")
	}
	return nil
}

func (s *JWT) checkKeys() error {
	if _, err := s.writtenKeys(); err != nil {
		return fmt.Errorf("jwt: %w", err)
	}
	return nil
}

func (s *JWT) checkVerifier() error {
	keys, err := s.writtenKeys()
	if err != nil {
		return fmt.Errorf("jwt: %w", err)
	}
	_, err = s.verifier(keys)
	return err
}

// writtenKeys returns the keys as far as they stand in the configuration itself. What is elsewhere is stood in for by
// keys that might be of any type, so that everything else can be checked.
func (s *JWT) writtenKeys() (credential.KeySource, error) {
	const elsewhere = "https://placeholder.invalid/"
	switch {
	case s.KeyFile != "":
		return credential.NewJWKS(credential.JWKSOptions{URL: elsewhere})
	case s.JWKS != "":
		url := s.JWKS
		if strings.Contains(url, "{") { // replaced at start
			url = elsewhere
		}
		return credential.NewJWKS(credential.JWKSOptions{URL: url, AllowHTTP: s.AllowHTTP})
	}
	secrets := make([][]byte, len(s.Secrets))
	for i, secret := range s.Secrets {
		if secrets[i] = []byte(secret); strings.Contains(secret, "{") {
			secrets[i] = make([]byte, 64) // long enough for all
		}
	}
	return credential.SecretKeys(secrets...)
}

// source returns the router's source.
func (s *JWT) source([]string) (router.Source, error) {
	if s.keys == nil {
		return nil, errors.New("jwt: the keys are not in use yet")
	}
	verifier, err := s.verifier(s.keys)
	if err != nil {
		return nil, err
	}
	extractor, err := s.extractor()
	if err != nil {
		return nil, err
	}
	return router.NewJWT(router.JWTOptions{
		Verifier: verifier, Extractor: extractor, TenantClaim: s.TenantClaim, Remove: s.Remove,
		MFA: s.MFA.test(), SSO: s.SSO.test(),
	})
}

// proves implements prover: a token without a claim for a tenant or an environment proves only who the user is.
func (s *JWT) proves() bool {
	return s.TenantClaim != credential.Unread || s.EnvironmentClaim != credential.Unread
}

// verifier returns what verifies tokens with these keys; without keys it only checks the options.
func (s *JWT) verifier(keys credential.KeySource) (*credential.Verifier, error) {
	o := credential.VerifierOptions{
		Keys: keys, Algorithms: s.Algorithms, Issuers: s.Issuers, Audiences: s.Audiences,
		Claims: credential.ClaimNames{
			Tenant: s.TenantClaim, Environment: s.EnvironmentClaim, User: s.UserClaim, Roles: s.RoleClaim,
			Extra: s.extraClaims(),
		},
	}
	if s.Leeway != nil {
		if o.Leeway = time.Duration(*s.Leeway); o.Leeway < 0 {
			return nil, errors.New("jwt: leeway must not be negative")
		}
		if o.Leeway == 0 {
			o.Leeway = -1 // none, where 0 is the default
		}
	}
	v, err := credential.NewVerifier(o)
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	return v, nil
}

// extractor returns what finds tokens.
func (s *JWT) extractor() (*credential.Extractor, error) {
	places := make([]credential.Place, len(s.From))
	for i, from := range s.From {
		var err error
		if places[i], err = credential.ParsePlace(strings.Fields(from)...); err != nil {
			return nil, fmt.Errorf("jwt: from: %w", err)
		}
	}
	x, err := credential.NewExtractor(places...)
	if err != nil {
		return nil, fmt.Errorf("jwt: from: %w", err)
	}
	return x, nil
}

// Interface guards
var (
	_ caddy.Provisioner  = (*JWT)(nil)
	_ caddy.CleanerUpper = (*JWT)(nil)
	_ fmt.Stringer       = (*JWT)(nil)
	_ fmt.GoStringer     = (*JWT)(nil)
)
