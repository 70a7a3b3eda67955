package registry

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strconv"
)

const (
	// importCache is the page cache of the connection that imports, in KiB: with the usual 2 MB, the indexes of a large
	// import would be written to the log many times over.
	importCache = 256 << 10
	// truncateAfter is from how many written records on the write-ahead log is emptied after an import.
	truncateAfter = 50_000
)

const (
	insertImport      = `INSERT INTO sys_import (id, actor, quiet) VALUES (?1, ?2, ?3)`
	insertImportChunk = `INSERT OR REPLACE INTO sys_import_chunk (import_id, kind, seq, records) VALUES (?1, ?2, ?3, ?4)`
	applyImport       = `UPDATE sys_import SET applied = applied + 1 WHERE id = ?1 AND applied = ?2`
	deleteChunks      = `DELETE FROM sys_import_chunk WHERE import_id = ?1`
	deleteImport      = `DELETE FROM sys_import WHERE id = ?1`
)

// fileWriter writes an import into a file: in one transaction, batch by batch as they come. Readers go on meanwhile.
type fileWriter struct {
	s       *Store
	actor   string
	conn    *sql.Conn
	tx      *sql.Tx
	id      string
	applied int64
	count   int
	quiet   bool
}

func (w *fileWriter) begin(ctx context.Context) (reader, error) {
	var err error
	if w.conn, err = w.s.write.Conn(ctx); err != nil {
		return nil, w.s.classify(err)
	}
	if err = w.exec(ctx, w.conn, "PRAGMA cache_size = -"+strconv.Itoa(importCache)); err != nil {
		return nil, err
	}
	if w.tx, err = w.conn.BeginTx(ctx, nil); err != nil {
		return nil, w.s.classify(err)
	}
	w.id = NewID().String()
	if err := w.exec(ctx, w.tx, insertImport, w.id, w.actor, 0); err != nil {
		return nil, err
	}
	return func(ctx context.Context, each rowsFunc, query string, args ...any) error {
		ctx, cancel := w.s.call(ctx)
		defer cancel()
		return w.s.classify(w.s.queryOn(ctx, w.tx, each, query, args...))
	}, nil
}

func (w *fileWriter) exec(ctx context.Context, on querier, query string, args ...any) error {
	_, err := w.s.execOn(ctx, on, query, args...)
	return err
}

func (w *fileWriter) add(ctx context.Context, ops *operations) error {
	w.count += ops.count
	if w.count >= w.s.quietAfter && !w.quiet {
		w.quiet = true
		if err := w.exec(ctx, w.tx, `INSERT INTO sys_guard (flag) VALUES ('quiet')`); err != nil {
			return err
		}
	}
	seq := 0
	err := ops.chunks(func(kind, records string) error {
		seq++
		return w.exec(ctx, w.tx, insertImportChunk, w.id, kind, seq, records)
	})
	if err != nil {
		return err
	}
	if err := w.exec(ctx, w.tx, applyImport, w.id, w.applied); err != nil {
		return err
	}
	w.applied++
	return w.exec(ctx, w.tx, deleteChunks, w.id)
}

func (w *fileWriter) commit(ctx context.Context) error {
	if w.quiet {
		for _, statement := range []string{`DELETE FROM sys_guard WHERE flag = 'quiet'`, `INSERT INTO sys_change (entity) VALUES ('registry')`} {
			if err := w.exec(ctx, w.tx, statement); err != nil {
				return err
			}
		}
	}
	if err := w.exec(ctx, w.tx, deleteImport, w.id); err != nil {
		return err
	}
	if err := w.tx.Commit(); err != nil {
		return w.s.classify(err)
	}
	if w.count >= truncateAfter {
		// The log has grown to the size of the import. Should a reader be in the way, it is emptied later.
		_, _ = w.conn.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	return nil
}

func (w *fileWriter) abort() {
	if w.tx != nil {
		_ = w.tx.Rollback() // after a commit it does nothing
	}
	if w.conn == nil {
		return
	}
	// ErrBadConn closes the connection, with its large cache, instead of giving it back to the pool.
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.conn.Close()
}
