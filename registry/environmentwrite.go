package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// NewEnvironment is an environment to be created.
type NewEnvironment struct {
	// DocumentEnvironment is the environment, as in an import file and with its defaults. Slug is required. With Default
	// true it takes over from the tenant's default environment. Status is active (the default) or provisioning. Domains
	// count as verified: whoever creates an environment with them vouches for it.
	DocumentEnvironment
	// Idempotency makes it safe to ask twice; nil: it is not.
	Idempotency *Idempotency
}

// EnvironmentPatch is a change of an environment. What is left out, as nil or "", stays. The status and whether it is
// the default are not among it: see [Store.TransitionEnvironment] and [Store.MakeDefault].
type EnvironmentPatch struct {
	// Slug is a new slug; Alias says what becomes of the old one.
	Slug  string
	Alias KeepAlias
	// Name is the display name, at most 255 characters.
	Name string
	Type EnvironmentType
	// Region is at most 63 letters, digits and ".", "_", "-"; "" removes it.
	Region *string
	// Quotas replace all of the environment's own.
	Quotas *Quotas
	// Upstreams replace the environment's own; an empty list that is not nil removes them.
	Upstreams []Upstream
	// Metadata replaces all; an empty map that is not nil removes it.
	Metadata map[string]string
	// Database is made where there is none; else what it gives is changed, and its name stays.
	Database *DocumentDatabase
}

func environmentPlace(i int) string { return fmt.Sprintf("environments[%d]", i) }

// checkEnvironment checks an environment as an import would, and returns it as JSON would have brought it.
func checkEnvironment(e DocumentEnvironment) (*DocumentEnvironment, error) {
	doc, err := checkTenant(DocumentTenant{Slug: "unchanged", Environments: []DocumentEnvironment{e}})
	var bad FieldErrors
	if errors.As(err, &bad) {
		for _, f := range bad {
			f.Field = cutPlace(f.Field)
		}
	}
	if err != nil {
		return nil, err
	}
	return &doc.Environments[0], nil
}

// cutPlace takes the place of the only environment away.
func cutPlace(field string) string {
	first := environmentPlace(0) + "."
	if len(field) > len(first) && field[:len(first)] == first {
		return field[len(first):]
	}
	return field
}

