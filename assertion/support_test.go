package assertion

import (
	"crypto/ed25519"
	"encoding/base64"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// noon is the time of the tests.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// rfcSeed is the private key of RFC 8037 appendix A.1.
const rfcSeed = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"

func decode(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// testPrivate returns the private key number n, always the same.
func testPrivate(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

// testKey returns the key number n.
func testKey(tb testing.TB, n byte) *Key {
	tb.Helper()
	k, err := NewKey(testPrivate(n))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// testSet returns the set of the keys of these numbers.
func testSet(tb testing.TB, numbers ...byte) *KeySet {
	tb.Helper()
	var keys []*Key
	for _, n := range numbers {
		keys = append(keys, testKey(tb, n))
	}
	set, err := NewKeySet(keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// secretSet returns a set of one secret, for tests that sign a lot.
func secretSet(tb testing.TB) *KeySet {
	tb.Helper()
	k, err := NewSecret(make([]byte, minSecret))
	if err != nil {
		tb.Fatal(err)
	}
	set, err := NewKeySet(k)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// testSigner returns a signer with key number 1, unless the options have others.
func testSigner(tb testing.TB, o Options) *Signer {
	tb.Helper()
	if o.Keys == nil && o.KeyDir == nil {
		o.Keys = testSet(tb, 1)
	}
	s, err := NewSigner(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// resolved returns tenant number t with its environment number e.
func resolved(t, e byte) *registry.Resolved {
	return &registry.Resolved{
		Tenant: registry.ResolvedTenant{
			ID: uuid.UUID{15: t}, Slug: "acme", Name: "Acmé \"Corp\" <1>", Plan: "pro", Isolation: registry.IsolationIsolatedDB,
		},
		Environment: registry.ResolvedEnvironment{
			ID: uuid.UUID{14: t, 15: e}, Slug: "production", Type: registry.EnvironmentProduction, Region: "eu-west-1",
		},
		Database: registry.Database{Name: "acme-db", Schema: "acme"},
	}
}

// mustToken returns a token that has to be there.
func mustToken(tb testing.TB, s *Signer, f Facts, now time.Time) string {
	tb.Helper()
	text, err := s.Token(f, now)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// expiry returns when a token expires, without a look at its signature.
func expiry(tb testing.TB, text string) time.Time {
	tb.Helper()
	var c jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(text, &c); err != nil {
		tb.Fatal(err)
	}
	return c.ExpiresAt.Time
}

// signerOf returns the "kid" of a token.
func signerOf(tb testing.TB, text string) string {
	tb.Helper()
	token, _, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
	if err != nil {
		tb.Fatal(err)
	}
	id, _ := token.Header["kid"].(string)
	return id
}
