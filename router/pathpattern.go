package router

import (
	"errors"
	"fmt"
	"strings"
)

// maxPathPattern bounds a pattern for paths, in bytes.
const maxPathPattern = 1024

// literalPath checks a path that is written literally in a pattern: absolute, without empty or dot segments, and only of
// characters that need no escaping (RFC 3986 §3.3), so that there is one way to write it. Semicolons are left out: to
// some servers they begin parameters.
func literalPath(path string) error {
	if len(path) > maxPathPattern {
		return fmt.Errorf("is longer than %d bytes", maxPathPattern)
	}
	if path == "" || path[0] != '/' {
		return errors.New("does not begin with a slash")
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("/-._~!$&'()+,=:@", c) >= 0:
		case c == '*':
			return errors.New("has a wildcard other than /* at the end")
		case c == '%':
			return errors.New("has a percent sign; patterns are written decoded")
		case c == '{', c == '}':
			return errors.New("has braces other than those of a whole segment {tenant} or {environment}")
		default:
			return fmt.Errorf("has the character %q, which a path pattern cannot have", c)
		}
	}
	if strings.Contains(path, "//") {
		return errors.New("has an empty segment")
	}
	if _, shifty := loosePath(path); shifty {
		return errors.New("has a segment of dots")
	}
	return nil
}

// pathSegment is one segment of a compiled path pattern: a literal or a variable.
type pathSegment struct {
	literal  string
	variable variable
}

// parsePathPattern compiles the pattern of a path source: "/t/{tenant}", "/t/{tenant}/{environment}/*".
func parsePathPattern(text string) ([]pathSegment, error) {
	path := text
	for _, end := range []string{"/*", "/…", "/..."} {
		path = strings.TrimSuffix(path, end)
	}
	path = strings.TrimSuffix(path, "/")
	if err := checkVariables(path); err != nil {
		return nil, err
	}
	// With plain names for the variables it has to be a literal path; a variable is always a whole segment.
	var literal strings.Builder
	var segments []pathSegment
	for i, segment := range strings.Split(path, "/") {
		if i == 0 {
			literal.WriteString(segment) // empty, or literalPath complains
			continue
		}
		literal.WriteByte('/')
		switch segment {
		case tenantVariable:
			segments = append(segments, pathSegment{variable: tenantName})
			literal.WriteByte('x')
		case environmentVariable:
			segments = append(segments, pathSegment{variable: environmentName})
			literal.WriteByte('x')
		default:
			segments = append(segments, pathSegment{literal: segment})
			literal.WriteString(segment)
		}
	}
	if err := literalPath(literal.String()); err != nil {
		return nil, err
	}
	if strings.HasSuffix(path, "/") {
		return nil, errors.New("has an empty segment")
	}
	return segments, nil
}
