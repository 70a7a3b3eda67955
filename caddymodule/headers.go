package caddymodule

import (
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// fact is one thing about a request's tenant that can go upstream in a header.
type fact uint8

const (
	factTenantID fact = iota
	factTenantSlug
	factTenantName
	factTenantPlan
	factTenantIsolation
	factEnvironmentID
	factEnvironmentSlug
	factEnvironmentType
	factEnvironmentRegion
	factTenantDatabase
	factTenantSchema
	factUserID
	factUserRole
	factTenantContext
	factCount
)

// factNames are the default names of the headers that carry the facts, as people write them.
var factNames = [factCount]string{
	factTenantID:          "X-Tenant-ID",
	factTenantSlug:        "X-Tenant-Slug",
	factTenantName:        "X-Tenant-Name",
	factTenantPlan:        "X-Tenant-Plan",
	factTenantIsolation:   "X-Tenant-Isolation",
	factEnvironmentID:     "X-Environment-ID",
	factEnvironmentSlug:   "X-Environment-Slug",
	factEnvironmentType:   "X-Environment-Type",
	factEnvironmentRegion: "X-Environment-Region",
	factTenantDatabase:    "X-Tenant-Database",
	factTenantSchema:      "X-Tenant-Schema",
	factUserID:            "X-User-ID",
	factUserRole:          "X-User-Role",
	factTenantContext:     "X-Tenant-Context",
}

// Inject says what goes upstream about the tenant.
type Inject struct {
	// Database also sends X-Tenant-Database and X-Tenant-Schema, the names of the environment's data plane. Neither
	// is a secret. Default: false.
	Database bool `json:"database,omitempty"`
	// Context also sends X-Tenant-Context, a token over the same facts that the gateway signs; see [Context]. With
	// Database it names the data plane, too. Default: false.
	Context bool `json:"context,omitempty"`
	// Late sets the headers only when the request is forwarded, at a fraction of the cost: by tenant_proxy, by reverse_proxy
	// with `dynamic tenant`, or by `transport tenant`. What else forwards a request (a static reverse_proxy with another
	// transport, forward_auth, php_fastcgi) sends none of them, and header matchers and placeholders such as
	// {http.request.header.X-Tenant-ID} do not see them; {tenant.*} and the matcher tenant are as ever, but {tenant.upstream}
	// is empty until then, so that no reverse_proxy can be pointed at the tenant's upstream without them. Default: false.
	Late bool `json:"late,omitempty"`
	// Headers renames headers: the key is the default name (X-Tenant-ID, X-Tenant-Slug, X-Tenant-Name, X-Tenant-Plan,
	// X-Tenant-Isolation, X-Environment-ID, X-Environment-Slug, X-Environment-Type, X-Environment-Region,
	// X-Tenant-Database, X-Tenant-Schema, X-User-ID, X-User-Role, X-Tenant-Context), the value is the name to send; an empty value means
	// that the header is not sent. Both names are stripped from what clients send. Default: no renaming.
	Headers map[string]string `json:"headers,omitempty"`
}

// injection is one header that the gateway sets upstream.
type injection struct {
	fact fact
	key  string // canonical, so that Caddy's own header operations and placeholders find it
	line string // how its line begins: the key, a colon and a space
}

// plan turns the configuration into the list of headers to set, in a fixed order.
func (in *Inject) plan() ([]injection, error) {
	var names [factCount]string
	copy(names[:], factNames[:])
	if in == nil || !in.Database {
		names[factTenantDatabase], names[factTenantSchema] = "", ""
	}
	if in == nil || !in.Context {
		names[factTenantContext] = ""
	}
	if in != nil {
		for from, to := range in.Headers {
			f, err := factByHeader(from)
			if err != nil {
				return nil, err
			}
			if (f == factTenantDatabase || f == factTenantSchema) && !in.Database {
				return nil, fmt.Errorf("%s is only sent with \"inject database\"", from)
			}
			if f == factTenantContext && !in.Context {
				return nil, fmt.Errorf("%s is only sent with \"inject context\"", from)
			}
			if to != "" {
				if err := checkHeaderName(to); err != nil {
					return nil, err
				}
			}
			names[f] = to
		}
	}
	seen := make(map[string]fact, factCount)
	list := make([]injection, 0, factCount)
	for f, name := range names {
		if name == "" {
			continue
		}
		if other, dup := seen[foldHeader(name)]; dup {
			return nil, fmt.Errorf("%s and %s would both be sent as %s", factNames[other], factNames[f], name)
		}
		seen[foldHeader(name)] = fact(f)
		key := http.CanonicalHeaderKey(name)
		list = append(list, injection{fact(f), key, key + ": "})
	}
	return list, nil
}

// factByHeader finds the fact that a default header name carries.
func factByHeader(name string) (fact, error) {
	for f, def := range factNames {
		if strings.EqualFold(def, name) {
			return fact(f), nil
		}
	}
	return 0, fmt.Errorf("%q is not one of the headers that can be renamed (%s)", name, strings.Join(factNames[:], ", "))
}

// checkHeaderName refuses what cannot carry a fact: names that are no token (RFC 9110 §5.6.2), and fields that frame or
// route the message.
func checkHeaderName(name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is not a header name", name)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Keep-Alive",
		"Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Content-Type", "Content-Encoding", "Expect",
		"Authorization", "Cookie", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via":
		return fmt.Errorf("%s has a meaning of its own and cannot carry a tenant's header", name)
	}
	return nil
}
