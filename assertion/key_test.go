package assertion

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRFC8037 holds keys, thumbprints and signatures against appendix A of RFC 8037.
func TestRFC8037(t *testing.T) {
	k, err := NewKey(ed25519.NewKeyFromSeed(decode(t, rfcSeed)))
	if err != nil {
		t.Fatal(err)
	}
	if want := "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"; k.x != want { // A.2
		t.Errorf("x is %s, want %s", k.x, want)
	}
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; k.ID() != want { // A.3
		t.Errorf("the thumbprint is %s, want %s", k.ID(), want)
	}
	k.header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA"}`)) + "."
	got, err := k.sign([]byte("Example of Ed25519 signing")) // A.4
	want := "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." +
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	if err != nil || got != want {
		t.Errorf("signed %s (%v), want %s", got, err, want)
	}
}

// TestKeySet keeps the promise that public halves are published in the form of RFC 7517 and RFC 8037, and nothing else.
func TestKeySet(t *testing.T) {
	set := testSet(t, 1, 2)
	var doc struct{ Keys []map[string]string }
	if err := json.Unmarshal(set.JWKS(), &doc); err != nil || len(doc.Keys) != 2 {
		t.Fatalf("%v in %s", err, set.JWKS())
	}
	for i, k := range set.Keys() {
		want := map[string]string{"kty": "OKP", "crv": "Ed25519", "x": k.x, "kid": k.ID(), "use": "sig", "alg": "EdDSA"}
		if fmt.Sprint(doc.Keys[i]) != fmt.Sprint(want) {
			t.Errorf("key %d is %v, want %v", i, doc.Keys[i], want)
		}
	}
	swapped := testSet(t, 2, 1)
	if set.Identity() == swapped.Identity() || set.ETag() == swapped.ETag() || set.Identity() != testSet(t, 1, 2).Identity() {
		t.Error("identity and tag have to tell one order from the other, and only that")
	}
	secret, err := NewSecret([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	alone, err := NewKeySet(secret)
	if err != nil || string(alone.JWKS()) != `{"keys":[]}` || alone.Public() || !set.Public() {
		t.Errorf("a secret is published as %s (%v)", alone.JWKS(), err)
	}
	var many []*Key
	for n := range byte(MaxKeys + 1) {
		many = append(many, testKey(t, n+1))
	}
	for name, keys := range map[string][]*Key{
		"none": nil, "too many": many, "twice": {testKey(t, 1), testKey(t, 1)}, "a secret beside": {testKey(t, 1), secret},
	} {
		if _, err := NewKeySet(keys...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestKeyHidesItself keeps the promise that no way to print a key shows its private half.
func TestKeyHidesItself(t *testing.T) {
	const secret = "correct horse battery staple, and more"
	s, err := NewSecret([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	private, decimal := testPrivate(1), fmt.Sprintf("%d", []byte(secret[:8]))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, text := range []string{fmt.Sprintf(verb, s), fmt.Sprintf(verb, *s), fmt.Sprintf(verb, testKey(t, 1)), fmt.Sprintf(verb, []Key{*testKey(t, 1)})} {
			for _, hidden := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%x", private[:32]), decimal} {
				if strings.Contains(text, hidden) {
					t.Errorf("%s shows %s", verb, text)
				}
			}
		}
	}
	if _, err := NewSecret([]byte("too short, hunter2")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a short secret: %v", err)
	}
}

func pemOf(tb testing.TB, kind string, key any) string {
	tb.Helper()
	var der []byte
	var err error
	if public, ok := key.(ed25519.PublicKey); ok {
		der, err = x509.MarshalPKIXPublicKey(public)
	} else {
		der, err = x509.MarshalPKCS8PrivateKey(key)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// TestParseKeys keeps the promise that a key file which cannot be used is refused for a reason that shows nothing of it.
func TestParseKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := pemOf(t, "PRIVATE KEY", testPrivate(1))
	for name, tt := range map[string]struct{ file, want string }{
		"empty":     {"", "no key found"},
		"text":      {"hunter2", "no key found"},
		"public":    {pemOf(t, "PUBLIC KEY", testPrivate(1).Public()), "only a public key"},
		"EC":        {pemOf(t, "PRIVATE KEY", ec), "not an Ed25519 key"},
		"SEC 1":     {pemOf(t, "EC PRIVATE KEY", ec), "not an Ed25519 key"},
		"encrypted": {pemOf(t, "ENCRYPTED PRIVATE KEY", testPrivate(1)), "no passphrase"},
		"other":     {pemOf(t, "HUNTER2", testPrivate(1)), "not a private key"},
		"garbage":   {"-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n", "not a private key of PKCS #8"},
		"cut":       {one[:len(one)-10], "broken"},
		"cut after": {one + one[:60], "block 2 is broken"},
		"too many":  {strings.Repeat(one, MaxKeys+1), "more than"},
	} {
		if _, err := ParseKeys([]byte(tt.file)); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "unter2") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	keys, err := ParseKeys([]byte("# signs\n" + one + "# old\n" + pemOf(t, "PRIVATE KEY", testPrivate(2))))
	if err != nil || len(keys) != 2 || keys[0].ID() != testKey(t, 1).ID() || keys[1].ID() != testKey(t, 2).ID() {
		t.Errorf("%v, %v", keys, err)
	}
}

// TestRFC8410 reads the example of RFC 8410 §10.3, the form in which openssl writes keys.
func TestRFC8410(t *testing.T) {
	keys, err := ParseKeys([]byte("-----BEGIN PRIVATE KEY-----\n" +
		"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"; keys[0].x != want { // §10.1
		t.Errorf("the public key is %s, want %s", keys[0].x, want)
	}
}

// TestReadKeys keeps the promise of the order of keys: as the paths are, and in a directory by name.
func TestReadKeys(t *testing.T) {
	dir := t.TempDir()
	for name, n := range map[string]byte{"b.pem": 2, "a.pem": 1, "c.key": 3} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(pemOf(t, "PRIVATE KEY", testPrivate(n))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := ReadKeys(filepath.Join(dir, "c.key"), dir)
	if err != nil || !sameOrder(set, testSet(t, 3, 1, 2)) {
		t.Errorf("%v, %v", set, err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxKeyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, paths := range map[string][]string{
		"nothing": nil, "missing": {filepath.Join(dir, "missing")}, "empty directory": {t.TempDir()}, "large": {large},
		"twice": {filepath.Join(dir, "a.pem"), dir},
	} {
		if _, err := ReadKeys(paths...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzParseKeys keeps the promise that no file brings the parser down, and that what it takes can sign.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(pemOf(f, "PRIVATE KEY", testPrivate(1))))
	f.Add([]byte(pemOf(f, "PUBLIC KEY", testPrivate(1).Public())))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		keys, err := ParseKeys(file)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if _, err := k.sign([]byte("{}")); err != nil {
				t.Error(err)
			}
		}
	})
}
