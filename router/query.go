package router

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// DefaultTenantParameter is the query parameter that names the tenant when none is configured.
const DefaultTenantParameter = "tenant"

// querySource finds tenant and environment in the query string.
type querySource struct {
	tenant, environment string // decoded names; environment may be empty
	invalid             *Refusal
}

// removingQuery is a querySource that is a [Rewriter].
type removingQuery struct{ *querySource }

// NewQuery returns the source "query". The values are ids or slugs. An empty tenantParam stands for
// [DefaultTenantParameter]; without environmentParam the query names no environment. Names are case-sensitive.
//
// The query string is read as net/url reads it: parameters are separated by "&", names and values are decoded once. A
// parameter of ours that is there several times with different values is malformed, and so is one that net/url would
// drop but another parser might read: with a broken escape in its value, or behind a semicolon ("a=1;tenant=x").
//
// With remove, the parameters are removed from what is forwarded; the others keep their order and their encoding.
func NewQuery(tenantParam, environmentParam string, remove bool) (Source, error) {
	if tenantParam == "" {
		tenantParam = DefaultTenantParameter
	}
	for _, name := range []string{tenantParam, environmentParam} {
		if err := checkParameter(name); err != nil {
			return nil, fmt.Errorf("query parameter %q: %w", name, err)
		}
	}
	if tenantParam == environmentParam {
		return nil, fmt.Errorf("query parameter %q: cannot name both the tenant and the environment", tenantParam)
	}
	s := &querySource{
		tenant: tenantParam, environment: environmentParam,
		invalid: refuseTenantInvalid.WithDetail("The query does not contain a valid tenant name."),
	}
	if remove {
		return removingQuery{s}, nil
	}
	return s, nil
}

// checkParameter checks a configured name: visible ASCII without what separates or escapes in a query string.
func checkParameter(name string) error {
	if len(name) > 128 {
		return errors.New("name is longer than 128 bytes")
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("&;=#%+", c) >= 0 {
			return fmt.Errorf("name has the character %q; names are written decoded, without separators", c)
		}
	}
	return nil
}

// Name implements [Source].
func (*querySource) Name() string { return "query" }

// Identify implements [Source].
func (s *querySource) Identify(r *Request) (Yield, error) {
	query := r.HTTP.URL.RawQuery
	if query == "" {
		return Yield{}, nil
	}
	var tenant, environment parameter
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if strings.IndexByte(pair, ';') >= 0 {
			// net/url drops the whole pair; others split it.
			for part := range strings.SplitSeq(pair, ";") {
				if key, _, _ := strings.Cut(part, "="); s.names(key) {
					return Yield{}, s.invalid
				}
			}
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		ok := true
		switch {
		case equalDecoded(key, s.tenant, true):
			ok = tenant.add(value)
		case s.environment != "" && equalDecoded(key, s.environment, true):
			ok = environment.add(value)
		}
		if !ok {
			return Yield{}, s.invalid
		}
	}
	ref, ok := nameReference(tenant.value, environment.value)
	if !ok {
		return Yield{}, s.invalid
	}
	return Yield{Reference: ref}, nil
}

// names reports whether key is one of the configured parameters.
func (s *querySource) names(key string) bool {
	return equalDecoded(key, s.tenant, true) || s.environment != "" && equalDecoded(key, s.environment, true)
}

// parameter is the one value of a query parameter.
type parameter struct {
	value string
	found bool
}

// add decodes a value; a "+" may stay, for no name contains it or the blank that it means. It reports false when the
// value is too long, or when an earlier one differs.
func (p *parameter) add(raw string) bool {
	value, ok := decodeName(raw)
	if !ok {
		return false
	}
	value = lowerASCII(value)
	if p.found && p.value != value {
		return false
	}
	p.value, p.found = value, true
	return true
}

// Rewrite implements [Rewriter].
func (s removingQuery) Rewrite(r *http.Request) {
	query := r.URL.RawQuery
	if query == "" {
		return
	}
	var b strings.Builder
	removed, kept := false, false
	for rest, more := query, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, "&")
		if key, _, _ := strings.Cut(pair, "="); s.names(key) {
			removed = true
			continue
		}
		if kept {
			b.WriteByte('&')
		}
		b.WriteString(pair)
		kept = true
	}
	if !removed {
		return
	}
	r.URL.RawQuery = b.String()
	if r.RequestURI != "" {
		r.RequestURI = r.URL.RequestURI()
	}
}
