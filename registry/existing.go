package registry

import (
	"context"
	"database/sql"

	"github.com/google/uuid"
)

// reader runs a query of an import: on the pool, or in its transaction.
type reader func(ctx context.Context, each rowsFunc, query string, args ...any) error

// batch is a part of a document that is compared at once.
type batch struct {
	plans   []*DocumentPlan
	tenants []*DocumentTenant
	// first is the index of the first tenant in the document.
	first int
	// records counts what is in the tenants.
	records int
}

// existing is what the registry has of a batch.
type existing struct {
	index        *fileIndex
	plans        map[string]planRecord
	tenants      map[string]*tenantRecord // by id
	slugs        map[string]*tenantRecord
	environments map[string]*environmentRecord   // by id; also those of other tenants, where the document names their id
	ofTenant     map[string][]*environmentRecord // by the tenant's id
	databases    map[string]databaseRecord       // by the environment's id
	domains      map[string]domainRecord         // by host
	members      map[[2]string]memberRecord      // by environment and user
}

func newExisting(index *fileIndex) *existing {
	return &existing{
		index:        index,
		plans:        map[string]planRecord{},
		tenants:      map[string]*tenantRecord{},
		slugs:        map[string]*tenantRecord{},
		environments: map[string]*environmentRecord{},
		ofTenant:     map[string][]*environmentRecord{},
		databases:    map[string]databaseRecord{},
		domains:      map[string]domainRecord{},
		members:      map[[2]string]memberRecord{},
	}
}

// loadExisting reads what the registry has of a batch, with at most six queries whatever its size.
func loadExisting(ctx context.Context, read reader, index *fileIndex, b *batch) (*existing, error) {
	h := newExisting(index)
	if err := h.loadPlans(ctx, read, b); err != nil {
		return nil, err
	}
	if len(b.tenants) == 0 {
		return h, nil
	}
	for _, load := range []func(context.Context, reader, *batch) error{
		h.loadTenants, h.loadEnvironments, h.loadDatabases, h.loadDomains, h.loadMembers,
	} {
		if err := load(ctx, read, b); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *existing) loadPlans(ctx context.Context, read reader, b *batch) error {
	if len(b.plans) == 0 {
		return nil
	}
	var names []string
	for _, p := range b.plans {
		names = append(names, p.Name)
	}
	var v values
	return read(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		p := v.plan()
		h.plans[p.name] = p
		return nil
	}, `SELECT `+planColumns+` FROM sys_plan WHERE name IN (SELECT value FROM json_each(?1))`, mustJSON(names))
}

func (h *existing) loadTenants(ctx context.Context, read reader, b *batch) error {
	ids, slugs := []string{}, []string{}
	for _, t := range b.tenants {
		slugs = append(slugs, t.Slug)
		if t.ID != uuid.Nil {
			ids = append(ids, t.ID.String())
		}
	}
	var v values
	return read(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		t := v.tenant()
		h.tenants[t.id], h.slugs[t.slug] = &t, &t
		return nil
	}, `SELECT `+tenantColumns+` FROM sys_organization
 WHERE id IN (SELECT value FROM json_each(?1)) OR slug IN (SELECT value FROM json_each(?2))`, mustJSON(ids), mustJSON(slugs))
}

func (h *existing) loadEnvironments(ctx context.Context, read reader, b *batch) error {
	tenants, ids := []string{}, []string{}
	for id := range h.tenants {
		tenants = append(tenants, id)
	}
	for _, t := range b.tenants {
		for _, e := range t.Environments {
			if e.ID != uuid.Nil {
				ids = append(ids, e.ID.String())
			}
		}
	}
	if len(tenants)+len(ids) == 0 {
		return nil
	}
	var v values
	return read(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		e := v.environment()
		h.environments[e.id] = &e
		h.ofTenant[e.tenant] = append(h.ofTenant[e.tenant], &e)
		return nil
	}, `SELECT `+environmentColumns+` FROM sys_environment
 WHERE organization_id IN (SELECT value FROM json_each(?1)) OR id IN (SELECT value FROM json_each(?2))`, mustJSON(tenants), mustJSON(ids))
}

