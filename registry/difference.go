package registry

import "encoding/json"

// Difference is one record that an import would write, for [ImportOptions.Difference].
type Difference struct {
	// Kind is plan, tenant, environment, domain, member or database.
	Kind string
	// Tenant and Environment are the slugs of what the record belongs to, as the document has them; empty where there is
	// none.
	Tenant, Environment string
	// Name is the slug, host name, user or plan; empty for a database.
	Name string
	// Created says that the record is not there yet; else it differs in Fields.
	Created bool
	// Fields are what differs, named as in the document.
	Fields []FieldDifference
}

// FieldDifference is one value that an import would change. Before and After are text, or JSON for what has parts; ""
// means that there is none.
type FieldDifference struct {
	Name, Before, After string
}

// differ tells of a record that differs, where somebody wants to know.
func (c *comparison) differ(d Difference) {
	if c.tell != nil {
		c.told = append(c.told, d)
	}
}

// field is a value of a record as text.
type field struct{ name, value string }

func (r *planRecord) shown() []field {
	return []field{{"quotas", quotasText(r.quotas)}, {"upstreams", r.upstreams}}
}

func (r *tenantRecord) shown() []field {
	return []field{
		{"slug", r.slug},
		{"name", r.name},
		{"plan", r.plan},
		{"status", r.status},
		{"isolationLevel", r.isolation},
		{"subscriptionExpiresAt", r.expires},
		{"quotas", quotasText(r.quotas)},
		{"upstreams", r.upstreams},
		{"metadata", r.metadata},
		{"securityPolicy", r.policy},
	}
}

func (r *environmentRecord) shown() []field {
	isDefault := "false"
	if r.isDefault {
		isDefault = "true"
	}
	return []field{
		{"slug", r.slug},
		{"name", r.name},
		{"type", r.kind},
		{"isDefault", isDefault},
		{"status", r.status},
		{"region", r.region},
		{"quotas", quotasText(r.quotas)},
		{"upstreams", r.upstreams},
		{"metadata", r.metadata},
	}
}

func (r *databaseRecord) shown() []field {
	return []field{{"driver", r.driver}, {"name", r.name}, {"schema", r.schema}, {"url", r.url}, {"region", r.region}}
}

// quotasText is quotas as in a document; "" where there are none.
func quotasText(q Quotas) string {
	if q == (Quotas{}) {
		return ""
	}
	text, err := json.Marshal(q)
	if err != nil {
		panic(err) // numbers only
	}
	return string(text)
}

// changed returns the fields in which two records differ.
func changed(before, after []field) (list []FieldDifference) {
	for i, b := range before {
		if a := after[i]; a.value != b.value {
			list = append(list, FieldDifference{Name: b.name, Before: b.value, After: a.value})
		}
	}
	return list
}
