package registry

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tursodatabase/libsql-client-go/libsql"
)

// maxDials bounds the WebSocket dials that go on after their caller has given up: the driver gives one up only after
// two minutes.
const maxDials = 16

// streamIdle is how long a stream over HTTP may be unused and still be taken up again. sqld forgets one after 10 s. A new
// stream is a new SQLite connection there, which first reads the whole schema: that takes longer than the query.
const streamIdle = 5 * time.Second

var (
	// errDials is returned without dialling.
	errDials = errors.New("it has not answered earlier attempts to connect")
	// errBroken is returned without asking the server. What it did with an earlier statement of a transaction is unknown,
	// or it has taken the transaction away: then further ones would take effect each by itself.
	errBroken = errors.New("an earlier statement of the transaction failed")
)

// connector opens connections to a server and puts a guard around each: see conn.
type connector struct {
	base    driver.Connector
	timeout time.Duration
	dials   atomic.Int32 // that nobody waits for any more
}

func newConnector(url, token string, timeout time.Duration) (*connector, error) {
	var options []libsql.Option
	if token != "" {
		options = append(options, libsql.WithAuthToken(token))
	}
	base, err := libsql.NewConnector(url, options...)
	if err != nil {
		return nil, err
	}
	return &connector{base: base, timeout: timeout}, nil
}

// Connect opens a connection; it returns when ctx ends, whatever the driver does.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.dials.Load() >= maxDials {
		return nil, errDials
	}
	type result struct {
		conn driver.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil { // the driver trusts what the server says
				r.err = nonsense(p)
			}
			done <- r
		}()
		r.conn, r.err = c.base.Connect(ctx)
	}()
	wait, cancel := context.WithTimeout(ctx, c.timeout) // database/sql opens some connections without a deadline
	defer cancel()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, r.err
		}
		return &conn{base: r.conn.(baseConn), timeout: c.timeout}, nil
	case <-wait.Done():
		c.dials.Add(1)
		go func() {
			if r := <-done; r.err == nil {
				_ = r.conn.Close() // nobody waits for it
			}
			c.dials.Add(-1)
		}()
		return nil, wait.Err()
	}
}

// Driver returns the driver below.
func (c *connector) Driver() driver.Driver { return c.base.Driver() }

// baseConn is what the driver's connections to a server can do.
type baseConn interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
}

// conn is a connection to a server. It adds to the driver's what a gateway needs:
//
//   - COMMIT and ROLLBACK end with their transaction's context or after the timeout, where the driver would wait for
//     ever for a server that hangs;
//   - a write whose answer is lost is an error, where the driver over WebSocket lets database/sql do it again;
//   - a connection that failed in any other way than by an SQL error is used no more;
//   - a stream over HTTP serves many statements, where the driver opens another one for each;
//   - an answer that makes no sense is an error, where the driver panics.
type conn struct {
	base    baseConn
	timeout time.Duration
	broken  bool
	used    time.Time // last
	kept    bool      // the stream was opened for an earlier statement, and no transaction is open in it
}

// lostError says that it is unknown whether the server did what it was asked.
type lostError struct{ cause error }

func (e *lostError) Error() string { return e.cause.Error() }

// Unwrap keeps driver.ErrBadConn out of the chain, for which database/sql would repeat the statement.
func (e *lostError) Unwrap() error {
	if errors.Is(e.cause, driver.ErrBadConn) {
		return nil
	}
	return e.cause
}

// guard notes whether the connection can still be used after a call that ended with *err or with a panic.
func (c *conn) guard(ctx context.Context, err *error) {
	if p := recover(); p != nil {
		c.broken = true
		*err = nonsense(p)
		return
	}
	if *err == nil {
		c.used = time.Now()
		return
	}
	if cause := ctx.Err(); cause != nil { // the driver's text would be about a closed connection
		c.broken = true
		*err = cause
		return
	}
	if text := (*err).Error(); answered(text) {
		return
	}
	c.broken = true
	if c.kept && staleStream((*err).Error()) {
		*err = driver.ErrBadConn // nothing was done: database/sql tries another connection
	}
}

