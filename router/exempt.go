package router

import (
	"fmt"
	"net/http"
	"strings"
)

// Exempt is a set of paths that pass without a tenant: health checks, sign-in, ACME. It is immutable.
type Exempt struct {
	exact    []string
	prefixes []string // each ends with a slash
}

// NewExempt compiles patterns: "/healthz" stands for exactly that path, "/auth/*" for everything below "/auth/". A
// pattern for everything ("/*") is an error.
func NewExempt(patterns []string) (*Exempt, error) {
	e := &Exempt{}
	for _, p := range patterns {
		prefix, below := strings.CutSuffix(p, "/*")
		if below && prefix == "" {
			return nil, fmt.Errorf("exempt path %q: would exempt every request", p)
		}
		if below {
			prefix += "/"
		}
		if err := literalPath(prefix); err != nil {
			return nil, fmt.Errorf("exempt path %q: %w", p, err)
		}
		if below {
			e.prefixes = append(e.prefixes, prefix)
		} else {
			e.exact = append(e.exact, p)
		}
	}
	return e, nil
}

// Match reports whether the request's path is exempt. It compares the path as it came, letter by letter, and only one
// that nobody can read differently: a path that has an empty segment, a segment of dots in any spelling, an escaped
// slash, backslash, percent sign or control character is never exempt, since what stands behind the gateway may make
// another path of it ("/auth/%2e%2e/api"). The nil set exempts nothing.
func (e *Exempt) Match(r *http.Request) bool {
	if e == nil || r.URL == nil {
		return false
	}
	path := sentPath(r.URL)
	if path == "" || path[0] != '/' || !e.fits(path) {
		return false
	}
	return plainPath(path) || unambiguous(path)
}

// fits compares the escaped path with the patterns.
func (e *Exempt) fits(path string) bool {
	for _, p := range e.exact {
		if path == p {
			return true
		}
	}
	for _, p := range e.prefixes {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// unambiguous reports whether an escaped path, although it is not plain, has the same segments for every reader.
func unambiguous(path string) bool {
	if strings.Contains(path, "//") {
		return false
	}
	for i := 0; i < len(path); {
		c, size := decodeAt(path, i)
		if c == '\\' || size > 1 && (c == '/' || c == '%' || c < ' ' || c == 0x7f) {
			return false
		}
		i += size
	}
	_, shifty := loosePath(path)
	return !shifty
}
