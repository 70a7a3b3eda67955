package e2e_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: what anybody writes into the registry with a plain SQL client is served anew within two poll intervals, also
// by a gateway that has the old state in its cache, fresh for a long time, or remembers that there was no such tenant.
func TestChangesByPlainSQL(t *testing.T) {
	const poll = time.Second
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		d := someTenants(u)
		d.Tenants = append(d.Tenants,
			tenant{ID: numberedID(1, 3), Slug: "initech", Name: "Initech", Plan: "pro", Environments: []environment{{
				ID: numberedID(2, 3), Slug: "production", Name: "P", Type: "production", Upstreams: []string{u.dev.Address},
			}}},
			tenant{ID: numberedID(1, 4), Slug: "hooli", Name: "Hooli", Plan: "pro", Environments: []environment{{
				ID: numberedID(2, 4), Slug: "production", Name: "P", Type: "production", Upstreams: []string{u.dev.Address},
			}}},
			tenant{ID: numberedID(1, 5), Slug: "planned", Name: "Planned", Plan: "free"},
		)
		d.Plans[0].Upstreams = []string{u.dev.Address}
		b.load(t, d)
		g := harness.Start(t, harness.Options{
			Tenants: b.directive("poll_interval 1s") + "cache {\nttl 1h\nnegative_ttl 1h\n}",
			Site: `tenant {
				identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
				identify domain
			}
			reverse_proxy {
				dynamic tenant
			}`,
			Env: b.env(),
		})
		db := harness.OpenSQL(t, b.url, b.token)
		exec := func(query string, args ...any) func() {
			return func() { t.Helper(); harness.Exec(t, db, query, args...) }
		}
		for _, tt := range []struct {
			name          string
			host          string
			before, after int
			served, anew  string // the upstream that answers, where the status is 200
			write         func()
		}{
			{
				name: "suspended", host: "acme.app.test", before: 200, served: "acme-production", after: 403,
				write: exec("UPDATE sys_organization SET status = 'suspended' WHERE id = ?", acmeID),
			},
			{
				name: "restored", host: "acme.app.test", before: 403, after: 200, anew: "acme-production",
				write: exec("UPDATE sys_organization SET status = 'active' WHERE id = ?", acmeID),
			},
			{
				name: "environment suspended", host: "acme--dev.app.test", before: 200, served: "acme-dev", after: 403,
				write: exec("UPDATE sys_environment SET status = 'suspended' WHERE id = ?", acmeDevID),
			},
			{
				name: "another upstream", host: "globex.app.test", before: 200, served: "globex", after: 200, anew: "acme-dev",
				write: exec("UPDATE sys_environment SET upstreams = ? WHERE id = ?", fmt.Sprintf(`["%s"]`, u.dev.Address), globexProd),
			},
			{
				name: "a tenant that was unknown", host: "newcomer.app.test", before: 404, after: 200, anew: "globex",
				write: func() { newTenant(t, db, numberedID(1, 1), numberedID(2, 1), "newcomer", u.globex.Address) },
			},
			{
				name: "an environment that was unknown", host: "globex--preview.app.test", before: 404, after: 200, anew: "acme-dev",
				write: exec("INSERT INTO sys_environment (id, organization_id, slug, name, type, upstreams) VALUES (?, ?, 'preview', 'P', 'preview', ?)",
					numberedID(2, 2), globexID, fmt.Sprintf(`["%s"]`, u.dev.Address)),
			},
			{
				name: "a domain that was unknown", host: "new.acme.test", before: 404, after: 200, anew: "acme-production",
				write: exec("INSERT INTO sys_domain (hostname, environment_id, verified_at) VALUES ('new.acme.test', ?, '2025-01-01T00:00:00Z')", acmeProdID),
			},
			{
				name: "a domain that moves", host: "app.acme.test", before: 200, served: "acme-production", after: 200, anew: "acme-dev",
				write: exec("UPDATE sys_domain SET environment_id = ? WHERE hostname = 'app.acme.test'", globexProd),
			},
			{
				name: "a domain that goes", host: "new.acme.test", before: 200, served: "acme-production", after: 404,
				write: exec("DELETE FROM sys_domain WHERE hostname = 'new.acme.test'"),
			},
			{
				name: "a plan's upstream", host: "planned.app.test", before: 200, served: "acme-dev", after: 200, anew: "globex",
				write: exec("UPDATE sys_plan SET upstreams = ? WHERE name = 'free'", fmt.Sprintf(`["%s"]`, u.globex.Address)),
			},
			{
				name: "renamed: the old name", host: "initech.app.test", before: 200, served: "acme-dev", after: 404,
				write: exec("UPDATE sys_organization SET slug = 'initrode' WHERE slug = 'initech'"),
			},
			{
				name: "deleted", host: "hooli.app.test", before: 200, served: "acme-dev", after: 404,
				write: exec("DELETE FROM sys_organization WHERE slug = 'hooli'"),
			},
			{
				name: "a slug that another tenant takes over", host: "initech.app.test", before: 404, after: 200, anew: "globex",
				write: func() { newTenant(t, db, numberedID(1, 9), numberedID(2, 9), "initech", u.globex.Address) },
			},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if err := g.Expect(t.Context(), tt.host, tt.before, tt.served)(); err != nil {
					t.Fatalf("before: %v", err)
				}
				tt.write()
				took := harness.Eventually(t, 2*poll, g.Expect(t.Context(), tt.host, tt.after, tt.anew))
				t.Logf("served anew %s after it was written", took.Round(time.Millisecond))
			})
		}
	})
}

// newTenant writes a tenant with one environment, in one transaction as a careful operator would.
func newTenant(t *testing.T, db *sql.DB, id, environmentID, slug, upstream string) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for _, s := range []struct {
		query string
		args  []any
	}{
		{"INSERT INTO sys_organization (id, slug, name, plan) VALUES (?, ?, ?, 'pro')", []any{id, slug, slug}},
		{
			"INSERT INTO sys_environment (id, organization_id, slug, name, type, upstreams) VALUES (?, ?, 'production', 'P', 'production', ?)",
			[]any{environmentID, id, fmt.Sprintf(`["%s"]`, upstream)},
		},
	} {
		if _, err := tx.ExecContext(t.Context(), s.query, s.args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}
