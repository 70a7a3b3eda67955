package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"
)

// tokenSecret signs the tokens of these tests, oldSecret those from before it was rotated.
var (
	tokenSecret = strings.Repeat("a-secret-of-32-b", 2)
	oldSecret   = strings.Repeat("an-older-secret-", 2)
)

// signedToken signs a token for an hour with these claims; exp among them overrides that.
func signedToken(tb testing.TB, secret string, claims jwt.MapClaims) string {
	tb.Helper()
	if _, ok := claims["exp"]; !ok {
		claims["exp"] = time.Now().Add(time.Hour).Unix()
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// bearer is the header that carries a token.
func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// tokenSite is a site whose tenants are proven by tokens; options stand in the block of identify jwt, more in that of
// tenant.
func tokenSite(options, more string) string {
	return fmt.Sprintf("tenant {\nidentify subdomain {tenant}.app.test\nidentify header X-Tenant-ID\nidentify jwt {\n%s\n}\n%s\n}\nreverse_proxy {\ndynamic tenant\n}\n",
		options, more)
}

// codeOf returns the code of a problem.
func codeOf(body string) string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(body), &p)
	return p.Code
}

// acmeAndGlobex are two tenants with an upstream each that answers with its name.
func (s *server) acmeAndGlobex() string {
	return s.fileRegistry(tenantsWith(s.tb, map[string][]string{"acme": {newEcho(s.tb, "acme")}, "globex": {newEcho(s.tb, "globex")}}))
}

// TestJWTSource keeps the promise of the source on the whole way: the right tenant's upstream, told who the user is;
// nothing else that a request says outranks the token; and no token that is not good passes.
func TestJWTSource(t *testing.T) {
	t.Setenv("OLD_SECRET", oldSecret)
	s := newServer(t)
	secret := s.file("secret", tokenSecret+"\n")
	options := "secret {file." + secret + "} {env.OLD_SECRET}\ntenant_claim organizationId\nissuer https://id.test\naudience app\nleeway 0"
	s.mustLoad(s.acmeAndGlobex(), tokenSite(options, "require authenticated"))

	claims := func(tenant string) jwt.MapClaims {
		return jwt.MapClaims{"organizationId": tenant, "sub": "u1", "roles": []string{"env_user", "env_maker"}, "iss": "https://id.test", "aud": "app"}
	}
	with := func(c jwt.MapClaims, name string, value any) jwt.MapClaims {
		c[name] = value
		return c
	}
	acme := signedToken(t, tokenSecret, claims("acme"))
	for _, tt := range []struct {
		name, host string
		header     http.Header
		upstream   string // or else a refusal
		code       string
	}{
		{"token alone", "gateway.test", bearer(acme), "acme", ""},
		{"token at its address", "acme.app.test", bearer(acme), "acme", ""},
		{"old secret", "gateway.test", bearer(signedToken(t, oldSecret, claims("globex"))), "globex", ""},
		{"token at another's address", "globex.app.test", bearer(acme), "", "tenant_conflict"},
		{"another's header beside it", "gateway.test", http.Header{"Authorization": {"Bearer " + acme}, "X-Tenant-Id": {"globex"}}, "", "tenant_conflict"},
		{"unknown tenant", "gateway.test", bearer(signedToken(t, tokenSecret, claims("nobody"))), "", "tenant_not_found"},
		{"no token", "acme.app.test", nil, "", "credentials_invalid"},
		{"header without a token", "gateway.test", http.Header{"X-Tenant-Id": {"acme"}}, "", "credentials_invalid"},
		{"expired", "gateway.test", bearer(signedToken(t, tokenSecret, with(claims("acme"), "exp", time.Now().Add(-time.Minute).Unix()))), "", "credentials_invalid"},
		{"another issuer", "gateway.test", bearer(signedToken(t, tokenSecret, with(claims("acme"), "iss", "https://evil.test"))), "", "credentials_invalid"},
		{"another audience", "gateway.test", bearer(signedToken(t, tokenSecret, with(claims("acme"), "aud", "other"))), "", "credentials_invalid"},
		{"without a tenant", "acme.app.test", bearer(signedToken(t, tokenSecret, with(claims("acme"), "organizationId", nil))), "", "credentials_invalid"},
		{"another secret", "gateway.test", bearer(signedToken(t, strings.Repeat("x", 32), claims("acme"))), "", "credentials_invalid"},
	} {
		r := s.request(http.MethodGet, tt.host, "/", tt.header)
		r.Header["X-User-Id"], r.Header["X-User-Role"] = []string{"root"}, []string{"env_admin"}
		res, body := s.do(r)
		if tt.code != "" {
			challenge := res.Header.Get("WWW-Authenticate")
			want := ""
			if tt.code == "credentials_invalid" {
				want = "Bearer"
				if tt.header["Authorization"] != nil {
					want = `Bearer error="invalid_token"`
				}
			}
			if codeOf(body) != tt.code || challenge != want {
				t.Errorf("%s: %d, WWW-Authenticate %q, %s", tt.name, res.StatusCode, challenge, body)
			}
			continue
		}
		e := echoed(t, body)
		if e.Upstream != tt.upstream || e.Header.Get("X-Tenant-Slug") != tt.upstream || e.Header.Get("X-User-ID") != "u1" ||
			e.Header.Get("X-User-Role") != "env_user,env_maker" || e.Header.Get("Authorization") != tt.header.Get("Authorization") {
			t.Errorf("%s: %s", tt.name, body)
		}
	}
	for _, secret := range []string{tokenSecret, oldSecret, acme} {
		if lines := s.logged(secret); len(lines) != 0 {
			t.Errorf("the log holds a secret: %q", lines)
		}
	}
}

