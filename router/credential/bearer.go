package credential

import (
	"net/http"
	"slices"
	"strings"
)

// KeyPrefix begins every API key.
const KeyPrefix = "tg_"

// bearer returns the credential of Authorization: Bearer (RFC 6750 §2.1; the scheme's case does not matter, RFC 9110
// §11.1): the API key, or what is not one. "" when there is none; another scheme is none, because it is the
// upstream's.
func bearer(h http.Header, apiKey bool) (string, error) {
	lines := h["Authorization"]
	if len(lines) == 0 {
		return "", nil
	}
	if len(lines) > 1 {
		return "", refuse(ReasonMalformed, "more than one Authorization header")
	}
	credential, ok := cutBearer(lines[0])
	if !ok || strings.HasPrefix(credential, KeyPrefix) != apiKey {
		return "", nil
	}
	if credential == "" {
		return "", refuse(ReasonMalformed, "nothing follows Bearer")
	}
	return credential, nil
}

// cutBearer returns what follows the scheme, if that is Bearer.
func cutBearer(line string) (credential string, ok bool) {
	const scheme = "bearer"
	line = trimBlanks(line)
	if len(line) < len(scheme) || !strings.EqualFold(line[:len(scheme)], scheme) {
		return "", false
	}
	rest := line[len(scheme):]
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", false
	}
	// A tab is no separator here, but to some upstream it may be one: it stays, and makes the token malformed.
	return strings.TrimLeft(rest, " "), true
}

// plainHeader returns a header that holds nothing but a credential, with or without the word Bearer.
func plainHeader(h http.Header, name string) (string, error) {
	lines := h[name]
	if len(lines) == 0 {
		return "", nil
	}
	if len(lines) > 1 {
		return "", refuse(ReasonMalformed, "more than one header %s", name)
	}
	value, ok := cutBearer(lines[0])
	if !ok {
		value = trimBlanks(lines[0])
	}
	if value == "" {
		return "", refuse(ReasonMalformed, "the header %s is empty", name)
	}
	return value, nil
}

// removeBearer removes Authorization: Bearer where it holds an API key, or where it does not. Another scheme stays.
func removeBearer(h http.Header, apiKey bool) {
	keep := func(line string) bool {
		credential, ok := cutBearer(line)
		return !ok || strings.HasPrefix(credential, KeyPrefix) != apiKey
	}
	setLines(h, "Authorization", keepLines(h["Authorization"], keep))
}

// keepLines returns the lines to keep, in a slice of its own unless it keeps all.
func keepLines(lines []string, keep func(string) bool) []string {
	if !slices.ContainsFunc(lines, func(line string) bool { return !keep(line) }) {
		return lines
	}
	var kept []string
	for _, line := range lines {
		if keep(line) {
			kept = append(kept, line)
		}
	}
	return kept
}

// setLines sets a header to these lines; without lines it is removed. The header's old slice is never written to: a
// copy of the request may share it.
func setLines(h http.Header, name string, lines []string) {
	if len(lines) == 0 {
		delete(h, name)
		return
	}
	h[name] = lines
}
