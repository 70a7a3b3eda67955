package credential

import (
	"net/http"
	"strings"
)

// findCookie returns the value of the cookie of that name; "" when there is none or it is empty. Two of different
// values are refused: a page on a neighbouring subdomain can add a second one to a browser's requests, and gateway
// and upstream might each choose another (RFC 6265 §5.4 and §8.6).
func findCookie(h http.Header, name string) (string, error) {
	found := ""
	for _, line := range h["Cookie"] {
		for rest := line; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			value, ok := cookieValue(pair, name)
			switch {
			case !ok || value == "":
			case found == "":
				found = value
			case found != value:
				return "", refuse(ReasonConflict, "two different cookies of the name %s", name)
			}
		}
	}
	return found, nil
}

// cookieValue returns the value of a cookie-pair (RFC 6265 §4.1.1) if it has that name.
func cookieValue(pair, name string) (value string, ok bool) {
	for pair != "" && isBlank(pair[0]) { // those at the end are the value's
		pair = pair[1:]
	}
	if len(pair) <= len(name) || pair[len(name)] != '=' || pair[:len(name)] != name {
		return "", false
	}
	value = trimBlanks(pair[len(name)+1:])
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return value, true
}

// RemoveCookie removes every cookie of that name from what is forwarded and leaves the others as they are.
func RemoveCookie(h http.Header, name string) {
	lines := h["Cookie"]
	var kept []string
	changed := false
	for _, line := range lines {
		cut := removePairs(line, name)
		if cut != line {
			changed = true
		}
		if cut != "" {
			kept = append(kept, cut)
		}
	}
	if changed {
		setLines(h, "Cookie", kept)
	}
}

// removePairs returns the line without the pairs of that name; the line itself when it has none.
func removePairs(line, name string) string {
	var kept []string
	changed := false
	for _, pair := range strings.Split(line, ";") {
		if _, ok := cookieValue(pair, name); ok || trimBlanks(pair) == name {
			changed = true
			continue
		}
		if pair = trimBlanks(pair); pair != "" {
			kept = append(kept, pair)
		}
	}
	if !changed {
		return line
	}
	return strings.Join(kept, "; ")
}
