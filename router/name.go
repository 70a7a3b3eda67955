package router

import (
	"github.com/tenantgate/tenantgate/registry"
)

// normalizeName brings the name of a tenant or an environment, as any source found it, into the form of the registry:
// ASCII lower case, and either a UUID in canonical form (id is true) or a valid slug. ok is false for everything else.
// Its length is looked at before anything else; a name that is already normal costs no allocation.
func normalizeName(s string) (name string, id, ok bool) {
	if s == "" || len(s) > registry.MaxSlugLength {
		return "", false, false
	}
	s = lowerASCII(s)
	// A UUID is a valid slug by its letters, so ask for the id first: the same text must never mean both.
	if registry.CanonicalID(s) {
		return s, true, true
	}
	return s, false, registry.ValidSlug(s)
}

// lowerASCII returns s with A-Z in lower case. Other bytes stay: the letters of Unicode that fold into ASCII (U+212A,
// the Kelvin sign) must not turn one name into another.
func lowerASCII(s string) string {
	i := 0
	for i < len(s) && (s[i] < 'A' || s[i] > 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	b := []byte(s)
	for ; i < len(b); i++ {
		if b[i] >= 'A' && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// nameReference makes the reference out of the raw names of a tenant and an environment; an empty one is not there.
// ok is false when one of them is malformed.
func nameReference(tenant, environment string) (ref registry.Reference, ok bool) {
	environmentID := false
	if environment != "" {
		if ref.Environment, environmentID, ok = normalizeName(environment); !ok {
			return registry.Reference{}, false
		}
	}
	if tenant == "" {
		if environmentID {
			// The id of an environment is enough to find its tenant.
			return registry.Reference{Kind: registry.KindEnvironmentID, Key: ref.Environment}, true
		}
		return ref, true
	}
	key, id, ok := normalizeName(tenant)
	if !ok {
		return registry.Reference{}, false
	}
	ref.Kind, ref.Key = registry.KindSlug, key
	if id {
		ref.Kind = registry.KindTenantID
	}
	return ref, true
}

// nameSize is the most that a name may measure before it is trimmed, decoded or compared, in bytes: three times the
// longest name, because each byte may be written as %XX, and some room for blanks.
const nameSize = 3*registry.MaxSlugLength + 64
