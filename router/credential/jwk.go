package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
)

// parseKeyFileJSON reads a key file of JSON: a key set, or a single key. Here, unlike in what an issuer publishes, a
// key that cannot be used is an error: somebody put it there for a purpose.
func parseKeyFileJSON(file []byte) (*KeySet, error) {
	var one struct {
		Type string          `json:"kty"`
		Keys json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(file, &one); err != nil {
		return nil, fmt.Errorf("not a JSON Web Key Set: %w", err)
	}
	if one.Type != "" && one.Keys == nil {
		file = slices.Concat([]byte(`{"keys":[`), file, []byte(`]}`))
	}
	set, skipped, err := parseJWKS(file)
	switch {
	case err != nil:
		return nil, err
	case len(skipped) > 0:
		return nil, skipped[0]
	case set.Len() == 0:
		return nil, errors.New("the key set is empty")
	}
	return set, nil
}

// parseJWKS reads a JSON Web Key Set (RFC 7517 §5). Keys that are not fit to verify a token are left out and told in
// skipped, as the RFC asks for; that includes keys for encryption, and symmetric keys, which are no secret once they
// are published. A set without any fit key is still a set: the issuer says that it has none.
func parseJWKS(document []byte) (set *KeySet, skipped []error, err error) {
	var doc struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, nil, fmt.Errorf("not a JSON Web Key Set: %w", err)
	}
	if doc.Keys == nil {
		return nil, nil, errors.New(`not a JSON Web Key Set: it has no "keys"`)
	}
	if len(*doc.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("the key set has %d keys: %d is the most", len(*doc.Keys), maxKeys)
	}
	set = new(KeySet)
	for i, raw := range *doc.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d of the set: %w", i+1, err))
			continue
		}
		if !slices.ContainsFunc(set.keys, func(other *key) bool { return other.print == k.print }) {
			set.keys = append(set.keys, k)
		}
	}
	return set, skipped, nil
}

// parseJWK reads one key. Its certificates (x5c, x5t, x5u) are not looked at: what counts is the key.
func parseJWK(raw json.RawMessage) (*key, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, errors.New("not a JSON Web Key")
	}
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) || m.KTY == "" {
		return nil, errors.New("not a JSON Web Key: it has no kty")
	}
	switch {
	case m.KTY == jwkset.KtyOct:
		return nil, errors.New("a symmetric key in a public place is no secret")
	case m.D != "" || m.P != "" || m.Q != "" || m.K != "":
		return nil, errors.New("it holds its private half in a public place")
	case m.USE != "" && m.USE != jwkset.UseSig:
		return nil, fmt.Errorf("its use is %s, not sig (RFC 7517 §4.2)", shown(string(m.USE)))
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return nil, errors.New("its key_ops do not include verify (RFC 7517 §4.3)")
	case len(m.KID) > maxKeyID:
		return nil, fmt.Errorf("its kid is longer than %d bytes", maxKeyID)
	}
	bare := jwkset.JWKMarshal{KTY: m.KTY, CRV: m.CRV, X: m.X, Y: m.Y, N: m.N, E: m.E}
	parsed, err := jwkset.NewJWKFromMarshal(bare, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipMetadata: true})
	if err != nil {
		return nil, err
	}
	return newPublicKey(m.KID, string(m.ALG), parsed.Key())
}
