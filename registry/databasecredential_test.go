package registry

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/test/sqld"
)

// onAllWithKeys is onAll for a registry that can seal.
func onAllWithKeys(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			o := b.open(t)
			o.Keys = testKeyring(t, testKey(t, "k1", 1))
			test(t, migrated(t, o))
		})
	}
}

// with is another store on a file, with other keys.
func with(t testing.TB, s *Store, keys ...SecretKey) *Store {
	t.Helper()
	o := Options{URL: "file:" + s.target.file}
	if len(keys) > 0 {
		o.Keys = testKeyring(t, keys...)
	}
	return migrated(t, o)
}

// Promise: a credential goes from creation by rotation to its end, each step with its row in the audit log and the change
// log; its secret opens until it is revoked, and no list, audit row, operation or column shows it, sealed or not.
func TestDatabaseCredentials(t *testing.T) {
	t.Parallel()
	onAllWithKeys(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		now := time.Now().UTC().Truncate(time.Millisecond)
		s.now = func() time.Time { return now }
		newTenant(t, s, "acme")
		ask := func(id uuid.UUID) string {
			t.Helper()
			_, secret, err := s.RevealDatabaseCredential(ctx, operator, "acme", "dev", id.String(), 0)
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
		first := must(s.CreateDatabaseCredential(ctx, operator, "acme", "dev", NewDatabaseCredential{Secret: "secret-one", ExpiresAt: now.Add(time.Hour)}))(t)
		if first.Version != 1 || first.Scope != ScopeReadWrite || first.Status != CredentialActive || first.KeyID != "k1" || first.RotatedFrom != uuid.Nil ||
			!first.ExpiresAt.Equal(now.Add(time.Hour)) || !first.RevokedAt.IsZero() {
			t.Errorf("got %+v", first)
		}
		if got := ask(first.ID); got != "secret-one" {
			t.Errorf("revealed %q", got)
		}
		_, err := s.CreateDatabaseCredential(ctx, operator, "acme", "dev", NewDatabaseCredential{Secret: "secret-other"})
		wantRefusal(t, "a second one of the scope", err, CodeDuplicate, "scope")
		reader := must(s.CreateDatabaseCredential(ctx, operator, "acme", "dev", NewDatabaseCredential{Scope: ScopeReadOnly, Secret: "secret-reader"}))(t)

		before := must(s.Changes(ctx, 0, 0))(t)
		second := must(s.RotateDatabaseCredential(ctx, operator, "acme", "dev", first.ID.String(), 1, "secret-two", time.Time{}))(t)
		if second.ID == first.ID || second.RotatedFrom != first.ID || second.Status != CredentialActive || second.Scope != first.Scope || !second.ExpiresAt.IsZero() {
			t.Errorf("got %+v", second)
		}
		if list := must(s.Changes(ctx, before.Newest, 0))(t).List; len(list) != 2 || list[0].Entity != "database_credential" || list[0].Key != first.ID.String() || list[1].Key != second.ID.String() {
			t.Errorf("the change log has %+v", list)
		}
		if old := must(s.GetDatabaseCredential(ctx, "acme", "dev", first.ID.String()))(t); old.Status != CredentialRotating || old.Version != 2 || !old.ExpiresAt.Equal(first.ExpiresAt) {
			t.Errorf("got %+v", old)
		}
		if ask(first.ID) != "secret-one" || ask(second.ID) != "secret-two" {
			t.Error("during a rotation both open")
		}
		for what, refused := range map[string]struct {
			id      uuid.UUID
			version int64
			code    string
		}{
			"what is rotating":                  {first.ID, 0, CodeStateConflict},
			"while the one before is rotating":  {second.ID, 0, CodeStateConflict},
			"a version that is no more":         {second.ID, 7, CodeVersionConflict},
			"a credential that was never there": {uuid.New(), 0, CodeNotFound},
		} {
			rows := counts(t, s)
			_, err := s.RotateDatabaseCredential(ctx, operator, "acme", "dev", refused.id.String(), refused.version, "secret-three", time.Time{})
			if wantRefusal(t, "rotate "+what, err, refused.code, ""); counts(t, s) != rows {
				t.Errorf("%s: something was written", what)
			}
		}
		_, err = s.RotateDatabaseCredential(ctx, operator, "acme", "dev", second.ID.String(), 0, "", time.Time{})
		wantRefusal(t, "rotate to nothing", err, CodeInvalid, "secret")

		_, err = s.RevokeDatabaseCredential(ctx, operator, "acme", "dev", first.ID.String(), 1)
		wantRefusal(t, "revoke a stale version", err, CodeVersionConflict, "")
		revoked := must(s.RevokeDatabaseCredential(ctx, operator, "acme", "dev", first.ID.String(), 2))(t)
		if revoked.Status != CredentialRevoked || revoked.Version != 3 || !revoked.RevokedAt.Equal(now) || revoked.KeyID != "" {
			t.Errorf("got %+v", revoked)
		}
		if n := one[int](t, s, `SELECT length(ciphertext) FROM sys_database_credential WHERE id = ?1`, first.ID.String()); n != 0 {
			t.Errorf("%d bytes are left of the secret", n)
		}
		rows := counts(t, s)
		if again := must(s.RevokeDatabaseCredential(ctx, operator, "acme", "dev", first.ID.String(), 0))(t); again.Version != 3 || counts(t, s) != rows {
			t.Error("revoking it again wrote something")
		}
		_, _, err = s.RevealDatabaseCredential(ctx, operator, "acme", "dev", first.ID.String(), 0)
		wantRefusal(t, "reveal what is revoked", err, CodeStateConflict, "")
		_, err = s.RotateDatabaseCredential(ctx, operator, "acme", "dev", first.ID.String(), 0, "secret-three", time.Time{})
		wantRefusal(t, "rotate what is revoked", err, CodeStateConflict, "")
		third := must(s.RotateDatabaseCredential(ctx, operator, "acme", "dev", second.ID.String(), 1, "secret-three", now.Add(time.Minute)))(t)
		if ask(third.ID) != "secret-three" || third.RotatedFrom != second.ID {
			t.Errorf("got %+v", third)
		}
		for what, err := range map[string]error{
			"of another environment": errOf(s.RevealDatabaseCredential(ctx, operator, "acme", "production", third.ID.String(), 0)),
			"of a stale version":     errOf(s.RevealDatabaseCredential(ctx, operator, "acme", "dev", third.ID.String(), 9)),
			"of no id":               errOf(s.RevealDatabaseCredential(ctx, operator, "acme", "dev", "x", 0)),
		} {
			code := CodeNotFound
			if what == "of a stale version" {
				code = CodeVersionConflict
			}
			wantRefusal(t, "reveal "+what, err, code, "")
		}

		var list []*DatabaseCredential
		for page := (Page{Limit: 3}); ; {
			part, next, err := s.ListDatabaseCredentials(ctx, "acme", "dev", page)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, part...)
			if page.Cursor = next; next == "" {
				break
			}
		}
		if len(list) != 4 || list[0].ID != first.ID || list[1].ID != reader.ID || list[3].ID != third.ID {
			t.Errorf("got %s", mustJSON(list))
		}
		audit, _, err := s.ListAudit(ctx, AuditFilter{Action: "database_credential."})
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, e := range audit {
			actions = append(actions, strings.TrimPrefix(e.Action, "database_credential.")+" "+e.Subject[len(e.Subject)-4:]+" "+e.Actor)
		}
		line := func(action string, id uuid.UUID) string { return action + " " + id.String()[32:] + " " + operator.ID }
		if got, want := strings.Join(actions, ","), strings.Join([]string{
			line("reveal", third.ID), line("rotate", third.ID), line("revoke", first.ID), line("reveal", second.ID), line("reveal", first.ID),
			line("rotate", second.ID), line("create", reader.ID), line("reveal", first.ID), line("create", first.ID),
		}, ","); got != want {
			t.Errorf("the audit log has\n%s, want\n%s", got, want)
		}
		shown := mustJSON(list) + mustJSON(audit) + strings.Join(allText(t, s, `SELECT work FROM sys_operation`), "")
		for _, hidden := range append(allText(t, s, `SELECT hex(ciphertext) FROM sys_database_credential WHERE status <> 'revoked'`), "secret-") {
			if strings.Contains(shown, hidden) || strings.Contains(shown, strings.ToLower(hidden)) {
				t.Errorf("%s is shown", hidden)
			}
		}
		sound(t, s)
	})
}

