package caddymodule

import (
	"net/http"
	"strings"
)

// inject sets the headers that go upstream. What is empty is not sent.
func (h *Handler) inject(r *http.Request, st *state) {
	header := roomFor(r.Header, len(h.injections))
	r.Header = header
	for _, in := range h.injections {
		v := st.fact(in.fact)
		if in.fact == factTenantContext {
			v = h.contextToken(st)
		}
		if v != "" {
			header[in.key] = st.one(v)
		}
	}
}

// The first sizes of Go's maps: a small one, and how many entries the next larger one holds before it grows again. They
// only decide which way is faster.
const (
	smallMap  = 8
	secondMap = 14
)

// roomFor returns header, or a copy that has room for n more fields where header would grow twice on the way there: with
// the six to eight headers of an API client, and with none at all. Growing is most of what injecting costs.
func roomFor(header http.Header, n int) http.Header {
	if k := len(header); k > smallMap || k > 0 && k+n <= secondMap || k+n <= smallMap {
		return header
	}
	larger := make(http.Header, len(header)+n)
	for name, values := range header {
		larger[name] = values
	}
	return larger
}

// fact returns the value of a fact about an admitted request, fit for a header.
func (st *state) fact(f fact) string {
	res := st.decision.Resolved
	switch f {
	case factTenantID:
		return st.tenantID()
	case factTenantSlug:
		return res.Tenant.Slug
	case factTenantName:
		return fieldValue(res.Tenant.Name)
	case factTenantPlan:
		return fieldValue(res.Tenant.Plan)
	case factTenantIsolation:
		return fieldValue(string(res.Tenant.Isolation))
	case factEnvironmentID:
		return st.environmentID()
	case factEnvironmentSlug:
		return res.Environment.Slug
	case factEnvironmentType:
		return fieldValue(string(res.Environment.Type))
	case factEnvironmentRegion:
		return fieldValue(res.Environment.Region)
	case factTenantDatabase:
		return fieldValue(res.Database.Name)
	case factTenantSchema:
		return fieldValue(res.Database.Schema)
	case factUserID:
		return fieldValue(st.decision.User)
	case factUserRole:
		return fieldValue(strings.Join(st.decision.Roles, ","))
	}
	return ""
}

// fieldValue returns s in a form that a header field can carry (RFC 9110 §5.5): percent-encoded (RFC 3986 §2.1) where
// it is not plain ASCII. A percent sign is encoded too, so that who decodes always gets s back. Plain text costs no
// allocation.
func fieldValue(s string) string {
	odd := 0
	for i := range len(s) {
		if !plain(s, i) {
			odd++
		}
	}
	if odd == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*odd)
	for i := range len(s) {
		if c := s[i]; plain(s, i) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// plain reports whether the byte at i can stand for itself. A space cannot at either end, where it would be trimmed.
func plain(s string, i int) bool {
	c := s[i]
	return c > ' ' && c < 0x7f && c != '%' || c == ' ' && i > 0 && i < len(s)-1
}
