package credential

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// DefaultLeeway is how far the clocks of issuer and gateway may differ.
	DefaultLeeway = 30 * time.Second
	// MaxLeeway is the most that can be configured.
	MaxLeeway = 10 * time.Minute
	// DefaultRemember is how many verified tokens are remembered.
	DefaultRemember = 10_000
)

// VerifierOptions configure a [Verifier].
type VerifierOptions struct {
	// Keys verify the signatures. Required: [SecretKeys], [ParseKeys] or [NewJWKS].
	Keys KeySource
	// Algorithms are those allowed, such as "RS256". Default: whatever the keys allow. Each key verifies only the
	// algorithms of its type in any case.
	Algorithms []string
	// Issuers are those accepted as iss. Default: iss is not looked at.
	Issuers []string
	// Audiences are those of which a token's aud must name one. Default: aud is not looked at, which is safe only
	// where the keys sign tokens for nobody else (RFC 8725 §3.9).
	Audiences []string
	// Leeway widens exp, nbf and iat. Default: [DefaultLeeway]; negative: none; the most is [MaxLeeway].
	Leeway time.Duration
	// Types are the values of the header typ that are accepted, beside a token without it. Default: "JWT" and
	// "at+jwt" (RFC 9068 §2.1). Any other says that the token is meant for something else, such as a logout.
	Types []string
	// Claims names the claims that tell who is meant.
	Claims ClaimNames
	// Remember is how many verified tokens are remembered, so that a signature is checked once and not for each
	// request; their text may take 1 KiB each on average. Default: [DefaultRemember]; negative: none.
	Remember int
}

// Verifier verifies JSON Web Tokens (RFC 7519) signed as RFC 7515 says. It is safe for concurrent use.
type Verifier struct {
	keys       KeySource
	algorithms map[string]bool
	types      map[string]bool
	claims     *claimPaths
	validator  validator
	remembered *memory
}

// NewVerifier checks the options. It does no I/O.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.Keys == nil {
		return nil, errors.New("no keys: tokens that nothing verifies prove nothing")
	}
	v := &Verifier{keys: o.Keys, types: map[string]bool{"jwt": true, "at+jwt": true}}
	var err error
	if v.algorithms, err = parseAlgorithms(o.Algorithms); err != nil {
		return nil, err
	}
	if err = checkAlgorithms(o.Algorithms, o.Keys); err != nil {
		return nil, err
	}
	if v.claims, err = parseClaimNames(o.Claims); err != nil {
		return nil, err
	}
	if len(o.Types) > 0 {
		clear(v.types)
		for _, t := range o.Types {
			v.types[mediaType(t)] = true
		}
	}
	switch {
	case o.Leeway > MaxLeeway:
		return nil, fmt.Errorf("a leeway of %s is more than the %s that clocks may differ by", o.Leeway, MaxLeeway)
	case o.Leeway == 0:
		v.validator.leeway = DefaultLeeway
	case o.Leeway > 0:
		v.validator.leeway = o.Leeway
	}
	v.validator.audiences = append(v.validator.audiences, o.Audiences...)
	v.validator.issuers = make(map[string]bool, len(o.Issuers))
	for _, issuer := range o.Issuers {
		if issuer == "" {
			return nil, errors.New("an empty issuer")
		}
		v.validator.issuers[issuer] = true
	}
	for _, audience := range o.Audiences {
		if audience == "" {
			return nil, errors.New("an empty audience")
		}
	}
	if o.Remember == 0 {
		o.Remember = DefaultRemember
	}
	if o.Remember > 0 {
		v.remembered = newMemory(o.Remember)
	}
	return v, nil
}

// Verify returns what the token says, if it is good at the time now. The error is an [Error], wraps
// [ErrKeysUnavailable], or is that of ctx. It waits only where the keys must first be fetched, and then for a
// bounded time. The Identity is shared: it must not be changed.
func (v *Verifier) Verify(ctx context.Context, token string, now time.Time) (*Identity, error) {
	if v.remembered != nil && len(token) <= MaxToken {
		if id := v.remembered.load(token, now); id != nil {
			return id, nil
		}
	}
	header, payload, signed, signature, err := split(token)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(header, v.algorithms, v.types)
	if err != nil {
		return nil, err
	}
	sig, err := decode(signature)
	if err != nil {
		return nil, refuse(ReasonMalformed, "the token's signature is not base64url")
	}
	k, err := v.verify(ctx, h, signed, sig)
	if err != nil {
		return nil, err
	}
	return v.judge(token, payload, k, now)
}

// verify returns the key that made the signature, asking for newer keys once if they might have it.
func (v *Verifier) verify(ctx context.Context, h joseHeader, signed string, sig []byte) (*key, error) {
	set := v.keys.Keys()
	if set == nil {
		var err error
		if set, err = v.keys.Newer(ctx, nil); err != nil {
			return nil, err
		}
		if set == nil {
			return nil, ErrKeysUnavailable
		}
	}
	k, newer, err := set.verify(h.keyID, h.algorithm, signed, sig)
	if err == nil || !newer {
		return k, err
	}
	next, unavailable := v.keys.Newer(ctx, set)
	switch {
	case unavailable != nil:
		return nil, unavailable
	case next == nil:
		return nil, ErrKeysUnavailable
	case next == set:
		return nil, err
	}
	k, _, err = next.verify(h.keyID, h.algorithm, signed, sig)
	return k, err
}

// judge reads the claims of a token whose signature is good, and remembers the token if they are good too.
func (v *Verifier) judge(token, payload string, k *key, now time.Time) (*Identity, error) {
	text, err := decode(payload)
	if err != nil {
		return nil, refuse(ReasonMalformed, "the token's payload is not base64url")
	}
	object, err := parseObject(text)
	if err != nil {
		return nil, refuse(ReasonMalformed, "the token's claims: %v", err)
	}
	c := claims(object)
	if err := v.validator.validate(c, now); err != nil {
		return nil, err
	}
	id, err := v.claims.identity(c)
	if err != nil {
		return nil, err
	}
	if v.remembered != nil {
		// The validator has read both already: they are times, or missing.
		notBefore, _ := asTime("nbf", c["nbf"])
		from := id.IssuedAt
		if notBefore.After(from) {
			from = notBefore
		}
		v.remembered.store(token, id, k, from.Add(-v.validator.leeway), id.ExpiresAt.Add(v.validator.leeway))
	}
	return id, nil
}

// Remembered returns how many tokens are remembered now, for a metric.
func (v *Verifier) Remembered() int {
	if v.remembered == nil {
		return 0
	}
	return v.remembered.len()
}
