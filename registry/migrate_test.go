package registry

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// Promise: a new registry gets the whole schema and an identity; migrating again changes nothing.
func TestMigrate(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		if n := one[int](t, s, `SELECT count(*) FROM sys_migration`); n != len(migrations()) {
			t.Errorf("%d steps, want %d", n, len(migrations()))
		}
		id, err := uuid.Parse(one[string](t, s, `SELECT id FROM sys_registry`))
		if err != nil || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Errorf("identity %s: %v", id, err)
		}
		for _, table := range []string{
			"sys_organization", "sys_environment", "sys_environment_database", "sys_database_credential", "sys_environment_member",
			"sys_domain", "sys_api_key", "sys_session", "sys_plan", "sys_usage", "sys_change", "sys_audit_log",
		} {
			if n := one[int](t, s, `SELECT count(*) FROM `+table); n != 0 {
				t.Errorf("%s has %d rows", table, n)
			}
		}
		before := dump(t, s)
		if err := s.Migrate(t.Context()); err != nil || dump(t, s) != before {
			t.Errorf("the second time something was written, or %v", err)
		}
	})
}

// Promise: several gateways that start at once on an empty registry migrate it together, each step once.
func TestMigrateConcurrently(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			o := b.open(t)
			stores := make([]*Store, 8)
			for i := range stores {
				stores[i] = opened(t, o)
			}
			errs := make([]error, len(stores))
			var wg sync.WaitGroup
			for i, s := range stores {
				wg.Go(func() { errs[i] = s.Migrate(t.Context()) })
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if n := one[int](t, stores[0], `SELECT count(*) FROM sys_migration`); n != len(migrations()) {
				t.Errorf("%d steps, want %d", n, len(migrations()))
			}
			if n := one[int](t, stores[0], `SELECT count(*) FROM sys_registry`); n != 1 {
				t.Errorf("%d identities", n)
			}
		})
	}
}

// Promise: a step that fails leaves nothing of itself behind, and can be done again.
func TestMigrateAllOrNothing(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		next := migration{version: len(migrations()) + 1, name: "9999_test", statements: []string{
			`CREATE TABLE sys_test (x INTEGER)`, `INSERT INTO sys_test VALUES (1)`, `INSERT INTO sys_none VALUES (1)`,
		}}
		if err := s.applyMigration(t.Context(), next); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		if n := one[int](t, s, `SELECT count(*) FROM sqlite_master WHERE name = 'sys_test'`); n != 0 {
			t.Error("half a step was left behind")
		}
		next.statements = next.statements[:2]
		for range 2 { // the second time it is done already
			if err := s.applyMigration(t.Context(), next); err != nil {
				t.Fatal(err)
			}
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_test`); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

// Promise: a registry that a newer Tenantgate has migrated is refused, with what to do.
func TestMigrateTooNew(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			o := b.open(t)
			run(t, migrated(t, o), `INSERT INTO sys_migration (version, name, applied_at) VALUES (9999, 'future', '2030-01-01T00:00:00Z')`)
			s := opened(t, o)
			err := s.Migrate(t.Context())
			if !errors.Is(err, ErrSchemaTooNew) || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "9999") {
				t.Error(err)
			}
			if _, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
		})
	}
}

// Promise: before a successful Migrate nothing is answered, and never "unknown".
func TestNotMigrated(t *testing.T) {
	s := opened(t, Options{URL: "file:" + filepath.Join(t.TempDir(), "registry.db")})
	ctx := t.Context()
	_, err1 := s.Resolve(ctx, Reference{Kind: KindSlug, Key: "acme"})
	_, err2 := s.Changes(ctx, 0, 1)
	_, err3 := s.Import(ctx, strings.NewReader(designDocument), ImportOptions{})
	for _, err := range []error{err1, err2, err3, s.Export(ctx, nil)} {
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
}

// Promise: a new registry file is for its owner only.
func TestFileMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	migrated(t, Options{URL: "file:" + path})
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path+suffix, info.Mode(), err)
		}
	}
}

// Promise: migration files are cut into statements without losing any, triggers in one piece.
func TestSplitStatements(t *testing.T) {
	got := splitStatements("-- about;\n\nCREATE TABLE a (\n  -- inside;\n  x TEXT DEFAULT ';x'\n);\nCREATE TRIGGER b AFTER INSERT ON a\nBEGIN\n  DELETE FROM a;\n  DELETE FROM b;\nEND;\nSELECT 1;\n")
	want := []string{"CREATE TABLE a (\n  -- inside;\n  x TEXT DEFAULT ';x'\n)", "CREATE TRIGGER b AFTER INSERT ON a\nBEGIN\n  DELETE FROM a;\n  DELETE FROM b;\nEND", "SELECT 1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
