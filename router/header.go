package router

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The default names of the headers that name tenant and environment.
const (
	DefaultTenantHeader      = "X-Tenant-ID"
	DefaultEnvironmentHeader = "X-Environment-ID"
)

// headerSource finds tenant and environment in request headers.
type headerSource struct {
	tenant, environment string // canonical names
	fromTrusted         bool
	invalid             *Refusal
}

// NewHeader returns the source "header". The values are ids or slugs. An empty name stands for the default one,
// [DefaultTenantHeader] or [DefaultEnvironmentHeader]. A header that is absent or blank yields nothing; one that comes
// several times with different values is malformed. The environment's header alone yields an environment of the tenant
// that another source names, or, if it is an id, its tenant as well. With fromTrusted, the headers count only when the
// peer is a trusted proxy.
func NewHeader(tenantHeader, environmentHeader string, fromTrusted bool) (Source, error) {
	if tenantHeader == "" {
		tenantHeader = DefaultTenantHeader
	}
	if environmentHeader == "" {
		environmentHeader = DefaultEnvironmentHeader
	}
	s := &headerSource{fromTrusted: fromTrusted}
	var err error
	if s.tenant, err = headerName(tenantHeader); err != nil {
		return nil, fmt.Errorf("header %q: %w", tenantHeader, err)
	}
	if s.environment, err = headerName(environmentHeader); err != nil {
		return nil, fmt.Errorf("header %q: %w", environmentHeader, err)
	}
	if s.tenant == s.environment {
		return nil, fmt.Errorf("header %q: cannot name both the tenant and the environment", tenantHeader)
	}
	s.invalid = refuseTenantInvalid.WithDetail("The header " + s.tenant + " or " + s.environment + " is malformed.")
	return s, nil
}

// headerName returns the canonical form of a header's name, which has to be a token (RFC 9110 §5.1).
func headerName(name string) (string, error) {
	if len(name) > 128 {
		return "", errors.New("name is longer than 128 bytes")
	}
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return "", fmt.Errorf("name has the character %q, which header names cannot have", c)
		}
	}
	name = http.CanonicalHeaderKey(name)
	if name == "Host" {
		return "", errors.New("the host name is read by the sources subdomain and domain")
	}
	return name, nil
}

// Name implements [Source].
func (*headerSource) Name() string { return "header" }

// Identify implements [Source].
func (s *headerSource) Identify(r *Request) (y Yield, err error) {
	err = s.identify(r, &y)
	return y, err
}

// identify is Identify for [identifyInto].
func (s *headerSource) identify(r *Request, y *Yield) error {
	if s.fromTrusted && !r.TrustedProxy {
		return nil
	}
	tenant, ok1 := oneName(r.HTTP.Header[s.tenant])
	environment, ok2 := oneName(r.HTTP.Header[s.environment])
	if ok1 && ok2 {
		if ref, ok := nameReference(tenant, environment); ok {
			y.Reference = ref
			return nil
		}
	}
	return s.invalid
}

// oneName returns the name that all values give, without blanks around it (RFC 9110 §5.5) and in lower case. It reports
// false when values differ or are too long.
func oneName(values []string) (name string, ok bool) {
	for i, v := range values {
		if len(v) > nameSize {
			return "", false
		}
		v = lowerASCII(strings.Trim(v, " \t"))
		if i > 0 && v != name {
			return "", false
		}
		name = v
	}
	return name, true
}
