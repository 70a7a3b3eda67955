package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/net/idna"
)

// Limits of a document. They bound what one tenant can cost in memory, in a header, and in one answer of a server.
const (
	maxEnvironments  = 1000   // of a tenant
	maxDomains       = 1000   // of an environment
	maxMembers       = 10000  // of an environment
	maxRecords       = 100000 // domains and members of a tenant
	maxUpstreams     = 64
	maxIPWhitelist   = 1000
	maxMetadata      = 64 // entries
	maxMetadataKey   = 64 // bytes
	maxMetadataValue = 1024
	maxMetadataTotal = 8 << 10
	maxText          = 255  // of names and ids of others, in characters
	maxURL           = 2048 // bytes
	maxRegion        = 63
	maxPlans         = 10000
)

// The values of enumerated fields.
var (
	statuses = []string{
		string(StatusProvisioning), string(StatusActive), string(StatusSuspended), string(StatusArchived),
		string(StatusFailed), string(StatusDestroying),
	}
	environmentStatuses = statuses[:len(statuses)-1]
	isolationLevels     = []string{string(IsolationSharedSchema), string(IsolationIsolatedSchema), string(IsolationIsolatedDB)}
	environmentTypes    = []string{
		string(EnvironmentDefault), string(EnvironmentDevelopment), string(EnvironmentTest), string(EnvironmentSandbox),
		string(EnvironmentPreview), string(EnvironmentTrial), string(EnvironmentStaging), string(EnvironmentProduction),
	}
	drivers = []string{"turso", "libsql", "postgres", "sqlite", "memory"}
	roles   = []string{"env_admin", "env_maker", "env_user", "env_viewer"}
)

// oneOf makes a check for an enumerated field.
func oneOf(values []string) func(string) error {
	return func(s string) error {
		if slices.Contains(values, s) {
			return nil
		}
		return fmt.Errorf("%s is none of %s", quoted(s), strings.Join(values, ", "))
	}
}

func checkSlug(s string) error {
	switch {
	case ValidSlug(s):
		return nil
	case CanonicalID(s):
		return errors.New("looks like an id: a slug must not")
	case len(s) > MaxSlugLength:
		return fmt.Errorf("must not be longer than %d characters", MaxSlugLength)
	}
	return fmt.Errorf("%s is no slug: want 1 to %d of a-z, 0-9 and single hyphens, beginning and ending with a letter or digit",
		quoted(s), MaxSlugLength)
}

// parseID reads a UUID in its usual form of 36 characters, in either case.
func parseID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	switch {
	case err != nil || len(s) != 36:
		return uuid.Nil, fmt.Errorf("%s is no UUID", quoted(s))
	case id == uuid.Nil:
		return uuid.Nil, errors.New("the nil UUID is no id")
	}
	return id, nil
}

// checkText is for names and ids of others: 1 to 255 characters, none of them a control character.
func checkText(s string) error {
	switch n := utf8.RuneCountInString(s); {
	case strings.TrimSpace(s) == "":
		return errors.New("must not be empty")
	case n > maxText:
		return fmt.Errorf("must not be longer than %d characters", maxText)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		return errors.New("must not contain control characters")
	}
	return nil
}

func checkPlanName(s string) error {
	switch {
	case validName(s):
		return nil
	case len(s) > MaxSlugLength:
		return fmt.Errorf("must not be longer than %d characters", MaxSlugLength)
	}
	return fmt.Errorf("%s is no plan's name: want 1 to %d of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
		quoted(s), MaxSlugLength)
}

// checkToken is for what ends in a header or names something elsewhere: letters, digits and a few signs.
func checkToken(most int) func(string) error {
	return func(s string) error {
		if s == "" {
			return errors.New("must not be empty")
		}
		if len(s) > most {
			return fmt.Errorf("must not be longer than %d characters", most)
		}
		for i := 0; i < len(s); i++ {
			c := s[i]
			letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
			if !letter && (i == 0 || strings.IndexByte("._-", c) < 0) && c != '_' {
				return fmt.Errorf("%s has characters other than letters, digits, '.', '_' and '-'", quoted(s))
			}
		}
		return nil
	}
}

func checkMetadataKey(s string) error {
	if s == "" {
		return fmt.Errorf("a key must have 1 to %d bytes", maxMetadataKey)
	}
	if len(s) > maxMetadataKey {
		return fmt.Errorf("a key must not be longer than %d bytes", maxMetadataKey)
	}
	return checkText(s)
}

func checkMetadataValue(s string) error {
	if len(s) > maxMetadataValue {
		return fmt.Errorf("must not be longer than %d bytes", maxMetadataValue)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("must not contain control characters")
	}
	return nil
}

// checkDatabaseURL refuses what would put a secret into the registry in the clear.
func checkDatabaseURL(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	if len(s) > maxURL {
		return fmt.Errorf("must not be longer than %d bytes", maxURL)
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("is no URL") // without the text: it might hold a secret
	}
	if u.User != nil {
		return errors.New("must not hold a user or password: credentials are kept apart")
	}
	for name := range u.Query() {
		switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name)) {
		case "authtoken", "token", "jwt", "password", "user", "apikey", "secret", "sslpassword":
			return errors.New("must not hold a " + name + ": credentials are kept apart")
		}
	}
	return nil
}

func checkAddressRange(s string) error {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return fmt.Errorf("%s has bits set beyond its length: write %s", quoted(s), p.Masked())
		}
		return nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return nil
	}
	return fmt.Errorf("%s is neither an IP address nor a range like 10.0.0.0/8", quoted(s))
}

// normalizeDomain returns a host name as sys_domain has it: lower case, A-labels (RFC 5890), no trailing dot.
func normalizeDomain(s string) (string, error) {
	bad := fmt.Errorf("%s is no host name: want labels of letters, digits and hyphens, without a port", quoted(s))
	host := strings.ToLower(strings.TrimSuffix(s, "."))
	if strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		var err error
		if host, err = idna.Lookup.ToASCII(s); err != nil {
			return "", bad
		}
		host = strings.TrimSuffix(host, ".")
	}
	if host == "" || len(host) > MaxHostLength {
		return "", bad
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > MaxSlugLength || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", bad
		}
	}
	return host, nil
}

// parseInstant reads an RFC 3339 time with any offset.
func parseInstant(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is no time: want RFC 3339 like 2030-12-31T23:59:59Z", quoted(s))
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, errors.New("must be in the years 1 to 9999")
	}
	return t, nil
}

// quoted shows a value in an error, cut to a length that a terminal takes.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
