package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// ImportOptions are the options of an import.
type ImportOptions struct {
	// Actor is who the audit log says it was. Default: import.
	Actor string
	// DryRun compares and reports, and writes nothing at all.
	DryRun bool
	// Progress, when set, is called after every few hundred tenants from the importing goroutine.
	Progress func(ImportProgress)
	// Difference, when set, is called in a dry run for every record that would be written, in the order of the document,
	// from the importing goroutine. What it was told counts only where the import returns no error.
	Difference func(Difference)
}

// The phases of an import, as [ImportProgress] names them.
const (
	// PhaseChecking reads the whole file before anything else is done.
	PhaseChecking = "checking"
	// PhaseComparing compares the file with the registry; on a server, what differs is staged there.
	PhaseComparing = "comparing"
	// PhaseWriting writes what differs.
	PhaseWriting = "writing"
)

// ImportProgress says how far an import is.
type ImportProgress struct {
	// Phase is one of the phases above.
	Phase string
	// Tenants and Environments are done in this phase.
	Tenants, Environments int64
	// TotalTenants and TotalEnvironments are what the file has; 0 as long as that is unknown.
	TotalTenants, TotalEnvironments int64
}

// ImportCount counts the records of one kind.
type ImportCount struct {
	// Created were not there, Updated were there and differed, Unchanged were there already.
	Created, Updated, Unchanged int64
}

func (c *ImportCount) add(o ImportCount) {
	c.Created += o.Created
	c.Updated += o.Updated
	c.Unchanged += o.Unchanged
}

// ImportReport says what an import did, or in a dry run would do.
type ImportReport struct {
	Plans, Tenants, Environments, Domains, Members, Databases ImportCount
	// UnknownPlans are plans that tenants of the file name, and that neither the file nor the registry defines, sorted:
	// such tenants have only their own quotas. At most 20.
	UnknownPlans []string
}

func (r *ImportReport) counts() []*ImportCount {
	return []*ImportCount{&r.Plans, &r.Tenants, &r.Environments, &r.Domains, &r.Members, &r.Databases}
}

// Changed reports whether anything was, or in a dry run would be, written.
func (r ImportReport) Changed() bool {
	return slices.ContainsFunc(r.counts(), func(c *ImportCount) bool { return c.Created+c.Updated > 0 })
}

// maxUnknownPlans bounds [ImportReport.UnknownPlans].
const maxUnknownPlans = 20

// source gives the document from its beginning, as often as it is asked.
type source func() (io.ReadCloser, error)

// ImportFile applies an import file: the whole file, or nothing of it. What it does not mention stays, and only what
// differs is written, so that a second import of the same file writes nothing. The file is read twice, never as a
// whole into memory. The error is a [*DocumentError] when the file is bad or conflicts with the registry, or it wraps
// [ErrUnavailable]; in either case the registry is as it was, unless the answer of a server to the last step was lost.
func (s *Store) ImportFile(ctx context.Context, path string, o ImportOptions) (ImportReport, error) {
	return s.importFrom(ctx, func() (io.ReadCloser, error) { return os.Open(path) }, o)
}

// Import is [Store.ImportFile] for a stream, which it first copies to a temporary file, since it reads twice.
func (s *Store) Import(ctx context.Context, r io.Reader, o ImportOptions) (report ImportReport, err error) {
	f, err := os.CreateTemp("", "tenantgate-import-*.json")
	if err != nil {
		return report, fmt.Errorf("import: %w", err)
	}
	defer func() {
		err = errors.Join(err, os.Remove(f.Name()))
	}()
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return report, fmt.Errorf("import: %w", err)
	}
	return s.ImportFile(ctx, f.Name(), o)
}

// ImportDocument is [Store.ImportFile] for a document in memory.
func (s *Store) ImportDocument(ctx context.Context, doc *Document, o ImportOptions) (ImportReport, error) {
	var text bytes.Buffer
	if err := writeDocument(&text, doc); err != nil {
		return ImportReport{}, err
	}
	report, err := s.importFrom(ctx, func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text.Bytes())), nil
	}, o)
	var bad *DocumentError
	if errors.As(err, &bad) { // its lines are those of a text that nobody has seen
		for _, p := range bad.Problems {
			p.Line = 0
		}
	}
	return report, err
}

// importAttempts is how often an import compares anew because somebody else changed what it had compared with.
const importAttempts = 5

func (s *Store) importFrom(ctx context.Context, open source, o ImportOptions) (ImportReport, error) {
	if o.Actor == "" {
		o.Actor = "import"
	}
	if o.Progress == nil {
		o.Progress = func(ImportProgress) {}
	}
	if err := checkText(o.Actor); err != nil {
		return ImportReport{}, fmt.Errorf("import: actor %w", err)
	}
	if err := s.migrated(); err != nil {
		return ImportReport{}, err
	}
	index, err := checkSource(ctx, open, o.Progress)
	if err != nil {
		return ImportReport{}, err
	}
	for attempt := 1; ; attempt++ {
		im := &importer{s: s, options: o, index: index}
		report, err := im.run(ctx, open)
		var changed *constraintError
		if errors.As(err, &changed) {
			if s.target.file == "" && attempt < importAttempts {
				if err := pause(ctx, time.Duration(attempt)*100*time.Millisecond); err != nil {
					return ImportReport{}, s.classify(err)
				}
				continue
			}
			err = fmt.Errorf("import: the registry refuses it: %w", err)
		}
		return report, err
	}
}

// checkSource reads the whole document before anything is written.
func checkSource(ctx context.Context, open source, progress func(ImportProgress)) (*fileIndex, error) {
	in, err := open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	index := newFileIndex()
	tell := func() {
		progress(ImportProgress{Phase: PhaseChecking, Tenants: index.tenantCount, Environments: index.environmentCount})
	}
	err = readDocument(in, index,
		func(*DocumentPlan) error { return nil },
		func(*DocumentTenant) error {
			if index.tenantCount%1000 == 0 {
				tell()
			}
			return ctx.Err()
		})
	if err != nil {
		return nil, err
	}
	tell()
	return index, nil
}
