package caddymodule

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/assertion"
)

// contextKey returns private key number n.
func contextKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

// contextPEM returns private key number n as a key file holds it.
func contextPEM(tb testing.TB, n byte) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(contextKey(n))
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// contextID returns the "kid" of key number n.
func contextID(tb testing.TB, n byte) string {
	tb.Helper()
	k, err := assertion.NewKey(contextKey(n))
	if err != nil {
		tb.Fatal(err)
	}
	return k.ID()
}

// contextSite answers with the keys, and forwards everything else with the token.
func contextSite(address, options string) string {
	return "tenant {\nidentify subdomain {tenant}.app.test\nexempt /keys /open\n" + options + "\n}\n" +
		"handle /keys {\ntenant_keys\n}\nreverse_proxy " + address + "\n"
}

// checkContext verifies a token as an upstream does, with the keys that the gateway publishes, and returns its claims.
func checkContext(t *testing.T, s *server, token string) (claims assertion.Claims, id string) {
	t.Helper()
	_, body := s.get("any.test", "/keys")
	var doc jwkset.JWKSMarshal
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	parsed, err := jwt.Parse(token, func(token *jwt.Token) (any, error) {
		for _, m := range doc.Keys {
			if m.KID == token.Header["kid"] {
				k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
				return k.Key(), err
			}
		}
		return nil, fmt.Errorf("the key %v is not published", token.Header["kid"])
	}, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer("tenantgate"), jwt.WithExpirationRequired())
	if err != nil {
		t.Fatalf("%q: %v", token, err)
	}
	text, err := json.Marshal(parsed.Claims)
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims, parsed.Header["kid"].(string)
}

// theSigner returns the one signer in the pool, or nil.
func theSigner(t *testing.T) (found *signing) {
	t.Helper()
	signers.Range(func(_, val any) bool {
		if found != nil {
			t.Fatal("more than one signer")
		}
		found = val.(*signing)
		return true
	})
	return found
}

// TestContext keeps the promise that an upstream gets a token which it can check with the published keys, about the
// request's own tenant; that nothing is needed but `inject context`; and that a token is signed once.
func TestContext(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.acmeAndGlobex(), contextSite(newEcho(t, "up"), "inject context"))
	tokens := map[string]string{}
	for range 5 {
		for _, slug := range []string{"acme", "globex"} {
			_, body := s.get(slug+".app.test", "/")
			e := echoed(t, body)
			values := e.Header["X-Tenant-Context"]
			if len(values) != 1 {
				t.Fatalf("%q", values)
			}
			claims, _ := checkContext(t, s, values[0])
			if claims.Tenant.Slug != slug || claims.Tenant.ID.String() != e.Header.Get("X-Tenant-ID") ||
				claims.Tenant.Plan != e.Header.Get("X-Tenant-Plan") || claims.Environment.ID.String() != e.Header.Get("X-Environment-ID") ||
				claims.Environment.Slug != "production" || claims.Subject != "" {
				t.Errorf("%+v for %s, with the headers %v", claims, slug, e.Header)
			}
			if before, ok := tokens[slug]; ok && before != values[0] {
				t.Errorf("%s got a second token", slug)
			}
			tokens[slug] = values[0]
		}
	}
	if got := theSigner(t).signer.Stats(); got.Signed != 2 {
		t.Errorf("%+v", got)
	}
	dir := filepath.Join(caddy.AppDataDir(), "tenantgate", "context-keys")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key has the mode %v (%v)", info.Mode(), err)
	}
	// A new process goes on with the same key.
	_, id := checkContext(t, s, tokens["acme"])
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if theSigner(t) != nil {
		t.Error("a signer is left")
	}
	s.mustLoad(s.acmeAndGlobex(), contextSite(newEcho(t, "up"), "inject context"))
	_, body := s.get("acme.app.test", "/")
	if _, again := checkContext(t, s, echoed(t, body).Header.Get("X-Tenant-Context")); again != id {
		t.Error("another key after a restart")
	}
}

