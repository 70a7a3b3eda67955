package registry

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"
)

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// rowsFunc reads the rows of one answer.
type rowsFunc func(rows *sql.Rows) error

// query runs a read within the timeout and hands the rows to each, once for each row. A file keeps the statement
// prepared. Where a connection of a server broke, the read is done again on another, since after a server's restart
// all idle connections are broken.
func (s *Store) query(ctx context.Context, each rowsFunc, query string, args ...any) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	if s.target.file != "" {
		stmt, err := s.prepare(ctx, query) //nolint:sqlclosecheck // Store.Close does
		if err != nil {
			return s.classify(err)
		}
		rows, err := stmt.QueryContext(ctx, args...)
		return s.classify(readRows(rows, err, each))
	}
	err := s.queryOn(ctx, s.read, each, query, args...)
	if err != nil && ctx.Err() == nil && brokenPipe(err) {
		err = s.queryOn(ctx, s.read, each, query, args...)
	}
	return s.classify(err)
}

// queryOn runs a read on a pool or a transaction; its errors are not classified.
func (s *Store) queryOn(ctx context.Context, on querier, each rowsFunc, query string, args ...any) error {
	rows, err := on.QueryContext(ctx, query, args...)
	return readRows(rows, err, each)
}

func readRows(rows *sql.Rows, asked error, each rowsFunc) (err error) {
	if asked != nil {
		return asked
	}
	defer rows.Close()
	defer func() {
		p := recover()
		if failed, ok := p.(error); ok && errors.Is(failed, errShortRow) {
			err = nonsense(p)
		} else if p != nil {
			panic(p)
		}
	}()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// prepare returns the statement of a query, prepared once for the store's life. database/sql prepares it anew on each
// connection that it has not been on.
func (s *Store) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.Lock()
	stmt := s.prepared[query]
	s.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := s.read.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.prepared[query]; other != nil {
		_ = stmt.Close() //nolint:sqlclosecheck // somebody was faster
		return other, nil
	}
	s.prepared[query] = stmt
	return stmt, nil
}

// exec runs one write within the timeout.
func (s *Store) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return s.execOn(ctx, s.write, query, args...)
}

// execOn runs one write on a pool or a transaction.
func (s *Store) execOn(ctx context.Context, on querier, query string, args ...any) (sql.Result, error) {
	if on == querier(s.write) {
		if err := s.look(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	r, err := on.ExecContext(ctx, query, args...)
	return r, s.classify(err)
}

// transact runs f in one transaction that holds the write lock from its beginning. Each call within it has the timeout
// for itself. When f or the commit fails, nothing is written, unless only the answer to the commit was lost: whoever
// repeats it must look first.
func (s *Store) transact(ctx context.Context, f func(tx *sql.Tx) error) error {
	if err := s.look(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// BeginTx binds the whole transaction to its context, so the time for the beginning alone is taken apart.
	timer := time.AfterFunc(s.timeout, cancel)
	tx, err := s.write.BeginTx(ctx, nil)
	if !timer.Stop() {
		err = context.DeadlineExceeded
	}
	if err != nil {
		return s.classify(err) // a transaction that came too late ends with ctx
	}
	if err = f(tx); err == nil {
		if err = tx.Commit(); err == nil {
			return nil
		}
	}
	_ = tx.Rollback() // the first error is the one that tells
	return s.classify(err)
}

// brokenPipe reports whether a read failed for want of a working connection, rather than by its own fault.
func brokenPipe(err error) bool {
	if errors.Is(err, driver.ErrBadConn) {
		return true
	}
	return !answered(err.Error()) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}
