package credential

import (
	"errors"
	"fmt"
)

var (
	// ErrRefused is wrapped by every [Error]: what the client presented is not valid, and presenting it again
	// unchanged will not help. It belongs to status 401.
	ErrRefused = errors.New("credential refused")
	// ErrKeysUnavailable says that nobody can tell whether a token is good, because the issuer's keys cannot be
	// had: none were ever fetched, or the token names a key that is not known and the issuer does not answer. It
	// says nothing against the token. It belongs to status 503 with Retry-After rather than 401: on a 401 clients
	// throw their token away and sign their user out (RFC 6750 §3.1), for a fault that is not theirs and passes by
	// itself (RFC 9110 §15.6.4).
	ErrKeysUnavailable = errors.New("the issuer's keys are unavailable")
)

// Reason is why a credential is refused: a small fixed set, fit for a metric's label.
type Reason string

// The reasons.
const (
	// ReasonMalformed: it does not have the form of a credential of its kind.
	ReasonMalformed Reason = "malformed"
	// ReasonTooLarge: it is larger than any credential of its kind may be.
	ReasonTooLarge Reason = "too_large"
	// ReasonConflict: the request carries two different credentials of one kind.
	ReasonConflict Reason = "conflict"
	// ReasonTokenType: the token says that it is for something else (its "typ" header, RFC 8725 §3.11).
	ReasonTokenType Reason = "token_type"
	// ReasonAlgorithm: no key that could have signed the token is for the algorithm that it names.
	ReasonAlgorithm Reason = "algorithm"
	// ReasonKeyUnknown: the issuer has no key of the id that the token names.
	ReasonKeyUnknown Reason = "key_unknown"
	// ReasonSignature: the signature is wrong.
	ReasonSignature Reason = "signature"
	// ReasonExpired: the token's time is over.
	ReasonExpired Reason = "expired"
	// ReasonNotYetValid: the token's time has not come, or it was issued in the future.
	ReasonNotYetValid Reason = "not_yet_valid"
	// ReasonIssuer: the token is of another issuer.
	ReasonIssuer Reason = "issuer"
	// ReasonAudience: the token is for another audience.
	ReasonAudience Reason = "audience"
	// ReasonClaimMissing: a claim that is required is not there.
	ReasonClaimMissing Reason = "claim_missing"
	// ReasonClaimType: a claim is there but is not what it must be.
	ReasonClaimType Reason = "claim_type"
)

// Error says why a credential is refused. Its text is for the log only: a client sees nothing but a code. It never
// holds any part of a token's signature or claims, a key, or a cookie.
type Error struct {
	// Reason is one of a fixed set.
	Reason Reason
	// Detail says more, for whoever reads the log.
	Detail string
}

// Error implements error.
func (e *Error) Error() string { return string(e.Reason) + ": " + e.Detail }

// Unwrap makes errors.Is(err, ErrRefused) true.
func (e *Error) Unwrap() error { return ErrRefused }

// refuse returns an [Error].
func refuse(reason Reason, format string, args ...any) error {
	return &Error{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// ReasonOf returns the reason of the [Error] that err is or wraps; "keys_unavailable" for [ErrKeysUnavailable]; and
// "" for anything else.
func ReasonOf(err error) Reason {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Reason
	case errors.Is(err, ErrKeysUnavailable):
		return "keys_unavailable"
	}
	return ""
}

// shown cuts text that a client chose to a length that is fit for a log line.
func shown(s string) string {
	const limit = 64
	if len(s) > limit {
		return fmt.Sprintf("%q…", s[:limit])
	}
	return fmt.Sprintf("%q", s)
}
