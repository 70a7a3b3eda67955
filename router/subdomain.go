package router

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tenantgate/tenantgate/registry"
)

// subdomainSource finds tenant and environment in the labels of a host name.
type subdomainSource struct {
	patterns []hostPattern // the most specific first
	reserved reservedNames
	invalid  *Refusal
}

// DefaultReserved returns the names that are usually not tenants when they stand before the base domain.
func DefaultReserved() []string {
	return []string{"www", "app", "api", "admin", "auth", "static", "assets", "cdn", "mail"}
}

// NewSubdomain returns the source "subdomain". A pattern is a host name with {tenant}, and {environment} if wanted, in
// its first labels: "{tenant}.app.example.com", "{tenant}--{environment}.app.example.com",
// "{environment}.{tenant}.app.example.com". A variable stands for one label or a part of one. Two variables in one
// label need "--" between them, which no name contains.
//
// Of several patterns that fit a host, the most specific decides, in whatever order they were given: the one with the
// longest literal end, then with the most literal characters. A host that fits none yields nothing, and so do the base
// domains themselves and hosts with more labels than the pattern. A host that fits, but whose variables are no valid
// names (internationalized labels, "a--b" without a pattern for it), is malformed. Names in reserved yield nothing.
func NewSubdomain(patterns, reserved []string) (Source, error) {
	if len(patterns) == 0 {
		return nil, errors.New("subdomain: at least one pattern is needed, such as {tenant}.app.example.com")
	}
	s := &subdomainSource{
		invalid: refuseTenantInvalid.WithDetail("The host name does not contain a valid tenant name."),
	}
	for _, text := range patterns {
		p, err := parseHostPattern(text)
		if err != nil {
			return nil, fmt.Errorf("subdomain pattern %q: %w", text, err)
		}
		for i := range s.patterns {
			if s.patterns[i].shape == p.shape {
				return nil, fmt.Errorf("subdomain patterns %q and %q fit the same hosts", s.patterns[i].text, text)
			}
		}
		s.patterns = append(s.patterns, p)
	}
	slices.SortStableFunc(s.patterns, func(a, b hostPattern) int {
		if d := len(b.suffix) - len(a.suffix); d != 0 {
			return d
		}
		return b.literal - a.literal
	})
	for _, name := range reserved {
		host, err := NormalizeHost(name)
		if err != nil || strings.Contains(host, ".") || host[0] == '[' {
			return nil, fmt.Errorf("reserved name %q: not a single label of a host name", name)
		}
		s.reserved.add(host)
	}
	return s, nil
}

// Name implements [Source].
func (*subdomainSource) Name() string { return "subdomain" }

// ReadsHost implements [HostSource].
func (*subdomainSource) ReadsHost() {}

// Identify implements [Source].
func (s *subdomainSource) Identify(r *Request) (y Yield, err error) {
	err = s.identify(r, &y)
	return y, err
}

// identify is Identify for [identifyInto].
func (s *subdomainSource) identify(r *Request, y *Yield) error {
	host := r.Host
	malformed := false
	for i := range s.patterns {
		// suffix begins with a dot, so what is left is the base domain.
		if s.patterns[i].suffix[1:] == host {
			return nil
		}
	}
	for i := range s.patterns {
		p := &s.patterns[i]
		if !strings.HasSuffix(host, p.suffix) {
			continue
		}
		names, ok := p.match(host[:len(host)-len(p.suffix)])
		if !ok {
			continue
		}
		if s.reserved.has(names.tenant) || names.label != names.tenant && s.reserved.has(names.label) {
			return nil
		}
		if !names.idna {
			if ref, ok := nameReference(names.tenant, names.environment); ok &&
				(names.environment != "" || !p.hasEnvironment) && names.tenant != "" {
				y.Reference = ref
				return nil
			}
		}
		malformed = true
	}
	if malformed {
		return s.invalid
	}
	return nil
}

// reservedNames are the names that are never taken for a tenant, by their length and in order: finding one of the usual few in
// a map would take several times as long.
type reservedNames [registry.MaxSlugLength + 1][]string

func (n *reservedNames) add(name string) {
	list := &n[len(name)]
	if i, found := slices.BinarySearch(*list, name); !found {
		*list = slices.Insert(*list, i, name)
	}
}

func (n *reservedNames) has(name string) bool {
	if len(name) >= len(n) {
		return false
	}
	list := n[len(name)]
	if len(list) <= 8 {
		return slices.Contains(list, name)
	}
	_, found := slices.BinarySearch(list, name)
	return found
}
