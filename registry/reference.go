package registry

import "github.com/google/uuid"

// Kind says what the key of a [Reference] is.
type Kind uint8

const (
	// KindNone: the reference names no tenant, only an environment within whichever tenant another source names.
	KindNone Kind = iota
	// KindTenantID: the key is a tenant's UUID in canonical lower-case form.
	KindTenantID
	// KindSlug: the key is a tenant's slug.
	KindSlug
	// KindHost: the key is a host name as in sys_domain: lower case, ASCII (IDNA A-labels), no port, no trailing dot.
	KindHost
	// KindEnvironmentID: the key is an environment's UUID; the tenant follows from it.
	KindEnvironmentID
	// KindAPIKey: the key is the lower-case hex SHA-256 of an API key.
	KindAPIKey
	// KindSession: the key is the lower-case hex SHA-256 of a session token.
	KindSession
	// KindMember: the key is a user's id, and Environment the UUID of the environment whose member the user may be.
	KindMember
	// KindSessionToken: the key is a session token itself, of a table that the application keeps; see [SessionTable]. It
	// is a secret: such a reference is never written to disk or to a log.
	KindSessionToken
)

// String returns the kind's name for logs and for the hot set on disk.
func (k Kind) String() string {
	switch k {
	case KindNone:
		return "none"
	case KindTenantID:
		return "id"
	case KindSlug:
		return "slug"
	case KindHost:
		return "host"
	case KindEnvironmentID:
		return "environment_id"
	case KindAPIKey:
		return "api_key"
	case KindSession:
		return "session"
	case KindMember:
		return "member"
	case KindSessionToken:
		return "session_token"
	}
	return "unknown"
}

// Reference is what a source found in a request: a key of some kind, and an environment if it names one. It is
// comparable and serves as the cache's key. Keys are already normalised (see the kinds) and bounded; whoever stores
// a Reference for longer than the request clones its strings, because they may point into the request's buffers.
type Reference struct {
	// Kind says what Key is.
	Kind Kind
	// Key is the normalised key; empty only with KindNone.
	Key string
	// Environment is the slug or the canonical lower-case UUID of an environment of that tenant; empty means the
	// tenant's default environment (or the one that Key implies: a domain's, an API key's).
	Environment string
}

// MaxSlugLength is the longest slug, in bytes: one DNS label.
const MaxSlugLength = 63

// MaxHostLength is the longest host name, in bytes (RFC 1035 §2.3.4, without the trailing dot).
const MaxHostLength = 253

// ValidSlug reports whether s can be the slug of a tenant or an environment: 1 to 63 bytes of a-z, 0-9 and "-",
// neither beginning nor ending with "-", and without "--", which separates tenant and environment in host names
// (and begins IDNA labels, RFC 5890 §2.3.1). What looks like an id is no slug: the same text never means both.
func ValidSlug(s string) bool {
	if s == "" || len(s) > MaxSlugLength || CanonicalID(s) {
		return false
	}
	dash := true // as if a dash came before: no leading dash
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			dash = false
		case c == '-' && !dash:
			dash = true
		default:
			return false
		}
	}
	return !dash
}

// CanonicalID reports whether s is a UUID in its canonical lower-case form of 36 bytes.
func CanonicalID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// NewID returns a new UUID of version 7 (RFC 9562 §5.7), which sorts by time of creation.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