func errOf[A, B any](_ A, _ B, err error) error { return err }

// Promise: what makes no credential is refused with its place, writes nothing, and no error repeats the secret.
func TestCreateDatabaseCredentialRefuses(t *testing.T) {
	t.Parallel()
	o := backends()[0].open(t)
	o.Keys = testKeyring(t, testKey(t, "k1", 1))
	s := migrated(t, o)
	newTenant(t, s, "acme")
	for what, test := range map[string]struct {
		n           NewDatabaseCredential
		code, field string
	}{
		"no secret":      {NewDatabaseCredential{}, CodeInvalid, "secret"},
		"long secret":    {NewDatabaseCredential{Secret: strings.Repeat("private", MaxSecret/7+1)}, CodeTooLong, "secret"},
		"NUL":            {NewDatabaseCredential{Secret: "private\x00"}, CodeInvalid, "secret"},
		"no UTF-8":       {NewDatabaseCredential{Secret: "private\xff"}, CodeInvalid, "secret"},
		"half character": {NewDatabaseCredential{Secret: "private\ufffd"}, CodeInvalid, "secret"},
		"scope":          {NewDatabaseCredential{Secret: "private", Scope: "all"}, CodeInvalid, "scope"},
		"expired":        {NewDatabaseCredential{Secret: "private", ExpiresAt: time.Now().Add(-time.Second)}, CodeInvalid, "expiresAt"},
		"key of request": {NewDatabaseCredential{Secret: "private", Idempotency: &Idempotency{Key: "k", RequestHash: "x"}}, CodeInvalid, "idempotencyKey"},
	} {
		before := counts(t, s)
		_, err := s.CreateDatabaseCredential(t.Context(), operator, "acme", "", test.n)
		if wantRefusal(t, what, err, test.code, test.field); counts(t, s) != before {
			t.Errorf("%s: something was written", what)
		}
		if err != nil && strings.Contains(err.Error(), "private") {
			t.Errorf("%s: the error shows the secret: %v", what, err)
		}
	}
	must(s.CreateDatabaseCredential(t.Context(), operator, "acme", "", NewDatabaseCredential{Secret: strings.Repeat("s", MaxSecret)}))(t)
}