// staleStream reports whether an error says that the server does not know the stream, so that it has not done anything.
func staleStream(text string) bool {
	return strings.Contains(text, "error code 400") || strings.Contains(text, "STREAM_EXPIRED") || strings.Contains(text, "stream is closed")
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Result, err error) {
	defer func() {
		if err != nil && c.broken && !(c.kept && err == driver.ErrBadConn) { //nolint:errorlint // ours alone, not the driver's
			err = &lostError{err}
		}
	}()
	defer c.guard(ctx, &err)
	if c.broken {
		return nil, errBroken
	}
	return c.base.ExecContext(ctx, query, args)
}

// QueryContext implements driver.QueryerContext. Both transports bring all rows at once, so that only reading blocks.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Rows, err error) {
	defer c.guard(ctx, &err)
	if c.broken {
		return nil, errBroken
	}
	base, err := c.base.QueryContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return &rows{base: base, columns: base.Columns(), conn: c}, nil
}

// rows is an answer that may make no sense in any of its rows.
type rows struct {
	base    driver.Rows
	columns []string
	conn    *conn
}

// Columns implements driver.Rows.
func (r *rows) Columns() []string { return r.columns }

// Close implements driver.Rows.
func (r *rows) Close() error { return r.base.Close() }

// Next implements driver.Rows.
func (r *rows) Next(dest []driver.Value) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.conn.broken = true
			err = nonsense(p)
		}
	}()
	return r.base.Next(dest)
}

// nonsense makes an error of the driver's panic.
func nonsense(panicked any) error {
	return fmt.Errorf("it gave an answer that makes no sense: %v", panicked)
}

// BeginTx implements driver.ConnBeginTx. It takes the write lock at once: a transaction that read first could lose the
// race for it.
func (c *conn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	begin, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if _, err := c.ExecContext(begin, "BEGIN IMMEDIATE", nil); err != nil {
		return nil, err
	}
	c.kept = false
	return &tx{conn: c, ctx: ctx}, nil
}

// tx is a transaction on a server; ctx bounds its commit.
type tx struct {
	conn *conn
	ctx  context.Context
}

// Commit implements driver.Tx.
func (t *tx) Commit() error {
	ctx, cancel := context.WithTimeout(t.ctx, t.conn.timeout)
	defer cancel()
	_, err := t.conn.ExecContext(ctx, "COMMIT", nil)
	return err
}

// Rollback implements driver.Tx. On a broken connection there is nothing to say: the server undoes by itself what
// nobody commits.
func (t *tx) Rollback() error {
	if t.conn.broken {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), t.conn.timeout)
	defer cancel()
	_, err := t.conn.ExecContext(ctx, "ROLLBACK", nil)
	return err
}

// ResetSession implements driver.SessionResetter. The driver's own closes the stream.
func (c *conn) ResetSession(ctx context.Context) error {
	if c.broken {
		return driver.ErrBadConn
	}
	if c.kept = time.Since(c.used) < streamIdle; c.kept {
		return nil
	}
	if r, ok := c.base.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

// IsValid implements driver.Validator.
func (c *conn) IsValid() bool { return !c.broken }

// Close implements driver.Conn. The closing handshake of a WebSocket takes seconds with a server that hangs, so nobody
// waits for it.
func (c *conn) Close() error {
	c.broken = true
	go func() { _ = c.base.Close() }()
	return nil
}

// Prepare implements driver.Conn. Servers know no prepared statements by this driver.
func (c *conn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("prepared statements are for files only")
}

// Begin implements driver.Conn.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

var (
	_ driver.ExecerContext   = (*conn)(nil)
	_ driver.QueryerContext  = (*conn)(nil)
	_ driver.ConnBeginTx     = (*conn)(nil)
	_ driver.SessionResetter = (*conn)(nil)
	_ driver.Validator       = (*conn)(nil)
	_ driver.Connector       = (*connector)(nil)
)
