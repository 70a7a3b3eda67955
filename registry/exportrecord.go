package registry

import "github.com/google/uuid"

// unreadable is the error for a value that a plain SQL client wrote, and that an import would refuse: leaving it out
// would be a silent loss.
func (e *exporter) unreadable(field, of, name string, err error) error {
	return e.s.unavailable(field + " of " + of + " " + name + " cannot be exported: " + err.Error())
}

// tenant returns a record as a document has it.
func (e *exporter) tenant(r *tenantRecord) (*DocumentTenant, error) {
	t := &DocumentTenant{
		ID: storedID(r.id), Slug: r.slug, Name: r.name, Plan: r.plan, Status: Status(r.status),
		Isolation: IsolationLevel(r.isolation), Quotas: someQuotas(r.quotas),
	}
	var err error
	if t.Upstreams, err = storedUpstreams(r.upstreams); err != nil {
		return nil, e.unreadable("upstreams", "tenant", r.slug, err)
	}
	if t.Metadata, err = parseMetadata(r.metadata, &e.s.parsed); err != nil {
		return nil, e.unreadable("metadata", "tenant", r.slug, err)
	}
	if t.SecurityPolicy, err = parseSecurityPolicy(r.policy); err != nil {
		return nil, e.unreadable("security_policy", "tenant", r.slug, err)
	}
	if r.expires != "" {
		at, err := parseTime(r.expires)
		if err != nil {
			return nil, e.unreadable("subscription_expires_at", "tenant", r.slug, err)
		}
		t.SubscriptionExpiresAt = &at
	}
	return t, nil
}

// environment returns a record as a document has it.
func (e *exporter) environment(r *environmentRecord) (DocumentEnvironment, error) {
	d := DocumentEnvironment{
		ID: storedID(r.id), Slug: r.slug, Name: r.name, Type: EnvironmentType(r.kind), Default: &r.isDefault,
		Status: Status(r.status), Quotas: someQuotas(r.quotas),
	}
	var err error
	if d.Upstreams, err = storedUpstreams(r.upstreams); err != nil {
		return d, e.unreadable("upstreams", "environment", r.id, err)
	}
	if d.Metadata, err = parseMetadata(r.metadata, &e.s.parsed); err != nil {
		return d, e.unreadable("metadata", "environment", r.id, err)
	}
	if r.region != "" {
		d.Region = &r.region
	}
	return d, nil
}

// storedID reads an id that the schema has checked.
func storedID(id string) uuid.UUID {
	parsed, _ := uuid.Parse(id)
	return parsed
}

// someQuotas is nil where there are none.
func someQuotas(q Quotas) *Quotas {
	if q == (Quotas{}) {
		return nil
	}
	return &q
}

// storedUpstreams reads upstreams; nil where there are none.
func storedUpstreams(text string) ([]Upstream, error) { return new(parsedValues).upstreams(text) }
