package credential

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxText is the longest string that a claim may hold, in bytes.
	maxText = 1024
	// maxList is the most elements that a claim may list.
	maxList = 256
)

// Unread as the name of a claim in [ClaimNames] says that no claim is read for it.
const Unread = "-"

// ClaimNames says which claims tell what, each in the form of [ParsePath]. The empty string is the default, [Unread]
// is none.
type ClaimNames struct {
	// Tenant names the tenant: a string. Default: "tenant_id".
	Tenant string
	// Environment names the environment: a string. Default: "environment_id".
	Environment string
	// User names the user: a string. Default: "sub".
	User string
	// Roles are the user's: an array of strings, or one string with spaces or commas between them. Default: "roles".
	Roles string
	// Methods are those by which the user signed in (RFC 8176): like Roles. Default: "amr".
	Methods string
	// Context is the class of the sign-in (OpenID Connect Core §2): a string. Default: "acr".
	Context string
	// AuthTime is when the user signed in (OpenID Connect Core §2): a NumericDate. Default: "auth_time".
	AuthTime string
	// Extra are further claims to read, like Roles, but a number or a boolean will do too ("mfa": true reads as
	// "true"); each comes under its name in [Identity.Extra].
	Extra []string
}

// Identity is what a verified token says. It is shared by all requests that carry the token: nobody may change it.
type Identity struct {
	// Tenant is empty when the token names none: the claim is missing, null or "".
	Tenant string
	// Environment is empty when the token names none.
	Environment string
	// User is empty when the token names none. It has no control characters but may hold any other of Unicode's.
	User string
	// Roles is nil when the token names none.
	Roles []string
	// Issuer is the claim iss; empty when the token has none and none was asked for.
	Issuer string
	// Methods are those by which the user signed in, such as "pwd", "otp", "mfa" (RFC 8176 §2).
	Methods []string
	// Context is the class of the sign-in; empty when the token names none.
	Context string
	// AuthTime is when the user signed in, UTC; zero when the token does not say.
	AuthTime time.Time
	// IssuedAt is the claim iat, UTC; zero when the token does not say.
	IssuedAt time.Time
	// ExpiresAt is the claim exp, UTC, without leeway.
	ExpiresAt time.Time
	// Extra holds what [ClaimNames.Extra] asked for, by the name that was asked for; what is missing is not in it.
	Extra map[string][]string
}

// SignedInAt returns when the user signed in, for a limit on a session's age: AuthTime, or else IssuedAt; zero when
// the token says neither. Where tokens are renewed without a new sign-in only AuthTime limits the session, because
// IssuedAt moves with each renewal.
func (id *Identity) SignedInAt() time.Time {
	if !id.AuthTime.IsZero() {
		return id.AuthTime
	}
	return id.IssuedAt
}

// MissingClaim returns the refusal of a token that lacks a claim which the caller cannot do without.
func MissingClaim(name string) error {
	return refuse(ReasonClaimMissing, "the token has no claim %q", name)
}

// claimPaths are the parsed [ClaimNames].
type claimPaths struct {
	tenant, environment, user, roles, methods, context, authTime Path
	extra                                                        []Path
}

func parseClaimNames(n ClaimNames) (*claimPaths, error) {
	p := new(claimPaths)
	for _, c := range []struct {
		path           *Path
		name, standard string
	}{
		{&p.tenant, n.Tenant, "tenant_id"},
		{&p.environment, n.Environment, "environment_id"},
		{&p.user, n.User, "sub"},
		{&p.roles, n.Roles, "roles"},
		{&p.methods, n.Methods, "amr"},
		{&p.context, n.Context, "acr"},
		{&p.authTime, n.AuthTime, "auth_time"},
	} {
		name := c.name
		switch name {
		case Unread:
			continue
		case "":
			name = c.standard
		}
		var err error
		if *c.path, err = ParsePath(name); err != nil {
			return nil, err
		}
	}
	for _, name := range n.Extra {
		path, err := ParsePath(name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(p.extra, func(other Path) bool { return other.text == path.text }) {
			return nil, fmt.Errorf("claim %q is asked for twice", name)
		}
		p.extra = append(p.extra, path)
	}
	return p, nil
}

// identity reads the claims.
func (p *claimPaths) identity(c claims) (*Identity, error) {
	r := claimReader{claims: c}
	id := &Identity{
		Tenant:      r.text(p.tenant),
		Environment: r.text(p.environment),
		User:        r.text(p.user),
		Roles:       r.list(p.roles),
		Methods:     r.list(p.methods),
		Context:     r.text(p.context),
		AuthTime:    r.time(p.authTime),
		Issuer:      r.text(Path{text: "iss", names: []string{"iss"}}),
		IssuedAt:    r.time(Path{text: "iat", names: []string{"iat"}}),
		ExpiresAt:   r.time(Path{text: "exp", names: []string{"exp"}}),
	}
	for _, path := range p.extra {
		if list := r.scalarOrList(path); list != nil {
			if id.Extra == nil {
				id.Extra = make(map[string][]string, len(p.extra))
			}
			id.Extra[path.text] = list
		}
	}
	return id, r.err
}

// claimReader reads claims until the first error.
type claimReader struct {
	claims claims
	err    error
}

func (r *claimReader) find(p Path) any {
	if r.err != nil {
		return nil
	}
	var v any
	v, r.err = p.find(r.claims)
	return v
}

func (r *claimReader) text(p Path) (s string) {
	if v := r.find(p); v != nil {
		s, r.err = asText(p.text, v)
	}
	return s
}

// list reads an array of strings, or a string of words with spaces or commas between them, which is how OAuth writes
// scopes (RFC 6749 §3.3) and better-auth a member's roles.
func (r *claimReader) list(p Path) (list []string) {
	v := r.find(p)
	if s, ok := v.(string); ok {
		if s, r.err = asText(p.text, s); r.err != nil || s == "" {
			return nil
		}
		list = strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == ',' })
		if len(list) > maxList {
			r.err = refuse(ReasonClaimType, "claim %q has more than %d elements", p.text, maxList)
		}
		return list
	}
	if v != nil {
		list, r.err = asList(p.text, v)
	}
	return list
}

// scalarOrList reads what list does, and a number or a boolean as its text.
func (r *claimReader) scalarOrList(p Path) []string {
	switch v := r.find(p).(type) {
	case bool:
		return []string{strconv.FormatBool(v)}
	case json.Number:
		return []string{v.String()}
	}
	return r.list(p)
}

func (r *claimReader) time(p Path) (t time.Time) {
	if v := r.find(p); v != nil {
		t, r.err = asTime(p.text, v)
	}
	return t
}
