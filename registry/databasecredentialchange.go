package registry

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// view is what the audit log shows of a credential: never its secret, sealed or not.
func (c *DatabaseCredential) view() map[string]any {
	return map[string]any{"scope": c.Scope, "keyId": c.KeyID, "expiresAt": nullTime(c.ExpiresAt)}
}

// insertCredential adds a new credential to an operation.
func (op *operation) insertCredential(c *DatabaseCredential, environment string, k *sealingKey, secret string) {
	c.KeyID, c.Status = k.id, CredentialActive
	from := any(nil)
	if c.RotatedFrom != uuid.Nil {
		from = c.RotatedFrom.String()
	}
	sealed := k.seal(binding{c.ID.String(), environment, string(c.Scope)}, secret)
	op.add(workCredentialInsert, []any{
		c.ID.String(), environment, string(c.Scope), strings.ToUpper(hex.EncodeToString(sealed)), k.id, from, nullTime(c.ExpiresAt),
	})
}

// CreateDatabaseCredential stores a credential of an environment's database, sealed; tenant and environment are ids or
// slugs. The audit log has it as database_credential.create, without the secret. Errors: [*FieldError] (CodeDuplicate in
// scope where one of that scope is active: rotate that), [*MissingError], [*ConflictError] (CodeStateConflict where no key
// is configured), [ErrUnavailable].
func (s *Store) CreateDatabaseCredential(ctx context.Context, actor Actor, tenant, environment string, n NewDatabaseCredential) (*DatabaseCredential, error) {
	if err := n.check(s.now()); err != nil {
		return nil, err
	}
	key, err := s.keys.first()
	if err != nil {
		return nil, err
	}
	var once *Idempotency
	if n.Idempotency != nil {
		if err := n.Idempotency.check(); err != nil {
			return nil, err
		}
		once = &Idempotency{Key: n.Idempotency.Key, RequestHash: key.digest(n.Idempotency.RequestHash, n.Secret)}
	}
	c := &DatabaseCredential{ID: NewID(), Scope: n.Scope, ExpiresAt: n.ExpiresAt}
	id := c.ID.String()
	err = s.create(ctx, actor, once, &id, func() (*operation, error) {
		_, e, err := s.find(ctx, tenant, environment)
		if err != nil {
			return nil, err
		}
		active, err := s.credentialIn(ctx, e.id, n.Scope, CredentialActive)
		if err != nil {
			return nil, err
		}
		if active != nil {
			return nil, &FieldError{Field: "scope", Code: CodeDuplicate, Message: fmt.Sprintf("the %s credential %s is active: rotate it, or revoke it first", n.Scope, active.ID)}
		}
		op := new(operation)
		op.insertCredential(c, e.id, key, n.Secret)
		op.audit("database_credential.create", e.tenant, e.id, c.ID.String(), detail{After: c.view(), Version: 1})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	if once != nil {
		n.Idempotency.Replayed = once.Replayed
	}
	return readBack(s.GetDatabaseCredential(ctx, tenant, environment, id))
}

// credentialToChange reads a credential and compares its version.
func (s *Store) credentialToChange(ctx context.Context, tenant, environment, id string, version int64) (*environmentRow, *DatabaseCredential, error) {
	_, e, err := s.find(ctx, tenant, environment)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.findDatabaseCredential(ctx, e.id, id)
	if err != nil {
		return nil, nil, err
	}
	return e, c, stale("credential "+c.ID.String(), c.Version, version)
}

// RotateDatabaseCredential stores the secret that replaces that of an active credential, as a new credential of the same
// scope, and returns its record. The new one is active at once; the old one is rotating, and can be revealed and used until
// it is revoked. As long as one of the scope is rotating there is no further rotation, so that no more than two secrets
// of a scope are good and none is lost that somebody uses. expires is when the database ceases to take the new secret; zero
// for never. version is what the caller has read of the old credential, 0 for whatever there is. The audit log has it as
// database_credential.rotate, with the new credential's id as subject. Errors: [*FieldError], [*MissingError],
// [*ConflictError] (CodeVersionConflict; CodeStateConflict where the credential is not active, another one of the scope is
// rotating, or no key is configured), [ErrUnavailable].
func (s *Store) RotateDatabaseCredential(ctx context.Context, actor Actor, tenant, environment, id string, version int64, secret string, expires time.Time) (*DatabaseCredential, error) {
	n := NewDatabaseCredential{Secret: secret, ExpiresAt: expires}
	if err := n.check(s.now()); err != nil {
		return nil, err
	}
	key, err := s.keys.first()
	if err != nil {
		return nil, err
	}
	next := NewID()
	err = s.change(ctx, actor, func() (*operation, error) {
		e, old, err := s.credentialToChange(ctx, tenant, environment, id, version)
		if err != nil {
			return nil, err
		}
		if old.Status != CredentialActive {
			return nil, &ConflictError{Code: CodeStateConflict, Message: fmt.Sprintf("credential %s is %s: only an active one can be rotated", old.ID, old.Status)}
		}
		other, err := s.credentialIn(ctx, e.id, old.Scope, CredentialRotating)
		if err != nil {
			return nil, err
		}
		if other != nil {
			return nil, &ConflictError{Code: CodeStateConflict, Message: fmt.Sprintf("the %s credential %s is still rotating: revoke it first", old.Scope, other.ID)}
		}
		c := &DatabaseCredential{ID: next, Scope: old.Scope, RotatedFrom: old.ID, ExpiresAt: expires}
		op := new(operation)
		op.add(workCredentialExpect, []any{old.ID.String(), old.Version})
		op.add(workCredentialStatus, []any{old.ID.String(), string(CredentialRotating), nil})
		op.insertCredential(c, e.id, key, secret)
		after := c.view()
		after["rotatedFrom"] = old.ID.String()
		op.audit("database_credential.rotate", e.tenant, e.id, next.String(), detail{After: after, Version: 1})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetDatabaseCredential(ctx, tenant, environment, next.String()))
}

// RevokeDatabaseCredential ends a credential for good and destroys its secret; what the database itself takes it does not
// know. tenant and environment are ids or slugs. version is what the caller has read, 0 for whatever there is. A
// credential that is revoked already stays as it is. The audit log has it as database_credential.revoke. Errors:
// [*MissingError], [*ConflictError] with CodeVersionConflict, [ErrUnavailable].
func (s *Store) RevokeDatabaseCredential(ctx context.Context, actor Actor, tenant, environment, id string, version int64) (*DatabaseCredential, error) {
	err := s.change(ctx, actor, func() (*operation, error) {
		e, c, err := s.credentialToChange(ctx, tenant, environment, id, version)
		if err != nil || c.Status == CredentialRevoked {
			return nil, err
		}
		op := new(operation)
		op.add(workCredentialExpect, []any{c.ID.String(), c.Version})
		op.add(workCredentialStatus, []any{c.ID.String(), string(CredentialRevoked), formatTime(s.now())})
		op.audit("database_credential.revoke", e.tenant, e.id, c.ID.String(), detail{
			Before: map[string]any{"status": c.Status}, After: map[string]any{"status": CredentialRevoked}, Version: c.Version + 1,
		})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetDatabaseCredential(ctx, tenant, environment, id))
}

// RevealDatabaseCredential returns a credential with its secret, once the audit log says who asked, as
// database_credential.reveal. tenant and environment are ids or slugs. version is what the caller has read, 0 for whatever
// there is. Errors: [*MissingError], [*ConflictError] (CodeVersionConflict; CodeStateConflict where it is revoked, where
// its key is not configured, or where what is stored is not what that key sealed for this credential), [ErrUnavailable].
func (s *Store) RevealDatabaseCredential(ctx context.Context, actor Actor, tenant, environment, id string, version int64) (*DatabaseCredential, string, error) {
	var c *DatabaseCredential
	var secret string
	err := s.change(ctx, actor, func() (*operation, error) {
		_, e, err := s.find(ctx, tenant, environment)
		if err != nil {
			return nil, err
		}
		var sealed []byte
		if c, sealed, err = s.findSealed(ctx, e.id, id); err != nil {
			return nil, err
		}
		if err := stale("credential "+c.ID.String(), c.Version, version); err != nil {
			return nil, err
		}
		if secret, err = s.keys.reveal(c, e.id, sealed); err != nil {
			return nil, err
		}
		op := new(operation)
		op.add(workCredentialExpect, []any{c.ID.String(), c.Version}) // what was opened is what the row tells of
		op.audit("database_credential.reveal", e.tenant, e.id, c.ID.String(), detail{After: map[string]any{"scope": c.Scope, "status": c.Status}, Version: c.Version})
		return op, nil
	})
	if err != nil {
		return nil, "", err
	}
	return c, secret, nil
}

// reveal opens the secret of a credential, or says why it stays closed.
func (r *Keyring) reveal(c *DatabaseCredential, environment string, sealed []byte) (string, error) {
	closed := func(format string, args ...any) (string, error) {
		return "", &ConflictError{Code: CodeStateConflict, Message: "credential " + c.ID.String() + " " + fmt.Sprintf(format, args...)}
	}
	if c.Status == CredentialRevoked {
		return closed("is revoked: its secret is destroyed")
	}
	if _, err := r.first(); err != nil {
		return "", err
	}
	key := r.find(c.KeyID)
	if key == nil {
		return closed("is sealed with the key %s, which is not configured: there is %s", quoted(c.KeyID), strings.Join(r.IDs(), ", "))
	}
	secret, ok := key.open(binding{c.ID.String(), environment, string(c.Scope)}, sealed)
	if !ok {
		return closed("does not open with the key %s: another key of that name sealed it, or its record was changed by hand", key.id)
	}
	return secret, nil
}
