package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// maxTries bounds how many keys are tried for one token, which matters for tokens that name no key: each try costs
// as much as a good signature does.
const maxTries = 16

// maxKeys is the most keys that one set may hold.
const maxKeys = 256

// KeySource gives the keys that verify tokens: a fixed [KeySet], or [JWKS], which follows an issuer.
type KeySource interface {
	// Keys returns the keys known now, without waiting; nil while none have ever been had.
	Keys() *KeySet
	// Newer asks for keys newer than old, because none of old fits a token. It waits for a bounded time and returns
	// the keys known then: old itself when the issuer has nothing newer or was asked a moment ago. An error wraps
	// [ErrKeysUnavailable] or is that of ctx.
	Newer(ctx context.Context, old *KeySet) (*KeySet, error)
}

// KeySet is an immutable set of verification keys.
type KeySet struct {
	keys []*key
}

// SecretKeys returns the set of the HMAC secrets given: several while a secret is being rotated. A secret must have
// 32 bytes for HS256, 48 for HS384, 64 for HS512 (RFC 7518 §3.2) and verifies only what it is long enough for.
func SecretKeys(secrets ...[]byte) (*KeySet, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret given")
	}
	set := new(KeySet)
	for _, secret := range secrets {
		if len(secret) < algorithmNamed("HS256").secretSize {
			return nil, fmt.Errorf("the secret has %d bytes: HS256 needs 32, HS384 48, HS512 64 (RFC 7518 §3.2)", len(secret))
		}
		if bytes.Contains(secret, []byte("-----BEGIN ")) {
			return nil, errors.New("the secret is a PEM text: a public key must be given as a key file, for it is not secret")
		}
		set.keys = append(set.keys, newSecretKey(secret))
	}
	return set, nil
}

// Keys implements [KeySource]: a fixed set is always known.
func (s *KeySet) Keys() *KeySet { return s }

// Newer implements [KeySource]: a fixed set never changes.
func (s *KeySet) Newer(context.Context, *KeySet) (*KeySet, error) { return s, nil }

// Len returns how many keys the set has.
func (s *KeySet) Len() int {
	if s == nil {
		return 0
	}
	return len(s.keys)
}

// candidates returns the keys that may have signed a token with that key id: those of that id (named is then true);
// where there are none, those without an id; and all of them when the token names none (RFC 7515 §4.1.4).
func (s *KeySet) candidates(id string) (keys []*key, named bool) {
	if id == "" {
		return s.keys, false
	}
	var unnamed []*key
	for _, k := range s.keys {
		switch k.id {
		case id:
			keys = append(keys, k)
		case "":
			unnamed = append(unnamed, k)
		}
	}
	if len(keys) > 0 {
		return keys, true
	}
	return unnamed, false
}

// verify returns the key of the set that made sig over signed with algorithm a. With an error, newer says whether a
// newer set could have that key: not when the token names a key that this set has, and never for a secret, which no
// issuer publishes.
func (s *KeySet) verify(id string, a *algorithm, signed string, sig []byte) (k *key, newer bool, err error) {
	candidates, named := s.candidates(id)
	newer = !named && a.key != keySecret
	tries := 0
	for _, k := range candidates {
		if !k.allows(a) {
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if a.method.Verify(signed, sig, k.material) == nil {
			return k, false, nil
		}
	}
	switch {
	case tries > 0:
		return nil, newer, refuse(ReasonSignature, "the signature is wrong")
	case len(candidates) == 0 && newer:
		return nil, newer, refuse(ReasonKeyUnknown, "no key has the id %s", shown(id))
	}
	return nil, newer, refuse(ReasonAlgorithm, "no key that could have signed this is for %s", a.name)
}

// supports reports whether any key of the set can verify that algorithm.
func (s *KeySet) supports(a *algorithm) bool {
	return slices.ContainsFunc(s.keys, func(k *key) bool { return k.allows(a) })
}

// has reports whether any key of the set is of that type.
func (s *KeySet) has(typ keyType) bool {
	return slices.ContainsFunc(s.keys, func(k *key) bool { return k.typ == typ })
}

// succeed returns fresh with each key that old has too replaced by old's own, so that tokens which such a key
// verified stay remembered, and the keys that fresh no longer has. When nothing changed it returns old itself.
func (s *KeySet) succeed(fresh *KeySet) (next *KeySet, dropped []*key) {
	if s == nil {
		return fresh, nil
	}
	known := make(map[[32]byte]*key, len(s.keys))
	for _, k := range s.keys {
		known[k.print] = k
	}
	next = &KeySet{keys: make([]*key, len(fresh.keys))}
	kept := 0
	for i, k := range fresh.keys {
		if same, ok := known[k.print]; ok {
			delete(known, k.print)
			k = same
			kept++
		}
		next.keys[i] = k
	}
	if kept == len(s.keys) && kept == len(fresh.keys) {
		return s, nil
	}
	for _, k := range known {
		dropped = append(dropped, k)
	}
	return next, dropped
}
