package registry

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// NewSession is a session of a signed-in user.
type NewSession struct {
	// Hash is the lower-case hex SHA-256 of the session's token.
	Hash string
	// UserID is 1 to 255 characters.
	UserID string
	// Tenant is the id or slug of the active tenant; empty: none.
	Tenant string
	// Environment is the id or slug of the active environment of that tenant; empty: its default one.
	Environment string
	// ExpiresAt is in the future.
	ExpiresAt time.Time
	// AuthenticatedAt is when the user signed in; zero: that is not known.
	AuthenticatedAt time.Time
	// MFA and SSO say how.
	MFA, SSO bool
	// IPAddress has at most 63 characters, UserAgent 1000; empty: not known.
	IPAddress, UserAgent string
}

// The longest texts of a session, in characters, as the schema has them.
const (
	maxAddressText = 63
	maxUserAgent   = 1000
)

func (n *NewSession) check(now time.Time) error {
	if !validHash(n.Hash) {
		return &FieldError{Field: "hash", Code: CodeInvalid, Message: "is no SHA-256 in lower-case hex"}
	}
	if err := checkText(n.UserID); err != nil {
		return invalid("userId", err)
	}
	if !n.ExpiresAt.After(now) {
		return &FieldError{Field: "expiresAt", Code: CodeInvalid, Message: "is not in the future"}
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{{"ipAddress", n.IPAddress, maxAddressText}, {"userAgent", n.UserAgent, maxUserAgent}} {
		switch {
		case utf8.RuneCountInString(f.value) > f.most:
			return &FieldError{Field: f.name, Code: CodeTooLong, Message: fmt.Sprintf("must not be longer than %d characters", f.most)}
		case strings.ContainsFunc(f.value, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
			return &FieldError{Field: f.name, Code: CodeInvalid, Message: "must not contain control characters"}
		}
	}
	if n.Environment != "" && n.Tenant == "" {
		return &FieldError{Field: "environment", Code: CodeInvalid, Message: "needs a tenant"}
	}
	return nil
}

// CreateSession lets the token's bearer in, and returns the session's id. The audit log has it as session.create.
// Errors: [*FieldError], [*MissingError] for tenant and environment, [ErrUnavailable].
func (s *Store) CreateSession(ctx context.Context, actor Actor, n NewSession) (uuid.UUID, error) {
	if err := n.check(s.now()); err != nil {
		return uuid.Nil, err
	}
	id := NewID()
	err := s.change(ctx, actor, func() (*operation, error) {
		tenant, environment := "", ""
		if n.Tenant != "" {
			t, e, err := s.find(ctx, n.Tenant, n.Environment)
			if err != nil {
				return nil, err
			}
			if tenant = t.id; n.Environment != "" {
				environment = e.id
			}
		}
		op := new(operation)
		op.add(workSessionInsert, []any{
			id.String(), n.Hash, n.UserID, nullText(tenant), nullText(environment), formatTime(n.ExpiresAt), nullTime(n.AuthenticatedAt),
			flag(n.MFA), flag(n.SSO), nullText(n.IPAddress), nullText(n.UserAgent),
		})
		op.audit("session.create", tenant, environment, id.String(), detail{
			After: map[string]any{"userId": n.UserID, "expiresAt": formatTime(n.ExpiresAt), "mfa": n.MFA, "sso": n.SSO}, Version: 1,
		})
		return op, nil
	})
	if err != nil {
		return uuid.Nil, err
	}
	return id, nil
}

// RevokeSession ends a session at once, by the lower-case hex SHA-256 of its token. One that is revoked already stays as
// it is. The audit log has it as session.revoke. Errors: [*FieldError], [*MissingError], [ErrUnavailable].
func (s *Store) RevokeSession(ctx context.Context, actor Actor, hash string) error {
	if !validHash(hash) {
		return &FieldError{Field: "hash", Code: CodeInvalid, Message: "is no SHA-256 in lower-case hex"}
	}
	return s.change(ctx, actor, func() (*operation, error) {
		var id, user, tenant, environment, revoked string
		var version int64
		var v values
		err := s.query(ctx, func(rows *sql.Rows) error {
			err := v.scan(rows)
			if err == nil {
				id, user, tenant, environment, revoked, version = v.text(), v.text(), v.text(), v.text(), v.text(), v.number()
			}
			return err
		}, `SELECT id, user_id, active_organization_id, active_environment_id, revoked_at, version FROM sys_session WHERE token_hash = ?1`, hash)
		switch {
		case err != nil:
			return nil, err
		case id == "":
			return nil, &MissingError{What: "session"}
		case revoked != "":
			return nil, nil
		}
		now := formatTime(s.now())
		op := new(operation)
		op.add(workSessionExpect, []any{id, version})
		op.add(workSessionRevoke, []any{id, now})
		op.audit("session.revoke", tenant, environment, id, detail{
			Before: map[string]any{"userId": user}, After: map[string]any{"revokedAt": now}, Version: version + 1,
		})
		return op, nil
	})
}
