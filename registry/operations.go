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

// chunkSize is from how many bytes on a chunk of rows is closed. sqld takes no value of more than 4 MB, and no row of an
// import has more than a tenth of that.
const chunkSize = 512 << 10

// operations are what an import has to write for a batch: rows of values by kind, in chunks of JSON. The order of
// values in a row is that of the columns in the trigger sys_import_apply.
type operations struct {
	open   map[string][]byte   // a JSON array without its end
	closed map[string][]string // JSON arrays
	count  int
	size   int
}

// add adds one row. Its values are string, int64, bool or json.RawMessage; nil is NULL.
func (o *operations) add(kind string, row []any) {
	if o.open == nil {
		o.open, o.closed = map[string][]byte{}, map[string][]string{}
	}
	lead := byte(',')
	b := o.open[kind]
	if len(b) == 0 {
		lead = '['
	}
	text := mustJSON(row) // values of our own making
	b = append(append(b, lead), text...)
	o.count++
	o.size += len(text) + 1
	if len(b) >= chunkSize {
		o.closed[kind] = append(o.closed[kind], string(b)+"]")
		b = b[:0]
	}
	o.open[kind] = b
}

// chunks calls f with each chunk of rows, those of a kind in the order in which they were added.
func (o *operations) chunks(f func(kind, records string) error) error {
	for kind, open := range o.open {
		list := o.closed[kind]
		if len(open) > 0 {
			list = append(list, string(open)+"]")
		}
		for _, records := range list {
			if err := f(kind, records); err != nil {
				return err
			}
		}
	}
	return nil
}

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
	if o.open == nil {
		o.open, o.closed = map[string][]byte{}, map[string][]string{}
	}
	for kind, rows := range other.open {
		b := o.open[kind]
		if more := other.closed[kind]; len(more) > 0 {
			if len(b) > 0 {
				o.closed[kind], b = append(o.closed[kind], string(b)+"]"), nil
			}
			o.closed[kind] = append(o.closed[kind], more...)
		}
		if len(b) > 0 && len(rows) > 0 {
			b = append(append(b, ','), rows[1:]...)
		} else {
			b = append(b, rows...)
		}
		if len(b) >= chunkSize {
			o.closed[kind], b = append(o.closed[kind], string(b)+"]"), nil
		}
		o.open[kind] = b
	}
	o.count += other.count
	o.size += other.size
}