// Promise: without a key, or without the one that sealed, everything works but to create, rotate and reveal; these say what
// to configure.
func TestWithoutKeys(t *testing.T) {
	t.Parallel()
	o := backends()[0].open(t)
	o.Keys = testKeyring(t, testKey(t, "k1", 1))
	s := migrated(t, o)
	newTenant(t, s, "acme")
	ctx := t.Context()
	c := must(s.CreateDatabaseCredential(ctx, operator, "acme", "", NewDatabaseCredential{Secret: "secret"}))(t)
	id := c.ID.String()
	none, other := with(t, s), with(t, s, testKey(t, "k2", 2))
	wrong := with(t, s, testKey(t, "k1", 9))
	_, err := none.CreateDatabaseCredential(ctx, operator, "acme", "dev", NewDatabaseCredential{Secret: "secret"})
	for what, err := range map[string]error{
		"create": err,
		"rotate": func() error {
			_, err := none.RotateDatabaseCredential(ctx, operator, "acme", "", id, 0, "secret", time.Time{})
			return err
		}(),
		"reveal": errOf(none.RevealDatabaseCredential(ctx, operator, "acme", "", id, 0)),
		"reseal": func() error { _, err := none.ResealDatabaseCredentials(ctx, operator, Page{}); return err }(),
	} {
		if wantRefusal(t, what, err, CodeStateConflict, ""); err == nil || !strings.Contains(err.Error(), "secrets { key ID KEY }") || !strings.Contains(err.Error(), "TENANT_SECRET_KEYS") {
			t.Errorf("%s: %v", what, err)
		}
	}
	err = errOf(other.RevealDatabaseCredential(ctx, operator, "acme", "", id, 0))
	if wantRefusal(t, "another key", err, CodeStateConflict, ""); err == nil || !strings.Contains(err.Error(), `sealed with the key "k1", which is not configured: there is k2`) {
		t.Error(err)
	}
	err = errOf(wrong.RevealDatabaseCredential(ctx, operator, "acme", "", id, 0))
	if wantRefusal(t, "another key of that name", err, CodeStateConflict, ""); err == nil || !strings.Contains(err.Error(), "does not open with the key k1") {
		t.Error(err)
	}
	if n := one[int](t, s, `SELECT count(*) FROM sys_audit_log WHERE action = 'database_credential.reveal'`); n != 0 {
		t.Errorf("%d rows tell of secrets that were not revealed", n)
	}
	list, _, err := none.ListDatabaseCredentials(ctx, "acme", "", Page{})
	if err != nil || len(list) != 1 || list[0].KeyID != "k1" {
		t.Errorf("%v %v", list, err)
	}
	must(none.GetDatabaseCredential(ctx, "acme", "", id))(t)
	must(none.RevokeDatabaseCredential(ctx, operator, "acme", "", id, 0))(t)
}

