package registry

import (
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/test/sqld"
)

// Promise: asked twice with the same key, one credential is made; the same key with another secret is refused; and the
// registry keeps nothing on which somebody without the key could try secrets.
func TestIdempotentCredential(t *testing.T) {
	t.Parallel()
	onAllWithKeys(t, func(t *testing.T, s *Store) {
		newTenant(t, s, "acme")
		create := func(secret string) (*DatabaseCredential, *Idempotency, error) {
			i := &Idempotency{Key: "once", RequestHash: hashOf("POST credentials")}
			c, err := s.CreateDatabaseCredential(t.Context(), operator, "acme", "", NewDatabaseCredential{Secret: secret, Idempotency: i})
			return c, i, err
		}
		var wg sync.WaitGroup
		ids, replayed := make([]uuid.UUID, 4), make([]bool, 4)
		for n := range ids {
			wg.Go(func() {
				c, i, err := create("hunter2")
				if err != nil {
					t.Error(err)
					return
				}
				ids[n], replayed[n] = c.ID, i.Replayed
			})
		}
		wg.Wait()
		made := 0
		for n := range ids {
			if ids[n] != ids[0] {
				t.Errorf("%v", ids)
			}
			if !replayed[n] {
				made++
			}
		}
		if made != 1 {
			t.Errorf("%d were made", made)
		}
		_, _, err := create("hunter3")
		wantRefusal(t, "another secret", err, CodeDuplicate, "idempotencyKey")
		hash := one[string](t, s, `SELECT request_hash FROM sys_idempotency`)
		for _, guess := range []string{hashOf("hunter2"), hashOf("POST credentials"), hashOf("POST credentialshunter2"), hex.EncodeToString(mac(nil, "request", hashOf("POST credentials"), "hunter2"))} {
			if hash == guess {
				t.Error("the secret can be tried on what is stored")
			}
		}
	})
}

// Promise: an operation about credentials is made as a whole or not at all, whichever of its parts is refused.
func TestCredentialOperationIsWhole(t *testing.T) {
	t.Parallel()
	onAllWithKeys(t, func(t *testing.T, s *Store) {
		newTenant(t, s, "acme")
		c := must(s.CreateDatabaseCredential(t.Context(), operator, "acme", "", NewDatabaseCredential{Secret: "secret"}))(t)
		e := must(s.GetEnvironment(t.Context(), "acme", ""))(t)
		state := func() string {
			return counts(t, s) + one[string](t, s, `SELECT (SELECT count(*) FROM sys_operation) || ' ' || (SELECT count(*) FROM sys_idempotency) || ' ' ||
 (SELECT group_concat(id || status || version) FROM sys_database_credential)`)
		}
		before := state()
		for what, spoil := range map[string]func(op *operation){
			"a stale credential":  func(op *operation) { op.add(workCredentialExpect, []any{c.ID.String(), int64(7)}) },
			"a stale environment": func(op *operation) { op.add(workEnvironmentExpect, []any{e.ID.String(), int64(7)}) },
			"a second active one": func(op *operation) {
				op.insertCredential(&DatabaseCredential{ID: NewID(), Scope: ScopeAdmin}, e.ID.String(), &s.keys.keys[0], "x")
			},
			"no such environment": func(op *operation) {
				op.insertCredential(&DatabaseCredential{ID: NewID(), Scope: ScopeReadOnly}, NewID().String(), &s.keys.keys[0], "x")
			},
			"what is not hex":           func(op *operation) { op.add(workCredentialReseal, []any{c.ID.String(), "xyz", "k"}) },
			"an empty secret":           func(op *operation) { op.add(workCredentialReseal, []any{c.ID.String(), "", "k"}) },
			"a status that is none":     func(op *operation) { op.add(workCredentialStatus, []any{c.ID.String(), "old", nil}) },
			"an audit row of no action": func(op *operation) { op.add(opAudit, []any{nil, nil, nil, nil, nil}) },
		} {
			op := new(operation)
			op.once(&Idempotency{Key: "k", RequestHash: hashOf("k")}, c.ID.String())
			op.add(workCredentialStatus, []any{c.ID.String(), string(CredentialRotating), nil})
			op.insertCredential(&DatabaseCredential{ID: NewID(), Scope: ScopeAdmin}, e.ID.String(), &s.keys.keys[0], "x")
			op.audit("database_credential.create", "", "", "x", detail{})
			spoil(op)
			if err := s.apply(t.Context(), operator, op); err == nil {
				t.Errorf("%s is taken", what)
			}
			if after := state(); after != before {
				t.Errorf("%s: half of it was made: %s, before %s", what, after, before)
			}
		}
	})
}

