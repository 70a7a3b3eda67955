package registry

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// DomainClaimLifetime is how long a claim to a host name is looked after before it is given up.
	DomainClaimLifetime = 7 * 24 * time.Hour
	// MaxDomainClaims is how many host names a tenant may claim at once without having proved them.
	MaxDomainClaims = 100
	// MaxDomains is how many host names an environment may have, claims included.
	MaxDomains = maxDomains
	// domainTokenBytes is the size of a verification token before it is encoded: 160 bits.
	domainTokenBytes = 20
	// maxFailureText is the longest reason that is kept of a failed check, in bytes.
	maxFailureText = 300
)

// DomainMethod says how the ownership of a host name was proved.
type DomainMethod string

// The methods.
const (
	// DomainDNS: a TXT record in the name's zone held the token.
	DomainDNS DomainMethod = "dns_txt"
	// DomainHTTP: a web server at the name answered with the token.
	DomainHTTP DomainMethod = "http"
	// DomainOperator: the operator vouches, as in an import.
	DomainOperator DomainMethod = "operator"
)

// Domain is a host name of an environment: verified, or claimed and waiting for proof. Only a verified one is served.
type Domain struct {
	// Hostname is in lower case, with A-labels, without a trailing dot.
	Hostname string
	// Tenant and Environment are whose it is, or who claims it.
	Tenant, Environment uuid.UUID
	// VerifiedAt is when it was proved, in UTC; zero while it is a claim.
	VerifiedAt time.Time
	// Method is how it was proved; empty while it is a claim.
	Method DomainMethod
	// Token is what the owner of a claimed name publishes; empty once it is verified. It is no secret.
	Token string
	// CheckedAt is when a claim was last looked after, in UTC; zero when it never was. Checks counts how often.
	CheckedAt time.Time
	Checks    int
	// Failure says for people why the last check failed; empty when none did.
	Failure string
	// NextCheckAt is when a claim is due, in UTC; zero when it is given up or verified.
	NextCheckAt time.Time
	// ExpiresAt is when a claim is given up, in UTC; zero once it is verified.
	ExpiresAt time.Time
	// CreatedAt is in UTC.
	CreatedAt time.Time
}

// Verified reports whether the name is proved and so served.
func (d *Domain) Verified() bool { return !d.VerifiedAt.IsZero() }

// The codes of a [DomainError].
const (
	// DomainDuplicate: the name is verified for another environment, or this tenant claims it already.
	DomainDuplicate = "duplicate"
	// DomainInvalid: the name is no host name that could be served.
	DomainInvalid = "invalid"
	// DomainLimit: the tenant or the environment has as many as it may.
	DomainLimit = "limit"
	// DomainStale: the claim was changed since it was read, so the proof is no proof of it.
	DomainStale = "stale"
)

// DomainError is the refusal of a change to a domain. Its text names no other tenant.
type DomainError struct {
	// Code is one of the constants above.
	Code string
	text string
}

// Error implements error.
func (e *DomainError) Error() string { return e.text }

// claimableHost returns a host name as the registry has it, if it can be a custom domain: more than one label, and no IP
// address in any spelling.
func claimableHost(hostname string) (string, error) {
	if len(hostname) > 4*MaxHostLength { // in UTF-8 a name is longer than in A-labels
		return "", &DomainError{DomainInvalid, "the host name is too long"}
	}
	host, err := normalizeDomain(hostname)
	if err != nil {
		return "", &DomainError{DomainInvalid, err.Error()}
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case last == host:
		return "", &DomainError{DomainInvalid, quoted(host) + " is one label, not a domain name"}
	case strings.Trim(last, "0123456789") == "", strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == "":
		return "", &DomainError{DomainInvalid, quoted(host) + " is an address, not a domain name"}
	}
	return host, nil
}

// newDomainToken returns a random token in URL-safe base64.
func newDomainToken() string {
	var b [domainTokenBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// The columns of a domain, the same for verified ones and claims.
const (
	verifiedColumns = `d.hostname, e.organization_id, d.environment_id, d.verified_at, d.verification_method, '', d.checked_at, 0, '', NULL, NULL, d.created_at
 FROM sys_domain d JOIN sys_environment e ON e.id = d.environment_id`
	claimColumns = `c.hostname, e.organization_id, c.environment_id, NULL, NULL, c.token, c.checked_at, c.checks, coalesce(c.failure, ''), c.next_check_at, c.expires_at, c.created_at
 FROM sys_domain_claim c JOIN sys_environment e ON e.id = c.environment_id`
)

// scanDomain reads one row of the columns above.
func scanDomain(rows *sql.Rows) (d Domain, err error) {
	var tenant, environment string
	var verified, method, checked, next, expires, created sql.NullString
	err = rows.Scan(&d.Hostname, &tenant, &environment, &verified, &method, &d.Token, &checked, &d.Checks, &d.Failure, &next, &expires, &created)
	if err != nil {
		return d, err
	}
	var errs [2]error
	d.Tenant, errs[0] = uuid.Parse(tenant)
	d.Environment, errs[1] = uuid.Parse(environment)
	err = errors.Join(errs[0], errs[1])
	d.Method = DomainMethod(method.String)
	for _, f := range []struct {
		to   *time.Time
		from sql.NullString
	}{{&d.VerifiedAt, verified}, {&d.CheckedAt, checked}, {&d.NextCheckAt, next}, {&d.ExpiresAt, expires}, {&d.CreatedAt, created}} {
		if f.from.Valid {
			var parseErr error
			*f.to, parseErr = parseTime(f.from.String)
			err = errors.Join(err, parseErr)
		}
	}
	return d, err
}

// cutText bounds a text that another server may have had a hand in, to bytes of valid UTF-8.
func cutText(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s), "")
}
