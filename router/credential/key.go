package credential

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
)

const (
	// minRSABits is the least size of an RSA key (RFC 7518 §3.3).
	minRSABits = 2048
	// maxRSABits bounds the work that one signature can cost.
	maxRSABits = 8192
	// maxKeyID is the longest key id, in bytes.
	maxKeyID = 256
)

// key verifies signatures, and only those of the algorithms that are for its type.
type key struct {
	// id is the key's "kid"; empty when it has none, as with a PEM file or a secret.
	id  string
	typ keyType
	// alg is the only algorithm that the key is for, where its issuer says so (RFC 7517 §4.4); else empty.
	alg string
	// material is what golang-jwt takes: []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	material any
	// print tells whether a fetched key is the one already known: a hash over the id, the algorithm and the key.
	print [sha256.Size]byte
	// gone is set when the issuer no longer lists the key: from then on what it signed is not honoured, remembered
	// or not.
	gone atomic.Bool
}

// newPublicKey returns the key for a public key of any of the types that can verify a token.
func newPublicKey(id, alg string, public any) (*key, error) {
	k := &key{id: id, alg: canonical(alg), material: public}
	switch p := public.(type) {
	case *rsa.PublicKey:
		bits := p.N.BitLen()
		if bits < minRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits is too weak: %d is the least (RFC 7518 §3.3)", bits, minRSABits)
		}
		if bits > maxRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits is too large: %d is the most", bits, maxRSABits)
		}
		if p.E < 3 || p.E%2 == 0 || p.N.Bit(0) == 0 {
			return nil, errors.New("not an RSA key: modulus and exponent must be odd, and the exponent 3 at least")
		}
		k.typ = keyRSA
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256():
			k.typ = keyP256
		case elliptic.P384():
			k.typ = keyP384
		case elliptic.P521():
			k.typ = keyP521
		default:
			return nil, errors.New("an EC key must be of the curve P-256, P-384 or P-521")
		}
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("an Ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(p))
		}
		k.typ = keyEd25519
	default:
		return nil, fmt.Errorf("a key of type %T cannot verify a token", public)
	}
	if alg != "" {
		if a := algorithmNamed(alg); a == nil || a.key != k.typ {
			return nil, fmt.Errorf("an %s key is not for the algorithm %s", k.typ, shown(alg))
		}
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	k.print = fingerprint(id, k.alg, der)
	return k, nil
}

// newSecretKey returns the key for an HMAC secret.
func newSecretKey(secret []byte) *key {
	own := append([]byte(nil), secret...)
	return &key{typ: keySecret, material: own, print: fingerprint("", "", own)}
}

// fingerprint hashes the parts with their lengths, so that no two lists of parts run into one another.
func fingerprint(id, alg string, material []byte) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d:%s%d:%s%d:%s", len(id), id, len(alg), alg, len(material), material))
}

// allows reports whether the key may verify a signature of algorithm a.
func (k *key) allows(a *algorithm) bool {
	if k.typ != a.key || k.alg != "" && k.alg != canonical(a.name) {
		return false
	}
	if k.typ == keySecret {
		return len(k.material.([]byte)) >= a.secretSize
	}
	return true
}
