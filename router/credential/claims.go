package credential

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxTime is the end of the year 9999 in seconds since 1970: the last that RFC 3339 can write.
const maxTime = 253402300799

// claims are a token's claims, read strictly: a claim of the wrong type is an error and never counts as missing. It
// implements [jwt.Claims], so that golang-jwt judges the times.
type claims map[string]any

// GetExpirationTime implements [jwt.Claims].
func (c claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.date("exp") }

// GetIssuedAt implements [jwt.Claims].
func (c claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.date("iat") }

// GetNotBefore implements [jwt.Claims].
func (c claims) GetNotBefore() (*jwt.NumericDate, error) { return c.date("nbf") }

// GetIssuer implements [jwt.Claims].
func (c claims) GetIssuer() (string, error) { return asText("iss", c["iss"]) }

// GetSubject implements [jwt.Claims].
func (c claims) GetSubject() (string, error) { return asText("sub", c["sub"]) }

// GetAudience implements [jwt.Claims]: one string or an array of them (RFC 7519 §4.1.3).
func (c claims) GetAudience() (jwt.ClaimStrings, error) {
	if one, ok := c["aud"].(string); ok {
		return jwt.ClaimStrings{one}, nil
	}
	return asList("aud", c["aud"])
}

func (c claims) date(name string) (*jwt.NumericDate, error) {
	t, err := asTime(name, c[name])
	if err != nil || t.IsZero() {
		return nil, err
	}
	return &jwt.NumericDate{Time: t}, nil
}

// validator checks what a token says of itself.
type validator struct {
	leeway    time.Duration
	issuers   map[string]bool
	audiences []string
}

// validate checks exp (required), nbf, iat, iss and aud at the time now (RFC 7519 §4.1).
func (v *validator) validate(c claims, now time.Time) error {
	options := []jwt.ParserOption{
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithLeeway(v.leeway),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
	}
	if len(v.audiences) > 0 {
		options = append(options, jwt.WithAudience(v.audiences...))
	}
	if err := jwt.NewValidator(options...).Validate(c); err != nil {
		return refusal(err)
	}
	if len(v.issuers) == 0 {
		return nil
	}
	issuer, err := c.GetIssuer()
	switch {
	case err != nil:
		return err
	case issuer == "":
		return refuse(ReasonClaimMissing, "the token names no issuer")
	case !v.issuers[issuer]:
		return refuse(ReasonIssuer, "the token is of the issuer %s", shown(issuer))
	}
	return nil
}

// refusal turns golang-jwt's verdict, which can hold several, into the one that matters most: what is wrong for good
// before what time changes.
func refusal(err error) error {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse(ReasonClaimMissing, "%v", err)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return refuse(ReasonAudience, "the token is for another audience")
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse(ReasonExpired, "the token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refuse(ReasonNotYetValid, "the token is not valid yet")
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuse(ReasonNotYetValid, "the token was issued in the future")
	}
	return refuse(ReasonMalformed, "%v", err)
}

// asText returns the string v; "" when the claim is missing or null. Control characters are refused: what a claim
// says goes into headers and logs.
func asText(name string, v any) (string, error) {
	if v == nil {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", refuse(ReasonClaimType, "claim %q is not a string", name)
	}
	if len(s) > maxText {
		return "", refuse(ReasonClaimType, "claim %q is longer than %d bytes", name, maxText)
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return "", refuse(ReasonClaimType, "claim %q holds a control character", name)
		}
	}
	return s, nil
}

// asList returns the array of strings v; nil when the claim is missing or null.
func asList(name string, v any) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	array, ok := v.([]any)
	if !ok {
		return nil, refuse(ReasonClaimType, "claim %q is neither a string nor an array of strings", name)
	}
	if len(array) > maxList {
		return nil, refuse(ReasonClaimType, "claim %q has more than %d elements", name, maxList)
	}
	list := make([]string, len(array))
	for i, element := range array {
		if element == nil {
			return nil, refuse(ReasonClaimType, "claim %q holds null", name)
		}
		var err error
		if list[i], err = asText(name, element); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// asTime returns the NumericDate v (RFC 7519 §2: seconds since 1970, with or without a fraction); the zero time when
// the claim is missing or null.
func asTime(name string, v any) (time.Time, error) {
	if v == nil {
		return time.Time{}, nil
	}
	number, ok := v.(json.Number)
	if !ok {
		return time.Time{}, refuse(ReasonClaimType, "claim %q is not a number", name)
	}
	seconds, err := strconv.ParseFloat(number.String(), 64)
	if err != nil || seconds < 0 || seconds > maxTime {
		return time.Time{}, refuse(ReasonClaimType, "claim %q is not a time between 1970 and 9999", name)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), nil
}
