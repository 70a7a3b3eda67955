package registry

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"maps"
	"slices"
)

const (
	// exportTenants is how many tenants are read at once.
	exportTenants = 200
	// exportMembers is how many members are read at once: an environment may have any number.
	exportMembers = 5000
)

// Export writes the whole registry as an import document, as it was at one moment, ordered by plan name, tenant slug,
// and within a tenant the default environment first, then by slug. Importing it into the same registry changes
// nothing. Left out is what an import cannot make: credentials, API keys, sessions, usage, logs, former slugs, and
// domains that are not verified. Errors of the registry wrap [ErrUnavailable]; others are those of w.
//
// To a server it must not be interrupted for long: when w blocks for 10 s, sqld closes the stream.
func (s *Store) Export(ctx context.Context, w io.Writer) error {
	if err := s.migrated(); err != nil {
		return err
	}
	conn, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := s.call(context.WithoutCancel(ctx))
		defer cancel()
		_, _ = conn.ExecContext(ctx, `ROLLBACK`) // there is nothing to commit
		_ = conn.Close()
	}()
	e := &exporter{s: s, w: &documentWriter{w: w}, read: func(ctx context.Context, each rowsFunc, query string, args ...any) error {
		ctx, cancel := s.call(ctx)
		defer cancel()
		return s.classify(s.queryOn(ctx, conn, each, query, args...))
	}}
	if err := e.plans(ctx); err != nil {
		return err
	}
	for after := ""; ; {
		more, err := e.tenants(ctx, &after)
		if err != nil {
			return err
		}
		if !more {
			return e.w.finish()
		}
	}
}

// snapshot returns a connection in a transaction that only reads, and that needs no lock that a writer could wait for.
func (s *Store) snapshot(ctx context.Context) (*sql.Conn, error) {
	for attempt := 1; ; attempt++ {
		conn, err := s.write.Conn(ctx)
		if err != nil {
			return nil, s.classify(err)
		}
		begin, cancel := s.call(ctx)
		_, err = conn.ExecContext(begin, `BEGIN DEFERRED`)
		cancel()
		if err == nil {
			return conn, nil
		}
		_ = conn.Close()
		if attempt == 3 || ctx.Err() != nil || !brokenPipe(err) { // idle connections of before a server's restart
			return nil, s.classify(err)
		}
	}
}

// exporter reads a registry piece by piece.
type exporter struct {
	s    *Store
	w    *documentWriter
	read reader
}

func (e *exporter) plans(ctx context.Context) error {
	var v values
	return e.read(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		p := v.plan()
		upstreams, err := storedUpstreams(p.upstreams)
		if err != nil {
			return e.unreadable("upstreams", "plan", p.name, err)
		}
		e.w.plan(&DocumentPlan{Name: p.name, Quotas: someQuotas(p.quotas), Upstreams: upstreams})
		return e.w.err
	}, `SELECT `+planColumns+` FROM sys_plan ORDER BY name`)
}

// tenants writes the tenants whose slugs come next after a slug, fewer at a time when they are too large for a server.
func (e *exporter) tenants(ctx context.Context, after *string) (more bool, err error) {
	var v values
	var list []*DocumentTenant
	byID := map[string]*DocumentTenant{}
	limit := exportTenants
	err = e.halving(&limit, func() error {
		return e.read(ctx, func(rows *sql.Rows) error {
			if err := v.scan(rows); err != nil {
				return err
			}
			r := v.tenant()
			t, err := e.tenant(&r)
			if err != nil {
				return err
			}
			list, byID[r.id], *after = append(list, t), t, r.slug
			return nil
		}, `SELECT `+tenantColumns+` FROM sys_organization WHERE slug > ?1 ORDER BY slug LIMIT ?2`, *after, int64(limit))
	})
	if err != nil || len(list) == 0 {
		return false, err
	}
	if err := e.environments(ctx, byID); err != nil {
		return false, err
	}
	for _, t := range list {
		e.w.tenant(t)
	}
	return true, e.w.err
}

