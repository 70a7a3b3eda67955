package credential

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// start is the time of the tests: they hand the clock in.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// testSecret is long enough for each HMAC.
var testSecret = []byte(strings.Repeat("a secret of 64 b", 4))

// once makes a key the first time that a test wants it.
func once(make func() (crypto.Signer, error)) func() crypto.Signer {
	return sync.OnceValue(func() crypto.Signer {
		k, err := make()
		if err != nil {
			panic(err)
		}
		return k
	})
}

func newEC(curve elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
}

func newEd25519() (crypto.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

var (
	rsaKey   = once(func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	p256Key  = once(newEC(elliptic.P256()))
	p384Key  = once(newEC(elliptic.P384()))
	p521Key  = once(newEC(elliptic.P521()))
	edKey    = once(newEd25519)
	otherKey = once(newEC(elliptic.P256()))
)

// standardClaims are those of a token that the tests' verifiers accept.
func standardClaims() map[string]any {
	return map[string]any{
		"iss": "https://id.example.com", "aud": "app", "sub": "user-1",
		"iat": start.Unix(), "exp": start.Add(time.Hour).Unix(), "tenant_id": "acme",
	}
}

// with returns a copy of m with these members; nil as a value removes the member.
func with(m map[string]any, pairs ...any) map[string]any {
	m = maps.Clone(m)
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] == nil {
			delete(m, pair[0].(string))
			continue
		}
		m[pair[0].(string)] = pair[1]
	}
	return m
}

func b64(text []byte) string { return base64.RawURLEncoding.EncodeToString(text) }

func toJSON(v any) string {
	if s, ok := v.(string); ok {
		return s // JSON as it stands
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// signRaw signs exactly this header and payload; key is a crypto.Signer or a secret.
func signRaw(t testing.TB, algorithm string, key any, header, payload any) string {
	t.Helper()
	signed := b64([]byte(toJSON(header))) + "." + b64([]byte(toJSON(payload)))
	sig, err := algorithmNamed(algorithm).method.Sign(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(sig)
}

// sign signs a token with an ordinary header.
func sign(t testing.TB, algorithm, keyID string, key any, payload any) string {
	t.Helper()
	header := map[string]any{"alg": algorithm, "typ": "JWT"}
	if keyID != "" {
		header["kid"] = keyID
	}
	return signRaw(t, algorithm, key, header, payload)
}

// jwk is the public half of a key as an issuer publishes it, with further members.
func jwk(k crypto.Signer, members ...any) map[string]any {
	var m map[string]any
	switch public := k.Public().(type) {
	case *rsa.PublicKey:
		m = map[string]any{"kty": "RSA", "n": b64(public.N.Bytes()), "e": b64(big.NewInt(int64(public.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		size := (len(point) - 1) / 2
		m = map[string]any{"kty": "EC", "crv": public.Params().Name, "x": b64(point[1 : 1+size]), "y": b64(point[1+size:])}
	case ed25519.PublicKey:
		m = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	}
	return with(m, members...)
}

func keySetJSON(keys ...map[string]any) string {
	if keys == nil {
		keys = []map[string]any{}
	}
	return toJSON(map[string]any{"keys": keys})
}

// publicKeys returns a set of these keys without ids.
func publicKeys(t testing.TB, keys ...crypto.Signer) *KeySet {
	t.Helper()
	set := new(KeySet)
	for _, k := range keys {
		public, err := newPublicKey("", "", k.Public())
		if err != nil {
			t.Fatal(err)
		}
		set.keys = append(set.keys, public)
	}
	return set
}

func secretKeys(t testing.TB) *KeySet {
	t.Helper()
	set, err := SecretKeys(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newVerifier(t testing.TB, o VerifierOptions) *Verifier {
	t.Helper()
	v, err := NewVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verify verifies at the tests' time.
func verify(v *Verifier, token string) (*Identity, error) {
	return v.Verify(context.Background(), token, start)
}

// wantReason fails unless err is a refusal for that reason; "" wants no error.
func wantReason(t testing.TB, err error, want Reason) {
	t.Helper()
	if got := ReasonOf(err); got != want || (err == nil) != (want == "") {
		t.Errorf("got the reason %q (%v), want %q", got, err, want)
	}
	if want != "" && want != "keys_unavailable" && !errors.Is(err, ErrRefused) {
		t.Errorf("%v does not wrap ErrRefused", err)
	}
}

func mustTime(t testing.TB, seconds string) time.Time {
	t.Helper()
	at, err := asTime("", json.Number(seconds))
	if err != nil {
		t.Fatal(err)
	}
	return at
}