// Promise: a change of a credential whose answer is lost, once or every time, is made once; and a secret that was revealed
// is told of once.
func TestLostAnswerOfCredential(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			srv := sqld.Start(t, sqld.Options{})
			p := startDeafProxy(t, srv.Addr())
			s := migrated(t, Options{URL: scheme + "://" + p.addr, AuthToken: srv.Token(nil), Keys: testKeyring(t, testKey(t, "k1", 1)), Timeout: patience})
			newTenant(t, s, "acme")
			for i, lose := range []int64{1, applyAttempts} {
				ctx, scope := t.Context(), []CredentialScope{ScopeReadOnly, ScopeAdmin}[i]
				p.lose.Store(lose)
				c := must(s.CreateDatabaseCredential(ctx, operator, "acme", "", NewDatabaseCredential{Scope: scope, Secret: "one"}))(t)
				p.lose.Store(lose)
				next := must(s.RotateDatabaseCredential(ctx, operator, "acme", "", c.ID.String(), 1, "two", time.Time{}))(t)
				p.lose.Store(lose)
				if _, secret, err := s.RevealDatabaseCredential(ctx, operator, "acme", "", next.ID.String(), 1); err != nil || secret != "two" {
					t.Errorf("%d answers lost: %q %v", lose, secret, err)
				}
				p.lose.Store(lose)
				if c := must(s.RevokeDatabaseCredential(ctx, operator, "acme", "", c.ID.String(), 2))(t); c.Version != 3 {
					t.Errorf("%d answers lost: %+v", lose, c)
				}
				p.lose.Store(0)
				if n := one[int](t, s, `SELECT count(*) FROM sys_audit_log WHERE action LIKE 'database_credential.%'`); n != 4*(i+1) {
					t.Errorf("%d answers lost: %d rows in the audit log", lose, n)
				}
			}
			if p.lost.Load() != 4*(1+applyAttempts) {
				t.Errorf("%d answers were lost", p.lost.Load())
			}
			sound(t, s)
		})
	}
}

// Promise: of several who rotate one credential at once one does, and nobody else's secret is lost.
func TestRotateConcurrently(t *testing.T) {
	t.Parallel()
	onAllWithKeys(t, func(t *testing.T, s *Store) {
		newTenant(t, s, "acme")
		first := must(s.CreateDatabaseCredential(t.Context(), operator, "acme", "", NewDatabaseCredential{Secret: "s0"}))(t)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := map[string]uuid.UUID{}
		for n := range 6 {
			wg.Go(func() {
				secret := fmt.Sprintf("s%d", n+1)
				c, err := s.RotateDatabaseCredential(t.Context(), operator, "acme", "", first.ID.String(), 0, secret, time.Time{})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won[secret] = c.ID
				} else if Code(err) != CodeStateConflict {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d rotations of one credential", len(won))
		}
		for want, id := range won {
			if _, secret, err := s.RevealDatabaseCredential(t.Context(), operator, "acme", "", id.String(), 0); err != nil || secret != want {
				t.Errorf("%q, %v, want %q", secret, err, want)
			}
		}
		sound(t, s)
	})
}

// Promise: what belongs to an archived environment can be looked after still, as with API keys; and what belongs to one
// that is removed is gone, as is all of a tenant.
func TestCredentialsOfArchived(t *testing.T) {
	t.Parallel()
	s := sealing(t, backends()[0])
	ctx := t.Context()
	newTenant(t, s, "acme")
	must(s.TransitionEnvironment(ctx, operator, "acme", "dev", 0, Transition{Action: ActionArchive}))(t)
	must(s.CreateAPIKey(ctx, operator, "acme", "dev", NewAPIKey{Name: "k", KeySecret: KeySecret{Hash: hashOf("k")}}))(t)
	c := must(s.CreateDatabaseCredential(ctx, operator, "acme", "dev", NewDatabaseCredential{Secret: "secret"}))(t)
	must(s.RotateDatabaseCredential(ctx, operator, "acme", "dev", c.ID.String(), 0, "next", time.Time{}))(t)
	must(s.CreateDatabaseCredential(ctx, operator, "acme", "production", NewDatabaseCredential{Secret: "secret"}))(t)
	left := func(want int, err error) {
		t.Helper()
		if n := one[int](t, s, `SELECT count(*) FROM sys_database_credential`); err != nil || n != want {
			t.Errorf("%d credentials are left, want %d: %v", n, want, err)
		}
	}
	left(3, nil)
	left(1, s.DestroyEnvironment(ctx, operator, "acme", "dev", 0, ""))
	must(s.TransitionTenant(ctx, operator, "acme", 0, Transition{Action: ActionArchive}))(t)
	left(0, s.DestroyTenant(ctx, operator, "acme", 0, "acme"))
	sound(t, s)
}
