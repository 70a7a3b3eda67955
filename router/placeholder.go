package router

import (
	"errors"
	"fmt"
	"strings"
)

// placeholderSource finds tenant and environment in placeholders.
type placeholderSource struct {
	tenant, environment string // without braces; environment may be empty
	invalid             *Refusal
}

// NewPlaceholder returns the source "placeholder". The keys are written with or without braces; without environmentKey
// the source names no environment. A placeholder that is unknown, nil or blank yields nothing; another value has to be
// an id or a slug.
func NewPlaceholder(tenantKey, environmentKey string) (Source, error) {
	s := &placeholderSource{
		invalid: refuseTenantInvalid.WithDetail("What identifies the tenant of this request is no valid tenant name."),
	}
	var err error
	if s.tenant, err = placeholderKey(tenantKey); err != nil {
		return nil, fmt.Errorf("placeholder %q: %w", tenantKey, err)
	}
	if environmentKey != "" {
		if s.environment, err = placeholderKey(environmentKey); err != nil {
			return nil, fmt.Errorf("placeholder %q: %w", environmentKey, err)
		}
	}
	if s.tenant == s.environment {
		return nil, fmt.Errorf("placeholder %q: cannot name both the tenant and the environment", tenantKey)
	}
	return s, nil
}

// placeholderKey returns the key without its braces.
func placeholderKey(key string) (string, error) {
	inner, opened := strings.CutPrefix(key, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	switch {
	case opened != closed, strings.ContainsAny(inner, "{}"):
		return "", errors.New("is not one placeholder")
	case inner == "":
		return "", errors.New("is empty")
	}
	return inner, nil
}

// Name implements [Source].
func (*placeholderSource) Name() string { return "placeholder" }

// Identify implements [Source].
func (s *placeholderSource) Identify(r *Request) (Yield, error) {
	if r.Placeholders == nil {
		return Yield{}, nil
	}
	tenant, ok1 := placeholderValue(r.Placeholders, s.tenant)
	environment, ok2 := "", true
	if s.environment != "" {
		environment, ok2 = placeholderValue(r.Placeholders, s.environment)
	}
	if ok1 && ok2 {
		if ref, ok := nameReference(tenant, environment); ok {
			return Yield{Reference: ref}, nil
		}
	}
	return Yield{}, s.invalid
}

// placeholderValue returns the value as text without blanks around it. It reports false when it is too long.
func placeholderValue(p Placeholders, key string) (string, bool) {
	v, known := p.Get(key)
	if !known || v == nil {
		return "", true
	}
	text, ok := v.(string)
	if !ok {
		text = fmt.Sprint(v)
	}
	if len(text) > nameSize {
		return "", false
	}
	return strings.TrimSpace(text), true
}
