package credential

import (
	"errors"
	"fmt"
	"strings"
)

// maxPathDepth is how many names a claim path may have.
const maxPathDepth = 8

// Path says where in a token's claims a value is. The zero Path is nowhere.
type Path struct {
	text  string
	names []string
}

// ParsePath reads the name of a claim:
//
//	organizationId                            the claim of that name
//	realm_access.roles                        "roles" in the object "realm_access"
//	https://example.com/tenant                the claim of that name: what holds "://" is one name, dots and all
//	[https://example.com/claims].tenant       "tenant" in the object of that name
//	[urn.example].id                          brackets hold any name that has dots
//
// Which of these a text is depends on the text alone, never on what a token holds: no claim can shadow another.
func ParsePath(text string) (Path, error) {
	if strings.Contains(text, "://") && !strings.HasPrefix(text, "[") {
		if strings.ContainsAny(text, "[]") {
			return Path{}, fmt.Errorf("claim %q: write the whole name in brackets", text)
		}
		return Path{text: text, names: []string{text}}, nil
	}
	var names []string
	for rest, more := text, true; more; {
		var name string
		var err error
		if name, rest, more, err = cutName(rest); err != nil {
			return Path{}, fmt.Errorf("claim %q: %w", text, err)
		}
		names = append(names, name)
	}
	if len(names) > maxPathDepth {
		return Path{}, fmt.Errorf("claim %q: more than %d names", text, maxPathDepth)
	}
	return Path{text: text, names: names}, nil
}

// cutName takes the first name off a path; more is true when a dot followed it.
func cutName(path string) (name, rest string, more bool, err error) {
	if inner, bracketed := strings.CutPrefix(path, "["); bracketed {
		name, rest, bracketed = strings.Cut(inner, "]")
		if !bracketed {
			return "", "", false, errors.New("a bracket is not closed")
		}
		if rest != "" {
			if rest, more = strings.CutPrefix(rest, "."); !more {
				return "", "", false, errors.New("a closing bracket must end the name: a dot or nothing follows it")
			}
		}
	} else {
		name, rest, more = strings.Cut(path, ".")
	}
	switch {
	case name == "":
		return "", "", false, errors.New("a name is empty")
	case strings.ContainsAny(name, "[]"):
		return "", "", false, errors.New("a bracket in a name")
	}
	return name, rest, more, nil
}

// String returns the path as it was written.
func (p Path) String() string { return p.text }

// IsZero reports whether the path is nowhere.
func (p Path) IsZero() bool { return len(p.names) == 0 }

// find returns the value at the path; nil when it is missing or null, on the way or at the end. A claim on the way
// that is not an object is an error: the token is not of the shape that the configuration expects.
func (p Path) find(claims map[string]any) (any, error) {
	for i, name := range p.names {
		v := claims[name]
		if v == nil || i == len(p.names)-1 {
			return v, nil
		}
		object, ok := v.(map[string]any)
		if !ok {
			return nil, refuse(ReasonClaimType, "claim %q: %q is not an object", p.text, name)
		}
		claims = object
	}
	return nil, nil
}
