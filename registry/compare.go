package registry

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// comparison finds out what an import has to write for a batch, and what in it conflicts with the registry.
type comparison struct {
	problems
	have   *existing
	ops    operations
	report ImportReport
	tell   func(Difference) // nil: nobody wants to know
	told   []Difference
}

// conflict notes a problem at a place of the document.
func (c *comparison) conflict(line int, err error, format string, args ...any) error {
	return c.add(fmt.Sprintf(format, args...), line, err)
}

// batch compares everything; the error is errEnough.
func (c *comparison) batch(b *batch) error {
	for _, p := range b.plans {
		c.plan(p)
	}
	for i, t := range b.tenants {
		if err := c.tenant(t, fmt.Sprintf("tenants[%d]", b.first+i)); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) plan(p *DocumentPlan) {
	have, known := c.have.plans[p.Name]
	want := have
	want.name = p.Name
	if p.Quotas != nil {
		want.quotas = *p.Quotas
	}
	if p.Upstreams != nil {
		want.upstreams = upstreamsText(p.Upstreams)
	}
	switch {
	case !known:
		c.report.Plans.Created++
		c.differ(Difference{Kind: "plan", Name: p.Name, Created: true})
		c.ops.insertPlan(&want)
		c.audit("plan.create", "", p.Name, nil)
	case want != have:
		c.report.Plans.Updated++
		c.differ(Difference{Kind: "plan", Name: p.Name, Fields: changed(have.shown(), want.shown())})
		c.ops.updatePlan(&want)
		c.audit("plan.update", "", p.Name, nil)
	default:
		c.report.Plans.Unchanged++
	}
}

// audit adds a row to the audit log.
func (c *comparison) audit(action, tenant, subject string, detail any) {
	var text any
	if detail != nil {
		text = mustJSON(detail)
	}
	c.ops.add(opAudit, []any{action, nullText(tenant), subject, text})
}

// changesOf is the detail of a tenant's row in the audit log.
type changesOf struct {
	Fields  []string `json:"fields,omitempty"`
	Created []string `json:"createdEnvironments,omitempty"`
	Updated []string `json:"updatedEnvironments,omitempty"`
}

func (c *comparison) tenant(t *DocumentTenant, place string) error {
	have := c.have.tenant(t)
	want := tenantRecord{
		id: t.ID.String(), slug: t.Slug, name: t.Slug, plan: "free",
		status: string(StatusActive), isolation: string(IsolationSharedSchema),
	}
	switch {
	case have != nil:
		want = *have
	case t.ID == uuid.Nil:
		want.id = NewID().String()
	}
	want.apply(t)
	if owner := c.have.slugs[t.Slug]; owner != nil && owner.id != want.id {
		if !c.have.index.namesTenant(owner.id) {
			return c.conflict(t.line, fmt.Errorf("%s is the slug of another tenant in the registry, %s", quoted(t.Slug), owner.id), "%s.slug", place)
		}
		c.ops.add(opTenantRelease, []any{owner.id}) // the document gives that tenant another slug
	}
	var done changesOf
	switch {
	case have == nil:
		c.report.Tenants.Created++
		c.differ(Difference{Kind: "tenant", Name: t.Slug, Created: true})
		c.ops.insertTenant(&want)
	case want != *have:
		c.report.Tenants.Updated++
		c.differ(Difference{Kind: "tenant", Name: t.Slug, Fields: changed(have.shown(), want.shown())})
		c.ops.updateTenant(&want)
		done.Fields = have.differences(&want)
	default:
		c.report.Tenants.Unchanged++
	}
	before := c.ops.count
	if err := c.environments(t, want.id, place, &done); err != nil {
		return err
	}
	switch {
	case have == nil:
		c.audit("organization.create", want.id, want.slug, done)
	case c.ops.count > before || done.Fields != nil:
		c.audit("organization.update", want.id, want.slug, done)
	}
	return nil
}

// apply puts what a document gives over a record.
func (r *tenantRecord) apply(t *DocumentTenant) {
	r.slug = t.Slug
	over(&r.name, t.Name)
	over(&r.plan, t.Plan)
	over(&r.status, string(t.Status))
	over(&r.isolation, string(t.Isolation))
	if t.SubscriptionExpiresAt != nil {
		r.expires = ""
		if !t.SubscriptionExpiresAt.IsZero() {
			r.expires = t.SubscriptionExpiresAt.UTC().Format(storedInstant)
		}
	}
	if t.Quotas != nil {
		r.quotas = *t.Quotas
	}
	if t.Upstreams != nil {
		r.upstreams = upstreamsText(t.Upstreams)
	}
	if t.Metadata != nil {
		r.metadata = metadataText(t.Metadata)
	}
	if t.SecurityPolicy != nil {
		r.policy = policyText(t.SecurityPolicy)
	}
}

// over replaces a value by one that is given.
func over(to *string, given string) {
	if given != "" {
		*to = given
	}
}

// differences names the fields in which two records differ.
func (r *tenantRecord) differences(o *tenantRecord) (fields []string) {
	for _, d := range changed(r.shown(), o.shown()) {
		fields = append(fields, d.Name)
	}
	return fields
}

// environments compares a tenant's environments, and makes one where there is none at all.
func (c *comparison) environments(t *DocumentTenant, tenant, place string, done *changesOf) error {
	list := t.Environments
	have := c.have.ofTenant[tenant]
	if len(list) == 0 {
		if len(have) > 0 {
			return nil
		}
		yes := true
		list = []DocumentEnvironment{{Slug: string(EnvironmentProduction), Default: &yes, line: t.line}}
	}
	chosen, err := c.chooseDefault(t, list, have, place)
	if err != nil || chosen == noDefault {
		return err
	}
	// The default comes first, so that the schema need not make another one the default in between.
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	if chosen > 0 {
		order = slices.Insert(slices.Delete(order, chosen, chosen+1), 0, chosen)
	}
	for _, i := range order {
		if err := c.environment(t, &list[i], tenant, fmt.Sprintf("%s.environments[%d]", place, i), i == chosen, done); err != nil {
			return err
		}
	}
	return nil
}

const (
	keepDefault = -1 // the registry's stays
	noDefault   = -2 // a problem was noted
)

// chooseDefault returns the index of the environment that is to be the default, or one of the constants above.
func (c *comparison) chooseDefault(t *DocumentTenant, list []DocumentEnvironment, have []*environmentRecord, place string) (int, error) {
	for i := range list {
		if d := list[i].Default; d != nil && *d {
			return i, nil
		}
	}
	i := slices.IndexFunc(have, func(e *environmentRecord) bool { return e.isDefault })
	if i < 0 {
		if list[0].Default == nil {
			return 0, nil
		}
		return noDefault, c.conflict(list[0].line, fmt.Errorf("the tenant has no other default environment"), "%s.environments[0].isDefault", place)
	}
	for j := range list {
		if m := c.have.match(t, &list[j]); m == have[i] && list[j].Default != nil {
			return noDefault, c.conflict(list[j].line, fmt.Errorf("this is the tenant's default environment: give another one \"isDefault\": true"),
				"%s.environments[%d].isDefault", place, j)
		}
	}
	return keepDefault, nil
}
