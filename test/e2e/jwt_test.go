package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/test/harness"
)

// tokenSite is a site whose tenants are proven by tokens.
func tokenSite(options string) string {
	return "tenant {\nidentify subdomain {tenant}.app.test\nidentify header X-Tenant-ID\nidentify jwt {\n" + options +
		"\n}\nrequire authenticated\n}\ntenant_proxy"
}

// tokenFor signs the claims of a user of a tenant, for an hour or for what the pairs say.
func tokenFor(t *testing.T, method jwt.SigningMethod, key any, tenant string, pairs ...any) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": "https://id.test", "aud": "app", "sub": "user-1", "roles": []string{"env_user"},
		"organizationId": tenant, "exp": time.Now().Add(time.Hour).Unix(),
	}
	for i := 0; i < len(pairs); i += 2 {
		claims[pairs[i].(string)] = pairs[i+1]
	}
	token := jwt.NewWithClaims(method, claims)
	if method == jwt.SigningMethodES256 {
		token.Header["kid"] = "k1"
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// withToken is a request that carries a token.
func withToken(host, token string, headers ...string) harness.Ask {
	ask := harness.Ask{Host: host, Header: map[string]string{"X-User-ID": "root", "X-User-Role": "env_admin"}}
	if token != "" {
		ask.Header["Authorization"] = "Bearer " + token
	}
	for i := 0; i < len(headers); i += 2 {
		ask.Header[headers[i]] = headers[i+1]
	}
	return ask
}

// checkTokens asks what holds for every kind of key: a good token reaches its own tenant and environment with its own
// user, wherever it is sent; and nothing else does.
func checkTokens(t *testing.T, g *harness.Gateway, sign func(tenant string, pairs ...any) string) {
	t.Helper()
	for _, tt := range []struct {
		name     string
		ask      harness.Ask
		upstream string // or else a refusal
		status   int
		code     string
	}{
		{"by slug", withToken("gateway.test", sign("acme")), "acme-production", 200, ""},
		{"by id", withToken("gateway.test", sign(globexID)), "globex", 200, ""},
		{"with an environment", withToken("gateway.test", sign("acme", "environment_id", "dev")), "acme-dev", 200, ""},
		{"at its address", withToken("acme.app.test", sign("acme")), "acme-production", 200, ""},
		{"at another's address", withToken("globex.app.test", sign("acme")), "", 403, "tenant_conflict"},
		{"beside another's header", withToken("gateway.test", sign("acme"), "X-Tenant-ID", "globex"), "", 403, "tenant_conflict"},
		{"expired", withToken("gateway.test", sign("acme", "exp", time.Now().Add(-time.Hour).Unix())), "", 401, "credentials_invalid"},
		{"for another audience", withToken("gateway.test", sign("acme", "aud", "other")), "", 401, "credentials_invalid"},
		{"of another issuer", withToken("gateway.test", sign("acme", "iss", "https://evil.test")), "", 401, "credentials_invalid"},
		{"without a tenant", withToken("acme.app.test", sign("")), "", 401, "credentials_invalid"},
		{"unknown tenant", withToken("gateway.test", sign("nobody")), "", 404, "tenant_not_found"},
		{"with a forged signature", withToken("gateway.test", forged(sign("acme"))), "", 401, "credentials_invalid"},
		{"no token", withToken("acme.app.test", ""), "", 401, "credentials_invalid"},
		{"no token but a header", withToken("gateway.test", "", "X-Tenant-ID", "acme"), "", 401, "credentials_invalid"},
	} {
		answer := g.Send(t, tt.ask)
		if tt.code != "" {
			if p := answer.Problem(t); answer.Status != tt.status || p.Code != tt.code {
				t.Errorf("%s: %d %s, want %d %s", tt.name, answer.Status, p.Code, tt.status, tt.code)
			}
			if got := answer.Header.Get("WWW-Authenticate"); strings.HasPrefix(got, "Bearer") != (tt.status == 401) {
				t.Errorf("%s: WWW-Authenticate is %q", tt.name, got)
			}
			continue
		}
		e := answer.Echo(t)
		user, role := e.Values("X-User-ID"), e.Values("X-User-Role")
		if e.Upstream != tt.upstream || len(user) != 1 || user[0] != "user-1" || len(role) != 1 || role[0] != "env_user" {
			t.Errorf("%s: upstream %s for user %q with role %q, want %s", tt.name, e.Upstream, user, role, tt.upstream)
		}
	}
}

// forged returns the token with another signature of the same length.
func forged(token string) string {
	cut := strings.LastIndexByte(token, '.') + 1
	return token[:cut] + strings.Repeat("A", len(token)-cut)
}

// Promise: with a shared secret, from the environment or a file, a token proves tenant, environment and user; a secret
// that was rotated out is honoured as long as it stands there; and no secret shows in the log or at the admin endpoint.
func TestTokensBySecret(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	b.load(t, someTenants(u))
	secret, old := "e2e-secret-"+strings.Repeat("s", 32), "e2e-older-secret-"+strings.Repeat("o", 32)
	file := harness.WriteFile(t, t.TempDir(), "old-secret", old+"\n")
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""), Env: append(b.env(), "JWT_SECRET="+secret),
		Site: tokenSite("secret {env.JWT_SECRET} {file." + file + "}\nissuer https://id.test\naudience app\ntenant_claim organizationId"),
	})
	for _, key := range []string{secret, old} {
		checkTokens(t, g, func(tenant string, pairs ...any) string {
			return tokenFor(t, jwt.SigningMethodHS256, []byte(key), tenant, pairs...)
		})
	}
	config, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: "/config/"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{secret, old} {
		if strings.Contains(g.Log(t), key) || strings.Contains(config.Body, key) {
			t.Error("a secret shows in the log or at the admin endpoint")
		}
	}
}

