package registry

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// environment compares one environment and what belongs to it.
func (c *comparison) environment(t *DocumentTenant, e *DocumentEnvironment, tenant, place string, isDefault bool, done *changesOf) error {
	have := c.have.match(t, e)
	if have != nil && have.tenant != tenant {
		return c.conflict(e.line, fmt.Errorf("%s is an environment of another tenant in the registry, %s", have.id, have.tenant), "%s.id", place)
	}
	want := environmentRecord{
		id: e.ID.String(), tenant: tenant, slug: e.Slug, name: e.Slug, kind: defaultType(e.Slug, isDefault),
		isDefault: isDefault, status: string(StatusActive),
	}
	switch {
	case have != nil:
		want = *have
	case e.ID == uuid.Nil:
		want.id = NewID().String()
	}
	want.apply(e)
	if owner := c.have.bySlug(tenant, e.Slug); owner != nil && owner.id != want.id {
		if !namesEnvironment(t, owner.id) {
			return c.conflict(e.line, fmt.Errorf("%s is the slug of another environment of this tenant in the registry, %s", quoted(e.Slug), owner.id), "%s.slug", place)
		}
		c.ops.add(opEnvironmentRelease, []any{owner.id}) // the document gives that environment another slug
	}
	before := c.ops.count
	switch {
	case have == nil:
		c.report.Environments.Created++
		c.differ(Difference{Kind: "environment", Tenant: t.Slug, Name: want.slug, Created: true})
		c.ops.insertEnvironment(&want)
		done.Created = append(done.Created, want.slug)
	case want != *have || isDefault && !have.isDefault:
		c.report.Environments.Updated++
		after := want
		after.isDefault = have.isDefault || isDefault
		c.differ(Difference{Kind: "environment", Tenant: t.Slug, Name: want.slug, Fields: changed(have.shown(), after.shown())})
		if want != *have {
			c.ops.updateEnvironment(&want)
		}
		if isDefault && !have.isDefault {
			c.ops.add(opEnvironmentDefault, []any{want.id, have.version})
		}
	default:
		c.report.Environments.Unchanged++
	}
	told := len(c.told)
	if err := c.database(e, want.id, place); err != nil {
		return err
	}
	if err := c.domains(e, &want, place); err != nil {
		return err
	}
	c.members(e, want.id)
	for i := range c.told[told:] {
		c.told[told+i].Tenant, c.told[told+i].Environment = t.Slug, want.slug
	}
	if have != nil && c.ops.count > before {
		done.Updated = append(done.Updated, want.slug)
	}
	return nil
}

// defaultType is the type of a new environment of which the document does not say it.
func defaultType(slug string, isDefault bool) string {
	switch {
	case slices.Contains(environmentTypes, slug):
		return slug
	case isDefault:
		return string(EnvironmentProduction)
	}
	return string(EnvironmentDevelopment)
}

// apply puts what a document gives over a record. Whether it is the default is settled for the tenant as a whole.
func (r *environmentRecord) apply(e *DocumentEnvironment) {
	r.slug = e.Slug
	over(&r.name, e.Name)
	over(&r.kind, string(e.Type))
	over(&r.status, string(e.Status))
	if e.Region != nil {
		r.region = *e.Region
	}
	if e.Quotas != nil {
		r.quotas = *e.Quotas
	}
	if e.Upstreams != nil {
		r.upstreams = upstreamsText(e.Upstreams)
	}
	if e.Metadata != nil {
		r.metadata = metadataText(e.Metadata)
	}
}

func (c *comparison) database(e *DocumentEnvironment, environment, place string) error {
	d := e.Database
	if d == nil {
		return nil
	}
	have, known := c.have.databases[environment]
	if known && d.Name != "" && d.Name != have.name {
		return c.conflict(e.line, fmt.Errorf("the name of a database never changes, and the registry has %s", quoted(have.name)), "%s.database.name", place)
	}
	want := have
	if !known {
		want = databaseRecord{environment: environment, name: environment}
		over(&want.name, d.Name)
	}
	want.driver = d.Driver
	for _, f := range []struct {
		to   *string
		from *string
	}{{&want.schema, d.Schema}, {&want.url, d.URL}, {&want.region, d.Region}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	switch {
	case !known:
		c.report.Databases.Created++
		c.differ(Difference{Kind: "database", Created: true})
		c.ops.insertDatabase(&want)
	case want != have:
		c.report.Databases.Updated++
		c.differ(Difference{Kind: "database", Fields: changed(have.shown(), want.shown())})
		c.ops.updateDatabase(&want)
	default:
		c.report.Databases.Unchanged++
	}
	return nil
}

func (c *comparison) domains(e *DocumentEnvironment, of *environmentRecord, place string) error {
	for i, host := range e.Domains {
		have, known := c.have.domains[host]
		switch {
		case !known:
			c.report.Domains.Created++
			c.differ(Difference{Kind: "domain", Name: host, Created: true})
			c.ops.add(opDomainInsert, []any{host, of.id})
		case have.tenant != of.tenant:
			err := c.conflict(e.line, fmt.Errorf("%s belongs to another tenant in the registry, %s", quoted(host), have.tenant), "%s.domains[%d]", place, i)
			if err != nil {
				return err
			}
		case have.environment != of.id || !have.verified:
			c.report.Domains.Updated++
			c.differ(Difference{Kind: "domain", Name: host, Fields: domainFields(have, of)})
			c.ops.add(opDomainUpdate, []any{host, of.id, have.version})
		default:
			c.report.Domains.Unchanged++
		}
	}
	return nil
}

// domainFields says what becomes of a domain that is there: it may move within its tenant, and is verified then.
func domainFields(have domainRecord, of *environmentRecord) (list []FieldDifference) {
	if have.environment != of.id {
		list = append(list, FieldDifference{Name: "environment", Before: have.environment, After: of.id})
	}
	if !have.verified {
		list = append(list, FieldDifference{Name: "verified", Before: "false", After: "true"})
	}
	return list
}

func (c *comparison) members(e *DocumentEnvironment, environment string) {
	for _, m := range e.Members {
		have, known := c.have.members[[2]string{environment, m.UserID}]
		switch {
		case !known:
			c.report.Members.Created++
			c.differ(Difference{Kind: "member", Name: m.UserID, Created: true})
			c.ops.add(opMemberInsert, []any{environment, m.UserID, m.Role})
		case have.role != m.Role:
			c.report.Members.Updated++
			c.differ(Difference{
				Kind: "member", Name: m.UserID,
				Fields: []FieldDifference{{Name: "role", Before: have.role, After: m.Role}},
			})
			c.ops.add(opMemberUpdate, []any{environment, m.UserID, m.Role, have.version})
		default:
			c.report.Members.Unchanged++
		}
	}
}
