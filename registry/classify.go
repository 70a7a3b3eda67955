package registry

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// unavailableError is an error that says nothing about the data.
type unavailableError struct {
	registry string // the URL, without secrets
	text     string // what is wrong, and what to do about it
	causes   []error
}

// Error implements error.
func (e *unavailableError) Error() string { return "registry " + e.registry + ": " + e.text }

// Unwrap gives ErrUnavailable, what else is known, and a context's error.
func (e *unavailableError) Unwrap() []error { return e.causes }

// constraintError is a write that the schema refuses: its rules, not the registry's state, are against it.
type constraintError struct{ text string }

// Error implements error.
func (e *constraintError) Error() string { return e.text }

// errLock is in the chain of an error that says that another writer was in the way: trying again may help.
var errLock = errors.New("another writer holds the registry")

// errRefused is in the chain of an error that says that nobody listens: the server has got nothing.
var errRefused = errors.New("connection refused")

// errTooLarge is in the chain of an error that says that a server's answer would have been too large.
var errTooLarge = errors.New("answer too large")

// errNoSchema is in the chain of an error that says that a table is missing.
var errNoSchema = errors.New("no schema")

// unavailable makes an error of something that says nothing about the data.
func (s *Store) unavailable(text string, causes ...error) error {
	return &unavailableError{registry: s.target.shown, text: s.redact(text), causes: append(causes, ErrUnavailable)}
}

// redact takes the token out of a text, should a server have repeated it.
func (s *Store) redact(text string) string {
	if s.token != "" {
		text = strings.ReplaceAll(text, s.token, "[token]")
	}
	return text
}