// place is where an environment is in the document.
type place struct {
	tenant *DocumentTenant
	index  int
}

func (p place) environment() *DocumentEnvironment { return &p.tenant.Environments[p.index] }

func (e *exporter) environments(ctx context.Context, tenants map[string]*DocumentTenant) error {
	places := map[string]place{}
	environments := []string{}
	err := inParts(slices.Collect(maps.Keys(tenants)), exportTenants, func(part []string) error {
		var v values
		return e.read(ctx, func(rows *sql.Rows) error {
			if err := v.scan(rows); err != nil {
				return err
			}
			r := v.environment()
			t := tenants[r.tenant]
			places[r.id] = place{t, len(t.Environments)}
			environments = append(environments, r.id)
			environment, err := e.environment(&r)
			t.Environments = append(t.Environments, environment)
			return err
		}, `SELECT `+environmentColumns+` FROM sys_environment WHERE organization_id IN (SELECT value FROM json_each(?1))
 ORDER BY organization_id, is_default DESC, slug`, mustJSON(part))
	})
	if err != nil {
		return err
	}
	return inParts(environments, mostHosts, func(part []string) error {
		arg := mustJSON(part)
		if err := e.databases(ctx, places, arg); err != nil {
			return err
		}
		for _, id := range part { // should the part be read anew, cut in two
			of := places[id].environment()
			of.Domains, of.Members = nil, nil
		}
		if err := e.domains(ctx, places, arg); err != nil {
			return err
		}
		return e.members(ctx, places, arg)
	})
}

// halving calls f, again with half the limit as long as the answer is too large for the server.
func (e *exporter) halving(limit *int, f func() error) error {
	for {
		err := f()
		if !errors.Is(err, errTooLarge) || *limit == 1 {
			return err
		}
		*limit /= 2
	}
}

func (e *exporter) databases(ctx context.Context, places map[string]place, environments string) error {
	var v values
	return e.read(ctx, func(rows *sql.Rows) error {
		if err := v.scan(rows); err != nil {
			return err
		}
		r := v.database()
		d := &DocumentDatabase{Driver: r.driver, Name: r.name}
		for _, f := range []struct {
			to   **string
			from string
		}{{&d.Schema, r.schema}, {&d.URL, r.url}, {&d.Region, r.region}} {
			if f.from != "" {
				*f.to = &f.from
			}
		}
		places[r.environment].environment().Database = d
		return nil
	}, `SELECT `+databaseColumns+` FROM sys_environment_database WHERE environment_id IN (SELECT value FROM json_each(?1))`, environments)
}

func (e *exporter) domains(ctx context.Context, places map[string]place, environments string) error {
	return e.read(ctx, func(rows *sql.Rows) error {
		var id, host string
		if err := rows.Scan(&id, &host); err != nil {
			return err
		}
		of := places[id].environment()
		of.Domains = append(of.Domains, host)
		return nil
	}, `SELECT environment_id, hostname FROM sys_domain
 WHERE environment_id IN (SELECT value FROM json_each(?1)) AND verified_at IS NOT NULL ORDER BY environment_id, hostname`, environments)
}

func (e *exporter) members(ctx context.Context, places map[string]place, environments string) error {
	lastID, lastUser := "", ""
	limit := exportMembers
	for {
		n := 0
		err := e.halving(&limit, func() error {
			return e.read(ctx, func(rows *sql.Rows) error {
				var m DocumentMember
				if err := rows.Scan(&lastID, &m.UserID, &m.Role); err != nil {
					return err
				}
				lastUser = m.UserID
				n++
				of := places[lastID].environment()
				of.Members = append(of.Members, m)
				return nil
			}, `SELECT environment_id, user_id, role FROM sys_environment_member
 WHERE environment_id IN (SELECT value FROM json_each(?1)) AND (environment_id, user_id) > (?2, ?3)
 ORDER BY environment_id, user_id LIMIT ?4`, environments, lastID, lastUser, int64(limit))
		})
		if err != nil || n < limit {
			return err
		}
	}
}
