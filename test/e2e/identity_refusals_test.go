package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/router/credential"
	"github.com/tenantgate/tenantgate/test/harness"
)

// badInput is a request that is refused, or, for the contrast, one that is not.
type badInput struct {
	name   string
	site   string
	ask    harness.Ask
	status int
	code   string // empty: an upstream answers
	// why is what the log has to say.
	why string
}

// badInputs is a gateway with a site for each way to prove something, and what is presented there.
type badInputs struct {
	people people
	issuer *ecdsa.PrivateKey
	rows   []badInput
}

// add adds a row; an empty code is for requests that pass.
func (b *badInputs) add(name, site string, ask harness.Ask, status int, code, why string) {
	b.rows = append(b.rows, badInput{name, site, ask, status, code, why})
}

// refuse401 adds a row of a credential that is not valid.
func (b *badInputs) refuse401(name, site string, ask harness.Ask, why string) {
	b.add(name, site, ask, 401, "credentials_invalid", why)
}

// The tenants of which each demands something of who signs in.
var demanding = map[string]string{
	"address":  `{"accessControl":{"ipWhitelist":["10.0.0.0/8","2001:db8::/32"]}}`,
	"factors":  `{"accessControl":{"requireMFA":true}}`,
	"provider": `{"accessControl":{"requireSSO":true}}`,
	"recent":   `{"accessControl":{"sessionTimeout":600}}`,
}

// Promise: every way to be wrong has its status and code; the body is a problem that holds nothing secret and nothing
// internal; 401 comes with WWW-Authenticate; and the log says why, without the token, cookie or key.
func TestBadInput(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	registry := fileBackend(t)
	d := someTenants(u)
	d.Tenants = append(d.Tenants, tenant{
		Slug: "initech", Name: "Initech", Plan: "pro", Environments: []environment{
			{Slug: "production", Name: "P", Type: "production", IsDefault: true, Upstreams: []string{u.globex.Address}},
			{ID: numberedID(2, 9), Slug: "old", Name: "Old", Type: "test", Status: "archived", Upstreams: []string{u.globex.Address}},
		},
	})
	policies := map[string]string{} // environments by the tenant's slug
	for slug := range demanding {
		id := numberedID(2, 20+len(policies))
		policies[slug] = id
		d.Tenants = append(d.Tenants, tenant{Slug: slug, Name: slug, Plan: "pro", Environments: []environment{
			{ID: id, Slug: "production", Name: "P", Type: "production", Upstreams: []string{u.globex.Address}},
		}})
	}
	registry.load(t, d)
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &badInputs{people: newPeople(t, registry), issuer: issuer}
	for slug, policy := range demanding {
		b.people.exec(t, "UPDATE sys_organization SET security_policy = ? WHERE slug = ?", policy, slug)
		b.people.member(t, policies[slug], "user-1", "env_user")
	}
	b.people.member(t, acmeProdID, "user-1", "env_user")
	b.people.member(t, numberedID(2, 9), "user-1", "env_user")
	b.tokens(t)
	b.sessions(t)
	b.keys(t)
	b.roles(t)
	b.policies(t, policies)

	keys := startKeyServer(t, issuer)
	g := harness.Start(t, harness.Options{
		Tenants: registry.directive(""), Global: "debug",
		Env: []string{"JWT_SECRET=" + identityTokenSecret, "AUTH_SECRET=" + identitySessionSecret},
		Site: `log {
			format filter {
				request>headers>X-Api-Key delete
			}
		}
		` + sites(badInputSites(keys.URL)),
	})
	b.keyServer(t)
	presented := b.check(t, g)

	// Keys that are known are kept while the issuer fails; a token of a key that is not known is not blamed for that.
	b.rows = nil
	b.add("jwks: before it breaks", "breakable", withToken("gateway.test", b.token(t, "acme")), 200, "", "")
	presented = append(presented, b.check(t, g)...)
	keys.broken.Store(true)
	b.rows = nil
	b.add("jwks: broken, with known keys", "breakable", withToken("gateway.test", b.token(t, "acme", "sub", "somebody new")), 200, "", "")
	b.add("jwks: broken, forged", "breakable", withToken("gateway.test", forged(b.token(t, "acme"))), 401, "credentials_invalid", "signature")
	presented = append(presented, b.check(t, g)...)
	// For 10 s after it has answered, the issuer is not asked again for keys that it did not list.
	unknown := onSite("breakable", withToken("gateway.test", b.unknownKey(t)))
	harness.Eventually(t, 20*time.Second, comesTo(t, g, unknown, "keys_unavailable"))
	if !strings.Contains(refusedLines(g.Log(t), "keys_unavailable"), "answered 500") {
		t.Error("the log does not say why the keys cannot be had")
	}
	presented = append(presented, presentedBy(unknown)...)
	g.Stop(t)
	log := g.Log(t)
	for _, secret := range append(presented, identityTokenSecret, identitySessionSecret) {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %.20s…", secret)
		}
	}
}

