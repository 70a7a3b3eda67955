package credential

import (
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// keyType is what kind of key a key is. Each algorithm is for exactly one of them: that is how the algorithm is
// pinned to the key, and not to what a token says of itself (RFC 8725 §3.1).
type keyType uint8

const (
	keySecret keyType = iota + 1
	keyRSA
	keyP256
	keyP384
	keyP521
	keyEd25519
)

// String names the type as an operator knows it.
func (t keyType) String() string {
	switch t {
	case keySecret:
		return "secret"
	case keyRSA:
		return "RSA"
	case keyP256:
		return "EC P-256"
	case keyP384:
		return "EC P-384"
	case keyP521:
		return "EC P-521"
	case keyEd25519:
		return "Ed25519"
	}
	return "unknown"
}

// algorithm is a JWS signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
type algorithm struct {
	name   string
	key    keyType
	method jwt.SigningMethod
	// secretSize is the least size of an HMAC secret in bytes: that of the hash (RFC 7518 §3.2).
	secretSize int
}

// algorithms are all that can ever be accepted. "none" (RFC 7518 §3.6) is not among them and cannot be added.
// "Ed25519" is the newer name of what "EdDSA" means with a key of that curve (RFC 9864 §2.2).
var algorithms = []*algorithm{
	{name: "HS256", key: keySecret, method: jwt.SigningMethodHS256, secretSize: 32},
	{name: "HS384", key: keySecret, method: jwt.SigningMethodHS384, secretSize: 48},
	{name: "HS512", key: keySecret, method: jwt.SigningMethodHS512, secretSize: 64},
	{name: "RS256", key: keyRSA, method: jwt.SigningMethodRS256},
	{name: "RS384", key: keyRSA, method: jwt.SigningMethodRS384},
	{name: "RS512", key: keyRSA, method: jwt.SigningMethodRS512},
	{name: "PS256", key: keyRSA, method: jwt.SigningMethodPS256},
	{name: "PS384", key: keyRSA, method: jwt.SigningMethodPS384},
	{name: "PS512", key: keyRSA, method: jwt.SigningMethodPS512},
	{name: "ES256", key: keyP256, method: jwt.SigningMethodES256},
	{name: "ES384", key: keyP384, method: jwt.SigningMethodES384},
	{name: "ES512", key: keyP521, method: jwt.SigningMethodES512},
	{name: "EdDSA", key: keyEd25519, method: jwt.SigningMethodEdDSA},
	{name: "Ed25519", key: keyEd25519, method: jwt.SigningMethodEdDSA},
}

// algorithmNamed returns the algorithm of that name, or nil. Names are case-sensitive (RFC 7515 §4.1.1).
func algorithmNamed(name string) *algorithm {
	for _, a := range algorithms {
		if a.name == name {
			return a
		}
	}
	return nil
}

// canonical makes the two names of one algorithm equal.
func canonical(name string) string {
	if name == "Ed25519" {
		return "EdDSA"
	}
	return name
}

// parseAlgorithms checks a configured list of algorithms. An empty list allows whatever the keys allow and gives nil.
func parseAlgorithms(names []string) (map[string]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	set := make(map[string]bool, len(names))
	for _, name := range names {
		if strings.EqualFold(name, "none") {
			return nil, fmt.Errorf("algorithm %q: a token without a signature proves nothing", name)
		}
		if algorithmNamed(name) == nil {
			return nil, fmt.Errorf("algorithm %q is not known: choose from %s", name, algorithmList())
		}
		set[canonical(name)] = true
	}
	return set, nil
}

// checkAlgorithms refuses algorithms that the keys can never be for.
func checkAlgorithms(names []string, keys KeySource) error {
	set, fixed := keys.(*KeySet)
	usable := len(names) == 0
	for _, name := range names {
		a := algorithmNamed(name)
		if a.key == keySecret {
			switch {
			case !fixed:
				return fmt.Errorf("algorithm %s needs a secret, and an issuer publishes none", name)
			case set.has(keySecret) && !set.supports(a):
				return fmt.Errorf("algorithm %s needs a secret of %d bytes at least (RFC 7518 §3.2)", name, a.secretSize)
			}
		}
		usable = usable || !fixed || set.supports(a)
	}
	if !usable {
		return fmt.Errorf("no key that is given is for %s", strings.Join(names, " or "))
	}
	return nil
}

func algorithmList() string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	return strings.Join(names, ", ")
}
