package credential

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

const (
	// DefaultSessionCookie is the session cookie of better-auth.
	DefaultSessionCookie = "better-auth.session_token"
	// securePrefix begins the name of a cookie that a browser takes from https only (RFC 6265bis §4.1.3.1).
	securePrefix = "__Secure-"
	// maxSessionValue is the largest value of the cookie, in bytes, as it stands in the request.
	maxSessionValue = 1024
	// maxSessionToken is the longest session token, in bytes; better-auth's have 32.
	maxSessionToken = 256
	// minSessionSecret is the least size of a secret, in bytes. better-auth itself only warns below 32.
	minSessionSecret = 16
	// defaultSecret is what better-auth signs with outside production when nobody gives it a secret. All know it.
	defaultSecret = "better-auth-secret-12345678901234567890"
)

// SessionOptions configure a [Session].
type SessionOptions struct {
	// Cookie is the cookie's name. The same name with "__Secure-" before it, as better-auth uses under https, is
	// accepted too, and outranks it. Default: [DefaultSessionCookie].
	Cookie string
	// Secrets are those that sign the cookie: several while a secret is being rotated. At least one, each of at
	// least 16 bytes.
	Secrets []string
	// Remember is how many verified cookies are remembered, so that a signature is checked once and not for each
	// request; each is at most 1 KiB of text, and usually 100 bytes. Default: [DefaultRemember]; negative: none.
	Remember int
}

// Session verifies the session cookies of better-auth: encodeURIComponent(token + "." + signature), where the
// signature is the padded base64 of HMAC-SHA256 over the token. It is safe for concurrent use.
type Session struct {
	cookie, secure string
	secrets        []*sessionSecret
	remembered     *recent // nil: none
}

// sessionSecret computes signatures; the pool saves setting up the HMAC's key for each of them.
type sessionSecret struct {
	macs sync.Pool // of *sessionMAC
}

// sessionMAC holds what one computation needs.
type sessionMAC struct {
	hash  hash.Hash
	token []byte
	sum   []byte
}

// NewSession checks the options.
func NewSession(o SessionOptions) (*Session, error) {
	if o.Cookie == "" {
		o.Cookie = DefaultSessionCookie
	}
	if !isToken(o.Cookie) {
		return nil, fmt.Errorf("%q is not the name of a cookie (RFC 6265 §4.1.1)", o.Cookie)
	}
	s := &Session{cookie: o.Cookie}
	if !strings.HasPrefix(o.Cookie, "__") {
		s.secure = securePrefix + o.Cookie
	}
	switch {
	case o.Remember == 0:
		s.remembered = newRecent(DefaultRemember)
	case o.Remember > 0:
		s.remembered = newRecent(o.Remember)
	}
	if len(o.Secrets) == 0 {
		return nil, errors.New("no secret: a session cookie that nothing verifies proves nothing")
	}
	for _, secret := range o.Secrets {
		switch {
		case secret == defaultSecret:
			return nil, errors.New("the secret is better-auth's default, which everybody knows")
		case len(secret) < minSessionSecret:
			return nil, fmt.Errorf("the secret has %d bytes: %d is the least", len(secret), minSessionSecret)
		}
		key := []byte(secret)
		s.secrets = append(s.secrets, &sessionSecret{macs: sync.Pool{New: func() any {
			return &sessionMAC{hash: hmac.New(sha256.New, key)}
		}}})
	}
	return s, nil
}

// Extract returns the value of the session cookie, "" when the request has none. Two different values under one name
// are refused; see [Session.Verify] for the rest.
func (s *Session) Extract(r *http.Request) (value string, err error) {
	if s.secure != "" {
		if value, err = findCookie(r.Header, s.secure); value != "" || err != nil {
			return value, err
		}
	}
	return findCookie(r.Header, s.cookie)
}

// Remove takes the session cookie out of the request, so that it is not forwarded.
func (s *Session) Remove(r *http.Request) {
	RemoveCookie(r.Header, s.cookie)
	if s.secure != "" {
		RemoveCookie(r.Header, s.secure)
	}
}

