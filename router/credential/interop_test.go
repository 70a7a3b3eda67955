package credential

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"testing"
	"time"
)

// The files in testdata are made by test/clients: see there.

type joseVectors struct {
	IssuedAt int64           `json:"issuedAt"`
	JWKS     json.RawMessage `json:"jwks"`
	Tokens   []struct {
		Alg    string `json:"alg"`
		Token  string `json:"token"`
		PEM    string `json:"pem"`
		Secret string `json:"secret"`
	} `json:"tokens"`
}

type betterAuthVectors struct {
	Secret   string `json:"secret"`
	Old      string `json:"old"`
	Sessions []struct {
		Case       string `json:"case"`
		Cookie     string `json:"cookie"`
		Value      string `json:"value"`
		Token      string `json:"token"`
		SignedWith string `json:"signedWith"`
	} `json:"sessions"`
	Tokens []struct {
		Token, Issuer, Audience, User, Organization string
		JWKS                                        json.RawMessage `json:"jwks"`
	} `json:"tokens"`
}

func readVectors(t testing.TB, file string, into any) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Promise: a token that jose signed with any algorithm is verified by the key set, by the PEM file and by the secret
// that belong to it, says what was put into it, and is verified by no key of another token.
func TestJoseTokens(t *testing.T) {
	var vectors joseVectors
	readVectors(t, "jose.json", &vectors)
	now := time.Unix(vectors.IssuedAt, 0).UTC()
	want := &Identity{
		Tenant: "acme", Environment: "production", User: "user-1", Roles: []string{"env_user", "env_maker"},
		Issuer: "https://id.example.com", Methods: []string{"pwd", "otp", "mfa"}, Context: "urn:example:acr:strong",
		AuthTime: now.Add(-time.Minute), IssuedAt: now, ExpiresAt: now.Add(time.Hour),
		Extra: map[string][]string{"https://example.com/tenant": {"acme-by-url"}, "realm_access.roles": {"nested"}},
	}
	options := VerifierOptions{
		Issuers: []string{"https://id.example.com"}, Audiences: []string{"app"},
		Claims: ClaimNames{Extra: []string{"https://example.com/tenant", "realm_access.roles", "not.there"}},
	}
	jwks, err := ParseKeys(vectors.JWKS)
	if err != nil {
		t.Fatal(err)
	}
	if len(vectors.Tokens) != len(algorithms) {
		t.Errorf("%d tokens for %d algorithms", len(vectors.Tokens), len(algorithms))
	}
	sets := make(map[string]*KeySet)
	for _, token := range vectors.Tokens {
		if token.Secret != "" {
			secret, err := base64.StdEncoding.DecodeString(token.Secret)
			if err != nil {
				t.Fatal(err)
			}
			if sets[token.Alg], err = SecretKeys(secret); err != nil {
				t.Fatal(err)
			}
		} else if sets[token.Alg], err = ParseKeys([]byte(token.PEM)); err != nil {
			t.Fatal(err)
		}
	}
	for _, token := range vectors.Tokens {
		t.Run(token.Alg, func(t *testing.T) {
			for alg, set := range sets {
				o := options
				o.Keys = set
				id, err := newVerifier(t, o).Verify(t.Context(), token.Token, now)
				switch {
				case alg != token.Alg && err == nil:
					t.Errorf("the key for %s verified it", alg)
				case alg == token.Alg && err != nil:
					t.Error(err)
				case err == nil && !reflect.DeepEqual(id, want):
					t.Errorf("got  %+v\nwant %+v", id, want)
				}
			}
			o := options
			o.Keys = jwks
			_, err := newVerifier(t, o).Verify(t.Context(), token.Token, now)
			if inSet := token.Secret == ""; inSet != (err == nil) {
				t.Errorf("by the key set: %v", err)
			}
			if token.Secret == "" {
				o.Algorithms = []string{token.Alg}
				if _, err := newVerifier(t, o).Verify(t.Context(), token.Token, now); err != nil {
					t.Errorf("with only its algorithm allowed: %v", err)
				}
			}
		})
	}
}

// Promise: a cookie that better-auth itself set is verified, in its plain and its __Secure- form and with a prefix of
// one's own, with the current and with a former secret; and with no other.
func TestBetterAuthCookies(t *testing.T) {
	var vectors betterAuthVectors
	readVectors(t, "better-auth.json", &vectors)
	for _, c := range vectors.Sessions {
		t.Run(c.Case, func(t *testing.T) {
			options := SessionOptions{Secrets: []string{vectors.Secret, vectors.Old}}
			if c.Case == "own prefix" {
				options.Cookie = c.Cookie
			}
			s, err := NewSession(options)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Header: http.Header{"Cookie": {"theme=dark; " + c.Cookie + "=" + c.Value}}}
			value, err := s.Extract(r)
			if err != nil || value != c.Value {
				t.Fatalf("extracted %q, %v", value, err)
			}
			token, _, err := s.Verify(value)
			if err != nil || token != c.Token {
				t.Fatalf("got %q, %v; want %q", token, err, c.Token)
			}
			sum := sha256.Sum256([]byte(c.Token))
			if got := LookupKey(token); got != hex.EncodeToString(sum[:]) {
				t.Errorf("lookup key %s", got)
			}
			wrong := map[string]string{"secret": vectors.Old, "old": vectors.Secret}[c.SignedWith]
			other, err := NewSession(SessionOptions{Secrets: []string{wrong}})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = other.Verify(value)
			wantReason(t, err, ReasonSignature)
		})
	}
}

// Promise: a token of better-auth's JWT plugin is verified by the key set that it publishes.
func TestBetterAuthToken(t *testing.T) {
	var vectors betterAuthVectors
	readVectors(t, "better-auth.json", &vectors)
	for _, token := range vectors.Tokens {
		set, err := ParseKeys(token.JWKS)
		if err != nil {
			t.Fatal(err)
		}
		v := newVerifier(t, VerifierOptions{
			Keys: set, Issuers: []string{token.Issuer}, Audiences: []string{token.Audience},
			Claims: ClaimNames{Tenant: "organizationId"},
		})
		var c struct{ Iat int64 }
		_, payload, _, _, err := split(token.Token)
		if err != nil {
			t.Fatal(err)
		}
		text, err := encoding.DecodeString(payload)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		id, err := v.Verify(t.Context(), token.Token, time.Unix(c.Iat, 0))
		if err != nil {
			t.Fatal(err)
		}
		if id.User != token.User || id.Tenant != token.Organization || id.Tenant == "" {
			t.Errorf("got %+v", id)
		}
	}
}