// TestJWTOutranks keeps the promise that X-Tenant-ID of another tenant beside a token never wins, whatever the sources'
// order and agreement; and that a token which is refused is not passed over.
func TestJWTOutranks(t *testing.T) {
	s := newServer(t)
	tenants := s.acmeAndGlobex()
	header := bearer(signedToken(t, tokenSecret, jwt.MapClaims{"tenant_id": "acme"}))
	header["X-Tenant-Id"] = []string{"globex"}
	for _, agreement := range []string{"required", "authenticated", "first"} {
		s.mustLoad(tenants, tokenSite("secret "+tokenSecret, "agreement "+agreement))
		_, body := s.do(s.request(http.MethodGet, "gateway.test", "/", header))
		if agreement == "required" && codeOf(body) != "tenant_conflict" || agreement != "required" && echoed(t, body).Upstream != "acme" {
			t.Errorf("%s: %s", agreement, body)
		}
		_, body = s.do(s.request(http.MethodGet, "acme.app.test", "/", bearer("a.b.c")))
		if codeOf(body) != "credentials_invalid" {
			t.Errorf("%s: a bad token: %s", agreement, body)
		}
		if _, body = s.get("acme.app.test", "/"); echoed(t, body).Upstream != "acme" {
			t.Errorf("%s: no token and none required: %s", agreement, body)
		}
	}
}

// TestJWTPlaces keeps the promise that tokens are found where from says, and that remove takes them out of all of it.
func TestJWTPlaces(t *testing.T) {
	s := newServer(t)
	tenants := s.acmeAndGlobex()
	token := signedToken(t, tokenSecret, jwt.MapClaims{"tenant_id": "acme"})
	const places = "\nfrom header\nfrom cookie jwt\nfrom query access_token\nfrom subprotocol"
	for _, remove := range []bool{false, true} {
		options := "secret " + tokenSecret + places
		if remove {
			options += "\nremove"
		}
		s.mustLoad(tenants, tokenSite(options, "require authenticated"))
		for _, place := range []struct {
			path   string
			header http.Header
		}{
			{"/", bearer(token)},
			{"/", http.Header{"Cookie": {"a=b; jwt=" + token}}},
			{"/?x=1&access_token=" + token, nil},
			{"/", http.Header{"Sec-Websocket-Protocol": {"chat, bearer, " + token}}},
		} {
			res, body := s.do(s.request(http.MethodGet, "gateway.test", place.path, place.header))
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s %v: %s", place.path, place.header, body)
				continue
			}
			if got := !strings.Contains(body, token); got != remove {
				t.Errorf("remove %t: %s %v: %s", remove, place.path, place.header, body)
			}
		}
	}
}

// TestJWTSecrets keeps the promise that secrets show neither in errors nor where the module is printed, and that a
// secret which cannot be had stops the configuration.
func TestJWTSecrets(t *testing.T) {
	t.Setenv("SHORT_SECRET", "hunter2")
	s := newServer(t)
	tenants := s.acmeAndGlobex()
	for _, options := range []string{"secret {env.SHORT_SECRET}", "secret hunter2{env.NO_SUCH_SECRET}", "key_file " + s.file("hunter.pem", "hunter2"), "key_file /nowhere/at/all"} {
		err := s.load(tenants, tokenSite(options, ""))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", options, err)
		}
	}
	m := &JWT{Secrets: []string{"hunter2"}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, m); strings.Contains(text, "hunter2") {
			t.Errorf("%s: %s", verb, text)
		}
	}
	negative := caddy.Duration(-1)
	for _, bad := range []*JWT{{Leeway: &negative}, {From: []string{"nowhere"}}, {From: []string{"header", "header"}}, {TenantClaim: ".."}, {AllowHTTP: true}, {JWKS: "https://id.test"}} {
		bad.Secrets = []string{tokenSecret}
		if err := bad.check(); err == nil {
			t.Errorf("%+v is accepted", *bad)
		}
	}
}
