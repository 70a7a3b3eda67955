package router

import "errors"

// fallbackSource yields the same tenant for every request.
type fallbackSource struct{ yield Yield }

// NewDefault returns the source "default". It yields the given tenant, an id or a slug, for requests in which no other
// source names one. An empty environment is the tenant's default one; an environment that another source names goes
// before the one given here.
func NewDefault(tenant, environment string) (Source, error) {
	if tenant == "" {
		return nil, errors.New("default: a tenant is needed")
	}
	ref, ok := nameReference(tenant, environment)
	if !ok {
		return nil, errors.New("default: neither an id nor a valid slug")
	}
	return &fallbackSource{Yield{Reference: ref, Fallback: true}}, nil
}

// Name implements [Source].
func (*fallbackSource) Name() string { return "default" }

// Identify implements [Source].
func (s *fallbackSource) Identify(*Request) (Yield, error) { return s.yield, nil }