// Promise: what is stored for one credential opens for no other one, whoever copies it there; and whoever revokes one
// destroys its secret.
func TestMovedSecret(t *testing.T) {
	t.Parallel()
	onAllWithKeys(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		newTenant(t, s, "acme")
		newTenant(t, s, "globex")
		mine := must(s.CreateDatabaseCredential(ctx, operator, "acme", "", NewDatabaseCredential{Secret: "mine"}))(t)
		theirs := must(s.CreateDatabaseCredential(ctx, operator, "globex", "", NewDatabaseCredential{Secret: "theirs"}))(t)
		globex := must(s.GetEnvironment(ctx, "globex", ""))(t)
		acme := must(s.GetEnvironment(ctx, "acme", ""))(t)
		closed := func(what, tenant string, id uuid.UUID) {
			t.Helper()
			_, secret, err := s.RevealDatabaseCredential(ctx, operator, tenant, "", id.String(), 0)
			if wantRefusal(t, what, err, CodeStateConflict, ""); secret != "" {
				t.Errorf("%s: it opens: %q", what, secret)
			}
		}
		was := one[string](t, s, `SELECT hex(ciphertext) FROM sys_database_credential WHERE id = ?1`, mine.ID.String())
		run(t, s, `UPDATE sys_database_credential SET ciphertext = (SELECT ciphertext FROM sys_database_credential WHERE id = ?1) WHERE id = ?2`, theirs.ID.String(), mine.ID.String())
		closed("another's secret", "acme", mine.ID)
		run(t, s, `UPDATE sys_database_credential SET ciphertext = unhex(?1) WHERE id = ?2`, was, mine.ID.String())
		run(t, s, `UPDATE sys_database_credential SET scope = 'admin' WHERE id = ?1`, mine.ID.String())
		closed("another scope", "acme", mine.ID)
		run(t, s, `UPDATE sys_database_credential SET environment_id = ?1 WHERE id = ?2`, globex.ID.String(), mine.ID.String())
		closed("another environment", "globex", mine.ID)
		run(t, s, `UPDATE sys_database_credential SET environment_id = ?1, scope = 'readwrite' WHERE id = ?2`, acme.ID.String(), mine.ID.String())
		if _, secret, err := s.RevealDatabaseCredential(ctx, operator, "acme", "", mine.ID.String(), 0); err != nil || secret != "mine" {
			t.Errorf("where it belongs it opens: %v", err)
		}

		run(t, s, `UPDATE sys_database_credential SET status = 'revoked' WHERE id = ?1`, mine.ID.String())
		if c := must(s.GetDatabaseCredential(ctx, "acme", "", mine.ID.String()))(t); c.RevokedAt.IsZero() || one[int](t, s, `SELECT length(ciphertext) FROM sys_database_credential WHERE id = ?1`, mine.ID.String()) != 0 {
			t.Errorf("revoked by plain SQL it keeps its secret: %+v", c)
		}
		for statement, want := range map[string]string{
			`UPDATE sys_database_credential SET status = 'active', ciphertext = x'01' WHERE id = '` + mine.ID.String() + `'`:                                                         "stays revoked",
			`UPDATE sys_database_credential SET ciphertext = x'' WHERE id = '` + theirs.ID.String() + `'`:                                                                            "not revoked holds a sealed secret",
			`INSERT INTO sys_database_credential (id, environment_id, scope, ciphertext, key_id) VALUES ('` + NewID().String() + `', '` + acme.ID.String() + `', 'admin', x'', 'k')`: "not revoked holds a sealed secret",
		} {
			if err := try(t, s, statement); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", statement, err, want)
			}
		}
		run(t, s, `INSERT INTO sys_database_credential (id, environment_id, status, ciphertext, key_id) VALUES (?1, ?2, 'revoked', x'01', 'k')`, NewID().String(), acme.ID.String())
		sound(t, s)
	})
}

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
			s := migrated(t, Options{URL: scheme + "://" + p.addr, AuthToken: srv.Token(nil), Keys: testKeyring(t, testKey(t, "k1", 1))})
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

