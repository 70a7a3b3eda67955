package registry

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	// secretKeySize is how long a key is, in bytes: AES-256.
	secretKeySize = 32
	// maxSecretKeys bounds how many keys a keyring has.
	maxSecretKeys = 64
	// sealedVersion is the first byte of what was sealed, and says what follows: a nonce of 12 bytes, then the ciphertext
	// with its tag of 16.
	sealedVersion = 1
)

// SecretKey is a named 256-bit key that seals the secrets of credentials. It never shows the key: not by package fmt, not
// as JSON, not in a log.
type SecretKey struct {
	id  string
	key [secretKeySize]byte
}

// NewSecretKey reads a key: 32 random bytes in base64 (RFC 4648 §4 or §5, with or without padding) or hex. Surrounding white
// space is cut off. The id is kept next to all that the key has sealed: 1 to 63 of a-z, 0-9, ".", "_" and "-", beginning
// with a letter or digit. No error shows any part of the key.
func NewSecretKey(id, text string) (SecretKey, error) {
	k := SecretKey{id: id}
	if !validName(id) {
		// It is not repeated: it could be the key, in the wrong place.
		return SecretKey{}, fmt.Errorf("the id of a key must be 1 to %d of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit", MaxSlugLength)
	}
	raw, ok := decodeKey(strings.TrimSpace(text))
	switch {
	case !ok:
		return SecretKey{}, fmt.Errorf("the key %s must be base64 or hex of %d random bytes, as `openssl rand -base64 %d` prints them", id, secretKeySize, secretKeySize)
	case len(raw) != secretKeySize:
		return SecretKey{}, fmt.Errorf("the key %s has %d bytes: it must have %d, as `openssl rand -base64 %d` prints them", id, len(raw), secretKeySize, secretKeySize)
	case strings.Count(string(raw), string(raw[:1])) == len(raw):
		return SecretKey{}, fmt.Errorf("the key %s is one byte again and again: it must be random, as `openssl rand -base64 %d` prints it", id, secretKeySize)
	}
	copy(k.key[:], raw)
	return k, nil
}

// maxKeyText bounds the text of a key, in bytes.
const maxKeyText = 1024

// decodeKey reads hex, or base64 in any of its forms. No hex of a whole key is base64 of one.
func decodeKey(text string) ([]byte, bool) {
	if text == "" || len(text) > maxKeyText || strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	if raw, err := hex.DecodeString(text); err == nil {
		return raw, true
	}
	bare := strings.TrimRight(text, "=")
	if padding := len(text) - len(bare); padding > 0 && len(text)%4 != 0 {
		return nil, false
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if raw, err := encoding.Strict().DecodeString(bare); err == nil {
			return raw, true
		}
	}
	return nil, false
}

// ParseSecretKeys reads a list of keys as ID=KEY,ID=KEY; see [NewSecretKey]. White space around an element counts for
// nothing, and "" is a list of none.
func ParseSecretKeys(text string) ([]SecretKey, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if len(text) > maxSecretKeys*maxKeyText {
		return nil, errors.New("the list of keys is too long")
	}
	var list []SecretKey
	for i, part := range strings.Split(text, ",") {
		id, key, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, fmt.Errorf("element %d of the list of keys must be ID=KEY", i+1)
		}
		k, err := NewSecretKey(id, key)
		if err != nil {
			return nil, fmt.Errorf("element %d of the list of keys: %w", i+1, err)
		}
		list = append(list, k)
	}
	return list, nil
}

// ID is the key's name.
func (k SecretKey) ID() string { return k.id }

// Format implements [fmt.Formatter]: only the id is shown.
func (k SecretKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "key "+k.id) }

// Keyring seals and opens the secrets of credentials with AES-256-GCM (NIST SP 800-38D): the first key seals, all of them
// open. Each secret has a random nonce, and is bound to the id, the environment and the scope of its credential: what is
// moved to another record does not open. It is immutable and shows none of its keys. A nil one has no key.
type Keyring struct{ keys []sealingKey }

