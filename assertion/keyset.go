package assertion

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxKeys is how many keys a set may have. Upstreams look through all of them.
const MaxKeys = 16

// KeySet is the keys of a signer: the first one signs, and all are published. It is immutable.
//
// Keys are rotated in three steps, each of which waits until upstreams have fetched the set again: the new key is added
// as the second, then it becomes the first, and at last the old one is removed, when what it signed has expired.
type KeySet struct {
	keys []*Key
	jwks []byte
	etag string
}

// NewKeySet returns the set of the keys, of which the first signs. A secret can only stand alone: every other key beside
// it would be pointless, because upstreams check one algorithm.
func NewKeySet(keys ...*Key) (*KeySet, error) {
	switch {
	case len(keys) == 0:
		return nil, errors.New("at least one key is needed")
	case len(keys) > MaxKeys:
		return nil, fmt.Errorf("%d keys: %d is the most", len(keys), MaxKeys)
	}
	s := &KeySet{keys: append([]*Key(nil), keys...)}
	published := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	seen := make(map[[sha256.Size]byte]bool, len(keys))
	for _, k := range keys {
		if seen[k.identity] {
			return nil, fmt.Errorf("the %s is given twice", k)
		}
		seen[k.identity] = true
		if k.x == "" {
			if len(keys) > 1 {
				return nil, errors.New("a secret can only be the one key there is")
			}
			continue // a secret in a public place would be none
		}
		published.Keys = append(published.Keys, jwk{"OKP", "Ed25519", k.x, k.id, "sig", k.Algorithm()})
	}
	var err error
	if s.jwks, err = json.Marshal(published); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(s.jwks)
	s.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return s, nil
}

// Signing returns the key that signs.
func (s *KeySet) Signing() *Key { return s.keys[0] }

// Keys returns the keys, the one that signs first.
func (s *KeySet) Keys() []*Key { return append([]*Key(nil), s.keys...) }

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517 §5), which must not be modified. A secret is never in it.
func (s *KeySet) JWKS() []byte { return s.jwks }

// ETag returns the entity tag of [KeySet.JWKS] (RFC 9110 §8.8.3), with its quotation marks.
func (s *KeySet) ETag() string { return s.etag }

// Public reports whether any key is published.
func (s *KeySet) Public() bool { return s.keys[0].x != "" }

// Identity names the set and the order of its keys without giving any of them away.
func (s *KeySet) Identity() string {
	hash := sha256.New()
	for _, k := range s.keys {
		hash.Write([]byte(k.Algorithm()))
		hash.Write(k.identity[:])
	}
	return hex.EncodeToString(hash.Sum(nil))
}