func (h *existing) loadDatabases(ctx context.Context, read reader, _ *batch) error {
	ids := h.environmentIDs()
	if len(ids) == 0 {
		return nil
	}
	var v values
	return read(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		d := v.database()
		h.databases[d.environment] = d
		return nil
	}, `SELECT `+databaseColumns+` FROM sys_environment_database WHERE environment_id IN (SELECT value FROM json_each(?1))`, mustJSON(ids))
}

func (h *existing) environmentIDs() []string {
	ids := make([]string, 0, len(h.environments))
	for id := range h.environments {
		ids = append(ids, id)
	}
	return ids
}

func (h *existing) loadDomains(ctx context.Context, read reader, b *batch) error {
	var hosts []string
	for _, t := range b.tenants {
		for _, e := range t.Environments {
			hosts = append(hosts, e.Domains...)
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	return read(ctx, func(rows *sql.Rows) error {
		var d domainRecord
		var tenant sql.NullString
		if err := rows.Scan(&d.host, &d.environment, &tenant, &d.verified, &d.version); err != nil {
			return err
		}
		d.tenant = tenant.String
		h.domains[d.host] = d
		return nil
	}, `SELECT d.hostname, d.environment_id, e.organization_id, d.verified_at IS NOT NULL, d.version
 FROM sys_domain d LEFT JOIN sys_environment e ON e.id = d.environment_id
 WHERE d.hostname IN (SELECT value FROM json_each(?1))`, mustJSON(hosts))
}

// loadMembers looks up exactly the members that the document names: an environment may have many others.
func (h *existing) loadMembers(ctx context.Context, read reader, b *batch) error {
	var pairs [][2]string
	for _, t := range b.tenants {
		for _, e := range t.Environments {
			if known := h.match(t, &e); known != nil {
				for _, m := range e.Members {
					pairs = append(pairs, [2]string{known.id, m.UserID})
				}
			}
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return read(ctx, func(rows *sql.Rows) error {
		var m memberRecord
		if err := rows.Scan(&m.environment, &m.user, &m.role, &m.version); err != nil {
			return err
		}
		h.members[[2]string{m.environment, m.user}] = m
		return nil
	}, `SELECT m.environment_id, m.user_id, m.role, m.version FROM json_each(?1) j
 CROSS JOIN sys_environment_member m ON m.environment_id = j.value->>0 AND m.user_id = j.value->>1`, mustJSON(pairs))
}

// tenant finds the record of a tenant of the document: by its id, else by its slug. A record whose id another tenant of
// the document names is that one's.
func (h *existing) tenant(t *DocumentTenant) *tenantRecord {
	if t.ID != uuid.Nil {
		return h.tenants[t.ID.String()]
	}
	have := h.slugs[t.Slug]
	if have == nil || h.index.namesTenant(have.id) {
		return nil
	}
	return have
}

// match finds the record of an environment of the document in the same way.
func (h *existing) match(t *DocumentTenant, e *DocumentEnvironment) *environmentRecord {
	if e.ID != uuid.Nil {
		return h.environments[e.ID.String()]
	}
	tenant := h.tenant(t)
	if tenant == nil {
		return nil
	}
	have := h.bySlug(tenant.id, e.Slug)
	if have == nil || namesEnvironment(t, have.id) {
		return nil
	}
	return have
}

// bySlug finds an environment of a tenant.
func (h *existing) bySlug(tenant, slug string) *environmentRecord {
	for _, e := range h.ofTenant[tenant] {
		if e.slug == slug {
			return e
		}
	}
	return nil
}

// namesEnvironment reports whether a tenant of the document has an environment with an id.
func namesEnvironment(t *DocumentTenant, id string) bool {
	for i := range t.Environments {
		if e := &t.Environments[i]; e.ID != uuid.Nil && e.ID.String() == id {
			return true
		}
	}
	return false
}
