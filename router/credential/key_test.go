package credential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// certificate makes one for k, signed by parent (or by itself), with that key usage.
func certificate(t *testing.T, name string, k crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer, usage x509.KeyUsage) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: usage,
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if parent == nil {
		parent, parentKey = template, k
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, k.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Promise: each form of public key file is read, several keys in one file too; a private key, a weak key, a CA's
// certificate and anything else is refused with a text that says what is wrong.
func TestParseKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := func(k any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return pemBlock("PRIVATE KEY", der)
	}
	leafOf := func(k crypto.Signer, usage x509.KeyUsage) []byte {
		return pemBlock("CERTIFICATE", certificate(t, "signer", k, nil, nil, usage).Raw)
	}
	ca := certificate(t, "CA", p384Key(), nil, nil, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature)
	issued := certificate(t, "signer", p256Key(), ca, p384Key(), x509.KeyUsageDigitalSignature)
	join := func(blocks ...[]byte) []byte { return slices.Concat(blocks...) }
	huge := &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 9000), big.NewInt(1)), E: 65537}
	hugeDER, err := x509.MarshalPKIXPublicKey(huge)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		file []byte
		keys int
		want string
	}{
		{"RSA", publicPEM(t, rsaKey()), 1, ""},
		{"RSA, PKCS #1", pemBlock("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaKey().Public().(*rsa.PublicKey))), 1, ""},
		{"P-256", publicPEM(t, p256Key()), 1, ""},
		{"P-384", publicPEM(t, p384Key()), 1, ""},
		{"P-521", publicPEM(t, p521Key()), 1, ""},
		{"Ed25519", publicPEM(t, edKey()), 1, ""},
		{"several, with text around", join([]byte("the old one\n"), publicPEM(t, rsaKey()), []byte("\nthe new one\n"), publicPEM(t, edKey()), []byte("\n")), 2, ""},
		{"an expired certificate", leafOf(p256Key(), 0), 1, ""},
		{"a certificate for signatures", leafOf(rsaKey(), x509.KeyUsageDigitalSignature), 1, ""},
		{"two certificates of which one is the other's successor", join(leafOf(p256Key(), 0), leafOf(rsaKey(), 0)), 2, ""},
		{"an issued certificate alone", pemBlock("CERTIFICATE", issued.Raw), 1, ""},
		{"a key set", []byte(" \n" + keySetJSON(jwk(rsaKey()), jwk(edKey(), "kid", "e"))), 2, ""},
		{"a single key of JSON", []byte(toJSON(jwk(p256Key()))), 1, ""},

		{"empty", nil, 0, "no key found"},
		{"text", []byte("not a key"), 0, "no key found"},
		{"a broken block", []byte("-----BEGIN PUBLIC KEY-----\n!!!\n-----END PUBLIC KEY-----\n"), 0, "broken"},
		{"a good and a broken block", join(publicPEM(t, edKey()), []byte("-----BEGIN PUBLIC KEY-----\nAAAA")), 0, "block 2 is broken"},
		{"DER that is none", pemBlock("PUBLIC KEY", []byte{1, 2, 3}), 0, "block 1"},
		{"a private key", private(p256Key()), 0, "private key"},
		{"a public and a private key", join(publicPEM(t, edKey()), private(p256Key())), 0, "block 2: a private key"},
		{"a request for a certificate", pemBlock("CERTIFICATE REQUEST", []byte{1}), 0, "neither"},
		{"weak RSA", publicPEM(t, weak), 0, "1024 bits is too weak"},
		{"weak RSA in a key set", []byte(keySetJSON(jwk(weak))), 0, "1024 bits is too weak"},
		{"huge RSA", pemBlock("PUBLIC KEY", hugeDER), 0, "too large"},
		{"P-224", publicPEM(t, p224), 0, "P-256, P-384 or P-521"},
		{"a certificate for encryption", leafOf(rsaKey(), x509.KeyUsageKeyEncipherment), 0, "not for digital signatures"},
		{"a certificate and its CA's", join(pemBlock("CERTIFICATE", issued.Raw), pemBlock("CERTIFICATE", ca.Raw)), 0, "issued another one"},
		{"an empty key set", []byte(keySetJSON()), 0, "empty"},
		{"a secret in a key set", []byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`), 0, "no secret"},
		{"JSON cut off", []byte(`{"keys":[`), 0, "not a JSON Web Key Set"},
	} {
		t.Run(row.name, func(t *testing.T) {
			set, err := ParseKeys(row.file)
			if row.want == "" {
				if err != nil || set.Len() != row.keys {
					t.Errorf("got %d keys, %v", set.Len(), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

// Promise: a secret that is too short to be one, or is no secret, is refused with a text that says so.
func TestSecretKeys(t *testing.T) {
	for _, row := range []struct {
		secrets []string
		want    string
	}{
		{nil, "no secret"},
		{[]string{""}, "0 bytes"},
		{[]string{strings.Repeat("x", 31)}, "31 bytes"},
		{[]string{strings.Repeat("x", 32), "short"}, "5 bytes"},
		{[]string{string(publicPEM(t, rsaKey()))}, "not secret"},
		{[]string{strings.Repeat("x", 32)}, ""},
		{[]string{strings.Repeat("x", 32), strings.Repeat("y", 64)}, ""},
	} {
		var secrets [][]byte
		for _, s := range row.secrets {
			secrets = append(secrets, []byte(s))
		}
		set, err := SecretKeys(secrets...)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q: %v, want %q", row.secrets, err, row.want)
		}
		if err == nil && set.Len() != len(secrets) {
			t.Errorf("%d keys for %d secrets", set.Len(), len(secrets))
		}
	}
	// Both secrets count while one replaces the other, and the caller's slice is not kept.
	first, second := []byte(strings.Repeat("1", 32)), []byte(strings.Repeat("2", 32))
	set, err := SecretKeys(first, second)
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, VerifierOptions{Keys: set})
	tokens := []string{sign(t, "HS256", "", first, standardClaims()), sign(t, "HS256", "x", second, standardClaims())}
	clear(first)
	clear(second)
	for _, token := range tokens {
		if _, err := verify(v, token); err != nil {
			t.Error(err)
		}
	}
}

// Promise: of what an issuer publishes, only keys that are fit for signatures are used, the rest is left out and does
// not disturb (RFC 7517 §5); use, key_ops and alg are honoured.
func TestParseJWKS(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	bad := []struct {
		name string
		key  any
	}{
		{"for encryption", jwk(rsaKey(), "use", "enc")},
		{"of an unknown use", jwk(rsaKey(), "use", "tls")},
		{"for other operations", jwk(rsaKey(), "key_ops", []string{"encrypt", "wrapKey"})},
		{"for an encryption algorithm", jwk(rsaKey(), "alg", "RSA-OAEP")},
		{"RSA for HMAC", jwk(rsaKey(), "alg", "HS256")},
		{"RSA for none", jwk(rsaKey(), "alg", "none")},
		{"P-256 for ES384", jwk(p256Key(), "alg", "ES384")},
		{"Ed25519 for ES256", jwk(edKey(), "alg", "ES256")},
		{"symmetric", map[string]any{"kty": "oct", "k": b64(testSecret), "alg": "HS256"}},
		{"with its private half", jwk(p256Key(), "d", b64(make([]byte, 32)))},
		{"weak", jwk(weak)},
		{"X25519", map[string]any{"kty": "OKP", "crv": "X25519", "x": b64(make([]byte, 32))}},
		{"Ed448", map[string]any{"kty": "OKP", "crv": "Ed448", "x": b64(make([]byte, 57))}},
		{"secp256k1", map[string]any{"kty": "EC", "crv": "secp256k1", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}},
		{"a point off the curve", jwk(p256Key(), "x", b64(make([]byte, 32)))},
		{"another curve's name", jwk(p256Key(), "crv", "P-384")},
		{"no modulus", map[string]any{"kty": "RSA", "e": "AQAB"}},
		{"an even exponent", jwk(rsaKey(), "e", "AQAA")},
		{"exponent 1", jwk(rsaKey(), "e", "AQ")},
		{"an exponent that is cut to a good one", jwk(rsaKey(), "e", b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1}))},
		{"an unknown type", map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}},
		{"no type", map[string]any{"kid": "x"}},
		{"kid not a string", jwk(p256Key(), "kid", 5)},
		{"kid too long", jwk(p256Key(), "kid", strings.Repeat("k", maxKeyID+1))},
		{"not base64", jwk(p256Key(), "x", "!")},
		{"null", nil},
		{"a number", 5},
		{"a string", "key"},
	}
	keys := []any{jwk(p256Key(), "kid", "first", "key_ops", []string{"verify"})}
	for _, b := range bad {
		keys = append(keys, b.key)
	}
	// Certificates that nobody can read do not matter: the key counts.
	keys = append(keys, jwk(rsaKey(), "kid", "last", "use", "sig", "x5c", []string{"garbage"}, "x5t", "garbage"), jwk(p256Key(), "kid", "first"))
	set, skipped, err := parseJWKS([]byte(toJSON(map[string]any{"keys": keys})))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.keys) != 2 || set.keys[0].id != "first" || set.keys[1].id != "last" {
		t.Errorf("%d keys are used, want the first and the last", len(set.keys))
	}
	if len(skipped) != len(bad) {
		t.Errorf("%d keys skipped, want %d", len(skipped), len(bad))
	}
	for _, b := range bad {
		set, skipped, err := parseJWKS([]byte(toJSON(map[string]any{"keys": []any{b.key}})))
		if err != nil || set.Len() != 0 || len(skipped) != 1 {
			t.Errorf("%s: %d keys, skipped %v, %v", b.name, set.Len(), skipped, err)
		}
	}
}

// Promise: a token without a key id does not cost more signatures than maxTries, however many keys an issuer has.
func TestTriesAreBounded(t *testing.T) {
	set := new(KeySet)
	for range maxTries {
		set.keys = append(set.keys, publicKeys(t, p256Key()).keys...)
	}
	set.keys = append(set.keys, publicKeys(t, otherKey()).keys...)
	v := newVerifier(t, VerifierOptions{Keys: set})
	_, err := verify(v, sign(t, "ES256", "", otherKey(), standardClaims()))
	wantReason(t, err, ReasonSignature)
	_, err = verify(v, sign(t, "ES256", "", p256Key(), standardClaims()))
	wantReason(t, err, "")
}

// Promise: a key's material is in no text that it could be printed as by mistake of ours.
func TestReasonsHideSecrets(t *testing.T) {
	_, err := SecretKeys([]byte("a secret that is short"))
	if err == nil || strings.Contains(err.Error(), "a secret that") {
		t.Errorf("got %v", err)
	}
}
