package caddymodule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"
)

// idProvider is an issuer that publishes one key and counts who asks.
type idProvider struct {
	tb    testing.TB
	key   *ecdsa.PrivateKey
	url   string
	asked atomic.Int64
	down  atomic.Bool
}

func newIDProvider(tb testing.TB) *idProvider {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	p := &idProvider{tb: tb, key: key}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		if p.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "EC", "crv": "P-256", "kid": "k1",
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		}}})
	}))
	tb.Cleanup(server.Close)
	p.url = server.URL + "/keys?apikey=hunter2"
	return p
}

// token signs a token of acme, for an hour.
func (p *idProvider) token(id, user string) string {
	p.tb.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"exp": time.Now().Add(time.Hour).Unix(), "sub": user, "tenant_id": "acme", "aud": "app",
	})
	token.Header["kid"] = id
	text, err := token.SignedString(p.key)
	if err != nil {
		p.tb.Fatal(err)
	}
	return text
}

// theIssuer returns the one issuer in the pool, or nil.
func theIssuer(t *testing.T) (found *issuer) {
	t.Helper()
	issuers.Range(func(_, val any) bool {
		if found != nil {
			t.Fatal("more than one issuer")
		}
		found = val.(*issuer)
		return true
	})
	return found
}

// TestJWKSSource keeps the promises of an issuer's keys: they survive a reload, also while the issuer is down; then
// known keys keep passing and unknown ones are 503 and not 401; and nothing is left when the last configuration ends.
func TestJWKSSource(t *testing.T) {
	p := newIDProvider(t)
	s := newServer(t)
	tenants := s.acmeAndGlobex()
	site := tokenSite("jwks "+p.url+"\naudience app", "require authenticated")
	ask := func(token string) (*response, string) {
		t.Helper()
		return s.do(s.request(http.MethodGet, "acme.app.test", "/", bearer(token)))
	}
	passes := func(when, user string) {
		t.Helper()
		if res, body := ask(p.token("k1", user)); res.StatusCode != 200 || echoed(t, body).Header.Get("X-User-ID") != user {
			t.Errorf("%s: %d %s", when, res.StatusCode, body)
		}
	}
	s.mustLoad(tenants, site)
	passes("at first", "u1")
	if n := p.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
	if _, body := ask(p.token("k2", "u1")); codeOf(body) != "credentials_invalid" {
		t.Errorf("a key that the issuer does not have: %s", body)
	}
	before := theIssuer(t)

	p.down.Store(true)
	s.mustLoad(tenants, site+"header X-Reloaded yes\n")
	if theIssuer(t) != before {
		t.Error("the reload has made a new issuer")
	}
	passes("after a reload while the issuer is down", "u2")

	// A round of the loop in the background that fails.
	if err := before.keys.Refresh(t.Context()); err == nil {
		t.Fatal("the issuer is not down")
	}
	passes("known key", "u3")
	res, body := ask(p.token("k2", "u1"))
	if res.StatusCode != http.StatusServiceUnavailable || codeOf(body) != "keys_unavailable" || res.Header.Get("Retry-After") == "" ||
		res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("unknown key: %d %v %s", res.StatusCode, res.Header, body)
	}
	if lines := s.logged("a token could not be checked"); len(lines) != 1 {
		t.Errorf("one line of the log should say so: %q", lines)
	}

	// A reload that fails leaves the running configuration what it has.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := s.port
	_, s.port, _ = net.SplitHostPort(taken.Addr().String())
	if err := s.load(tenants, site); err == nil {
		t.Error("a configuration whose port is taken is loaded")
	}
	s.port = port
	if theIssuer(t) != before || before.ctx.Err() != nil {
		t.Error("the reload that failed has ended the issuer")
	}
	passes("after a reload that failed", "u4")

	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if theIssuer(t) != nil || before.ctx.Err() == nil {
		t.Error("the issuer is followed after the last stop")
	}
	if lines := s.logged("hunter2"); len(lines) != 0 {
		t.Errorf("the log holds the address's query: %q", lines)
	}
}

// TestJWKSValidate keeps the promise that `caddy validate` asks no issuer, and leaves none behind.
func TestJWKSValidate(t *testing.T) {
	p := newIDProvider(t)
	s := newServer(t)
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(s.config(s.acmeAndGlobex(), tokenSite("jwks "+p.url, "")), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Logging = nil // the log is a file
	if err := caddy.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	if n := p.asked.Load(); n != 0 || theIssuer(t) != nil {
		t.Errorf("the issuer was asked %d times; left: %v", n, theIssuer(t))
	}
}

// TestJWKSNoAudience keeps the promise of a warning where whatever the issuer signs passes, and only there.
func TestJWKSNoAudience(t *testing.T) {
	p := newIDProvider(t)
	s := newServer(t)
	tenants := s.acmeAndGlobex()
	for i, options := range []string{"jwks " + p.url + "\naudience app", "jwks " + p.url} {
		s.mustLoad(tenants, tokenSite(options, ""))
		if lines := s.logged("name an audience"); len(lines) != i {
			t.Errorf("%s: %q", options, lines)
		}
	}
}

// TestJWKSNever keeps the promise of an issuer that does not answer at start: the gateway starts, says 503 to tokens
// and serves whatever comes without one; tokens pass as soon as the issuer answers.
func TestJWKSNever(t *testing.T) {
	p := newIDProvider(t)
	p.down.Store(true)
	s := newServer(t)
	s.mustLoad(s.acmeAndGlobex(), tokenSite("jwks "+p.url+"\naudience app", ""))
	if _, body := s.do(s.request(http.MethodGet, "acme.app.test", "/", bearer(p.token("k1", "u1")))); codeOf(body) != "keys_unavailable" {
		t.Errorf("no keys: %s", body)
	}
	if res, body := s.get("acme.app.test", "/"); res.StatusCode != 200 {
		t.Errorf("no token: %s", body)
	}
	p.down.Store(false)
	eventually(t, "tokens pass", func() bool {
		res, _ := s.do(s.request(http.MethodGet, "acme.app.test", "/", bearer(p.token("k1", "u1"))))
		return res.StatusCode == 200
	})
}

// TestIssuerLog keeps the promise that an issuer is logged by the newest configuration that runs, because the writers
// of the others may be closed.
func TestIssuerLog(t *testing.T) {
	is := &issuer{log: newLogSwitch()}
	is.begin.Do(func() {}) // nothing to fetch
	var said []string
	logTo := func(name string) slog.Handler {
		return slog.NewTextHandler(writerFunc(func(p []byte) (int, error) { said = append(said, name); return len(p), nil }), nil)
	}
	logger, first, second := slog.New(is.log), new(App), new(App)
	is.attach(first, logTo("first"))
	logger.Warn("x")
	is.attach(second, logTo("second"))
	logger.Warn("x")
	is.detach(second)
	logger.Warn("x")
	is.attach(second, logTo("second"))
	is.detach(first)
	logger.Warn("x")
	if want := []string{"first", "second", "first", "second"}; !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestIssuerFails keeps the promise that a source which could not be provisioned gives nothing back that it never had.
func TestIssuerFails(t *testing.T) {
	if err := (&JWT{}).Cleanup(); err != nil {
		t.Error(err)
	}
	if _, err := (&JWT{}).source(nil); err == nil {
		t.Errorf("a source without keys: %v", err)
	}
}
