package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

// The form of an API key: tg_<environment>_<random><checksum>. The environment's slug says to people what the key is
// for; the registry decides. The checksum tells a mistyped or made-up key from a real one without asking the
// registry, and lets scanners that look for leaked secrets be sure of what they found.
const (
	// keyRandom is how many characters are random: 34 of 62 are 202 bits.
	keyRandom = 34
	// keyChecksum is how many characters the checksum has: CRC-32 in base62.
	keyChecksum = 6
	// MaxKey is the longest API key, in bytes.
	MaxKey = len(KeyPrefix) + registry.MaxSlugLength + 1 + keyRandom + keyChecksum
	// DefaultKeyHeader is the header for API keys.
	DefaultKeyHeader = "X-Api-Key"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// GenerateKey returns a new API key for the environment of that slug. random gives the randomness; nil is
// crypto/rand. The key is shown once; what is kept is its [LookupKey] and its [LastFour].
func GenerateKey(environment string, random io.Reader) (string, error) {
	if !registry.ValidSlug(environment) {
		return "", fmt.Errorf("%q is not the slug of an environment", environment)
	}
	if random == nil {
		random = rand.Reader
	}
	key := make([]byte, 0, MaxKey)
	key = append(key, KeyPrefix...)
	key = append(key, environment...)
	key = append(key, '_')
	var block [64]byte
	for n := 0; n < keyRandom; {
		if _, err := io.ReadFull(random, block[:]); err != nil {
			return "", fmt.Errorf("no randomness for an API key: %w", err)
		}
		for _, b := range block {
			// 248 is the largest multiple of 62 in a byte: what lies above would make some characters more likely.
			if b < 248 && n < keyRandom {
				key = append(key, base62[b%62])
				n++
			}
		}
	}
	digits := checksum(string(key))
	return string(append(key, digits[:]...)), nil
}

// checksum returns the CRC-32 (IEEE) of an API key without its checksum, in base62 with leading zeros. The loop is
// that of hash/crc32 for short texts, which would want the text copied to the heap.
func checksum(key string) (digits [keyChecksum]byte) {
	sum := ^uint32(0)
	for i := 0; i < len(key); i++ {
		sum = crc32.IEEETable[byte(sum)^key[i]] ^ sum>>8
	}
	sum = ^sum
	for i := keyChecksum - 1; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return digits
}

// ParseKey checks the form of an API key, checksum included, and returns the slug that it names. It allocates
// nothing. A key of the right form is not yet a valid one: only the registry knows that.
func ParseKey(key string) (environment string, err error) {
	if len(key) > MaxKey {
		return "", refuse(ReasonTooLarge, "the API key has %d bytes: %d is the most", len(key), MaxKey)
	}
	rest, ok := strings.CutPrefix(key, KeyPrefix)
	if !ok {
		return "", refuse(ReasonMalformed, "an API key begins with %s", KeyPrefix)
	}
	environment, secret, ok := strings.Cut(rest, "_")
	if !ok || !registry.ValidSlug(environment) || len(secret) != keyRandom+keyChecksum {
		return "", refuse(ReasonMalformed, "the API key does not have the form %s<environment>_<random>", KeyPrefix)
	}
	for i := 0; i < len(secret); i++ {
		if c := secret[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "", refuse(ReasonMalformed, "the API key holds a character that no key has")
		}
	}
	body := key[:len(key)-keyChecksum]
	if digits := checksum(body); string(digits[:]) != key[len(body):] {
		return "", refuse(ReasonMalformed, "the API key's checksum is wrong")
	}
	return environment, nil
}

// LastFour returns the end of an API key, by which people tell their keys apart. It is part of the checksum and
// leaves more than 178 bits unknown.
func LastFour(key string) string {
	return key[max(0, len(key)-4):]
}

// EqualLookupKeys compares two results of [LookupKey] in constant time: for what the registry returned against what
// was asked for.
func EqualLookupKeys(a, b string) bool {
	return len(a) == 2*sha256.Size && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// KeyExtractor takes the API key out of a request: out of its own header, or out of Authorization: Bearer where that
// begins with "tg_" (else it is a token, see [Extractor]).
type KeyExtractor struct {
	header string
}

// NewKeyExtractor returns the extractor for keys in that header. Default: [DefaultKeyHeader].
func NewKeyExtractor(header string) (*KeyExtractor, error) {
	if header == "" {
		header = DefaultKeyHeader
	}
	if !isToken(header) {
		return nil, fmt.Errorf("%q is not the name of a header", header)
	}
	header = textproto.CanonicalMIMEHeaderKey(header)
	if header == "Authorization" {
		return nil, errors.New("the header Authorization is looked at in any case: name the other one for API keys")
	}
	return &KeyExtractor{header: header}, nil
}

// Extract returns the API key, "" when the request has none. Two different keys are refused.
func (x *KeyExtractor) Extract(r *http.Request) (string, error) {
	key, err := plainHeader(r.Header, x.header)
	if err != nil {
		return "", err
	}
	other, err := bearer(r.Header, true)
	switch {
	case err != nil:
		return "", err
	case key == "":
		return other, nil
	case other != "" && other != key:
		return "", refuse(ReasonConflict, "two different API keys: in %s and in Authorization", x.header)
	}
	return key, nil
}

// Remove takes the API key out of the request, so that it is not forwarded.
func (x *KeyExtractor) Remove(r *http.Request) {
	r.Header.Del(x.header)
	removeBearer(r.Header, true)
}
