package registry

import (
	"encoding/json"
)

// The kinds of operations of an import, as the trigger sys_import_apply knows them.
const (
	opPlanInsert         = "plan.insert"
	opPlanUpdate         = "plan.update"
	opTenantRelease      = "organization.release"
	opTenantInsert       = "organization.insert"
	opTenantUpdate       = "organization.update"
	opEnvironmentRelease = "environment.release"
	opEnvironmentInsert  = "environment.insert"
	opEnvironmentUpdate  = "environment.update"
	opEnvironmentDefault = "environment.default"
	opDatabaseInsert     = "database.insert"
	opDatabaseUpdate     = "database.update"
	opDomainInsert       = "domain.insert"
	opDomainUpdate       = "domain.update"
	opMemberInsert       = "member.insert"
	opMemberUpdate       = "member.update"
	opAudit              = "audit"
)

// operations are what an import has to write for a batch: rows of values by kind, as JSON. The order of values in a row
// is that of the columns in the trigger sys_import_apply.
type operations struct {
	kinds map[string][]byte // JSON arrays without their end
	count int
	size  int
}

// add adds one row. Its values are string, int64, bool or json.RawMessage; nil is NULL.
func (o *operations) add(kind string, row []any) {
	if o.kinds == nil {
		o.kinds = map[string][]byte{}
	}
	b := o.kinds[kind]
	before := len(b)
	if before == 0 {
		b = append(b, '[')
	} else {
		b = append(b, ',')
	}
	text, err := json.Marshal(row)
	if err != nil {
		panic(err) // values of our own making
	}
	b = append(b, text...)
	o.kinds[kind] = b
	o.count++
	o.size += len(b) - before
}

// records returns the rows of a kind as a JSON array.
func (o *operations) records(kind string) string { return string(o.kinds[kind]) + "]" }

// nullText is NULL for "".
func nullText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// nullJSON is NULL for "", and else JSON as it is. Text that a plain SQL client wrote and that is no JSON cannot be
// here, since the schema checks it.
func nullJSON(s string) any {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func appendQuotas(row []any, q Quotas) []any {
	for _, v := range q.fields() {
		if *v == 0 {
			row = append(row, nil)
		} else {
			row = append(row, *v)
		}
	}
	return row
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// fields returns the values of a plan after its name.
func (p *planRecord) fields() []any {
	return append(appendQuotas(nil, p.quotas), nullJSON(p.upstreams))
}

func (o *operations) insertPlan(p *planRecord) {
	o.add(opPlanInsert, append([]any{p.name}, p.fields()...))
}

func (o *operations) updatePlan(p *planRecord) {
	o.add(opPlanUpdate, append(append([]any{p.name}, p.fields()...), p.version))
}

// row returns the values of a tenant.
func (t *tenantRecord) row() []any {
	row := []any{t.id, t.slug, t.name, t.plan, t.status, t.isolation, nullText(t.expires)}
	return append(appendQuotas(row, t.quotas), nullJSON(t.upstreams), nullJSON(t.metadata), nullJSON(t.policy))
}

func (o *operations) insertTenant(t *tenantRecord) { o.add(opTenantInsert, t.row()) }

func (o *operations) updateTenant(t *tenantRecord) { o.add(opTenantUpdate, append(t.row(), t.version)) }

// tail returns the values of an environment after its type and whether it is the default.
func (e *environmentRecord) tail() []any {
	row := []any{e.status, nullText(e.region)}
	return append(appendQuotas(row, e.quotas), nullJSON(e.upstreams), nullJSON(e.metadata))
}

func (o *operations) insertEnvironment(e *environmentRecord) {
	row := []any{e.id, e.tenant, e.slug, e.name, e.kind, flag(e.isDefault)}
	o.add(opEnvironmentInsert, append(row, e.tail()...))
}

func (o *operations) updateEnvironment(e *environmentRecord) {
	row := []any{e.id, e.slug, e.name, e.kind}
	o.add(opEnvironmentUpdate, append(append(row, e.tail()...), e.version))
}

func (o *operations) insertDatabase(d *databaseRecord) {
	o.add(opDatabaseInsert, []any{d.environment, d.driver, d.name, nullText(d.schema), nullText(d.url), nullText(d.region)})
}

func (o *operations) updateDatabase(d *databaseRecord) {
	o.add(opDatabaseUpdate, []any{d.environment, d.driver, nullText(d.schema), nullText(d.url), nullText(d.region), d.version})
}

// merge adds all rows of other, behind those that are there.
func (o *operations) merge(other *operations) {
	if o.kinds == nil {
		o.kinds = map[string][]byte{}
	}
	for kind, rows := range other.kinds {
		if b := o.kinds[kind]; len(b) > 0 {
			rows = append(append(b, ','), rows[1:]...)
		}
		o.kinds[kind] = rows
	}
	o.count += other.count
	o.size += other.size
}
