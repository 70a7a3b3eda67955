package registry

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

const (
	// batchTenants and batchRecords bound what is compared at once; records are tenants, environments, domains, and
	// members. An answer of sqld has at most 10 MB.
	batchTenants = 250
	batchRecords = 5000
	// quietAfter is from how many written records on an import writes one row "registry" to the change log, upon which
	// gateways forget everything, instead of one row for each record.
	defaultQuietAfter = 10_000
)

// importer is one attempt of an import.
type importer struct {
	s       *Store
	options ImportOptions
	index   *fileIndex

	read  reader
	write importWriter
	begun bool // write has something
	empty bool // the registry had no tenants when the attempt began

	batch    batch
	problems problems
	report   ImportReport
	progress ImportProgress
}

// importWriter takes operations and makes them happen all together.
type importWriter interface {
	// begin makes ready for the first operations. It returns the reader to compare with from then on.
	begin(ctx context.Context) (reader, error)
	// add takes the operations of a batch. They refer to nothing that later batches bring.
	add(ctx context.Context, ops *operations) error
	// commit writes everything that was added, or nothing.
	commit(ctx context.Context) error
	// abort forgets everything, unless commit was successful.
	abort()
}

// run compares the document with the registry, batch by batch, and writes what differs.
func (im *importer) run(ctx context.Context, open source) (ImportReport, error) {
	in, err := open()
	if err != nil {
		return ImportReport{}, err
	}
	defer in.Close()
	im.read = im.s.query
	if im.s.target.file != "" {
		im.write = &fileWriter{s: im.s, actor: im.options.Actor}
	} else {
		im.write = &serverWriter{s: im.s, actor: im.options.Actor}
	}
	defer im.write.abort()
	im.progress = ImportProgress{Phase: PhaseComparing, TotalTenants: im.index.tenantCount, TotalEnvironments: im.index.environmentCount}
	if err := im.lookEmpty(ctx); err != nil {
		return ImportReport{}, err
	}
	err = readDocument(in, nil,
		func(p *DocumentPlan) error {
			im.batch.plans = append(im.batch.plans, p)
			im.batch.records++
			return im.flush(ctx, false)
		},
		func(t *DocumentTenant) error {
			im.batch.tenants = append(im.batch.tenants, t)
			im.batch.records++
			for i := range t.Environments {
				im.batch.records += 1 + len(t.Environments[i].Domains) + len(t.Environments[i].Members)
			}
			return im.flush(ctx, false)
		})
	if err == nil {
		err = im.flush(ctx, true)
	}
	if err != nil && !errors.Is(err, errEnough) {
		return ImportReport{}, err
	}
	if err := im.problems.err(); err != nil {
		return ImportReport{}, err
	}
	if err := im.unknownPlans(ctx); err != nil {
		return ImportReport{}, err
	}
	return im.report, im.finish(ctx)
}

// lookEmpty finds out whether there are any tenants: where there are none, there is nothing to compare with.
func (im *importer) lookEmpty(ctx context.Context) error {
	return im.read(ctx, func(rows *sql.Rows) error { return rows.Scan(&im.empty) }, `SELECT NOT EXISTS (SELECT 1 FROM sys_organization)`)
}

// flush compares the batch when it is full, or when it is the last.
func (im *importer) flush(ctx context.Context, last bool) error {
	b := &im.batch
	if !last && len(b.tenants) < batchTenants && b.records < batchRecords {
		return nil
	}
	if err := im.compare(ctx); err != nil {
		return err
	}
	im.progress.Tenants += int64(len(b.tenants))
	for _, t := range b.tenants {
		im.progress.Environments += int64(max(len(t.Environments), 1))
	}
	im.options.Progress(im.progress)
	*b = batch{first: b.first + len(b.tenants), plans: b.plans[:0], tenants: b.tenants[:0]}
	clear(b.plans[:cap(b.plans)])
	clear(b.tenants[:cap(b.tenants)])
	return ctx.Err()
}

// compare compares the batch, and hands on what differs. As long as there has been no difference, it holds no lock;
// when there is a first one, the batch is compared again under the writer's conditions.
func (im *importer) compare(ctx context.Context) error {
	c, err := im.compareOnce(ctx)
	if err != nil {
		return err
	}
	if len(c.found.Problems) > 0 || len(im.problems.found.Problems) > 0 {
		for _, p := range c.found.Problems {
			if err := im.problems.add(p.Place, p.Line, p.Err); err != nil {
				return err
			}
		}
		return nil // nothing will be written; further problems are still of interest
	}
	if c.ops.count > 0 && !im.options.DryRun {
		if !im.begun {
			im.begun = true
			read, err := im.write.begin(ctx)
			if err != nil {
				return err
			}
			im.read = read
			if err := im.lookEmpty(ctx); err != nil {
				return err
			}
			if im.s.target.file != "" {
				im.progress.Phase = PhaseWriting
				return im.compare(ctx)
			}
		}
		if err := im.write.add(ctx, &c.ops); err != nil {
			return err
		}
	}
	counts := im.report.counts()
	for i, add := range c.report.counts() {
		counts[i].add(*add)
	}
	return nil
}

func (im *importer) compareOnce(ctx context.Context) (*comparison, error) {
	c := &comparison{}
	if im.empty {
		c.have = newExisting(im.index)
		if err := c.have.loadPlans(ctx, im.read, &im.batch); err != nil {
			return nil, err
		}
	} else {
		var err error
		if c.have, err = loadExisting(ctx, im.read, im.index, &im.batch); err != nil {
			return nil, err
		}
	}
	if err := c.batch(&im.batch); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return c, nil
}

// unknownPlans finds plans that tenants of the document name and nobody defines.
func (im *importer) unknownPlans(ctx context.Context) error {
	names := []string{}
	for name := range im.index.named {
		if _, ok := im.index.plans[name]; !ok {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	err := im.read(ctx, func(rows *sql.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		im.report.UnknownPlans = append(im.report.UnknownPlans, name)
		return nil
	}, `SELECT value FROM json_each(?1) WHERE value NOT IN (SELECT name FROM sys_plan) LIMIT ?2`, mustJSON(names), int64(maxUnknownPlans))
	slices.Sort(im.report.UnknownPlans)
	return err
}

// finish writes the summary to the audit log and commits, if there was any difference.
func (im *importer) finish(ctx context.Context) error {
	if !im.begun {
		return nil
	}
	type counts map[string]int64
	detail := map[string]counts{}
	for name, c := range map[string]ImportCount{
		"plans": im.report.Plans, "tenants": im.report.Tenants, "environments": im.report.Environments,
		"domains": im.report.Domains, "members": im.report.Members, "databases": im.report.Databases,
	} {
		if c.Created+c.Updated > 0 {
			detail[name] = counts{"created": c.Created, "updated": c.Updated}
		}
	}
	last := &comparison{}
	last.audit("import.apply", "", "import", detail)
	if err := im.write.add(ctx, &last.ops); err != nil {
		return err
	}
	im.progress.Phase = PhaseWriting
	im.options.Progress(im.progress)
	return im.write.commit(ctx)
}
