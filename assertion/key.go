package assertion

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// minSecret is the least length of a secret for HS256, in bytes (RFC 7518 §3.2).
const minSecret = 32

// Key signs tokens. It never shows its private half, also not when it is printed.
type Key struct {
	// id is the "kid": the key's thumbprint (RFC 7638); empty for a secret.
	id string
	// x is the public key in base64url (RFC 8037 §2); empty for a secret.
	x       string
	method  jwt.SigningMethod
	private any
	// identity tells one key from another without giving it away.
	identity [sha256.Size]byte
	// header is the first part of every token of this key, encoded, with the dot.
	header string
}

// TokenType is the "typ" of the tokens: explicit, so that no token of another kind is taken for one (RFC 8725 §3.11).
const TokenType = "tenant-context+jwt"

// NewKey returns the key for an Ed25519 private key.
func NewKey(private ed25519.PrivateKey) (*Key, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("an Ed25519 private key has %d bytes, not %d", ed25519.PrivateKeySize, len(private))
	}
	public := private.Public().(ed25519.PublicKey)
	x := base64.RawURLEncoding.EncodeToString(public)
	k := &Key{id: thumbprint(x), x: x, method: jwt.SigningMethodEdDSA, private: private, identity: sha256.Sum256(public)}
	return k, k.prepare()
}

// NewSecret returns the key for a secret that gateway and upstreams share, 32 bytes at least. It has no "kid": a
// thumbprint of a secret would tell something about it (RFC 7638 §7).
func NewSecret(secret []byte) (*Key, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("a secret for HS256 has %d bytes at least (RFC 7518 §3.2)", minSecret)
	}
	own := append([]byte(nil), secret...)
	k := &Key{method: jwt.SigningMethodHS256, private: own, identity: sha256.Sum256(own)}
	return k, k.prepare()
}

// ID returns the "kid": the thumbprint of RFC 7638; empty for a secret.
func (k *Key) ID() string { return k.id }

// Algorithm returns the "alg": EdDSA or HS256.
func (k *Key) Algorithm() string { return k.method.Alg() }

// String names the key by its id, by value and by pointer.
func (k Key) String() string { return k.Algorithm() + " key " + k.id }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// Format is String for all other verbs.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// prepare encodes the header and tries the key once, so that signing cannot fail later.
func (k *Key) prepare() error {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		ID        string `json:"kid,omitempty"`
		Type      string `json:"typ"`
	}{k.Algorithm(), k.id, TokenType})
	if err != nil {
		return err
	}
	k.header = base64.RawURLEncoding.EncodeToString(header) + "."
	if _, err := k.method.Sign(k.header, k.private); err != nil {
		return errors.New("the key cannot sign") // what the cause would say might be of the key
	}
	return nil
}

// sign returns the token over claims, a JSON object.
func (k *Key) sign(claims []byte) (string, error) {
	body := k.header + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := k.method.Sign(body, k.private)
	if err != nil {
		return "", fmt.Errorf("signing with the %s: %w", k, err)
	}
	return body + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// thumbprint returns the thumbprint (RFC 7638) of the Ed25519 key x: SHA-256 over its required members in the order of
// their names (RFC 8037 §2).
func thumbprint(x string) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// jwk is a public key as it is published (RFC 7517 §4, RFC 8037 §2).
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

// Interface guards
var (
	_ fmt.Stringer   = Key{}
	_ fmt.GoStringer = Key{}
	_ fmt.Formatter  = Key{}
)
