package registry

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/sqld"
)

// backend makes fresh registries of one kind for the tests that hold for all of them.
type backend struct {
	name string
	// open returns options for a new, empty registry.
	open func(t testing.TB) Options
}

func backends() []backend {
	return []backend{
		{"file", func(t testing.TB) Options {
			return Options{URL: "file:" + filepath.Join(t.TempDir(), "registry.db")}
		}},
		{"http", func(t testing.TB) Options {
			s := sqld.Start(t, sqld.Options{})
			return Options{URL: s.URL(), AuthToken: s.Token(nil)}
		}},
		{"ws", func(t testing.TB) Options {
			s := sqld.Start(t, sqld.Options{})
			return Options{URL: s.WSURL(), AuthToken: s.Token(nil)}
		}},
	}
}

// onAll runs a test on a new, migrated registry of every kind.
func onAll(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			test(t, migrated(t, b.open(t)))
		})
	}
}

// tooLong is longer than any call takes that does not hang, also on a machine that has much else to do.
const tooLong = 20 * time.Second

// opened opens a store that is closed when the test ends. Its default timeout is a minute: on a busy machine, and with the
// race detector, more than the 5 s of the product may be needed for what tests do in great numbers.
func opened(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// migrated opens a store and migrates it.
func migrated(t testing.TB, o Options) *Store {
	t.Helper()
	s := opened(t, o)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// run executes plain SQL, as any client of the database could.
func run(t testing.TB, s *Store, statement string, args ...any) {
	t.Helper()
	if err := try(t, s, statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// try is like run and returns the error.
func try(t testing.TB, s *Store, statement string, args ...any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := s.write.ExecContext(ctx, statement, args...)
	return err
}

// one reads a single value by plain SQL.
func one[T any](t testing.TB, s *Store, query string, args ...any) (v T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := s.queryOn(ctx, s.write, func(rows *sql.Rows) error { return rows.Scan(&v) }, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// allText reads a column by plain SQL.
func allText(t testing.TB, s *Store, query string, args ...any) (list []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := s.queryOn(ctx, s.write, func(rows *sql.Rows) error {
		var text sql.NullString
		err := rows.Scan(&text)
		list = append(list, text.String)
		return err
	}, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return list
}
