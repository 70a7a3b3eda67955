package registry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"
)

// Options configure a [Store].
type Options struct {
	// URL names the registry; see the package comment for the forms.
	URL string
	// AuthToken is sent to a libSQL server; it never belongs into URL.
	AuthToken string
	// Timeout bounds each call. Default: 5s.
	Timeout time.Duration
	// MaxOpenConns bounds the connections. Default: 16 to a server.
	MaxOpenConns int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
}

// Store is one registry.
type Store struct{ o Options }

// Open checks the options; it does no I/O to a server.
func Open(o Options) (*Store, error) { return &Store{o: o}, nil }

var errUnbuilt = errors.Join(ErrUnavailable, errors.New("not built"))

// Migrate creates or updates the schema.
func (s *Store) Migrate(ctx context.Context) error { return errUnbuilt }

// Resolve looks a reference up.
func (s *Store) Resolve(ctx context.Context, ref Reference) (*Resolved, error) {
	return nil, errUnbuilt
}

// Changes reads the change log after a position.
func (s *Store) Changes(ctx context.Context, after int64, limit int) (Changes, error) {
	return Changes{}, errUnbuilt
}

// TrimChanges removes the change log's rows from before a time.
func (s *Store) TrimChanges(ctx context.Context, before time.Time) (int64, error) {
	return 0, errUnbuilt
}

// Import applies the JSON that r holds.
func (s *Store) Import(ctx context.Context, r io.Reader, o ImportOptions) (ImportReport, error) {
	return ImportReport{}, errUnbuilt
}

// ImportFile applies the JSON file at path.
func (s *Store) ImportFile(ctx context.Context, path string, o ImportOptions) (ImportReport, error) {
	return ImportReport{}, errUnbuilt
}

// ImportDocument applies doc.
func (s *Store) ImportDocument(ctx context.Context, doc *Document, o ImportOptions) (ImportReport, error) {
	return ImportReport{}, errUnbuilt
}

// Export writes the registry as an import file.
func (s *Store) Export(ctx context.Context, w io.Writer) error { return errUnbuilt }

// Identity is a stable key of the options: URL and a hash of the token.
func (s *Store) Identity() string { return s.o.URL }

// RedactedURL is the URL without anything secret.
func (s *Store) RedactedURL() string { return s.o.URL }

// Close closes the store.
func (s *Store) Close() error { return nil }
