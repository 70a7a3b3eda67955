package caddymodule

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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

// TestContextReload keeps the promises of rotation by configuration: what is signed survives a reload that changes none
// of it; the first key signs, all are published; a reload that fails changes nothing; and nothing is left at the end.
func TestContextReload(t *testing.T) {
	s := newServer(t)
	one, two := s.file("one.pem", contextPEM(t, 1)), s.file("two.pem", contextPEM(t, 2))
	up := newEcho(t, "up")
	load := func(keys, more string) error {
		return s.load(s.acmeAndGlobex()+"\ncontext {\nkey "+keys+"\n}", contextSite(up, "inject context")+more)
	}
	token := func() string {
		_, body := s.get("acme.app.test", "/")
		return echoed(t, body).Header.Get("X-Tenant-Context")
	}
	published := func() string {
		_, body := s.get("any.test", "/keys")
		return strings.NewReplacer(contextID(t, 1), "<one>", contextID(t, 2), "<two>").Replace(body)
	}
	if err := load(one, ""); err != nil {
		t.Fatal(err)
	}
	first, before := token(), theSigner(t)
	if err := load(one, "header X-Reloaded yes\n"); err != nil {
		t.Fatal(err)
	}
	if theSigner(t) != before || token() != first {
		t.Error("a reload has changed the token")
	}
	for _, step := range []struct{ keys, signs, published string }{
		{one + " " + two, "one", "one two"}, {two + " " + one, "two", "two one"}, {two, "two", "two"},
	} {
		if err := load(step.keys, ""); err != nil {
			t.Fatal(err)
		}
		if _, id := checkContext(t, s, token()); id != map[string]string{"one": contextID(t, 1), "two": contextID(t, 2)}[step.signs] {
			t.Errorf("%s: %s signs", step.keys, id)
		}
		body := published()
		for _, name := range []string{"one", "two"} {
			if strings.Contains(step.published, name) != strings.Contains(body, "<"+name+">") {
				t.Errorf("%s: published is %s", step.keys, body)
			}
		}
		theSigner(t) // only one
	}
	before = theSigner(t)
	broken := s.file("broken.pem", "hunter2 is no key")
	if err := load(broken, ""); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a broken key: %v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := s.port
	_, s.port, _ = net.SplitHostPort(taken.Addr().String())
	if err := load(two, ""); err == nil {
		t.Error("a configuration whose port is taken is loaded")
	}
	s.port = port
	if theSigner(t) != before || before.ctx.Err() != nil {
		t.Error("a reload that failed has ended the signer")
	}
	checkContext(t, s, token())
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if theSigner(t) != nil || before.ctx.Err() == nil {
		t.Error("the signer is at work after the last stop")
	}
	for _, secret := range []string{"BEGIN PRIVATE", "hunter2", strings.Split(first, ".")[2]} {
		if lines := s.logged(secret); len(lines) != 0 && !strings.Contains(lines[0], "upstream roundtrip") {
			t.Errorf("the log shows %q", lines)
		}
	}
}

// TestContextValidate keeps the promise that `caddy validate` makes no key, and leaves no signer behind.
func TestContextValidate(t *testing.T) {
	s := newServer(t)
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(s.config(s.acmeAndGlobex(), contextSite("127.0.0.1:1", "inject context")), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Logging = nil // the log is a file
	if err := caddy.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(caddy.AppDataDir(), "tenantgate", "context-keys")); !errors.Is(err, os.ErrNotExist) || theSigner(t) != nil {
		t.Errorf("keys: %v; signer: %v", err, theSigner(t))
	}
}

