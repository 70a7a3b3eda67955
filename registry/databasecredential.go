package registry

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// CredentialScope is what a credential of a database allows.
type CredentialScope string

// The scopes. Of each an environment has one active credential.
const (
	ScopeReadWrite CredentialScope = "readwrite"
	ScopeReadOnly  CredentialScope = "readonly"
	ScopeAdmin     CredentialScope = "admin"
)

var credentialScopes = []string{string(ScopeReadWrite), string(ScopeReadOnly), string(ScopeAdmin)}

// CredentialStatus is where a credential of a database is in its life.
type CredentialStatus string

// The statuses. A credential is active until it is rotated or revoked, rotating until it is revoked, and revoked for good.
const (
	// CredentialActive: this is the one to use.
	CredentialActive CredentialStatus = "active"
	// CredentialRotating: another one has taken its place, and who has not heard of that uses this one still.
	CredentialRotating CredentialStatus = "rotating"
	// CredentialRevoked: its secret is destroyed, and its record stays.
	CredentialRevoked CredentialStatus = "revoked"
)

// MaxSecret is the longest secret of a credential, in bytes.
const MaxSecret = 8 << 10

// DatabaseCredential is the record of a credential of an environment's database, without its secret. Times are UTC.
type DatabaseCredential struct {
	ID     uuid.UUID        `json:"id"`
	Scope  CredentialScope  `json:"scope"`
	Status CredentialStatus `json:"status"`
	// KeyID is the id of the [SecretKey] that sealed the secret; empty for a revoked credential, which has none.
	KeyID string `json:"keyId,omitempty"`
	// RotatedFrom is the credential whose place this one took; the nil UUID where there is none.
	RotatedFrom uuid.UUID `json:"rotatedFrom,omitzero"`
	// ExpiresAt is when the database ceases to take the secret, as its creator says; zero for never, or not known. Nothing
	// happens here at that time.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// RevokedAt is zero as long as the credential is not revoked.
	RevokedAt time.Time `json:"revokedAt,omitzero"`
	// Version grows with every change by any writer, from 1.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// NewDatabaseCredential is a credential of an environment's database to be stored.
type NewDatabaseCredential struct {
	// Scope is what it allows. Default: ScopeReadWrite.
	Scope CredentialScope
	// Secret is the password or token, 1 to MaxSecret bytes of text. No error repeats it.
	Secret string
	// ExpiresAt is when the database ceases to take it; zero for never, else in the future.
	ExpiresAt time.Time
	// Idempotency makes it safe to ask twice; nil: it is not. Its RequestHash leaves out the secret, which comes into it
	// here under a key, so that nobody who has the registry can try secrets on it.
	Idempotency *Idempotency
}

func (n *NewDatabaseCredential) check(now time.Time) error {
	if n.Scope == "" {
		n.Scope = ScopeReadWrite
	}
	if err := oneOf(credentialScopes)(string(n.Scope)); err != nil {
		return invalid("scope", err)
	}
	if err := checkSecret(n.Secret); err != nil {
		return invalid("secret", err)
	}
	if !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now) {
		return &FieldError{Field: "expiresAt", Code: CodeInvalid, Message: "is in the past"}
	}
	return nil
}

// checkSecret never repeats what it is given. U+FFFD is what a reader of JSON makes of half a character.
func checkSecret(secret string) error {
	switch {
	case secret == "":
		return errors.New("must not be empty")
	case len(secret) > MaxSecret:
		return fmt.Errorf("must not be longer than %d bytes", MaxSecret)
	case !utf8.ValidString(secret) || strings.ContainsRune(secret, 0) || strings.ContainsRune(secret, utf8.RuneError):
		return errors.New("must be text in UTF-8")
	}
	return nil
}

const (
	databaseCredentialColumns = `id, scope, status, iif(status = 'revoked', NULL, key_id), rotated_from, expires_at, revoked_at, version,
 created_at, updated_at`
	selectDatabaseCredential = `SELECT ` + databaseCredentialColumns + ` FROM sys_database_credential`
	// selectSealed has the secret as hex, since drivers differ in how they hand out bytes.
	selectSealed = `SELECT ` + databaseCredentialColumns + `, hex(ciphertext) FROM sys_database_credential`
)