// sealingKey is a key ready for use.
type sealingKey struct {
	id   string
	aead cipher.AEAD
	mac  []byte // a key of its own for what is compared and not opened
}

// NewKeyring makes a keyring of 1 to 64 keys with different ids.
func NewKeyring(keys ...SecretKey) (*Keyring, error) {
	switch {
	case len(keys) == 0:
		return nil, errors.New("a keyring needs a key")
	case len(keys) > maxSecretKeys:
		return nil, fmt.Errorf("there must not be more than %d keys", maxSecretKeys)
	}
	r := new(Keyring)
	for _, k := range keys {
		if k.id == "" {
			return nil, errors.New("a keyring takes keys of NewSecretKey")
		}
		if r.find(k.id) != nil {
			return nil, fmt.Errorf("the key %s is given twice", k.id)
		}
		block, err := aes.NewCipher(k.key[:])
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, sealingKey{k.id, aead, mac(k.key[:], "tenantgate: what is compared")})
	}
	return r, nil
}

// mac is HMAC-SHA256 (RFC 2104) over parts, each closed by its length.
func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%s\x00%d\x00", p, len(p)) // a hash takes everything
	}
	return h.Sum(nil)
}

// Format implements [fmt.Formatter]: only the ids are shown.
func (r *Keyring) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, "keyring of "+strings.Join(r.IDs(), ", "))
}

// IDs returns the names of the keys, the one that seals first; nil where there is none.
func (r *Keyring) IDs() []string {
	if r == nil {
		return nil
	}
	ids := make([]string, len(r.keys))
	for i := range r.keys {
		ids[i] = r.keys[i].id
	}
	return ids
}

// fingerprint is the same for keyrings with the same keys in the same order, and tells nothing about them; "" without keys.
func (r *Keyring) fingerprint() string {
	if r == nil {
		return ""
	}
	h := sha256.New()
	for i := range r.keys {
		_, _ = h.Write(mac(r.keys[i].mac, "fingerprint", r.keys[i].id))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (r *Keyring) find(id string) *sealingKey {
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.keys, func(k sealingKey) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return &r.keys[i]
}

// errNoKey says what to do where there is no key at all.
var errNoKey = &ConflictError{
	Code:    CodeStateConflict,
	Message: "no key for secrets is configured: give the gateway one with \"secrets { key ID KEY }\" in its block tenants, or a command with --registry one in the environment variable TENANT_SECRET_KEYS (ID=KEY)",
}

// first returns the key that seals.
func (r *Keyring) first() (*sealingKey, error) {
	if r == nil || len(r.keys) == 0 {
		return nil, errNoKey
	}
	return &r.keys[0], nil
}

// binding is what a secret belongs to.
type binding struct{ credential, environment, scope string }

// data is the additional data of the seal.
func (b binding) data() []byte {
	return []byte("tenantgate database credential\x00" + b.credential + "\x00" + b.environment + "\x00" + b.scope)
}

// seal returns the secret under the key, with a new nonce.
func (k *sealingKey) seal(b binding, secret string) []byte {
	nonce := make([]byte, k.aead.NonceSize(), 1+k.aead.NonceSize()+len(secret)+k.aead.Overhead())
	_, _ = rand.Read(nonce) // it never fails
	return append([]byte{sealedVersion}, k.aead.Seal(nonce, nonce, []byte(secret), b.data())...)
}

// open returns what was sealed; false where it is not what this key sealed for b.
func (k *sealingKey) open(b binding, sealed []byte) (secret string, ok bool) {
	size := k.aead.NonceSize()
	if len(sealed) < 1+size || sealed[0] != sealedVersion {
		return "", false
	}
	text, err := k.aead.Open(nil, sealed[1:1+size], sealed[1+size:], b.data())
	return string(text), err == nil
}

// digest stands for a request with a secret, for comparison: who has the registry and not the key cannot try secrets on it.
func (k *sealingKey) digest(request, secret string) string {
	return hex.EncodeToString(mac(k.mac, "request", request, secret))
}
