package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// APIKey is the record of an API key, without its hash. Times are UTC.
type APIKey struct {
	ID uuid.UUID `json:"id"`
	// Name is for people.
	Name string `json:"name"`
	// Last4 are the key's last characters, for people.
	Last4 string `json:"last4,omitempty"`
	// UserID is whom the key acts as; empty: nobody in particular.
	UserID string `json:"userId,omitempty"`
	// Role is env_admin, env_maker, env_user or env_viewer; empty: none.
	Role   string   `json:"role,omitempty"`
	Scopes []string `json:"scopes,omitempty"`
	// Quotas are the key's own: APIRateLimit, Burst, MaxAPICallsPerDay, MaxAPICallsPerMonth and MaxConcurrentRequests.
	Quotas Quotas `json:"quotas"`
	// ExpiresAt is zero for never.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// RevokedAt is zero as long as the key is not revoked.
	RevokedAt time.Time `json:"revokedAt,omitzero"`
	// LastUsedAt is zero where that is not known.
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`
	// RotatedFrom is the key that this one replaces; the nil UUID where there is none.
	RotatedFrom uuid.UUID `json:"rotatedFrom,omitzero"`
	CreatedBy   string    `json:"createdBy,omitempty"`
	// Version grows with every change by any writer, from 1.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// KeySecret is what the registry keeps of a key itself.
type KeySecret struct {
	// Hash is the lower-case hex SHA-256 of the whole key.
	Hash string
	// Last4 are the key's last four characters, for people. Empty: none are kept.
	Last4 string
}

// NewAPIKey is an API key to be created.
type NewAPIKey struct {
	// Name is 1 to 255 characters.
	Name string
	KeySecret
	// UserID is whom the key acts as, at most 255 characters; empty: nobody in particular.
	UserID string
	// Role is env_admin, env_maker, env_user or env_viewer; empty: none.
	Role string
	// Scopes are at most 64 texts of at most 255 characters.
	Scopes []string
	// Quotas are the key's own; only those that [APIKey.Quotas] names can be given.
	Quotas Quotas
	// ExpiresAt is zero for never, else in the future.
	ExpiresAt time.Time
	// Idempotency makes it safe to ask twice; nil: it is not. What an earlier request made has that one's secret.
	Idempotency *Idempotency
}

// maxScopes is the most scopes of a key.
const maxScopes = 64

func (k *NewAPIKey) check(now time.Time) error {
	if err := checkText(k.Name); err != nil {
		return invalid("name", err)
	}
	if err := k.KeySecret.check(); err != nil {
		return err
	}
	if k.UserID != "" {
		if err := checkText(k.UserID); err != nil {
			return invalid("userId", err)
		}
	}
	if k.Role != "" {
		if err := oneOf(roles)(k.Role); err != nil {
			return invalid("role", err)
		}
	}
	if len(k.Scopes) > maxScopes {
		return invalid("scopes", fmt.Errorf("must not have more than %d elements", maxScopes))
	}
	for i, scope := range k.Scopes {
		if err := checkText(scope); err != nil {
			return invalid(fmt.Sprintf("scopes[%d]", i), err)
		}
	}
	own := k.Quotas
	for _, v := range own.ofKey() {
		if *v != 0 {
			if err := checkQuota(*v); err != nil {
				return invalid("quotas", err)
			}
			*v = 0
		}
	}
	if own != (Quotas{}) {
		return &FieldError{
			Field: "quotas", Code: CodeInvalid,
			Message: "a key has only apiRateLimit, burst, maxApiCallsPerDay, maxApiCallsPerMonth and maxConcurrentRequests",
		}
	}
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
		return &FieldError{Field: "expiresAt", Code: CodeInvalid, Message: "is in the past"}
	}
	return nil
}

func (k KeySecret) check() error {
	if !validHash(k.Hash) {
		return &FieldError{Field: "hash", Code: CodeInvalid, Message: "is no SHA-256 in lower-case hex"}
	}
	if k.Last4 != "" && (len(k.Last4) != 4 || strings.Trim(k.Last4, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "") {
		return &FieldError{Field: "last4", Code: CodeInvalid, Message: "must be 4 letters or digits"}
	}
	return nil
}

// ofKey returns the quotas that a key can have, in the order in which the table has its columns.
func (q *Quotas) ofKey() []*int64 {
	return []*int64{&q.APIRateLimit, &q.Burst, &q.MaxAPICallsPerDay, &q.MaxAPICallsPerMonth, &q.MaxConcurrentRequests}
}

const selectKey = `SELECT id, name, last4, user_id, role, scopes, api_rate_limit, burst, max_api_calls_per_day, max_api_calls_per_month,
 max_concurrent_requests, expires_at, revoked_at, last_used_at, rotated_from, created_by, version, created_at, updated_at FROM sys_api_key`

func (v *values) key() (*APIKey, error) {
	k := &APIKey{ID: storedID(v.text()), Name: v.text(), Last4: v.text(), UserID: v.text(), Role: v.text()}
	if scopes := v.text(); scopes != "" {
		if err := json.Unmarshal([]byte(scopes), &k.Scopes); err != nil {
			return nil, err
		}
	}
	for _, q := range k.Quotas.ofKey() {
		*q = v.number()
	}
	k.ExpiresAt, k.RevokedAt, k.LastUsedAt = storedInstantOf(v.text()), storedInstantOf(v.text()), storedInstantOf(v.text())
	k.RotatedFrom, k.CreatedBy, k.Version = storedID(v.text()), v.text(), v.number()
	k.CreatedAt, k.UpdatedAt = storedInstantOf(v.text()), storedInstantOf(v.text())
	return k, nil
}

// view is what the audit log shows of a key: never its hash.
func (k *APIKey) view() map[string]any {
	return map[string]any{
		"name": k.Name, "last4": nullText(k.Last4), "userId": nullText(k.UserID), "role": nullText(k.Role), "scopes": k.Scopes,
		"quotas": k.Quotas, "expiresAt": nullTime(k.ExpiresAt),
	}
}

// nullTime is NULL for the zero time.
func nullTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return formatTime(t)
}

// row returns the values of a new key.
func (k *APIKey) row(environment, hash string) []any {
	var scopes any
	if len(k.Scopes) > 0 {
		scopes = mustJSON(k.Scopes)
	}
	row := []any{k.ID.String(), environment, k.Name, hash, nullText(k.Last4), nullText(k.UserID), nullText(k.Role), scopes}
	for _, q := range k.Quotas.ofKey() {
		if *q == 0 {
			row = append(row, nil)
		} else {
			row = append(row, *q)
		}
	}
	from := any(nil)
	if k.RotatedFrom != uuid.Nil {
		from = k.RotatedFrom.String()
	}
	return append(row, nullTime(k.ExpiresAt), from, nullText(k.CreatedBy))
}

func (s *Store) findKey(ctx context.Context, environment, key string) (k *APIKey, err error) {
	id, err := parseID(key)
	if err != nil {
		return nil, &MissingError{What: "API key", Key: key}
	}
	var v values
	err = s.query(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		k, err = v.key()
		return err
	}, selectKey+` WHERE id = ?1 AND environment_id = ?2`, id.String(), environment)
	if err == nil && k == nil {
		err = &MissingError{What: "API key", Key: key}
	}
	return k, err
}

// GetAPIKey returns a key of an environment by its id; tenant and environment are ids or slugs. Errors:
// [*MissingError], [ErrUnavailable].
func (s *Store) GetAPIKey(ctx context.Context, tenant, environment, id string) (*APIKey, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	_, e, err := s.find(ctx, tenant, environment)
	if err != nil {
		return nil, err
	}
	return s.findKey(ctx, e.id, id)
}

// CreateAPIKey creates a key for an environment; tenant and environment are ids or slugs. The caller makes the key
// itself, shows it once, and gives its hash. The audit log has it as api_key.create. Errors: [*FieldError],
// [*MissingError], [ErrUnavailable].
func (s *Store) CreateAPIKey(ctx context.Context, actor Actor, tenant, environment string, n NewAPIKey) (*APIKey, error) {
	if err := n.check(s.now()); err != nil {
		return nil, err
	}
	k := &APIKey{
		ID: NewID(), Name: n.Name, Last4: n.Last4, UserID: n.UserID, Role: n.Role, Scopes: n.Scopes, Quotas: n.Quotas,
		ExpiresAt: n.ExpiresAt, CreatedBy: actor.ID,
	}
	id := k.ID.String()
	err := s.create(ctx, actor, n.Idempotency, &id, func() (*operation, error) {
		_, e, err := s.find(ctx, tenant, environment)
		if err != nil {
			return nil, err
		}
		op := new(operation)
		op.add(workKeyInsert, k.row(e.id, n.Hash))
		op.audit("api_key.create", e.tenant, e.id, k.ID.String(), detail{After: k.view(), Version: 1})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetAPIKey(ctx, tenant, environment, id))
}

// RevokeAPIKey ends a key at once and for good; tenant and environment are ids or slugs. version is what the caller has
// read, 0 for whatever there is. A key that is revoked already stays as it is. The audit log has it as api_key.revoke.
// Errors: [*MissingError], [*ConflictError] with CodeVersionConflict, [ErrUnavailable].
func (s *Store) RevokeAPIKey(ctx context.Context, actor Actor, tenant, environment, id string, version int64) (*APIKey, error) {
	err := s.change(ctx, actor, func() (*operation, error) {
		e, k, err := s.keyToChange(ctx, tenant, environment, id, version)
		if err != nil || !k.RevokedAt.IsZero() {
			return nil, err
		}
		op := new(operation)
		now := formatTime(s.now())
		op.add(workKeyExpect, []any{k.ID.String(), k.Version})
		op.add(workKeyEnd, []any{k.ID.String(), nullTime(k.ExpiresAt), now})
		op.audit("api_key.revoke", e.tenant, e.id, k.ID.String(), detail{After: map[string]any{"revokedAt": now}, Version: k.Version + 1})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetAPIKey(ctx, tenant, environment, id))
}

// keyToChange reads a key and compares its version.
func (s *Store) keyToChange(ctx context.Context, tenant, environment, id string, version int64) (*environmentRow, *APIKey, error) {
	_, e, err := s.find(ctx, tenant, environment)
	if err != nil {
		return nil, nil, err
	}
	k, err := s.findKey(ctx, e.id, id)
	if err != nil {
		return nil, nil, err
	}
	return e, k, stale("API key "+k.ID.String(), k.Version, version)
}

// RotateAPIKey replaces a key by another one with the same name, rights and limits, and returns that one. The old key
// still holds for grace, at most as long as it would have anyway; with 0 it is revoked at once. version is what the
// caller has read of the old key, 0 for whatever there is. The audit log has it as api_key.rotate, with the new key's id
// as subject. Errors: [*FieldError], [*MissingError], [*ConflictError] (CodeVersionConflict; CodeStateConflict for a key
// that is revoked or has expired), [ErrUnavailable].
func (s *Store) RotateAPIKey(ctx context.Context, actor Actor, tenant, environment, id string, version int64, secret KeySecret, grace time.Duration) (*APIKey, error) {
	if err := secret.check(); err != nil {
		return nil, err
	}
	if grace < 0 {
		return nil, &FieldError{Field: "grace", Code: CodeInvalid, Message: "must not be negative"}
	}
	next := NewID()
	err := s.change(ctx, actor, func() (*operation, error) {
		e, k, err := s.keyToChange(ctx, tenant, environment, id, version)
		if err != nil {
			return nil, err
		}
		now := s.now()
		if !k.RevokedAt.IsZero() || !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
			return nil, &ConflictError{Code: CodeStateConflict, Message: "API key " + k.ID.String() + " is revoked or has expired: create another one"}
		}
		n := *k
		n.ID, n.RotatedFrom, n.Last4, n.CreatedBy = next, k.ID, secret.Last4, actor.ID
		end, revoked := now.Add(grace), any(nil)
		if grace == 0 {
			revoked = formatTime(now)
		}
		if !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(end) {
			end = k.ExpiresAt
		}
		op := new(operation)
		op.add(workKeyExpect, []any{k.ID.String(), k.Version})
		op.add(workKeyInsert, n.row(e.id, secret.Hash))
		op.add(workKeyEnd, []any{k.ID.String(), formatTime(end), revoked})
		after := n.view()
		after["rotatedFrom"] = k.ID.String()
		op.audit("api_key.rotate", e.tenant, e.id, next.String(), detail{After: after, Version: 1})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetAPIKey(ctx, tenant, environment, next.String()))
}

// ListAPIKeys returns the keys of an environment in the order of their ids, which is that of their creation, revoked and
// expired ones too, and the cursor of the next part, which is "" after the last one; tenant and environment are ids or
// slugs. Errors: [*FieldError], [*MissingError], [ErrUnavailable].
func (s *Store) ListAPIKeys(ctx context.Context, tenant, environment string, p Page) (list []*APIKey, next string, err error) {
	limit, err := p.size()
	if err != nil {
		return nil, "", err
	}
	after, err := p.after("api-keys", 1)
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
		list, next = []*APIKey{}, ""
		more, err := c.page(ctx, s, selectKey, "id", limit, func(v *values) error {
			k, err := v.key()
			if err != nil {
				return s.unreadable("scopes of an API key", err)
			}
			list = append(list, k)
			return nil
		})
		if more {
			next = cursor("api-keys", list[limit-1].ID.String())
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return list, next, nil
}