func (v *values) databaseCredential() *DatabaseCredential {
	return &DatabaseCredential{
		ID: storedID(v.text()), Scope: CredentialScope(v.text()), Status: CredentialStatus(v.text()), KeyID: v.text(),
		RotatedFrom: storedID(v.text()), ExpiresAt: storedInstantOf(v.text()), RevokedAt: storedInstantOf(v.text()), Version: v.number(),
		CreatedAt: storedInstantOf(v.text()), UpdatedAt: storedInstantOf(v.text()),
	}
}

func (s *Store) findDatabaseCredential(ctx context.Context, environment, key string) (*DatabaseCredential, error) {
	c, _, err := s.readCredential(ctx, selectDatabaseCredential, environment, key, func(*values) string { return "" })
	return c, err
}

// findSealed reads a credential together with what is stored of its secret.
func (s *Store) findSealed(ctx context.Context, environment, key string) (c *DatabaseCredential, sealed []byte, err error) {
	c, text, err := s.readCredential(ctx, selectSealed, environment, key, (*values).text)
	if err != nil {
		return nil, nil, err
	}
	if sealed, err = hex.DecodeString(text); err != nil {
		return nil, nil, s.unreadable("the secret of a credential", errors.New("it is no hex"))
	}
	return c, sealed, nil
}

// readCredential reads a credential of an environment, and more of its row.
func (s *Store) readCredential(ctx context.Context, query, environment, key string, rest func(*values) string) (c *DatabaseCredential, more string, err error) {
	id, err := parseID(key)
	if err != nil {
		return nil, "", &MissingError{What: "credential", Key: key}
	}
	var v values
	err = s.query(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		c, more = v.databaseCredential(), rest(&v)
		return nil
	}, query+` WHERE id = ?1 AND environment_id = ?2`, id.String(), environment)
	if err == nil && c == nil {
		err = &MissingError{What: "credential", Key: key}
	}
	return c, more, err
}

// credentialIn finds the credential of a scope that has a status; nil where there is none.
func (s *Store) credentialIn(ctx context.Context, environment string, scope CredentialScope, status CredentialStatus) (c *DatabaseCredential, err error) {
	var v values
	err = s.query(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		c = v.databaseCredential()
		return nil
	}, selectDatabaseCredential+` WHERE environment_id = ?1 AND scope = ?2 AND status = ?3 ORDER BY id LIMIT 1`, environment, string(scope), string(status))
	return c, err
}

// GetDatabaseCredential returns the record of a credential of an environment by its id; tenant and environment are ids or
// slugs. Errors: [*MissingError], [ErrUnavailable].
func (s *Store) GetDatabaseCredential(ctx context.Context, tenant, environment, id string) (*DatabaseCredential, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	_, e, err := s.find(ctx, tenant, environment)
	if err != nil {
		return nil, err
	}
	return s.findDatabaseCredential(ctx, e.id, id)
}

// ListDatabaseCredentials returns the records of an environment's credentials in the order of their ids, which is that of
// their creation, revoked ones too, and the cursor of the next part, which is "" after the last one; tenant and
// environment are ids or slugs. Errors: [*FieldError], [*MissingError], [ErrUnavailable].
func (s *Store) ListDatabaseCredentials(ctx context.Context, tenant, environment string, p Page) (list []*DatabaseCredential, next string, err error) {
	limit, err := p.size()
	if err != nil {
		return nil, "", err
	}
	after, err := p.after("credentials", 1)
	if err != nil {
		return nil, "", err
	}
	if err := s.migrated(); err != nil {
		return nil, "", err
	}
	_, e, err := s.find(ctx, tenant, environment)
	if err != nil {
		return nil, "", err
	}
	var c conditions
	c.add("environment_id = ? AND id > ?", e.id, after[0])
	err = halvingPage(limit, func(limit int) error {
		list, next = []*DatabaseCredential{}, ""
		more, err := c.page(ctx, s, selectDatabaseCredential, "id", limit, func(v *values) error {
			list = append(list, v.databaseCredential())
			return nil
		})
		if more {
			next = cursor("credentials", list[limit-1].ID.String())
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return list, next, nil
}
