package credential

import (
	"encoding/base64"
	"errors"
	"strings"
)

// MaxToken is the largest token that is looked at, in bytes.
const MaxToken = 16 << 10

// maxHeader is the largest decoded JOSE header, in bytes.
const maxHeader = 4 << 10

// encoding is base64url without padding (RFC 7515 §2), read strictly: the bits that a last character has too many
// must be zero, so that there is only one way to write a token.
var encoding = base64.RawURLEncoding.Strict()

// decode reads a part of a token. encoding/base64 passes over line breaks: with them, one token could be written in
// any number of ways, and each would be remembered.
func decode(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, errors.New("a line break")
	}
	return encoding.DecodeString(part)
}

// joseHeader is what counts of a token's header. Keys and addresses of keys in it (jwk, jku, x5c, x5u) are not among
// that: a token does not say by what it is to be checked.
type joseHeader struct {
	algorithm *algorithm
	keyID     string
}

// split cuts a token in JWS compact serialization (RFC 7515 §7.1) into what is signed, its payload, and the signature.
func split(token string) (header, payload, signed, signature string, err error) {
	if len(token) > MaxToken {
		return "", "", "", "", refuse(ReasonTooLarge, "the token has %d bytes: %d is the most", len(token), MaxToken)
	}
	header, rest, ok := strings.Cut(token, ".")
	if ok {
		payload, signature, ok = strings.Cut(rest, ".")
	}
	if !ok || strings.Contains(signature, ".") {
		return "", "", "", "", refuse(ReasonMalformed, "a token has three parts")
	}
	return header, payload, token[:len(header)+1+len(payload)], signature, nil
}

// parseHeader reads the header; allowed are the algorithms that may be used, nil for all; types those of tokens.
func parseHeader(part string, allowed, types map[string]bool) (h joseHeader, err error) {
	if len(part) > encoding.EncodedLen(maxHeader) {
		return h, refuse(ReasonTooLarge, "the token's header has more than %d bytes", maxHeader)
	}
	text, err := decode(part)
	if err != nil {
		return h, refuse(ReasonMalformed, "the token's header is not base64url")
	}
	fields, err := parseObject(text)
	if err != nil {
		return h, refuse(ReasonMalformed, "the token's header: %v", err)
	}
	// RFC 7515 §4.1.11: an extension that is named critical and not understood makes the token invalid, and none is
	// understood here. RFC 7797 §6 wants b64 named there; a token that forgets to is no better.
	if _, ok := fields["crit"]; ok {
		return h, refuse(ReasonMalformed, "the token's header demands an extension (crit)")
	}
	if b64, ok := fields["b64"]; ok && b64 != true {
		return h, refuse(ReasonMalformed, "the token's payload is not encoded (b64)")
	}
	if h.keyID, err = headerText(fields, "kid"); err != nil {
		return h, err
	}
	if len(h.keyID) > maxKeyID {
		return h, refuse(ReasonTooLarge, "the token's key id is longer than %d bytes", maxKeyID)
	}
	typ, err := headerText(fields, "typ")
	if err != nil {
		return h, err
	}
	if typ != "" && !types[mediaType(typ)] {
		return h, refuse(ReasonTokenType, "the token is of type %s", shown(typ))
	}
	name, err := headerText(fields, "alg")
	if err != nil {
		return h, err
	}
	if h.algorithm = algorithmNamed(name); h.algorithm == nil || allowed != nil && !allowed[canonical(name)] {
		return h, refuse(ReasonAlgorithm, "the algorithm %s is not allowed", shown(name))
	}
	return h, nil
}

// headerText returns a string of the header; "" when it is missing.
func headerText(fields map[string]any, name string) (string, error) {
	v, ok := fields[name]
	if !ok {
		return "", nil
	}
	s, ok := v.(string)
	if !ok {
		return "", refuse(ReasonMalformed, "%q in the token's header is not a string", name)
	}
	return s, nil
}

// mediaType brings a "typ" into one form: case does not matter, nor does "application/" (RFC 7515 §4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}
