package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	createMigrationTable = `CREATE TABLE IF NOT EXISTS sys_migration (
  version    INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  applied_at TEXT NOT NULL
) STRICT`
	selectSchemaVersion = `SELECT coalesce(max(version), 0) FROM sys_migration`
	insertMigration     = `INSERT INTO sys_migration (version, name, applied_at) VALUES (?1, ?2, ?3)`
)

// lockAttempts is how often a migration is tried when other writers are in the way.
const lockAttempts = 10

// Migrate creates the schema or brings it up to date, and makes the other methods usable. On a registry that is up to
// date it only reads. Several gateways may call it at once. Its errors wrap [ErrUnavailable], and [ErrUnauthorized] or
// [ErrSchemaTooNew] where that is why.
func (s *Store) Migrate(ctx context.Context) error {
	if s.target.file != "" && !s.ready.Load() { // later a file that is gone is a fault
		if err := s.createFile(); err != nil {
			return err
		}
	}
	for attempt := 1; ; {
		version, err := s.schemaVersion(ctx)
		if err != nil {
			return err
		}
		steps := migrations()
		switch {
		case version > len(steps):
			return s.unavailable(fmt.Sprintf("its schema has version %d, this binary knows %d: use the Tenantgate that made it, or a newer one",
				version, len(steps)), ErrSchemaTooNew)
		case version == len(steps):
			s.ready.Store(true)
			return nil
		}
		err = s.applyMigration(ctx, steps[version])
		switch {
		case err == nil:
			s.log.Info("registry schema updated", "registry", s.target.shown, "step", steps[version].name)
		case errors.Is(err, errLock) && attempt < lockAttempts:
			attempt++
			if err := pause(ctx, time.Duration(attempt)*50*time.Millisecond); err != nil {
				return s.classify(err)
			}
		default:
			var constraint *constraintError
			if errors.As(err, &constraint) {
				err = s.unavailable("it refused step " + steps[version].name + " of the schema: " + constraint.text)
			}
			return err
		}
	}
}

// createFile makes a new registry readable for its owner alone: it will hold sealed credentials and key hashes.
func (s *Store) createFile() error {
	f, err := os.OpenFile(s.target.file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return s.unavailable("the file cannot be opened: check that its directory exists and may be written to by this user (" + lastPart(err.Error()) + ")")
	}
	return f.Close()
}

// schemaVersion returns the number of steps that were applied.
func (s *Store) schemaVersion(ctx context.Context) (version int, err error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	read := func() error {
		return s.queryOn(ctx, s.write, func(rows *sql.Rows) error { return rows.Scan(&version) }, selectSchemaVersion)
	}
	err = read()
	if err != nil && ctx.Err() == nil && brokenPipe(err) {
		err = read()
	}
	if err = s.classify(err); errors.Is(err, errNoSchema) {
		return 0, nil
	}
	return version, err
}

// applyMigration applies one step in one transaction, unless somebody else has done so in the meantime.
func (s *Store) applyMigration(ctx context.Context, m migration) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		if _, err := s.execOn(ctx, tx, createMigrationTable); err != nil {
			return err
		}
		var version int
		err := s.queryOn(ctx, tx, func(rows *sql.Rows) error { return rows.Scan(&version) }, selectSchemaVersion)
		if err != nil || version >= m.version {
			return err
		}
		for _, statement := range m.statements {
			if _, err := s.execOn(ctx, tx, statement); err != nil {
				return err
			}
		}
		_, err = s.execOn(ctx, tx, insertMigration, m.version, m.name, formatTime(s.now()))
		return err
	})
}

// pause waits, or returns the context's error when that ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// formatTime writes a time as the registry stores it: RFC 3339 in UTC, with milliseconds like strftime's %f.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// parseTime reads a stored time.
func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("a stored time is none: " + text)
	}
	return t.UTC(), nil
}
