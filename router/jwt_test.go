package router

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/router/credential"
)

// jwtSecret signs the tokens of these tests.
var jwtSecret = []byte(strings.Repeat("a secret of 32 b", 2))

// token signs claims, with an hour to live from testNow unless they say otherwise; nil removes a claim.
func token(t testing.TB, pairs ...any) string {
	t.Helper()
	claims := jwt.MapClaims{"exp": testNow.Add(time.Hour).Unix(), "sub": "u1", "tenant_id": "acme", "roles": []string{"env_user"}}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(claims, pairs[i].(string))
			continue
		}
		claims[pairs[i].(string)] = pairs[i+1]
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(jwtSecret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// jwtOptions are the usual options, over a secret.
func jwtOptions(t testing.TB, names credential.ClaimNames, places ...credential.Place) JWTOptions {
	t.Helper()
	keys, err := credential.SecretKeys(jwtSecret)
	if err != nil {
		t.Fatal(err)
	}
	return JWTOptions{Verifier: newVerifier(t, keys, names), Extractor: newExtractor(t, places...), TenantClaim: names.Tenant}
}

func newVerifier(t testing.TB, keys credential.KeySource, names credential.ClaimNames) *credential.Verifier {
	t.Helper()
	v, err := credential.NewVerifier(credential.VerifierOptions{Keys: keys, Claims: names})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newExtractor(t testing.TB, places ...credential.Place) *credential.Extractor {
	t.Helper()
	x, err := credential.NewExtractor(places...)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// withToken is a request with that token in Authorization.
func withToken(t testing.TB, host, token string) *Request {
	t.Helper()
	r := request(t, host, "/")
	if token != "" {
		r.HTTP.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// TestJWT keeps the promises of NewJWT's comment, one for each way in which a token can answer.
func TestJWT(t *testing.T) {
	const unread = credential.Unread
	good := token(t)
	for _, c := range []struct {
		name, authorization string
		names               credential.ClaimNames
		want                string
	}{
		{"no token", "", credential.ClaimNames{}, "nothing"},
		{"another scheme", "Basic dTpw", credential.ClaimNames{}, "nothing"},
		{"an API key", "Bearer tg_production_x", credential.ClaimNames{}, "nothing"},
		{"slug", "Bearer " + good, credential.ClaimNames{}, "slug:acme"},
		{"scheme in capitals", "BEARER " + good, credential.ClaimNames{}, "slug:acme"},
		{"capitals", "Bearer " + token(t, "tenant_id", "ACME"), credential.ClaimNames{}, "slug:acme"},
		{"id", "Bearer " + token(t, "tenant_id", acmeID), credential.ClaimNames{}, "id:" + acmeID},
		{"environment", "Bearer " + token(t, "environment_id", "dev"), credential.ClaimNames{}, "slug:acme/dev"},
		{"other claims", "Bearer " + token(t, "org", "globex", "env", "test"), credential.ClaimNames{Tenant: "org", Environment: "env"}, "slug:globex/test"},
		{"environment not read", "Bearer " + token(t, "environment_id", "dev"), credential.ClaimNames{Environment: unread}, "slug:acme"},
		{"no tenant", "Bearer " + token(t, "tenant_id", nil), credential.ClaimNames{}, CodeCredentialsInvalid},
		{"empty tenant", "Bearer " + token(t, "tenant_id", ""), credential.ClaimNames{}, CodeCredentialsInvalid},
		{"no tenant, but an environment's id", "Bearer " + token(t, "tenant_id", nil, "environment_id", acmeDevID), credential.ClaimNames{}, CodeCredentialsInvalid},
		{"no tenant by design", "Bearer " + good, credential.ClaimNames{Tenant: unread}, "none:"},
		{"environment by design", "Bearer " + token(t, "environment_id", acmeDevID), credential.ClaimNames{Tenant: unread}, "environment_id:" + acmeDevID},
		{"neither tenant nor user", "Bearer " + token(t, "sub", nil), credential.ClaimNames{Tenant: unread}, "nothing"},
		{"malformed tenant", "Bearer " + token(t, "tenant_id", "../acme"), credential.ClaimNames{}, CodeCredentialsInvalid},
		{"malformed environment", "Bearer " + token(t, "environment_id", "a b"), credential.ClaimNames{}, CodeCredentialsInvalid},
		{"tenant of a wrong type", "Bearer " + token(t, "tenant_id", 7), credential.ClaimNames{}, CodeCredentialsInvalid},
		{"expired", "Bearer " + token(t, "exp", testNow.Add(-time.Hour).Unix()), credential.ClaimNames{}, CodeCredentialsInvalid},
		{"without end", "Bearer " + token(t, "exp", nil), credential.ClaimNames{}, CodeCredentialsInvalid},
		{"forged", "Bearer " + good[:len(good)-8] + "AAAAAAAA", credential.ClaimNames{}, CodeCredentialsInvalid},
		{"no JWT", "Bearer opaque", credential.ClaimNames{}, CodeCredentialsInvalid},
		{"nothing behind the scheme", "Bearer", credential.ClaimNames{}, CodeCredentialsInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := must(NewJWT(jwtOptions(t, c.names)))
			r := request(t, "", "/")
			if c.authorization != "" {
				r.HTTP.Header.Set("Authorization", c.authorization)
			}
			if got := identify(s, r); got != c.want {
				t.Fatalf("%s, want %s", got, c.want)
			}
			y, err := s.Identify(r)
			if c.want == CodeCredentialsInvalid {
				var refusal *Refusal
				if !errors.As(err, &refusal) || refusal.Challenge != challengeInvalidToken || refusal.Cause == nil {
					t.Errorf("%+v", refusal)
				}
				return
			}
			if c.want != "nothing" && (!y.Authenticated || y.User != "u1" || len(y.Roles) != 1 || y.Roles[0] != "env_user") {
				t.Errorf("%+v", y)
			}
		})
	}
}

// TestJWTOptions keeps the promise that a source that could verify nothing is not made.
func TestJWTOptions(t *testing.T) {
	o := jwtOptions(t, credential.ClaimNames{})
	for _, bad := range []JWTOptions{{}, {Verifier: o.Verifier}, {Extractor: o.Extractor}} {
		if _, err := NewJWT(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// TestJWTTwo keeps the promise that two different tokens are refused, wherever they are, and that one in two places is
// one.
func TestJWTTwo(t *testing.T) {
	cookie, err := credential.ParsePlace("cookie", "jwt")
	if err != nil {
		t.Fatal(err)
	}
	s := must(NewJWT(jwtOptions(t, credential.ClaimNames{}, credential.Authorization, cookie)))
	r := withToken(t, "", token(t))
	r.HTTP.Header.Set("Cookie", "jwt="+token(t, "tenant_id", "globex"))
	if got := identify(s, r); got != CodeCredentialsInvalid {
		t.Errorf("two tokens: %s", got)
	}
	r.HTTP.Header.Set("Cookie", "jwt="+token(t))
	if got := identify(s, r); got != "slug:acme" {
		t.Errorf("the same token twice: %s", got)
	}
}

// TestJWTAgreement keeps the promise that a token outranks whatever else a request says, and that under "required" they
// must agree.
func TestJWTAgreement(t *testing.T) {
	for _, c := range []struct {
		name, host, header string
		pairs              []any // of the token; nil: no token
		tenantClaim        string
		agreement          Agreement
		want               string
	}{
		{"alone", "gateway.internal", "", []any{}, "", AgreementRequired, "acme/production"},
		{"agrees", "acme.app.example.com", "", []any{}, "", AgreementRequired, "acme/production"},
		{"of another tenant than the host", "globex.app.example.com", "", []any{}, "", AgreementRequired, CodeTenantConflict},
		{"of another tenant than the header", "gateway.internal", "globex", []any{}, "", AgreementRequired, CodeTenantConflict},
		{"header beside the token", "gateway.internal", "globex", []any{}, "", AgreementFirst, "acme/production"},
		{"host before the token", "globex.app.example.com", "", []any{}, "", AgreementAuthenticated, "acme/production"},
		{"environment of the token", "acme.app.example.com", "", []any{"environment_id", "dev"}, "", AgreementRequired, "acme/dev"},
		{"no token", "acme.app.example.com", "", nil, "", AgreementRequired, CodeCredentialsInvalid},
		{"a user alone proves no tenant", "acme.app.example.com", "", []any{}, credential.Unread, AgreementRequired, CodeCredentialsInvalid},
		{"unknown tenant", "gateway.internal", "", []any{"tenant_id", "nobody"}, "", AgreementRequired, CodeTenantNotFound},
		{"unknown environment", "gateway.internal", "", []any{"environment_id", "nowhere"}, "", AgreementRequired, CodeEnvironmentNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt, err := New(Config{
				Resolver: newWorld(), Agreement: c.agreement, RequireAuthenticated: true,
				Sources: []Source{
					must(NewSubdomain([]string{"{tenant}.app.example.com"}, nil)), must(NewHeader("", "", false)),
					must(NewJWT(jwtOptions(t, credential.ClaimNames{Tenant: c.tenantClaim}))),
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			r := request(t, c.host, "/")
			if c.pairs != nil {
				r = withToken(t, c.host, token(t, c.pairs...))
			}
			if c.header != "" {
				r.HTTP.Header.Set(DefaultTenantHeader, c.header)
			}
			d, err := rt.Route(t.Context(), r)
			if got := outcome(d, err); got != c.want {
				t.Fatalf("%s, want %s", got, c.want)
			}
			if err == nil && (!d.Authenticated || d.Source != "jwt" || d.User != "u1" || len(d.Roles) != 1) {
				t.Errorf("%+v", d)
			}
		})
	}
}

// TestJWTUser keeps the promise that a token which names no tenant says who the user is, and gives no role in a tenant
// that it does not name.
func TestJWTUser(t *testing.T) {
	rt := newRouter(t, newWorld(), must(NewSubdomain([]string{"{tenant}.app.example.com"}, nil)),
		must(NewJWT(jwtOptions(t, credential.ClaimNames{Tenant: credential.Unread}))))
	d, err := rt.Route(t.Context(), withToken(t, "globex.app.example.com", token(t)))
	if got := outcome(d, err); got != "globex/production" || d.User != "u1" || d.Roles != nil || d.Authenticated {
		t.Errorf("%s, %+v", got, d)
	}
}

// TestJWTRemove keeps the promise that with Remove the upstream sees no token, in the request line neither, and that
// without it the request stays as it is.
func TestJWTRemove(t *testing.T) {
	query, err := credential.ParsePlace("query", "access_token")
	if err != nil {
		t.Fatal(err)
	}
	for _, remove := range []bool{false, true} {
		o := jwtOptions(t, credential.ClaimNames{}, credential.Authorization, query)
		o.Remove = remove
		rt := newRouter(t, newWorld(), must(NewJWT(o)))
		r := request(t, "", "/a?x=1&access_token="+token(t))
		r.HTTP.Header.Set("Authorization", "Bearer "+token(t))
		d, err := rt.Route(t.Context(), r)
		if got := outcome(d, err); got != "acme/production" {
			t.Fatal(got)
		}
		rt.Rewrite(r.HTTP, &d)
		if got := !strings.Contains(r.HTTP.URL.RawQuery+r.HTTP.RequestURI+r.HTTP.Header.Get("Authorization"), token(t)); got != remove {
			t.Errorf("remove %t: %v %q %q", remove, r.HTTP.Header, r.HTTP.URL, r.HTTP.RequestURI)
		}
		if remove && r.HTTP.RequestURI != "/a?x=1" {
			t.Errorf("the request line is %q", r.HTTP.RequestURI)
		}
	}
}

// TestJWTKeys keeps the promise of an issuer that does not answer: its known keys keep passing, what names an unknown
// key is 503 with Retry-After and not 401, and a client that leaves while it waits is no failure of anybody's.
func TestJWTKeys(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(id string) string {
		tok := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"exp": testNow.Add(time.Hour).Unix(), "tenant_id": "acme"})
		tok.Header["kid"] = id
		s, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	var down atomic.Bool
	hang, release := make(chan struct{}), make(chan struct{})
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			close(hang)
			<-release
		}
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		point, _ := key.PublicKey.Bytes()
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "EC", "crv": "P-256", "kid": "known",
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		}}})
	}))
	defer issuer.Close()
	var now atomic.Int64
	now.Store(testNow.UnixNano())
	source := func(path string) Source {
		keys, err := credential.NewJWKS(credential.JWKSOptions{
			URL: issuer.URL + path, Now: func() time.Time { return time.Unix(0, now.Load()) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return must(NewJWT(JWTOptions{Verifier: newVerifier(t, keys, credential.ClaimNames{}), Extractor: newExtractor(t)}))
	}
	rt := newRouter(t, newWorld(), source("/"))
	for _, step := range []struct {
		name string
		down bool
		id   string
		want string
	}{
		{"never answered", true, "known", CodeKeysUnavailable},
		{"answers", false, "known", "acme/production"},
		{"answers, unknown key", false, "other", CodeCredentialsInvalid},
		{"down, known key", true, "known", "acme/production"},
		{"down, unknown key", true, "other", CodeKeysUnavailable},
		{"down, known key again", true, "known", "acme/production"},
	} {
		down.Store(step.down)
		now.Add(int64(time.Minute))
		d, err := rt.Route(t.Context(), withToken(t, "", signed(step.id)))
		if got := outcome(d, err); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		var refusal *Refusal
		if step.want == CodeKeysUnavailable && (!errors.As(err, &refusal) || refusal.Status != 503 || refusal.RetryAfter != RetryKeys ||
			refusal.Challenge != "" || !errors.Is(err, credential.ErrKeysUnavailable)) {
			t.Errorf("%s: %+v", step.name, refusal)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-hang
		cancel()
	}()
	r := withToken(t, "", signed("known"))
	r.HTTP = r.HTTP.WithContext(ctx)
	if got := outcome(newRouter(t, newWorld(), source("/hang")).Route(ctx, r)); got != CodeClientClosedRequest {
		t.Errorf("the client left: %s", got)
	}
	close(release)
}
