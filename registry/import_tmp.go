package registry

import (
	"context"
	"errors"
	"io"
)

var errUnbuilt = errors.Join(ErrUnavailable, errors.New("not built"))

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