// provider is an issuer of tokens that publishes its key, and can be stopped and started at its address.
type provider struct {
	key     *ecdsa.PrivateKey
	address string
	server  *http.Server
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, address: harness.FreeAddress(t)}
	p.start(t)
	t.Cleanup(func() { p.stop(t) })
	return p
}

func (p *provider) start(t *testing.T) {
	t.Helper()
	point, err := p.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(document)
	})}
	p.server = server
	go func() { _ = server.Serve(ln) }() // until it is stopped
}

func (p *provider) stop(t *testing.T) {
	t.Helper()
	if err := p.server.Close(); err != nil {
		t.Error(err)
	}
}

// Promise: with the keys that an issuer publishes, a token proves tenant, environment and user. The gateway starts
// while the issuer is down and answers tokens with 503 until it is up; once it has the keys, known users notice
// nothing of an issuer that is down, also across a reload.
func TestTokensByIssuer(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	b.load(t, someTenants(u))
	p := startProvider(t)
	p.stop(t)
	site := tokenSite("jwks http://" + p.address + "/keys\nissuer https://id.test\naudience app\ntenant_claim organizationId")
	options := harness.Options{Tenants: b.directive(""), Site: site, Env: b.env()}
	g := harness.Start(t, options)
	sign := func(tenant string, pairs ...any) string {
		return tokenFor(t, jwt.SigningMethodES256, p.key, tenant, pairs...)
	}
	answer := g.Send(t, withToken("acme.app.test", sign("acme")))
	if got := answer.Problem(t); answer.Status != 503 || got.Code != "keys_unavailable" || answer.Header.Get("Retry-After") == "" {
		t.Errorf("without keys: %d %+v", answer.Status, got)
	}

	p.start(t)
	harness.Eventually(t, 30*time.Second, func() error {
		answer, err := harness.Send(t.Context(), g.Client, g.Address, withToken("acme.app.test", sign("acme")))
		if err == nil && answer.Status != 200 {
			err = fmt.Errorf("status %d: %s", answer.Status, answer.Body)
		}
		return err
	})
	checkTokens(t, g, sign)

	p.stop(t)
	if r := g.Reload(t, options); r.ExitCode != 0 {
		t.Fatalf("reload: exit code %d\n%s", r.ExitCode, r.Output())
	}
	// A user who was not seen before, so that the key is what was kept.
	e := g.Send(t, withToken("acme.app.test", sign("acme", "sub", "user-2"))).Echo(t)
	if got := e.Values("X-User-ID"); e.Upstream != "acme-production" || len(got) != 1 || got[0] != "user-2" {
		t.Errorf("while the issuer is down: upstream %s for user %q", e.Upstream, got)
	}
	p.start(t)
}
