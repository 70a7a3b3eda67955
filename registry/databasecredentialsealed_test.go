package registry

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

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

// Promise: the file of a registry, its export and what a gateway keeps of a tenant hold no secret, and what a gateway keeps
// holds no ciphertext either.
func TestSecretStaysSealed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.db")
	s := migrated(t, Options{URL: "file:" + path, Keys: testKeyring(t, testKey(t, "k1", 1)), Timeout: patience})
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

// Promise: a registry of an earlier version is brought up to date, and what was revoked there loses its secret.
func TestMigrateCredentials(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.db")
	s := opened(t, Options{URL: "file:" + path, Timeout: patience})
	if err := s.createFile(); err != nil {
		t.Fatal(err)
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
}
