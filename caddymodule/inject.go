package caddymodule

import (
	"net/http"
	"strings"
)

// inject strips the request and sets the headers that go upstream, or leaves that to whoever forwards it. What is empty is not
// sent.
func (h *Handler) inject(r *http.Request, st *state) {
	if h.late {
		_, st.upgrade = h.owned.stripInto(r, nil)
		return
	}
	h.set(h.stripped(r, st), st)
}

// set sets the headers that go upstream.
func (h *Handler) set(header http.Header, st *state) {
	for i := range h.injections {
		if v := st.value(h.injections[i].fact); v != "" {
			header[h.injections[i].key] = st.one(v)
		}
	}
}

// value is [state.fact] with the signed context.
func (st *state) value(f fact) string {
	if f == factTenantContext {
		return st.handler.contextToken(st)
	}
	return st.fact(f)
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
	for i := range len(s) {
		if !plainByte[s[i]] {
			return encodedValue(s)
		}
	}
	return s
}

// encodedValue is fieldValue for what may not be plain throughout.
func encodedValue(s string) string {
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

// plainByte tells the bytes that stand for themselves wherever they are.
var plainByte = func() (t [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = c != '%'
	}
	return t
}()

// plain reports whether the byte at i can stand for itself. A space cannot at either end, where it would be trimmed.
func plain(s string, i int) bool {
	return plainByte[s[i]] || s[i] == ' ' && i > 0 && i < len(s)-1
}
