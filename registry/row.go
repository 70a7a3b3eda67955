package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
)

// The columns of the view sys_resolved, by position. Each group of quotas takes quotaCount columns.
const (
	colTenantID             = 0
	colTenantSlug           = 1
	colTenantName           = 2
	colPlan                 = 3
	colTenantStatus         = 4
	colIsolation            = 5
	colExpires              = 6
	colTenantQuotas         = 7
	colTenantUpstreams      = 17
	colTenantMetadata       = 18
	colSecurityPolicy       = 19
	colEnvironmentID        = 20
	colEnvironmentSlug      = 21
	colEnvironmentName      = 22
	colEnvironmentType      = 23
	colIsDefault            = 24
	colEnvironmentStatus    = 25
	colRegion               = 26
	colEnvironmentQuotas    = 27
	colEnvironmentUpstreams = 37
	colEnvironmentMetadata  = 38
	colPlanQuotas           = 39
	colPlanUpstreams        = 49
	colDriver               = 50
	colDatabase             = 51
	colSchema               = 52
	resolvedColumns         = 53
)

// resolvedRow takes one row of sys_resolved.
type resolvedRow struct {
	values  [resolvedColumns]any // string, int64 or nil
	targets [resolvedColumns]any // pointers to the values
}

var rowPool = sync.Pool{New: func() any {
	row := new(resolvedRow)
	for i := range row.values {
		row.targets[i] = &row.values[i]
	}
	return row
}}

func (row *resolvedRow) release() {
	clear(row.values[:])
	rowPool.Put(row)
}

// text returns a column's text; "" for NULL.
func (row *resolvedRow) text(column int) string {
	switch v := row.values[column].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// quotas reads the ten columns of quotas from the first on.
func (row *resolvedRow) quotas(first int) (q Quotas) {
	for i, field := range q.fields() {
		if v, ok := row.values[first+i].(int64); ok {
			*field = v
		}
	}
	return q
}

// resolved makes the snapshot. Its strings are its own; those that many tenants have in common are shared.
func (row *resolvedRow) resolved(p *parsedValues) (*Resolved, error) {
	r := new(Resolved)
	t, e := &r.Tenant, &r.Environment
	var err error
	if t.ID, err = uuid.Parse(row.text(colTenantID)); err != nil {
		return nil, errors.New("a tenant's id is no UUID")
	}
	fail := func(what string, err error) (*Resolved, error) {
		return nil, fmt.Errorf("%s of tenant %s: %w", what, t.ID, err)
	}
	if e.ID, err = uuid.Parse(row.text(colEnvironmentID)); err != nil {
		return fail("an environment's id", err)
	}
	t.Slug = row.text(colTenantSlug)
	t.Name = row.text(colTenantName)
	if t.Name == t.Slug {
		t.Name = t.Slug // one string for both
	}
	t.Plan = p.shared(row.text(colPlan))
	t.Status = Status(p.shared(row.text(colTenantStatus)))
	t.Isolation = IsolationLevel(p.shared(row.text(colIsolation)))
	if text := row.text(colExpires); text != "" {
		if t.SubscriptionExpiresAt, err = parseTime(text); err != nil {
			return fail("subscription_expires_at", err)
		}
	}
	t.Quotas = row.quotas(colPlanQuotas).Override(row.quotas(colTenantQuotas))
	if t.Metadata, err = p.metadata(row.text(colTenantMetadata)); err != nil {
		return fail("metadata", err)
	}
	if t.SecurityPolicy, err = parseSecurityPolicy(row.text(colSecurityPolicy)); err != nil {
		return fail("security_policy", err)
	}
	e.Slug = p.shared(row.text(colEnvironmentSlug))
	e.Name = p.shared(row.text(colEnvironmentName))
	e.Type = EnvironmentType(p.shared(row.text(colEnvironmentType)))
	e.Default = row.values[colIsDefault] == int64(1)
	e.Status = Status(p.shared(row.text(colEnvironmentStatus)))
	e.Region = p.shared(row.text(colRegion))
	e.Quotas = p.quotas(row.quotas(colEnvironmentQuotas))
	if e.Metadata, err = p.metadata(row.text(colEnvironmentMetadata)); err != nil {
		return fail("an environment's metadata", err)
	}
	for _, column := range []int{colEnvironmentUpstreams, colTenantUpstreams, colPlanUpstreams} {
		if r.Upstreams, err = p.upstreams(row.text(column)); err != nil {
			return fail("upstreams", err)
		}
		if len(r.Upstreams) > 0 {
			break
		}
	}
	r.Database.Driver = p.shared(row.text(colDriver))
	r.Database.Name = row.text(colDatabase)
	r.Database.Schema = p.shared(row.text(colSchema))
	r.Seal()
	return r, nil
}

// parseMetadata reads a JSON object; nil when it is empty. Import writes strings only; where another writer put
// something else, its JSON text counts.
func parseMetadata(text string, p *parsedValues) (map[string]string, error) {
	if text == "" || text == "{}" {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, nil
	}
	m := make(map[string]string, len(raw))
	for key, value := range raw {
		var s string
		if value[0] == '"' {
			if err := json.Unmarshal(value, &s); err != nil {
				return nil, err
			}
		} else {
			var b bytes.Buffer
			if err := json.Compact(&b, value); err != nil {
				return nil, err
			}
			s = b.String()
		}
		m[p.shared(key)] = p.shared(s)
	}
	return m, nil
}

// parseSecurityPolicy reads a JSON object; nil when it demands nothing.
func parseSecurityPolicy(text string) (*SecurityPolicy, error) {
	if text == "" || text == "{}" {
		return nil, nil
	}
	policy := new(SecurityPolicy)
	if err := json.Unmarshal([]byte(text), policy); err != nil {
		return nil, err
	}
	a := policy.AccessControl
	if len(a.IPWhitelist) == 0 && !a.RequireMFA && !a.RequireSSO && a.SessionTimeout == 0 {
		return nil, nil
	}
	return policy, nil
}