// classify turns an error of database/sql or a driver into one of ours.
func (s *Store) classify(err error) error {
	var ours *unavailableError
	var constraint *constraintError
	if err == nil || errors.As(err, &ours) || errors.As(err, &constraint) {
		return err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return s.unavailable(fmt.Sprintf("no answer within %s: check that it runs and can be reached", s.timeout), context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return s.unavailable("the call was cancelled", context.Canceled)
	}
	if errors.Is(err, errGone) {
		return s.unavailable("the file is gone: put it back, or a backup in its place")
	}
	if file := (*sqlite.Error)(nil); errors.As(err, &file) {
		return s.classifyFile(file)
	}
	text := err.Error()
	if message, ok := sqlMessage(text); ok {
		return s.classifyMessage(message)
	}
	return s.classifyTransport(err, text)
}

// classifyFile handles the errors of an embedded registry, by SQLite's result codes (https://sqlite.org/rescode.html).
func (s *Store) classifyFile(err *sqlite.Error) error {
	code, message := err.Code()&0xff, err.Error()
	if i := strings.LastIndex(message, " ("); i > 0 { // the number of the code says nothing to people
		message = message[:i]
	}
	message = strings.TrimPrefix(message, "SQL logic error: ")
	switch code {
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED:
		return s.unavailable(fmt.Sprintf("another process has locked the file for more than %s", s.timeout), errLock)
	case sqlitelib.SQLITE_INTERRUPT:
		return s.unavailable(fmt.Sprintf("no answer within %s", s.timeout), context.DeadlineExceeded)
	case sqlitelib.SQLITE_CANTOPEN:
		return s.unavailable("the file cannot be opened: check that its directory exists and may be written to by this user")
	case sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_PERM, sqlitelib.SQLITE_AUTH:
		return s.unavailable("the file is read-only for this user: check the rights of the file and its directory")
	case sqlitelib.SQLITE_NOTADB:
		return s.unavailable("the file is not an SQLite database: check the path")
	case sqlitelib.SQLITE_CORRUPT:
		return s.unavailable("the file is damaged: restore it from a backup (" + message + ")")
	case sqlitelib.SQLITE_FULL:
		return s.unavailable("the disk is full")
	case sqlitelib.SQLITE_IOERR:
		return s.unavailable("the disk fails: " + message)
	case sqlitelib.SQLITE_CONSTRAINT:
		return &constraintError{strings.TrimPrefix(message, "constraint failed: ")}
	}
	return s.classifyMessage(message)
}

// sqlMessage takes what SQLite or sqld says about a statement out of an error text of the driver, and reports whether
// there is such a thing: if so, the server has answered, and the connection is fine.
func sqlMessage(text string) (message string, ok bool) {
	for _, mark := range []string{"SQLite error: ", "SQL string could not be parsed: "} {
		if i := strings.Index(text, mark); i >= 0 {
			return text[i+len(mark):], true
		}
	}
	return "", false
}

// tooLarge is what sqld says instead of an answer that is larger than its limit.
const tooLarge = "Response is too large"

// answered reports whether an error text of the driver is what the server said about a statement, so that the connection
// and a transaction on it are fine.
func answered(text string) bool {
	_, ok := sqlMessage(text)
	return ok || strings.Contains(text, tooLarge)
}

// classifyMessage handles what SQLite says about a statement, the same text in a file and on a server.
func (s *Store) classifyMessage(message string) error {
	switch {
	case strings.Contains(message, "constraint failed"), strings.HasPrefix(message, "import: "), strings.HasPrefix(message, "operation: "):
		return &constraintError{message}
	case strings.Contains(message, "no such table"), strings.Contains(message, "no such column"):
		return s.unavailable("it lacks part of the schema ("+message+"): start a gateway or run an import, both create it", errNoSchema)
	case strings.Contains(message, "database is locked"), strings.Contains(message, "database table is locked"):
		return s.unavailable("another writer holds it: try again", errLock)
	case strings.Contains(message, "already exists"):
		return s.unavailable("the database is in use by something else (" + message + "): give the registry a database of its own")
	}
	return s.unavailable("it refused a statement: " + message)
}

// classifyTransport handles everything between this process and the server.
func (s *Store) classifyTransport(err error, text string) error {
	text = strings.TrimPrefix(text, "failed to execute SQL:\n")
	dns, op := (*net.DNSError)(nil), (*net.OpError)(nil)
	switch {
	case strings.Contains(text, "error code 401"), strings.Contains(text, "Authentication failed"),
		strings.Contains(text, "response 401"), strings.Contains(text, "but got 401"):
		why := "check auth_token"
		switch {
		case s.token == "":
			why = "it wants one: set auth_token"
		case strings.Contains(text, "expired"):
			why = "it has expired: set a new auth_token"
		}
		return s.unavailable("the server refused the token: "+why, ErrUnauthorized)
	case strings.Contains(text, "error code 403"), strings.Contains(text, "but got 403"):
		return s.unavailable("the server refused the token for this: a token that may read and write is needed", ErrUnauthorized)
	case strings.Contains(text, "error code 404"), strings.Contains(text, "but got 404"):
		return s.unavailable("the server knows no such database: check the URL")
	case errors.Is(err, syscall.ECONNREFUSED):
		return s.unavailable("connection refused: check the URL and that the server runs", errRefused)
	case errors.As(err, &dns):
		return s.unavailable("the host name " + dns.Name + " cannot be resolved: check the URL")
	case errors.Is(err, errDials):
		return s.unavailable(text + ": check that it runs and can be reached")
	case strings.Contains(text, "certificate"):
		return s.unavailable("TLS failed: " + lastPart(text))
	case strings.Contains(text, "server gave HTTP response to HTTPS client"), strings.Contains(text, "first record does not look like a TLS handshake"):
		return s.unavailable("the server does not speak TLS: use http:// instead of https:// or libsql://, ws:// instead of wss://")
	case strings.Contains(text, tooLarge):
		return s.unavailable("the answer is larger than the server allows: raise sqld's --max-response-size", errTooLarge)
	case strings.Contains(text, "Transaction timed out"), staleStream(text):
		return s.unavailable("the server has taken a transaction away that took too long", errLock)
	case errors.Is(err, driver.ErrBadConn), errors.As(err, &op), strings.HasSuffix(text, "EOF"):
		return s.unavailable("the connection broke: check that the server runs")
	case strings.Contains(text, "makes no sense"):
		return s.unavailable(text + ": check that the URL leads to a libSQL server")
	}
	return s.unavailable("unexpected answer: " + lastPart(text))
}

// lastPart cuts a text down to what it says last, since drivers put a statement or a URL in front of it.
func lastPart(text string) string {
	if i := strings.LastIndex(text, ": "); i >= 0 && i+2 < len(text) {
		text = text[i+2:]
	}
	const most = 200
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
