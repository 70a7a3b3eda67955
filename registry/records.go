package registry

import (
	"database/sql"
	"encoding/json"
	"errors"
)

// The records of the registry as an import compares them: all fields are comparable, "" stands for NULL, and JSON is in
// one form, so that two records are the same exactly when == says so.

type planRecord struct {
	name      string
	quotas    Quotas
	upstreams string
	version   int64
}

type tenantRecord struct {
	id, slug, name, plan, status, isolation, expires string
	quotas                                           Quotas
	upstreams, metadata, policy                      string
	version                                          int64
}

type environmentRecord struct {
	id, tenant, slug, name, kind string
	isDefault                    bool
	status, region               string
	quotas                       Quotas
	upstreams, metadata          string
	version                      int64
}

type databaseRecord struct {
	environment, driver, name, schema, url, region string
	version                                        int64
}

type domainRecord struct {
	host, environment, tenant string
	verified                  bool
	version                   int64
}

type memberRecord struct {
	environment, user, role string
	version                 int64
}

// quotaColumns are the columns of quotas in the order of [Quotas.fields].
const quotaColumns = `max_users, max_storage_bytes, api_rate_limit, burst, max_api_calls_per_day, max_api_calls_per_month,
 max_concurrent_requests, max_objects, max_records_per_object, max_deployments_per_day`

// The columns of each kind of record, in the order in which its scan takes them.
const (
	planColumns        = `name, ` + quotaColumns + `, upstreams, version`
	tenantColumns      = `id, slug, name, plan, status, isolation_level, subscription_expires_at, ` + quotaColumns + `, upstreams, metadata, security_policy, version`
	environmentColumns = `id, organization_id, slug, name, type, is_default, status, region, ` + quotaColumns + `, upstreams, metadata, version`
	databaseColumns    = `environment_id, driver, name, schema_name, url, region, version`
)

// values takes one row, whatever its columns are.
type values struct {
	raw     []any
	targets []any
	next    int
}

// scan reads a row; text, number and quotas then take its columns one after the other.
func (v *values) scan(rows *sql.Rows) error {
	if v.raw == nil {
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		v.raw, v.targets = make([]any, len(columns)), make([]any, len(columns))
		for i := range v.raw {
			v.targets[i] = &v.raw[i]
		}
	}
	v.next = 0
	return rows.Scan(v.targets...)
}

// errShortRow is what a row with fewer columns than were asked for panics with; readRows makes an error of it. Only a
// server that answers nonsense has such rows.
var errShortRow = errors.New("a row has fewer columns than were asked for")

func (v *values) value() any {
	if v.next == len(v.raw) {
		panic(errShortRow)
	}
	v.next++
	return v.raw[v.next-1]
}

func (v *values) text() string {
	s, _ := v.value().(string) // NULL is ""
	return s
}

func (v *values) number() int64 {
	n, _ := v.value().(int64) // NULL is 0
	return n
}

func (v *values) quotas() (q Quotas) {
	for _, field := range q.fields() {
		*field = v.number()
	}
	return q
}

func (v *values) plan() planRecord {
	return planRecord{name: v.text(), quotas: v.quotas(), upstreams: canonicalUpstreams(v.text()), version: v.number()}
}

func (v *values) tenant() tenantRecord {
	return tenantRecord{
		id: v.text(), slug: v.text(), name: v.text(), plan: v.text(), status: v.text(), isolation: v.text(),
		expires: canonicalTime(v.text()), quotas: v.quotas(), upstreams: canonicalUpstreams(v.text()),
		metadata: canonicalMetadata(v.text()), policy: canonicalPolicy(v.text()), version: v.number(),
	}
}

func (v *values) environment() environmentRecord {
	return environmentRecord{
		id: v.text(), tenant: v.text(), slug: v.text(), name: v.text(), kind: v.text(), isDefault: v.number() == 1,
		status: v.text(), region: v.text(), quotas: v.quotas(), upstreams: canonicalUpstreams(v.text()),
		metadata: canonicalMetadata(v.text()), version: v.number(),
	}
}

func (v *values) database() databaseRecord {
	return databaseRecord{
		environment: v.text(), driver: v.text(), name: v.text(), schema: v.text(), url: v.text(), region: v.text(),
		version: v.number(),
	}
}

// canonicalUpstreams brings a stored list into the form in which an import writes one. What cannot be read stays as it
// is, and so differs from anything that an import has.
func canonicalUpstreams(text string) string {
	if text == "" || text == "[]" {
		return ""
	}
	var names []string
	if json.Unmarshal([]byte(text), &names) != nil {
		return text
	}
	list := make([]Upstream, len(names))
	for i, name := range names {
		u, err := ParseUpstream(name)
		if err != nil {
			return text
		}
		list[i] = u
	}
	return upstreamsText(list)
}

func upstreamsText(list []Upstream) string {
	if len(list) == 0 {
		return ""
	}
	return upstreamsJSON(list)
}

func canonicalMetadata(text string) string {
	m, err := parseMetadata(text, new(parsedValues))
	if err != nil {
		return text
	}
	return metadataText(m)
}

func metadataText(m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	return mustJSON(m)
}

func canonicalPolicy(text string) string {
	p, err := parseSecurityPolicy(text)
	if err != nil {
		return text
	}
	return policyText(p)
}

func policyText(p *SecurityPolicy) string {
	if p == nil {
		return ""
	}
	a := p.AccessControl
	if len(a.IPWhitelist) == 0 && !a.RequireMFA && !a.RequireSSO && a.SessionTimeout == 0 {
		return ""
	}
	return mustJSON(p)
}

func canonicalTime(text string) string {
	t, err := parseTime(text)
	if err != nil {
		return text
	}
	return t.Format(storedInstant)
}

// storedInstant is how an import writes times that it was given: without losing precision, and without zeros.
const storedInstant = "2006-01-02T15:04:05.999999999Z"

// mustJSON is for values that encoding/json can always write.
func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
