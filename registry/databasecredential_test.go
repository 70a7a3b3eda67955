package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// onAllWithKeys is onAll for a registry that can seal.
func onAllWithKeys(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			test(t, sealing(t, b))
		})
	}
}

// sealing opens a new registry that can seal, and waits for it as long as a busy machine needs.
func sealing(t testing.TB, b backend) *Store {
	t.Helper()
	o := b.open(t)
	o.Keys, o.Timeout = testKeyring(t, testKey(t, "k1", 1)), patience
	return migrated(t, o)
}

// patience is for tests that are not about time.
const patience = time.Minute

// with is another store on a file, with other keys.
func with(t testing.TB, s *Store, keys ...SecretKey) *Store {
	t.Helper()
	o := Options{URL: "file:" + s.target.file, Timeout: patience}
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
	s := sealing(t, backends()[0])
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
	s := sealing(t, backends()[0])
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
