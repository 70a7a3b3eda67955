package registry

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"

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

// The most elements of one argument. sqld takes no argument of more than 4 MB.
const (
	mostIDs     = 5000
	mostHosts   = 2000
	mostMembers = 500
)

// inParts calls f with a list in parts of at most so many elements. A part whose answer is too large for the server,
// which then gives none of it, is cut further.
func inParts[T any](list []T, most int, f func(part []T) error) error {
	for part := range slices.Chunk(list, most) {
		err := f(part)
		if errors.Is(err, errTooLarge) && len(part) > 1 {
			err = inParts(part, (len(part)+1)/2, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loadExisting reads what the registry has of a batch, with some six queries.
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
	return inParts(b.plans, mostIDs, func(part []*DocumentPlan) error {
		names := make([]string, len(part))
		for i, p := range part {
			names[i] = p.Name
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
	})
}

func (h *existing) loadTenants(ctx context.Context, read reader, b *batch) error {
	return inParts(b.tenants, batchTenants, func(part []*DocumentTenant) error {
		ids, slugs := []string{}, []string{}
		for _, t := range part {
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
	})
}

// loadEnvironments reads all environments of the tenants, and those of others whose ids the document names.
func (h *existing) loadEnvironments(ctx context.Context, read reader, b *batch) error {
	tenants := slices.Collect(maps.Keys(h.tenants))
	if err := h.loadEnvironmentsBy(ctx, read, `organization_id`, tenants); err != nil {
		return err
	}
	var foreign []string
	for _, t := range b.tenants {
		for _, e := range t.Environments {
			if e.ID != uuid.Nil && h.environments[e.ID.String()] == nil {
				foreign = append(foreign, e.ID.String())
			}
		}
	}
	return h.loadEnvironmentsBy(ctx, read, `id`, foreign)
}

func (h *existing) loadEnvironmentsBy(ctx context.Context, read reader, column string, ids []string) error {
	return inParts(ids, mostIDs, func(part []string) error {
		var v values
		return read(ctx, func(rows *sql.Rows) error {
			if err := v.scan(rows); err != nil {
				return err
			}
			e := v.environment()
			h.environments[e.id] = &e
			h.ofTenant[e.tenant] = append(h.ofTenant[e.tenant], &e)
			return nil
		}, `SELECT `+environmentColumns+` FROM sys_environment WHERE `+column+` IN (SELECT value FROM json_each(?1))`, mustJSON(part))
	})
}

// loadDatabases reads the databases of those environments of which the document says one.
func (h *existing) loadDatabases(ctx context.Context, read reader, b *batch) error {
	var ids []string
	for _, t := range b.tenants {
		for i := range t.Environments {
			if e := &t.Environments[i]; e.Database != nil {
				if known := h.match(t, e); known != nil {
					ids = append(ids, known.id)
				}
			}
		}
	}
	return inParts(ids, mostIDs, func(part []string) error {
		var v values
		return read(ctx, func(rows *sql.Rows) error {
			if err := v.scan(rows); err != nil {
				return err
			}
			d := v.database()
			h.databases[d.environment] = d
			return nil
		}, `SELECT `+databaseColumns+` FROM sys_environment_database WHERE environment_id IN (SELECT value FROM json_each(?1))`, mustJSON(part))
	})
}

func (h *existing) loadDomains(ctx context.Context, read reader, b *batch) error {
	var hosts []string
	for _, t := range b.tenants {
		for _, e := range t.Environments {
			hosts = append(hosts, e.Domains...)
		}
	}
	return inParts(hosts, mostHosts, func(part []string) error {
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
 WHERE d.hostname IN (SELECT value FROM json_each(?1))`, mustJSON(part))
	})
}

// loadMembers looks up exactly the members that the document names: an environment may have many others.
func (h *existing) loadMembers(ctx context.Context, read reader, b *batch) error {
	var pairs [][2]string
	for _, t := range b.tenants {
		for i := range t.Environments {
			e := &t.Environments[i]
			if known := h.match(t, e); known != nil {
				for _, m := range e.Members {
					pairs = append(pairs, [2]string{known.id, m.UserID})
				}
			}
		}
	}
	return inParts(pairs, mostMembers, func(part [][2]string) error {
		return read(ctx, func(rows *sql.Rows) error {
			var m memberRecord
			if err := rows.Scan(&m.environment, &m.user, &m.role, &m.version); err != nil {
				return err
			}
			h.members[[2]string{m.environment, m.user}] = m
			return nil
		}, `SELECT m.environment_id, m.user_id, m.role, m.version FROM json_each(?1) j
 CROSS JOIN sys_environment_member m ON m.environment_id = j.value->>0 AND m.user_id = j.value->>1`, mustJSON(part))
	})
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
