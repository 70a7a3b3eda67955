package assertion

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// verified checks a token as an upstream in Go does, with the published keys, and returns its claims.
func verified(tb testing.TB, s *Signer, text string, now time.Time) map[string]any {
	tb.Helper()
	set, err := s.KeySet(now)
	if err != nil {
		tb.Fatal(err)
	}
	storage := jwkset.NewMemoryStorage()
	var doc jwkset.JWKSMarshal
	if err := json.Unmarshal(set.JWKS(), &doc); err != nil {
		tb.Fatal(err)
	}
	for _, m := range doc.Keys {
		k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		if err := storage.KeyWrite(tb.Context(), k); err != nil {
			tb.Fatal(err)
		}
	}
	token, err := jwt.Parse(text, func(token *jwt.Token) (any, error) {
		if token.Header["typ"] != TokenType {
			return nil, fmt.Errorf("typ is %v", token.Header["typ"])
		}
		id, _ := token.Header["kid"].(string)
		k, err := storage.KeyRead(tb.Context(), id)
		if err != nil {
			return nil, err
		}
		return k.Key().(ed25519.PublicKey), nil
	}, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer(s.issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		tb.Fatal(err)
	}
	return token.Claims.(jwt.MapClaims)
}

// TestClaims keeps the promise of what a token says, and that it says no more.
func TestClaims(t *testing.T) {
	s := testSigner(t, Options{Audience: []string{"app", "api"}})
	tenant := map[string]any{
		"id": "00000000-0000-0000-0000-000000000001", "slug": "acme", "name": "Acmé \"Corp\" <1>", "plan": "pro", "isolation": "isolated_db",
	}
	environment := map[string]any{"id": "00000000-0000-0000-0000-000000000101", "slug": "production", "type": "production", "region": "eu-west-1"}
	base := func(more map[string]any) map[string]any {
		c := map[string]any{
			"iss": "tenantgate", "aud": []any{"app", "api"}, "tenant": tenant, "environment": environment,
			"iat": float64(noon.Unix() - 30), "nbf": float64(noon.Unix() - 30), "exp": float64(noon.Unix() + 300),
		}
		for name, value := range more {
			c[name] = value
		}
		return c
	}
	r := resolved(1, 1)
	for name, tt := range map[string]struct {
		facts Facts
		want  map[string]any
	}{
		"tenant":   {Facts{Resolved: r}, base(nil)},
		"database": {Facts{Resolved: r, Database: true}, base(map[string]any{"database": "acme-db", "schema": "acme"})},
		"user":     {Facts{Resolved: r, User: "u\u00fc 1"}, base(map[string]any{"sub": "u\u00fc 1"})},
		"roles": {
			Facts{Resolved: r, User: "u1", Roles: []string{"env_user", "a,b"}},
			base(map[string]any{"sub": "u1", "roles": []any{"env_user", "a,b"}}),
		},
		"roles of nobody": {Facts{Resolved: r, Roles: []string{"env_admin"}}, base(nil)},
	} {
		if got := verified(t, s, mustToken(t, s, tt.facts, noon), noon); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	// An upstream whose clock is 30 seconds behind, or late by almost the whole life.
	text := mustToken(t, s, Facts{Resolved: r}, noon)
	verified(t, s, text, noon.Add(-backdate))
	verified(t, s, text, noon.Add(DefaultLifetime-time.Second))
}

// TestSecret keeps the promise of HS256: signed with the secret, and no key id that would tell anything of it.
func TestSecret(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	k, err := NewSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	set, err := NewKeySet(k)
	if err != nil {
		t.Fatal(err)
	}
	s := testSigner(t, Options{Keys: set, Issuer: "gateway"})
	token, err := jwt.Parse(mustToken(t, s, Facts{Resolved: resolved(1, 1)}, noon), func(*jwt.Token) (any, error) { return secret, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("gateway"), jwt.WithTimeFunc(func() time.Time { return noon }))
	if err != nil || token.Header["kid"] != nil || token.Header["typ"] != TokenType {
		t.Errorf("%v, %v", token, err)
	}
}

// TestOneSignature keeps the promise that a token is signed once, however many requests want it, one by one or at once,
// for each environment, user, list of roles, and with and without the database.
func TestOneSignature(t *testing.T) {
	s := testSigner(t, Options{})
	all := []Facts{
		{Resolved: resolved(1, 1)},
		{Resolved: resolved(1, 1), Database: true},
		{Resolved: resolved(1, 2)},
		{Resolved: resolved(2, 1)},
		{Resolved: resolved(1, 1), User: "u1"},
		{Resolved: resolved(1, 1), User: "u2"},
		{Resolved: resolved(2, 1), User: "u1"},
		{Resolved: resolved(1, 1), User: "u1", Roles: []string{"a", "b"}},
		{Resolved: resolved(1, 1), User: "u1", Roles: []string{"ab"}},
		{Resolved: resolved(1, 1), User: "u1", Roles: []string{"b", "a"}},
	}
	texts := make([][]string, len(all))
	begin := make(chan struct{})
	var wait sync.WaitGroup
	for i, f := range all {
		texts[i] = make([]string, 32)
		for n := range texts[i] {
			wait.Go(func() {
				<-begin
				for range 20 {
					texts[i][n] = mustToken(t, s, f, noon)
				}
			})
		}
	}
	close(begin)
	wait.Wait()
	if got := s.Stats(); got.Signed != int64(len(all)) || got.Kept != len(all) {
		t.Errorf("%+v for %d tokens", got, len(all))
	}
	seen := map[string]int{}
	for i := range texts {
		for _, text := range texts[i] {
			if text != texts[i][0] {
				t.Fatalf("facts %d got two tokens", i)
			}
		}
		if other, dup := seen[texts[i][0]]; dup {
			t.Errorf("facts %d and %d got the same token", other, i)
		}
		seen[texts[i][0]] = i
	}
}

// TestSnapshotChanges keeps the promise that a token tells what the request's snapshot says: a new one is signed when a
// fact has changed, and none when something else has.
func TestSnapshotChanges(t *testing.T) {
	s := testSigner(t, Options{})
	r := resolved(1, 1)
	text := mustToken(t, s, Facts{Resolved: r}, noon)
	same := *r
	same.Tenant.Quotas.APIRateLimit = 5
	same.Tenant.Metadata = map[string]string{"canary": "true"}
	same.Database.Name = "other" // not in this token
	if got := mustToken(t, s, Facts{Resolved: &same}, noon); got != text || s.Stats().Signed != 1 {
		t.Error("signed anew for what is no fact")
	}
	changed := same
	signed := s.Stats().Signed
	for name, change := range map[string]func(){
		"slug":             func() { changed.Tenant.Slug = "acme2" },
		"name":             func() { changed.Tenant.Name = "Acme 2" },
		"plan":             func() { changed.Tenant.Plan = "free" },
		"isolation":        func() { changed.Tenant.Isolation = "shared_schema" },
		"environment slug": func() { changed.Environment.Slug = "prod" },
		"type":             func() { changed.Environment.Type = "staging" },
		"region":           func() { changed.Environment.Region = "us-east-1" },
	} {
		before := changed
		change()
		after := changed
		claims := verified(t, s, mustToken(t, s, Facts{Resolved: &after}, noon), noon)
		if signed++; s.Stats().Signed != signed {
			t.Errorf("%s: not signed anew", name)
		}
		if fmt.Sprint(claims) == fmt.Sprint(verified(t, s, mustToken(t, s, Facts{Resolved: &before}, noon), noon)) {
			t.Errorf("%s: the token says the same", name)
		}
		mustToken(t, s, Facts{Resolved: &after}, noon)
		signed = s.Stats().Signed
	}
	other := same
	mustToken(t, s, Facts{Resolved: &same, Database: true}, noon)
	signed = s.Stats().Signed
	other.Database.Schema = "x"
	if mustToken(t, s, Facts{Resolved: &other, Database: true}, noon); s.Stats().Signed != signed+1 {
		t.Error("a schema that has changed is not told")
	}
}

// TestOptions keeps the promise that a contradiction is an error.
func TestOptions(t *testing.T) {
	keys := testSet(t, 1)
	for name, o := range map[string]Options{
		"no keys":        {},
		"two kinds":      {Keys: keys, KeyDir: NewKeyDir("x", 0)},
		"short":          {Keys: keys, Lifetime: MinLifetime - 1},
		"long":           {Keys: keys, Lifetime: MaxLifetime + 1},
		"size":           {Keys: keys, Size: -1},
		"empty audience": {Keys: keys, Audience: []string{""}},
		"same audience":  {Keys: keys, Audience: []string{"a", "a"}},
	} {
		if _, err := NewSigner(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
