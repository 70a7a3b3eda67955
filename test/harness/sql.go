package harness

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/tursodatabase/libsql-client-go/libsql"

	_ "modernc.org/sqlite" // what libsql-client-go opens files with
)

// OpenSQL opens a registry as anybody with an SQL client would, past all of our own code. It closes with the test.
func OpenSQL(t testing.TB, url, token string) *sql.DB {
	t.Helper()
	var options []libsql.Option
	if token != "" {
		options = append(options, libsql.WithAuthToken(token))
	}
	if strings.HasPrefix(url, "file:") {
		url += "?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_txlock=immediate"
	}
	connector, err := libsql.NewConnector(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(4)
	// sqld forgets a stream that was idle for 10 s.
	db.SetMaxIdleConns(0)
	t.Cleanup(func() { db.Close() })
	return db
}

// Exec runs one statement and fails the test when it does not change exactly one row.
func Exec(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	result, err := db.ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%s: %d rows, want 1 (%v)", query, n, err)
	}
}