// Verify returns the session token in a cookie's value, if one of the secrets signed it, and the token's [LookupKey].
// The error is an [Error]. Whether the session still exists is for the registry to say.
func (s *Session) Verify(value string) (token, lookupKey string, err error) {
	if s.remembered == nil {
		if token, err = s.verify(value); err != nil {
			return "", "", err
		}
		return token, LookupKey(token), nil
	}
	p := s.remembered.load(value)
	if p == nil {
		if token, err = s.verify(value); err != nil {
			return "", "", err
		}
		p = proven(value, token)
		s.remembered.store(p)
	}
	return p.token, p.hash, nil
}

// Remembered returns how many cookies are remembered now, for a metric.
func (s *Session) Remembered() int {
	if s.remembered == nil {
		return 0
	}
	return s.remembered.len()
}

// verify is Verify for a cookie that is not remembered.
func (s *Session) verify(value string) (token string, err error) {
	if len(value) > maxSessionValue {
		return "", refuse(ReasonTooLarge, "the session cookie has %d bytes: %d is the most", len(value), maxSessionValue)
	}
	if strings.IndexByte(value, '%') >= 0 {
		// PathUnescape and not QueryUnescape: encodeURIComponent leaves no "+", so one that stands there is itself.
		if value, err = url.PathUnescape(value); err != nil {
			return "", refuse(ReasonMalformed, "the session cookie is not encoded as it must be")
		}
	}
	dot := strings.LastIndexByte(value, '.')
	if dot < 1 {
		return "", refuse(ReasonMalformed, "the session cookie has no signature")
	}
	token = value[:dot]
	if len(token) > maxSessionToken || !isPrintable(token) {
		return "", refuse(ReasonMalformed, "the session cookie holds no session token")
	}
	var signature [sha256.Size]byte
	if !decodeSignature(&signature, value[dot+1:]) {
		return "", refuse(ReasonMalformed, "the session cookie's signature is not base64 of %d bytes", sha256.Size)
	}
	for _, secret := range s.secrets {
		if secret.signed(token, &signature) {
			return token, nil
		}
	}
	return "", refuse(ReasonSignature, "the session cookie's signature is wrong")
}

// signed reports, in constant time, whether signature is that of token.
func (s *sessionSecret) signed(token string, signature *[sha256.Size]byte) bool {
	m := s.macs.Get().(*sessionMAC)
	m.token = append(m.token[:0], token...)
	m.hash.Write(m.token)
	m.sum = m.hash.Sum(m.sum[:0])
	ok := hmac.Equal(m.sum, signature[:])
	m.hash.Reset()
	clear(m.token) // a live token does not stay behind in the pool
	s.macs.Put(m)
	return ok
}

// signatureEncoding is padded and strict, so that there is only one way to write a signature.
var signatureEncoding = base64.StdEncoding.Strict()

// decodeSignature reads a signature of exactly 32 bytes.
func decodeSignature(signature *[sha256.Size]byte, text string) bool {
	const encodedSize = (sha256.Size + 2) / 3 * 4
	if len(text) != encodedSize || strings.ContainsAny(text, "\r\n") {
		return false
	}
	var in [encodedSize]byte
	var out [encodedSize / 4 * 3]byte
	copy(in[:], text)
	n, err := signatureEncoding.Decode(out[:], in[:])
	copy(signature[:], out[:])
	return err == nil && n == sha256.Size
}

// isPrintable reports whether s is of visible ASCII characters only.
func isPrintable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// LookupKey returns what a secret is looked up by in the registry: the lower-case hex SHA-256 of a session token
// (registry.KindSession) or of an API key (registry.KindAPIKey).
//
// A plain fast hash is right for both. Salt and slow hashes defend passwords, which are few enough to be guessed;
// these secrets are random with 190 bits or more, so that no table and no amount of guessing finds one from its hash.
// And the lookup needs a hash that is the same each time. Its timing tells nothing of use either: whoever tries
// secrets cannot choose their hashes.
func LookupKey(secret string) string {
	var text [2 * sha256.Size]byte
	var room [maxSessionToken]byte // so that the text needs no room on the heap
	sum := sha256.Sum256(append(room[:0], secret...))
	hex.Encode(text[:], sum[:])
	return string(text[:])
}