// badInputSites are the handlers by name.
func badInputSites(keys string) map[string]string {
	const jwt = `identify subdomain {tenant}.app.test
		identify header X-Tenant-ID
		identify jwt {
			%s
			issuer https://id.test
			audience app
			tenant_claim organizationId
			from header
			from cookie jwt
		}
		require authenticated`
	const session = `identify subdomain {tenant}.app.test
		identify session {
			secret {env.AUTH_SECRET}
		}`
	handlers := map[string]string{
		"jwt":           fmt.Sprintf(jwt, "jwks "+keys+"/good"),
		"jwt-rsa":       fmt.Sprintf(jwt, "jwks "+keys+"/good\nalgorithms RS256"),
		"secret":        fmt.Sprintf(jwt, "secret {env.JWT_SECRET}"),
		"session":       session,
		"session-any":   strings.Replace(session, "secret {", "any_user\nsecret {", 1),
		"session-proof": session + "\nrequire authenticated",
		"key":           "identify subdomain {tenant}.app.test\nidentify api_key {\nremove\n}\nrequire authenticated",
		"role": "identify api_key {\nremove\n}\nidentify jwt {\nsecret {env.JWT_SECRET}\ntenant_claim organizationId\n}\n" +
			"identify session {\nsecret {env.AUTH_SECRET}\n}\nidentify header\nrequire role env_maker",
	}
	handlers["breakable"] = fmt.Sprintf(jwt, "jwks "+keys+"/breakable")
	for _, fault := range keyFaults {
		handlers["jwks-"+fault] = fmt.Sprintf(jwt, "jwks "+keys+"/"+fault)
	}
	return handlers
}

// token signs a token as the issuer does.
func (b *badInputs) token(t *testing.T, tenant string, pairs ...any) string {
	t.Helper()
	return tokenFor(t, jwt.SigningMethodES256, b.issuer, tenant, pairs...)
}

