package registry

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tursodatabase/libsql-client-go/libsql"
	_ "modernc.org/sqlite" // what the libSQL client reads files with
)

const (
	defaultTimeout = 5 * time.Second
	// defaultFileConns is enough for readers; SQLite has one writer at a time anyway. A connection holds 2 MB of pages.
	defaultFileConns = 8
	// defaultServerConns leaves room for other gateways: sqld takes 128 connections, over all that speak to it.
	defaultServerConns = 16
	// writeConns of a server's connections are for writes where those have a pool of their own.
	writeConns = 4
)

// Options configure a [Store].
type Options struct {
	// URL names the registry; see the package comment for the forms. It never holds a token.
	URL string
	// AuthToken is sent to a libSQL server. Surrounding white space is cut off. Not for file: URLs.
	AuthToken string
	// Timeout bounds each call to the registry; an import or a migration makes many calls. Default: 5s.
	Timeout time.Duration
	// MaxOpenConns bounds the connections, from 2. Default: 16 to a server, 8 to a file.
	MaxOpenConns int
	// Keys seal the secrets of credentials. Default: none, and no secret can be stored or revealed.
	Keys *Keyring
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what an operator should know and nobody returns as an error. Default: nothing is logged.
	Logger *slog.Logger
}

// Store is one registry. Its methods can be called from several goroutines.
type Store struct {
	target  target
	token   string
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	keys    *Keyring // nil: none

	read, write *sql.DB // one and the same, except with WebSockets

	quietAfter int // see defaultQuietAfter

	ready atomic.Bool // the schema was seen to be ours

	sessions atomic.Pointer[sessionQuery] // nil: the application keeps no table of its own

	mu       sync.Mutex
	prepared map[string]*sql.Stmt // of a file
	parsed   parsedValues
}

// Open checks the options. It does no I/O: a registry that cannot be reached shows at [Store.Migrate].
func Open(o Options) (*Store, error) {
	t, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{target: t, timeout: o.Timeout, now: o.Now, log: o.Logger, keys: o.Keys, quietAfter: defaultQuietAfter, prepared: map[string]*sql.Stmt{}}
	if s.token, err = checkAuthToken(o.AuthToken); err != nil {
		return nil, err
	}
	switch {
	case s.token != "" && t.file != "":
		return nil, errors.New("registry " + t.shown + " is a file and takes no auth_token")
	case o.Timeout < 0:
		return nil, errors.New("registry timeout must not be negative")
	case o.MaxOpenConns < 0 || o.MaxOpenConns == 1: // an import reads while it has a transaction open
		return nil, errors.New("registry connections must be at least 2")
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if t.cleartext && s.token != "" {
		s.log.Warn("the registry's token crosses the network unencrypted", "registry", t.shown)
	}
	if t.file != "" {
		return s, s.openFile(o.MaxOpenConns)
	}
	return s, s.openServer(o.MaxOpenConns)
}

// openFile opens the pool without touching the file.
func (s *Store) openFile(conns int) error {
	if conns == 0 {
		conns = defaultFileConns
	}
	// The connector, not sql.Open with the driver's name: that leaks a goroutine for each connection.
	base, err := libsql.NewConnector(fileDSN(s.target.file, s.timeout))
	if err != nil {
		return errors.New("registry " + s.target.shown + ": " + err.Error())
	}
	s.read = pool(sql.OpenDB(base), conns)
	s.write = s.read
	return nil
}

// openServer opens the pools without any I/O. With WebSockets, writes go by HTTP all the same: over a WebSocket the
// client may do a write twice when its answer is lost.
func (s *Store) openServer(conns int) error {
	if conns == 0 {
		conns = defaultServerConns
	}
	read, err := newConnector(s.target.read, s.token, s.timeout)
	if err != nil { // its text may hold the token's form, not the token; the URL was checked before
		return errors.New("registry " + s.target.shown + ": " + s.redact(err.Error()))
	}
	if s.target.read == s.target.write {
		s.read = pool(sql.OpenDB(read), conns)
		s.write = s.read
		return nil
	}
	write, err := newConnector(s.target.write, s.token, s.timeout)
	if err != nil {
		return errors.New("registry " + s.target.shown + ": " + s.redact(err.Error()))
	}
	writers := min(writeConns, conns/2)
	s.read = pool(sql.OpenDB(read), conns-writers)
	s.write = pool(sql.OpenDB(write), writers)
	return nil
}

func pool(db *sql.DB, conns int) *sql.DB {
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// checkAuthToken refuses what can be no token, since it would end in an HTTP header.
func checkAuthToken(token string) (string, error) {
	token = strings.TrimSpace(token)
	for i := 0; i < len(token); i++ {
		if token[i] <= ' ' || token[i] > '~' {
			return "", errors.New("registry auth_token holds characters that no token has")
		}
	}
	return token, nil
}

// Identity is the same for two stores of the same registry with the same token and the same keys, and never shows these.
// It is meant as a key to share a store by.
func (s *Store) Identity() string { return s.target.identity(s.token) + s.keys.fingerprint() }

// RedactedURL is the registry's URL for logs and errors.
func (s *Store) RedactedURL() string { return s.target.shown }

// Close closes all connections. Calls that are still running fail.
func (s *Store) Close() error {
	s.mu.Lock()
	for _, stmt := range s.prepared {
		_ = stmt.Close() // goes down with its connection
	}
	clear(s.prepared)
	s.mu.Unlock()
	err := s.read.Close()
	if s.write != s.read {
		err = errors.Join(err, s.write.Close())
	}
	return err
}

// call bounds one call to the registry.
func (s *Store) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// migrated returns an error as long as [Store.Migrate] has not succeeded.
func (s *Store) migrated() error {
	if s.ready.Load() {
		return nil
	}
	return s.unavailable("its schema was not checked yet: it could not be reached since this process began")
}