// TestContextStart keeps the promise that a gateway which can neither read nor make keys says so at its start.
func TestContextStart(t *testing.T) {
	s := newServer(t)
	if err := os.MkdirAll(filepath.Join(caddy.AppDataDir(), "tenantgate"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(caddy.AppDataDir(), "tenantgate", "context-keys"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.load(s.acmeAndGlobex(), contextSite("127.0.0.1:1", "inject context"))
	if err == nil || !strings.Contains(err.Error(), "tenant context") {
		t.Errorf("%v", err)
	}
	if theSigner(t) != nil {
		t.Error("a signer is left")
	}
}

// TestContextSecret keeps the promises of HS256: the shared secret checks the token, it is nowhere to be seen, and there
// are no keys to publish, which is an error.
func TestContextSecret(t *testing.T) {
	const secret = "a secret of 32 bytes, hunter2 or so"
	t.Setenv("CONTEXT_SECRET", secret)
	s := newServer(t)
	tenants := s.acmeAndGlobex() + "\ncontext {\nsecret {env.CONTEXT_SECRET}\n}"
	site := "tenant {\nidentify subdomain {tenant}.app.test\ninject context\n}\nreverse_proxy " + newEcho(t, "up") + "\n"
	s.mustLoad(tenants, site)
	_, body := s.get("acme.app.test", "/")
	if _, err := jwt.Parse(echoed(t, body).Header.Get("X-Tenant-Context"), func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{"HS256"})); err != nil {
		t.Error(err)
	}
	if err := s.load(tenants, site+"tenant_keys /keys\n"); err == nil || !strings.Contains(err.Error(), "no public key to publish") {
		t.Errorf("%v", err)
	}
	for text, value := range map[string]string{"unset": "", "too short": "hunter2"} {
		t.Setenv("CONTEXT_SECRET", value)
		if err := s.load(tenants, site); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if lines := s.logged("hunter2"); len(lines) != 0 {
		t.Errorf("the log shows the secret: %q", lines)
	}
	c := Context{Secret: secret}
	if text := fmt.Sprintf("%v %+v %#v %s", c, &c, c, struct{ C *Context }{&c}.C); strings.Contains(text, "hunter2") {
		t.Errorf("printed: %s", text)
	}
}

// TestTenantKeys keeps the promises of the answer: type, lifetime, entity tag, and the methods that there are.
func TestTenantKeys(t *testing.T) {
	app := testApp(t)
	app.Context = &Context{KeyFiles: []string{filepath.Join(t.TempDir(), "a.pem")}}
	if err := os.WriteFile(app.Context.KeyFiles[0], []byte(contextPEM(t, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.releaseSigner() })
	k := new(TenantKeys)
	if err := k.provision(app); err != nil {
		t.Fatal(err)
	}
	ask := func(method string, header http.Header) (*response, error) {
		w, r := testRequest(method, "http://any.test/", header)
		err := k.ServeHTTP(w, r, nil)
		return &response{w.Code, w.Header(), w.Body.String()}, err
	}
	res, err := ask(http.MethodGet, nil)
	if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/jwk-set+json" ||
		res.Header.Get("Cache-Control") != "public, max-age=300" || !strings.Contains(res.Body, contextID(t, 1)) || strings.Contains(res.Body, `"d"`) {
		t.Errorf("%v, %v", res, err)
	}
	tag := res.Header.Get("ETag")
	if res, err := ask(http.MethodHead, nil); err != nil || res.StatusCode != 200 || res.Body != "" || res.Header.Get("ETag") != tag {
		t.Errorf("HEAD: %v, %v", res, err)
	}
	for list, status := range map[string]int{
		tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200, strings.Trim(tag, `"`): 200,
	} {
		if res, err := ask(http.MethodGet, http.Header{"If-None-Match": {list}}); err != nil || res.StatusCode != status ||
			(res.Body == "") != (status == 304) || res.Header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %v, %v", list, res, err)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodOptions} {
		res, err := ask(method, nil)
		var refused caddyhttp.HandlerError
		if !errors.As(err, &refused) || refused.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %v, %v", method, res, err)
		}
	}
}

// TestSigningLog keeps the promise that a signer is logged by the newest configuration that runs.
func TestSigningLog(t *testing.T) {
	dir := t.TempDir()
	s, err := newSigning(assertion.Options{KeyDir: assertion.NewKeyDir(dir, assertion.DefaultLifetime)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Destruct() }()
	var said []string
	appOf := func(name string) *App {
		app := testApp(t)
		app.logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) { said = append(said, name); return len(p), nil }), nil))
		return app
	}
	logger, first, second := slog.New(s.log), appOf("first"), appOf("second")
	for _, app := range []*App{first, second} {
		if err := s.attach(app); err != nil {
			t.Fatal(err)
		}
		logger.Warn("x")
	}
	s.detach(second)
	logger.Warn("x")
	if want := []string{"first", "second", "first"}; !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	if s.ctx.Err() != nil {
		t.Error("the work has ended with one of two configurations")
	}
	var nobody *signing
	nobody.detach(first)
	if err := nobody.attach(first); err != nil {
		t.Error(err)
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