func (b *badInputs) tokens(t *testing.T) {
	const host = "gateway.test"
	now := time.Now()
	good := b.token(t, "acme")
	b.add("token", "jwt", withToken(host, good), 200, "", "")
	b.add("token at its address", "jwt", withToken("acme.app.test", good), 200, "", "")
	b.refuse401("no token", "jwt", withToken("acme.app.test", ""), "no token, session or API key of the request names its tenant")
	for _, row := range []struct{ name, token, why string }{
		{"garbage", "garbage", "malformed"},
		{"binary garbage", "\x80\xff.\xfe.\xfd", "malformed"},
		{"three parts of garbage", "a.b.c", "malformed"},
		{"without its signature", good[:strings.LastIndexByte(good, '.')+1], "signature"},
		{"with a forged signature", forged(good), "signature"},
		{"algorithm none", tokenFor(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "acme"), "algorithm"},
		{"signed by HMAC with the public key", b.confused(t), "algorithm"},
		{"of another key with the same id", otherKeyToken(t), "signature"},
		{"of a key that the issuer does not list", b.unknownKey(t), "key_unknown"},
		{"expired", b.token(t, "acme", "exp", now.Add(-time.Hour).Unix()), "expired"},
		{"not yet valid", b.token(t, "acme", "nbf", now.Add(time.Hour).Unix()), "not_yet_valid"},
		{"issued in the future", b.token(t, "acme", "iat", now.Add(time.Hour).Unix()), "not_yet_valid"},
		{"for another audience", b.token(t, "acme", "aud", "other"), "audience"},
		{"without an audience", b.token(t, "acme", "aud", nil), "aud claim is required"},
		{"of another issuer", b.token(t, "acme", "iss", "https://evil.test"), "issuer"},
		{"without a tenant", b.token(t, "acme", "organizationId", nil), "claim_missing"},
		{"without an expiry", b.token(t, "acme", "exp", nil), "claim_missing"},
		{"with a number for a tenant", b.token(t, "acme", "organizationId", 7), "claim_type"},
		{"with a list for a tenant", b.token(t, "acme", "organizationId", []string{"acme", "globex"}), "claim_type"},
		{"with text for an expiry", b.token(t, "acme", "exp", "tomorrow"), "claim_type"},
		{"with objects for roles", b.token(t, "acme", "roles", []any{map[string]string{"a": "b"}}), "claim_type"},
		{"with a tenant that is no name", b.token(t, "acme/../globex"), "no ids and no slugs"},
		{"with a critical extension", b.critical(t), "malformed"},
		{"larger than any token", b.token(t, "acme", "x", strings.Repeat("x", credential.MaxToken)), "too_large"},
	} {
		b.refuse401("token: "+row.name, "jwt", withToken(host, row.token), row.why)
	}
	b.refuse401("token: of an algorithm that is not configured", "jwt-rsa", withToken(host, good), "algorithm")
	b.refuse401("token: wrong secret", "secret", withToken(host, tokenFor(t, jwt.SigningMethodHS256, []byte("another secret of more than 32 bytes"), "acme")), "signature")
	b.add("token: right secret", "secret", withToken(host, tokenFor(t, jwt.SigningMethodHS256, []byte(identityTokenSecret), "acme")), 200, "", "")
	b.refuse401("two different tokens", "jwt", withToken(host, good, "Cookie", "jwt="+b.token(t, "acme", "sub", "user-2")), "conflict")
	b.add("one token twice", "jwt", withToken(host, good, "Cookie", "jwt="+good), 200, "", "")
	b.add("token of another tenant", "jwt", withToken("globex.app.test", good), 403, "tenant_conflict", "jwt and subdomain disagree")
	b.add("token beside another's header", "jwt", withToken(host, good, "X-Tenant-ID", globexID), 403, "tenant_conflict", "jwt and header disagree")
	b.add("token of an unknown tenant", "jwt", withToken(host, b.token(t, "nobody")), 404, "tenant_not_found", "tenant_not_found")
}

// confused is a token that is signed by HMAC with what everybody knows: the issuer's public key.
func (b *badInputs) confused(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&b.issuer.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return tokenFor(t, jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "acme")
}

// critical is a token with an extension that whoever does not know it must refuse (RFC 7515 §4.1.11).
func (b *badInputs) critical(t *testing.T) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "organizationId": "acme"})
	token.Header["kid"], token.Header["crit"], token.Header["exp"] = "k1", []string{"exp"}, 1
	text, err := token.SignedString(b.issuer)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// unknownKey is a token of a key that the issuer has not published.
func (b *badInputs) unknownKey(t *testing.T) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "organizationId": "acme"})
	token.Header["kid"] = "k2"
	text, err := token.SignedString(b.issuer)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func otherKeyToken(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return tokenFor(t, jwt.SigningMethodES256, key, "acme")
}
