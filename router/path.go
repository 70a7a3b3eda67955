package router

import (
	"fmt"
	"net/http"
	"strings"
)

// pathSource finds tenant and environment in the first segments of the path.
type pathSource struct {
	segments       []pathSegment
	hasEnvironment bool
	strip          bool
	invalid        *Refusal
}

// strippingPath is a pathSource that is a [Rewriter].
type strippingPath struct{ *pathSource }

// NewPath returns the source "path". The pattern is a path whose segments are literal or one of {tenant} and
// {environment}: "/t/{tenant}", "/t/{tenant}/{environment}", "/api/tenants/{tenant}/*". It fits every path that begins
// with such segments; "/", "/*" or "/…" at its end makes no difference. A path that does not begin with the literal
// segments, or ends before the last variable, yields nothing. Paths are case-sensitive.
//
// Segments are compared after one decoding of their percent escapes. What could mean another tenant to what stands
// behind the gateway is malformed, and refused:
//   - a "." or ".." segment anywhere in the path, before the pattern's segments or after them, in any spelling (escaped,
//     escaped over and over, with ";" parameters, between escaped slashes or backslashes), whether or not the path fits: a server
//     that resolves it sees another path ("/x/../t/acme", "/t/acme/..%2Fglobex");
//   - a path that only fits when it is read as the most obliging server would: unescaped repeatedly, backslashes as
//     slashes, parameters cut off, empty segments merged ("//t/acme", "/t%2Facme", "/t;x/acme", "/%2574/acme");
//   - a variable's segment that is no valid name: an escaped slash, backslash, percent sign or NUL, ";", or nothing.
//
// With strip, the segments are removed from what is forwarded. What is left begins with exactly one slash; a rest that
// begins with an escaped slash or a backslash ("/t/acme/%2Fx") is refused, since decoded it would begin with two.
func NewPath(pattern string, strip bool) (Source, error) {
	segments, err := parsePathPattern(pattern)
	if err != nil {
		return nil, fmt.Errorf("path pattern %q: %w", pattern, err)
	}
	s := &pathSource{
		segments: segments, strip: strip,
		hasEnvironment: strings.Contains(pattern, environmentVariable),
		invalid:        refuseTenantInvalid.WithDetail("The path does not contain a valid tenant name."),
	}
	if strip {
		return strippingPath{s}, nil
	}
	return s, nil
}

// Name implements [Source].
func (*pathSource) Name() string { return "path" }

// Identify implements [Source].
func (s *pathSource) Identify(r *Request) (Yield, error) {
	path := sentPath(r.HTTP.URL)
	if path == "" || path[0] != '/' {
		return Yield{}, nil // CONNECT, or "*"
	}
	m, ok := s.match(path)
	plain := plainPath(path)
	if !plain {
		loose, shifty := loosePath(path)
		if shifty {
			return Yield{}, s.invalid
		}
		// A path that fits as it is and gives valid names has nothing in these segments that could be read in another way.
		if _, fits := s.match(loose); fits && !ok {
			return Yield{}, s.invalid
		}
	}
	if !ok {
		return Yield{}, nil
	}
	tenant, ok1 := decodeName(m.tenant)
	environment, ok2 := decodeName(m.environment)
	if !ok1 || !ok2 || tenant == "" || s.hasEnvironment && environment == "" {
		return Yield{}, s.invalid
	}
	ref, ok := nameReference(tenant, environment)
	if !ok || s.strip && !plain && slashFollows(m.rest) {
		return Yield{}, s.invalid
	}
	return Yield{Reference: ref}, nil
}

// pathMatch is what a pattern found in a path: raw names, and what follows them.
type pathMatch struct {
	tenant, environment, rest string
}

// match compares the first segments of an escaped path with the pattern. A path that ends before the pattern does not
// fit, and an empty segment is a segment.
func (s *pathSource) match(path string) (m pathMatch, ok bool) {
	m.rest = path
	for i := range s.segments {
		if m.rest == "" || m.rest == "/" {
			return pathMatch{}, false
		}
		var segment string
		segment, m.rest = cutSegment(m.rest)
		switch p := &s.segments[i]; p.variable {
		case tenantName:
			m.tenant = segment
		case environmentName:
			m.environment = segment
		case noVariable:
			if !equalDecoded(segment, p.literal, false) {
				return pathMatch{}, false
			}
		}
	}
	return m, true
}

// slashFollows reports whether rest, which begins with slashes or is empty, goes on with another one in disguise.
func slashFollows(rest string) bool {
	rest = strings.TrimLeft(rest, "/")
	if rest == "" {
		return false
	}
	c, _ := decodeAt(rest, 0)
	return isSlash(c)
}

// decodeName decodes the percent escapes of a name once. It reports false for a name that is too long to be one.
func decodeName(raw string) (string, bool) {
	if len(raw) > nameSize {
		return "", false
	}
	if strings.IndexByte(raw, '%') < 0 {
		return raw, true
	}
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		c, size := decodeAt(raw, i)
		b = append(b, c)
		i += size
	}
	return string(b), true
}

// Rewrite implements [Rewriter].
func (s strippingPath) Rewrite(r *http.Request) {
	path := sentPath(r.URL)
	if path == "" || path[0] != '/' {
		return
	}
	m, ok := s.match(path)
	if !ok {
		return
	}
	setPath(r.URL, "/"+strings.TrimLeft(m.rest, "/"))
	if r.RequestURI != "" {
		r.RequestURI = r.URL.RequestURI()
	}
}