// CreateEnvironment creates an environment of a tenant, which is named by id or slug, with its domains, members and
// database. The audit log has it as environment.create.
//
// Errors: [FieldErrors] and [*FieldError] (CodeInvalid, CodeTooLong, CodeDuplicate), [*MissingError] for the tenant,
// [ErrUnavailable].
func (s *Store) CreateEnvironment(ctx context.Context, actor Actor, tenant string, n NewEnvironment) (*Environment, error) {
	doc, err := checkEnvironment(n.DocumentEnvironment)
	if err != nil {
		return nil, err
	}
	if doc.Status != "" && doc.Status != StatusActive && doc.Status != StatusProvisioning {
		return nil, &FieldError{Field: "status", Code: CodeInvalid, Message: quoted(string(doc.Status)) + " is none of active, provisioning"}
	}
	if doc.ID == uuid.Nil {
		doc.ID = NewID()
	}
	id := doc.ID.String()
	var of *tenantRow
	err = s.create(ctx, actor, n.Idempotency, &id, func() (*operation, error) {
		if of, err = s.findTenant(ctx, tenant); err != nil {
			return nil, err
		}
		return s.environmentCreation(ctx, of, doc)
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetEnvironment(ctx, tenant, id))
}

func (s *Store) environmentCreation(ctx context.Context, of *tenantRow, doc *DocumentEnvironment) (*operation, error) {
	t := &DocumentTenant{ID: storedID(of.id), Slug: of.slug, Environments: []DocumentEnvironment{*doc}}
	have, err := loadExisting(ctx, s.query, newFileIndex(), &batch{tenants: []*DocumentTenant{t}})
	switch {
	case err != nil:
		return nil, err
	case have.environments[doc.ID.String()] != nil:
		return nil, &FieldError{Field: "id", Code: CodeDuplicate, Message: quoted(doc.ID.String()) + " is there already"}
	case have.bySlug(of.id, doc.Slug) != nil:
		return nil, &FieldError{Field: "slug", Code: CodeDuplicate, Message: quoted(doc.Slug) + " is the slug of another environment of this tenant"}
	case len(have.ofTenant[of.id]) >= maxEnvironments:
		return nil, &FieldError{Code: CodeTooLong, Message: fmt.Sprintf("a tenant must not have more than %d environments", maxEnvironments)}
	}
	for i, host := range doc.Domains {
		if d, known := have.domains[host]; known && d.tenant == of.id {
			return nil, &FieldError{Field: fmt.Sprintf("domains[%d]", i), Code: CodeDuplicate, Message: quoted(host) + " is a domain of another environment of this tenant"}
		}
	}
	before := slices.IndexFunc(have.ofTenant[of.id], func(e *environmentRecord) bool { return e.isDefault })
	isDefault := doc.Default != nil && *doc.Default || before < 0
	c := comparison{have: have}
	if err := c.environment(t, doc, of.id, environmentPlace(0), isDefault, new(changesOf)); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if err := c.err(); err != nil {
		return nil, environmentErrors(err)
	}
	op := &operation{c.ops}
	want := environmentRecord{
		id: doc.ID.String(), tenant: of.id, slug: doc.Slug, name: doc.Slug, kind: defaultType(doc.Slug, isDefault), isDefault: isDefault, status: string(StatusActive),
	}
	want.apply(doc)
	op.add(workEnvironmentSlug, []any{want.slug, want.id, of.id})
	if isDefault && before >= 0 {
		op.takeOver(have.ofTenant[of.id][before], want.slug)
	}
	after := want.view()
	for name, list := range map[string]int{"domains": len(doc.Domains), "members": len(doc.Members)} {
		if list > 0 {
			after[name] = list
		}
	}
	op.audit("environment.create", of.id, want.id, want.slug, detail{After: after, Version: 1})
	return op, nil
}

// environmentErrors is fieldErrors for a single environment.
func environmentErrors(err error) error {
	err = fieldErrors(err)
	var bad FieldErrors
	if errors.As(err, &bad) {
		for _, f := range bad {
			f.Field = cutPlace(f.Field)
		}
	}
	return err
}

// takeOver notes that an environment ceases to be the default, which the schema does by itself.
func (op *operation) takeOver(former *environmentRecord, by string) {
	op.add(workEnvironmentExpect, []any{former.id, former.version})
	op.audit("environment.update", former.tenant, former.id, former.slug, detail{
		Before: map[string]any{"isDefault": true}, After: map[string]any{"isDefault": false, "default": by}, Version: former.version + 1,
	})
}

// UpdateEnvironment changes an environment; tenant and environment are ids or slugs. version is what the caller has
// read, 0 for whatever there is. Where nothing differs, nothing is written. The audit log has it as environment.update,
// with what differs.
//
// Errors: [FieldErrors] and [*FieldError], [*MissingError], [*ConflictError] with CodeVersionConflict, [ErrUnavailable].
func (s *Store) UpdateEnvironment(ctx context.Context, actor Actor, tenant, environment string, version int64, p EnvironmentPatch) (*Environment, error) {
	doc := DocumentEnvironment{
		Slug: p.Slug, Name: p.Name, Type: p.Type, Region: p.Region, Quotas: p.Quotas, Upstreams: p.Upstreams, Metadata: p.Metadata, Database: p.Database,
	}
	if doc.Slug == "" {
		doc.Slug = "unchanged" // which a document must have
	}
	checked, err := checkEnvironment(doc)
	if err != nil {
		return nil, err
	}
	if err := p.Alias.check(s.now()); err != nil {
		return nil, err
	}
	var id, of string
	err = s.change(ctx, actor, func() (*operation, error) {
		_, have, err := s.find(ctx, tenant, environment)
		if err != nil {
			return nil, err
		}
		id, of = have.id, have.tenant
		if err := stale("environment "+have.slug, have.version, version); err != nil {
			return nil, err
		}
		want := have.environmentRecord
		change := *checked
		if p.Slug == "" {
			change.Slug = have.slug
		}
		want.apply(&change)
		op := new(operation)
		before, after := differ(have.view(), want.view())
		next := have.version
		if want != have.environmentRecord {
			next++
			op.add(workEnvironmentExpect, []any{have.id, have.version})
			op.updateEnvironment(&want)
		}
		if want.slug != have.slug {
			op.add(workEnvironmentSlug, []any{want.slug, want.id, want.tenant})
			op.add(workUnalias, []any{want.tenant, want.slug}) // its own, or there is none
			if p.Alias.Keep {
				op.add(workEnvironmentAlias, []any{want.tenant, have.slug, have.id, p.Alias.expiry()})
				after["keepAlias"] = true
			}
		}
		if err := op.changeDatabase(have, change.Database, before, after); err != nil {
			return nil, err
		}
		if op.count == 0 {
			return nil, nil
		}
		op.audit("environment.update", have.tenant, have.id, want.slug, detail{Before: before, After: after, Version: next})
		return op, nil
	})
	if err != nil {
		return nil, err
	}
	return readBack(s.GetEnvironment(ctx, of, id))
}

// changeDatabase adds what a patch says of the database; before and after are for the audit log.
func (op *operation) changeDatabase(e *environmentRow, d *DocumentDatabase, before, after map[string]any) error {
	if d == nil {
		return nil
	}
	have := existing{databases: map[string]databaseRecord{}}
	if e.database != nil {
		have.databases[e.id] = *e.database
	}
	c := comparison{have: &have}
	if err := c.database(&DocumentEnvironment{Database: d}, e.id, environmentPlace(0)); err != nil {
		return err
	}
	if err := c.err(); err != nil {
		return environmentErrors(err)
	}
	if c.ops.count == 0 {
		return nil
	}
	if e.database != nil {
		op.add(workDatabaseExpect, []any{e.id, e.database.version})
		before["database"] = e.database.view()
	}
	want := databaseRecord{environment: e.id, name: e.id}
	if e.database != nil {
		want = *e.database
	}
	over(&want.name, d.Name)
	want.driver = d.Driver
	for _, f := range []struct{ to, from *string }{{&want.schema, d.Schema}, {&want.url, d.URL}, {&want.region, d.Region}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	after["database"] = want.view()
	op.merge(&c.ops)
	return nil
}
