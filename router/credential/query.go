package credential

import (
	"net/http"
	"net/url"
	"strings"
)

// findQuery returns the value of a query parameter (RFC 6750 §2.3); "" when there is none or it is empty.
func findQuery(r *http.Request, name string) (string, error) {
	found := ""
	for rest := r.URL.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(pair, "=")
		if !isParameter(key, name) || value == "" {
			continue
		}
		if strings.ContainsAny(value, "%+") {
			var err error
			if value, err = url.QueryUnescape(value); err != nil {
				return "", refuse(ReasonMalformed, "the query parameter %s is not encoded as it must be", name)
			}
		}
		if found != "" && found != value {
			return "", refuse(ReasonConflict, "two different query parameters %s", name)
		}
		found = value
	}
	return found, nil
}

// isParameter reports whether a key of a query, which may be encoded, is that name.
func isParameter(key, name string) bool {
	if key == name {
		return true
	}
	if !strings.ContainsAny(key, "%+") {
		return false
	}
	decoded, err := url.QueryUnescape(key)
	return err == nil && decoded == name
}

// removeQuery removes every parameter of that name, in whichever spelling, and leaves the others as they are.
func removeQuery(r *http.Request, name string) {
	var kept []string
	changed := false
	for _, pair := range strings.Split(r.URL.RawQuery, "&") {
		if key, _, _ := strings.Cut(pair, "="); isParameter(key, name) {
			changed = true
			continue
		}
		kept = append(kept, pair)
	}
	if changed {
		r.URL.RawQuery = strings.Join(kept, "&")
	}
}
