package registry

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/google/uuid"
)

const (
	// MaxReseal is how many credentials one call of [Store.ResealDatabaseCredentials] looks at.
	MaxReseal = 100
	// enoughReseal is how large an operation grows before the rest is left to the next call, in bytes: others wait for the
	// write lock meanwhile.
	enoughReseal = 256 << 10
)

// Reseal is what one call of [Store.ResealDatabaseCredentials] has done.
type Reseal struct {
	// KeyID is the key that seals.
	KeyID string `json:"keyId"`
	// Resealed is how many credentials were sealed with it that another key had sealed.
	Resealed int `json:"resealed"`
	// Unopened are those that stay as they are, because their key is not configured or does not open them; never nil.
	Unopened []UnopenedCredential `json:"unopened"`
	// Next is the cursor of the next call; "" after the last one.
	Next string `json:"next,omitempty"`
	// Keys are given by the last call: all that are configured, and all that are in use (of these at most 1000), by their ids.
	Keys []SecretKeyUse `json:"keys,omitempty"`
}

// UnopenedCredential is a credential that none of the configured keys opens.
type UnopenedCredential struct {
	ID          uuid.UUID `json:"id"`
	Tenant      uuid.UUID `json:"tenantId"`
	Environment uuid.UUID `json:"environmentId"`
	// KeyID is the key that is said to have sealed it.
	KeyID string `json:"keyId"`
}

// SecretKeyUse says how many secrets a key has sealed.
type SecretKeyUse struct {
	ID string `json:"id"`
	// Credentials is how many credentials that are not revoked it has sealed. With 0 it is not needed any more.
	Credentials int64 `json:"credentials"`
	// Configured says whether it is in the [Keyring].
	Configured bool `json:"configured"`
}

const (
	selectForReseal = `SELECT c.id, c.environment_id, e.organization_id, c.scope, c.key_id, c.version, hex(c.ciphertext)
 FROM sys_database_credential c JOIN sys_environment e ON e.id = c.environment_id`
	// selectKeyUse takes the limit.
	selectKeyUse = `SELECT key_id, count(*) FROM sys_database_credential WHERE status <> 'revoked' GROUP BY key_id ORDER BY key_id LIMIT ?1`
)

// resealRow is a credential that another key than the first one has sealed.
type resealRow struct {
	id, environment, tenant, scope, key string
	version                             int64
	sealed                              string // hex
}

// ResealDatabaseCredentials seals the secrets of all tenants with the first key that other keys have sealed, at most
// p.Limit (default and most: MaxReseal) in one call, fewer where they are long, as one change: for a change of keys put the new one first, call it with
// the cursor that it returns until there is none, and take away the keys that have no credential any more. The audit log
// has each as database_credential.reseal. Errors: [*FieldError], [*ConflictError] (CodeStateConflict where no key is
// configured; CodeVersionConflict where other writers are in the way all the time), [ErrUnavailable].
func (s *Store) ResealDatabaseCredentials(ctx context.Context, actor Actor, p Page) (*Reseal, error) {
	first, err := s.keys.first()
	if err != nil {
		return nil, err
	}
	limit := MaxReseal
	if p.Limit != 0 {
		if _, err := p.size(); err != nil {
			return nil, err
		}
		limit = min(p.Limit, MaxReseal)
	}
	after, err := p.after("reseal", 1)
	if err != nil {
		return nil, err
	}
	var r *Reseal
	err = s.change(ctx, actor, func() (*operation, error) {
		list, next, err := s.toReseal(ctx, first.id, after[0], limit)
		if err != nil {
			return nil, err
		}
		r = &Reseal{KeyID: first.id, Unopened: []UnopenedCredential{}, Next: next}
		op := new(operation)
		for i, c := range list {
			if op.size > enoughReseal {
				r.Next = cursor("reseal", list[i-1].id)
				break
			}
			s.reseal(op, r, first, c)
		}
		if r.Resealed == 0 {
			return nil, nil
		}
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	if r.Next == "" {
		r.Keys, err = s.secretKeyUses(ctx)
	}
	return readBack(r, err)
}

// toReseal reads the next credentials that the key has not sealed.
func (s *Store) toReseal(ctx context.Context, key, after string, limit int) (list []resealRow, next string, err error) {
	var c conditions
	c.add("c.id > ? AND c.key_id <> ? AND c.status <> 'revoked'", after, key)
	err = halvingPage(limit, func(limit int) error {
		list, next = nil, ""
		more, err := c.page(ctx, s, selectForReseal, "c.id", limit, func(v *values) error {
			list = append(list, resealRow{
				id: v.text(), environment: v.text(), tenant: v.text(), scope: v.text(), key: v.text(), version: v.number(), sealed: v.text(),
			})
			return nil
		})
		if more {
			next = cursor("reseal", list[limit-1].id)
		}
		return err
	})
	return list, next, err
}

// reseal adds one credential to an operation, or to those that stay closed.
func (s *Store) reseal(op *operation, r *Reseal, first *sealingKey, c resealRow) {
	bound := binding{c.id, c.environment, c.scope}
	sealed, err := hex.DecodeString(c.sealed)
	secret, opened := "", false
	if key := s.keys.find(c.key); err == nil && key != nil {
		secret, opened = key.open(bound, sealed)
	}
	if !opened {
		r.Unopened = append(r.Unopened, UnopenedCredential{storedID(c.id), storedID(c.tenant), storedID(c.environment), c.key})
		return
	}
	op.add(workCredentialExpect, []any{c.id, c.version})
	op.add(workCredentialReseal, []any{c.id, strings.ToUpper(hex.EncodeToString(first.seal(bound, secret))), first.id})
	op.audit("database_credential.reseal", c.tenant, c.environment, c.id, detail{
		Before: map[string]any{"keyId": c.key}, After: map[string]any{"keyId": first.id}, Version: c.version + 1,
	})
	r.Resealed++
}

// SecretKeyUses returns the keys that are configured, and those that are in use (of these at most 1000), by their ids.
// Errors: [ErrUnavailable].
func (s *Store) SecretKeyUses(ctx context.Context) ([]SecretKeyUse, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	return s.secretKeyUses(ctx)
}

func (s *Store) secretKeyUses(ctx context.Context) ([]SecretKeyUse, error) {
	var list []SecretKeyUse
	seen := map[string]bool{}
	err := s.query(ctx, func(rows *sql.Rows) error {
		var k SecretKeyUse
		if err := rows.Scan(&k.ID, &k.Credentials); err != nil {
			return err
		}
		k.Configured, seen[k.ID] = s.keys.find(k.ID) != nil, true
		list = append(list, k)
		return nil
	}, selectKeyUse, int64(MaxPage))
	if err != nil {
		return nil, err
	}
	for _, id := range s.keys.IDs() {
		if !seen[id] {
			list = append(list, SecretKeyUse{ID: id, Configured: true})
		}
	}
	slices.SortFunc(list, func(a, b SecretKeyUse) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}