// Promise: with another key in front all credentials are sealed anew, part by part; what does not open stays and is named,
// and so is every key that is in use.
func TestReseal(t *testing.T) {
	t.Parallel()
	onAllWithKeys(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		const tenants = 5
		secrets := map[string]string{} // by tenant
		ids := map[string]uuid.UUID{}
		for n := range tenants {
			slug := fmt.Sprintf("t%d", n)
			newTenant(t, s, slug)
			secrets[slug] = "secret of " + slug
			ids[slug] = must(s.CreateDatabaseCredential(ctx, operator, slug, "", NewDatabaseCredential{Secret: secrets[slug]}))(t).ID
		}
		gone := must(s.CreateDatabaseCredential(ctx, operator, "t0", "", NewDatabaseCredential{Scope: ScopeAdmin, Secret: "gone"}))(t)
		must(s.RevokeDatabaseCredential(ctx, operator, "t0", "", gone.ID.String(), 0))(t)
		lost := must(s.CreateDatabaseCredential(ctx, operator, "t1", "", NewDatabaseCredential{Scope: ScopeAdmin, Secret: "lost"}))(t)
		run(t, s, `UPDATE sys_database_credential SET key_id = 'k0' WHERE id = ?1`, lost.ID.String())

		s.keys = testKeyring(t, testKey(t, "k2", 2), testKey(t, "k1", 1))
		var resealed, calls int
		var last *Reseal
		var unopened []UnopenedCredential
		for p := (Page{Limit: 2}); ; p.Cursor = last.Next {
			last = must(s.ResealDatabaseCredentials(ctx, operator, p))(t)
			resealed += last.Resealed
			unopened = append(unopened, last.Unopened...)
			if calls++; last.KeyID != "k2" || len(last.Unopened)+last.Resealed > 2 || last.Next != "" && last.Keys != nil {
				t.Errorf("got %+v", last)
			}
			if last.Next == "" {
				break
			}
		}
		if resealed != tenants || calls != 3 || len(unopened) != 1 || unopened[0].ID != lost.ID || unopened[0].KeyID != "k0" ||
			unopened[0].Tenant != must(s.GetTenant(ctx, "t1"))(t).ID {
			t.Errorf("%d in %d calls, closed are %+v", resealed, calls, unopened)
		}
		if got := mustJSON(last.Keys); got != `[{"id":"k0","credentials":1,"configured":false},{"id":"k1","credentials":0,"configured":true},{"id":"k2","credentials":5,"configured":true}]` {
			t.Errorf("keys: %s", got)
		}
		s.keys = testKeyring(t, testKey(t, "k2", 2))
		for slug, want := range secrets {
			c, secret, err := s.RevealDatabaseCredential(ctx, operator, slug, "", ids[slug].String(), 2)
			if err != nil || secret != want || c.KeyID != "k2" {
				t.Errorf("%s: %q %v", slug, secret, err)
			}
		}
		rows := counts(t, s)
		if again := must(s.ResealDatabaseCredentials(ctx, operator, Page{}))(t); again.Resealed != 0 || counts(t, s) != rows {
			t.Errorf("a second time it wrote something: %+v", again)
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_audit_log WHERE action = 'database_credential.reseal' AND organization_id IS NOT NULL`); n != tenants {
			t.Errorf("%d rows in the audit log", n)
		}
		_, err := s.ResealDatabaseCredentials(ctx, operator, Page{Limit: -1})
		wantRefusal(t, "limit", err, CodeInvalid, "limit")
		_, err = s.ResealDatabaseCredentials(ctx, operator, Page{Cursor: "x"})
		wantRefusal(t, "cursor", err, CodeInvalid, "cursor")
		sound(t, s)
	})
}

// Promise: who asks for a secret while it is sealed anew gets it, with whichever key it is sealed at that moment.
func TestRevealWhileResealing(t *testing.T) {
	t.Parallel()
	one, two := testKey(t, "k1", 1), testKey(t, "k2", 2)
	o := backends()[0].open(t)
	o.Keys = testKeyring(t, one, two)
	s := migrated(t, o)
	newTenant(t, s, "acme")
	c := must(s.CreateDatabaseCredential(t.Context(), operator, "acme", "", NewDatabaseCredential{Secret: "secret"}))(t)
	stores := []*Store{with(t, s, two, one), s}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range 20 {
			if _, err := stores[n%2].ResealDatabaseCredentials(t.Context(), operator, Page{}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		if _, secret, err := s.RevealDatabaseCredential(t.Context(), operator, "acme", "", c.ID.String(), 0); err != nil || secret != "secret" {
			t.Errorf("%q %v", secret, err)
		}
	}
	wg.Wait()
	if version := must(s.GetDatabaseCredential(t.Context(), "acme", "", c.ID.String()))(t).Version; version != 21 {
		t.Errorf("version %d after 20 times", version)
	}
}

// Promise: secrets of the greatest length are resealed too, as many at once as there can be.
func TestResealLargest(t *testing.T) {
	t.Parallel()
	for _, b := range backends()[:2] {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			o := b.open(t)
			o.Keys = testKeyring(t, testKey(t, "k1", 1))
			s := migrated(t, o)
			newTenant(t, s, "acme")
			environment := must(s.GetEnvironment(t.Context(), "acme", ""))(t).ID.String()
			op := new(operation)
			for range MaxReseal {
				c := &DatabaseCredential{ID: NewID(), Scope: ScopeReadOnly}
				op.insertCredential(c, environment, &s.keys.keys[0], strings.Repeat("ü", MaxSecret/2))
			}
			run(t, s, `DROP INDEX sys_database_credential_active`)
			if err := s.apply(t.Context(), operator, op); err != nil {
				t.Fatal(err)
			}
			s.keys = testKeyring(t, testKey(t, "k2", 2), testKey(t, "k1", 1))
			n := 0
			for p := (Page{}); ; {
				r := must(s.ResealDatabaseCredentials(t.Context(), operator, p))(t)
				n += r.Resealed
				if p.Cursor = r.Next; r.Next == "" {
					break
				}
			}
			if n != MaxReseal {
				t.Errorf("%d were resealed", n)
			}
		})
	}
}

// Promise: the file of a registry, its export and what a gateway keeps of a tenant hold no secret, and what a gateway keeps
// holds no ciphertext either.
func TestSecretStaysSealed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.db")
	s := migrated(t, Options{URL: "file:" + path, Keys: testKeyring(t, testKey(t, "k1", 1))})
	newTenant(t, s, "acme")
	ctx := t.Context()
	const secret = "Very-Private-Passw0rd"
	c := must(s.CreateDatabaseCredential(ctx, operator, "acme", "", NewDatabaseCredential{Secret: secret, Idempotency: &Idempotency{Key: "k", RequestHash: hashOf("r")}}))(t)
	must(s.RotateDatabaseCredential(ctx, operator, "acme", "", c.ID.String(), 0, secret+"2", time.Time{}))(t)
	if _, _, err := s.RevealDatabaseCredential(ctx, operator, "acme", "", c.ID.String(), 0); err != nil {
		t.Fatal(err)
	}
	sealed := must(hex.DecodeString(one[string](t, s, `SELECT hex(ciphertext) FROM sys_database_credential WHERE id = ?1`, c.ID.String())))(t)
	var export bytes.Buffer
	if err := s.Export(ctx, &export); err != nil {
		t.Fatal(err)
	}
	resolved := mustJSON(must(s.Resolve(ctx, Reference{Kind: KindSlug, Key: "acme"}))(t))
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte(hex.EncodeToString([]byte(secret)))) {
			t.Errorf("the registry's file%s holds the secret", suffix)
		}
	}
	for name, text := range map[string]string{"export": export.String(), "what a gateway keeps": resolved} {
		if !strings.Contains(text, "acme") {
			t.Errorf("%s: %s", name, text)
		}
		for _, hidden := range []string{secret, string(sealed), hex.EncodeToString(sealed), strings.ToUpper(hex.EncodeToString(sealed)), mustJSON(sealed), c.ID.String()} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s holds %q", name, hidden)
			}
		}
	}
}

// Promise: what belongs to an archived environment can be looked after still, as with API keys; and what belongs to one
// that is removed is gone, as is all of a tenant.
func TestCredentialsOfArchived(t *testing.T) {
	t.Parallel()
	o := backends()[0].open(t)
	o.Keys = testKeyring(t, testKey(t, "k1", 1))
	s := migrated(t, o)
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

// Promise: a registry of an earlier version is brought up to date, and what was revoked there loses its secret.
func TestMigrateCredentials(t *testing.T) {
	t.Parallel()
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			s := opened(t, b.open(t))
			if s.target.file != "" {
				if err := s.createFile(); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range migrations()[:17] {
				if err := s.applyMigration(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			run(t, s, `INSERT INTO sys_organization (id, slug, name) VALUES (?1, 'acme', 'Acme')`, idAcme)
			run(t, s, `INSERT INTO sys_environment (id, organization_id, slug, name) VALUES (?1, ?2, 'production', 'P')`, idAcmeProd, idAcme)
			for id, status := range map[string]string{credentialID: "active", idAcmeDev: "revoked"} {
				run(t, s, `INSERT INTO sys_database_credential (id, environment_id, status, ciphertext, key_id) VALUES (?1, ?2, ?3, x'0102', 'k')`, id, idAcmeProd, status)
			}
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := one[int](t, s, `SELECT sum(length(ciphertext)) FROM sys_database_credential`); n != 2 {
				t.Errorf("%d bytes of secrets", n)
			}
			sound(t, s)
		})
	}
}