// TestContextUser keeps the promise of sub and roles with an authenticated source, of database and schema with `inject
// database`, and of another name.
func TestContextUser(t *testing.T) {
	app := testApp(t, acme())
	app.Context = &Context{KeyFiles: []string{filepath.Join(t.TempDir(), "a.pem")}, Audiences: []string{"app"}}
	if err := os.WriteFile(app.Context.KeyFiles[0], []byte(contextPEM(t, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.releaseSigner() })
	source := &JWT{Secrets: []string{tokenSecret}}
	var err error
	if source.keys, err = source.readSecrets(); err != nil {
		t.Fatal(err)
	}
	ask := func(in *Inject) (assertion.Claims, http.Header) {
		t.Helper()
		h := testHandler(t, app, &Handler{Inject: in}, source)
		_, behind := serve(t, h, http.MethodGet, "http://any.test/", tokenHeader())
		if behind == nil {
			t.Fatal("refused")
		}
		token := behind.Header.Get("X-Tenant-Context") + behind.Header.Get("X-Signed")
		var claims assertion.Claims
		parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return contextKey(1).Public(), nil }, jwt.WithAudience("app"))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(parsed.Claims)
		if err := json.Unmarshal(text, &claims); err != nil {
			t.Fatal(err)
		}
		return claims, behind.Header
	}
	claims, _ := ask(&Inject{Context: true})
	if claims.Subject != "user-1" || fmt.Sprint(claims.Roles) != "[env_user]" || claims.Database != "" || claims.Schema != "" {
		t.Errorf("%+v", claims)
	}
	claims, header := ask(&Inject{Context: true, Database: true, Headers: map[string]string{
		"X-Tenant-Context": "X-Signed", "X-Tenant-Name": "", "X-Tenant-Plan": "",
	}})
	if claims.Database != "acme-db" || claims.Schema != "acme_schema" || claims.Tenant.Plan != "pro" || claims.Tenant.Name != "Acme Corp" ||
		header.Get("X-Tenant-Context") != "" || header.Get("X-Tenant-Plan") != "" {
		t.Errorf("%+v and %v", claims, header)
	}
}

// TestContextForged keeps the promise that no token of a client's gets through, however it is spelled and signed, with
// and without `inject context`, on exempt paths too.
func TestContextForged(t *testing.T) {
	s := newServer(t)
	keys := s.file("keys.pem", contextPEM(t, 1))
	tenants := s.acmeAndGlobex() + "\ncontext {\nkey " + keys + "\n}"
	up := newEcho(t, "up")
	s.mustLoad(tenants, contextSite(up, "inject context"))
	_, body := s.get("globex.app.test", "/")
	other := echoed(t, body).Header.Get("X-Tenant-Context")

	sign := func(method jwt.SigningMethod, key any) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims{"iss": "tenantgate", "tenant": map[string]any{"slug": "globex"}})
		token.Header["kid"] = contextID(t, 1)
		token.Header["typ"] = assertion.TokenType
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	forged := map[string]string{
		"none":                  sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"HMAC by public key":    sign(jwt.SigningMethodHS256, []byte(contextKey(1).Public().(ed25519.PublicKey))),
		"another key":           sign(jwt.SigningMethodEdDSA, contextKey(9)),
		"another tenant's, old": other,
	}
	for _, options := range []string{"inject context", ""} {
		s.mustLoad(tenants, contextSite(up, options))
		for kind, token := range forged {
			for _, name := range []string{
				"X-Tenant-Context", "x-tenant-context", "X_Tenant_Context", "x_tenant_context", "X-Tenant_Context",
				"X.Tenant.Context", "X-TENANT-CONTEXT",
			} {
				for _, path := range []string{"/", "/open"} {
					r := s.request(http.MethodGet, "acme.app.test", path, http.Header{name: {token}, "Connection": {name}})
					_, body := s.do(r)
					if strings.Contains(body, token) {
						t.Errorf("%s as %s got through on %s with %q: %s", kind, name, path, options, body)
					}
					values := echoed(t, body).Header["X-Tenant-Context"]
					if want := path == "/" && options != ""; want != (len(values) == 1) {
						t.Errorf("%s as %s on %s with %q: %q", kind, name, path, options, values)
					} else if want {
						if claims, _ := checkContext(t, s, values[0]); claims.Tenant.Slug != "acme" {
							t.Errorf("%s as %s: the token is of %s", kind, name, claims.Tenant.Slug)
						}
					}
				}
			}
		}
	}
}

// benchContextHandler sends the signed context, too.
func benchContextHandler(tb testing.TB) *Handler {
	app := testApp(tb, acme(), limited())
	app.Context = &Context{KeyFiles: []string{filepath.Join(tb.TempDir(), "a.pem")}}
	if err := os.WriteFile(app.Context.KeyFiles[0], []byte(contextPEM(tb, 1)), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = app.releaseSigner() })
	return testHandler(tb, app, &Handler{Inject: &Inject{Context: true}}, &Subdomain{Patterns: []string{"{tenant}.app.example.com"}})
}
