package registry

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Ids of the world below.
const (
	idAcme     = "0190a000-0000-7000-8000-000000000001"
	idGlobex   = "0190a000-0000-7000-8000-000000000002"
	idInitech  = "0190a000-0000-7000-8000-000000000003"
	idAcmeProd = "0190a000-0000-7000-8000-000000000011"
	idAcmeDev  = "0190a000-0000-7000-8000-000000000012"
	idGlobProd = "0190a000-0000-7000-8000-000000000021"
	idInitProd = "0190a000-0000-7000-8000-000000000031"
)

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// world fills a registry with three tenants, and with what an import cannot make.
func world(t testing.TB, s *Store) {
	t.Helper()
	importText(t, s, `{
"plans": [
 {"name": "free", "quotas": {"apiRateLimit": 60, "burst": 20, "maxUsers": 3}, "upstreams": ["127.0.0.1:9001"]},
 {"name": "pro", "quotas": {"apiRateLimit": 600, "burst": 100, "maxConcurrentRequests": 50}}],
"tenants": [
 {"id": "`+idAcme+`", "slug": "acme", "name": "Acme Corp", "plan": "pro", "isolationLevel": "isolated_schema", "quotas": {"apiRateLimit": 900},
  "upstreams": ["https://acme.internal"], "metadata": {"canary": "true"}, "subscriptionExpiresAt": "2030-01-01T00:00:00Z",
  "securityPolicy": {"accessControl": {"ipWhitelist": ["10.0.0.0/8"], "requireMFA": true}},
  "environments": [
   {"id": "`+idAcmeProd+`", "slug": "production", "name": "Production", "isDefault": true, "domains": ["app.acme.test"], "region": "eu-west-1",
    "database": {"driver": "postgres", "name": "shared", "schema": "acme", "url": "postgres://db.internal/shared"}},
   {"id": "`+idAcmeDev+`", "slug": "dev", "type": "development", "upstreams": ["127.0.0.1:9003", "pool:dev"], "quotas": {"apiRateLimit": 5}, "metadata": {"a": "b"}, "domains": ["dev.acme.test"]}]},
 {"id": "`+idGlobex+`", "slug": "globex", "environments": [{"id": "`+idGlobProd+`", "slug": "production"}]},
 {"id": "`+idInitech+`", "slug": "initech", "status": "suspended", "plan": "nobody", "environments": [{"id": "`+idInitProd+`", "slug": "production", "status": "archived"}]}]}`)
	run(t, s, `INSERT INTO sys_organization_alias (slug, organization_id) VALUES ('oldacme', ?1)`, idAcme)
	run(t, s, `INSERT INTO sys_organization_alias (slug, organization_id) VALUES ('globex', ?1)`, idAcme) // a live slug wins
	run(t, s, `INSERT INTO sys_environment_alias (organization_id, slug, environment_id) VALUES (?1, 'develop', ?2)`, idAcme, idAcmeDev)
	run(t, s, `INSERT INTO sys_domain (hostname, environment_id) VALUES ('unverified.test', ?1)`, idAcmeDev)
	key := func(n int, name, environment, expires, revoked string) {
		run(t, s, `INSERT INTO sys_api_key (id, environment_id, name, key_hash, expires_at, revoked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
			fmt.Sprintf("0190a000-0000-7000-8000-0000000001%02d", n), environment, name, hashOf(name), null(expires), null(revoked))
	}
	key(1, "key", idAcmeDev, "", "")
	key(2, "later", idAcmeDev, "2030-01-01T00:00:00Z", "")
	key(3, "expired", idAcmeDev, "2026-01-01T00:00:00Z", "")
	key(4, "revoked", idAcmeDev, "", "2026-01-01T00:00:00Z")
	session := func(n int, name, organization, environment, expires, revoked string) {
		run(t, s, `INSERT INTO sys_session (id, token_hash, user_id, active_organization_id, active_environment_id, expires_at, revoked_at) VALUES (?1, ?2, 'u', ?3, ?4, ?5, ?6)`,
			fmt.Sprintf("0190a000-0000-7000-8000-0000000002%02d", n), hashOf(name), null(organization), null(environment), expires, null(revoked))
	}
	session(1, "in dev", "", idAcmeDev, "2030-01-01T00:00:00Z", "")
	session(2, "in acme", idAcme, "", "2030-01-01T00:00:00Z", "")
	session(3, "both", idAcme, idAcmeDev, "2030-01-01T00:00:00Z", "")
	session(4, "nowhere", "", "", "2030-01-01T00:00:00Z", "")
	session(5, "over", idAcme, "", "2026-06-01T11:59:59.999Z", "")
	session(6, "out", idAcme, "", "2030-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
}

func null(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// noon is the time of the tests.
func noon() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// Promise: every kind of reference finds the environment that it means, in every way to name one, and what is missing
// is said to be missing: the tenant, or only the environment.
func TestResolve(t *testing.T) {
	const upper = "0190A000-0000-7000-8000-000000000001"
	onAll(t, func(t *testing.T, s *Store) {
		s.now = noon
		world(t, s)
		for _, test := range []struct {
			kind             Kind
			key, environment string
			want             string // slug/environment, "-" for an unknown tenant, "acme/-" for an unknown environment
		}{
			{KindSlug, "acme", "", "acme/production"},
			{KindSlug, "acme", "dev", "acme/dev"},
			{KindSlug, "acme", idAcmeDev, "acme/dev"},
			{KindSlug, "acme", "develop", "acme/dev"}, // a former slug
			{KindSlug, "acme", "staging", "acme/-"},
			{KindSlug, "acme", idGlobProd, "acme/-"}, // another tenant's
			{KindSlug, "acme", "Not A Slug", "acme/-"},
			{KindSlug, "globex", "", "globex/production"},
			{KindSlug, "oldacme", "", "acme/production"}, // a former slug
			{KindSlug, "oldacme", "dev", "acme/dev"},
			{KindSlug, "oldacme", idAcmeDev, "acme/dev"},
			{KindSlug, "oldacme", "develop", "acme/dev"},
			{KindSlug, "oldacme", "staging", "acme/-"},
			{KindSlug, "initech", "", "initech/production"}, // suspended: its status tells
			{KindSlug, "nobody", "", "-"},
			{KindSlug, "nobody", "dev", "-"},
			{KindSlug, "ACME", "", "-"},
			{KindSlug, "", "", "-"},
			{KindSlug, strings.Repeat("a", 10000), "", "-"},
			{KindSlug, "a' OR '1'='1", "", "-"},

			{KindTenantID, idAcme, "", "acme/production"},
			{KindTenantID, idAcme, "dev", "acme/dev"},
			{KindTenantID, idAcme, "develop", "acme/dev"},
			{KindTenantID, idAcme, idAcmeProd, "acme/production"},
			{KindTenantID, idAcme, idGlobProd, "acme/-"},
			{KindTenantID, idAcme, "staging", "acme/-"},
			{KindTenantID, idAcmeDev, "", "-"},
			{KindTenantID, upper, "", "-"},
			{KindTenantID, "acme", "", "-"},

			{KindHost, "app.acme.test", "", "acme/production"},
			{KindHost, "dev.acme.test", "", "acme/dev"},
			{KindHost, "dev.acme.test", "production", "acme/production"}, // another environment of the same tenant
			{KindHost, "app.acme.test", idAcmeDev, "acme/dev"},
			{KindHost, "app.acme.test", "develop", "acme/dev"},
			{KindHost, "app.acme.test", idGlobProd, "acme/-"},
			{KindHost, "app.acme.test", "staging", "acme/-"},
			{KindHost, "unverified.test", "", "-"},
			{KindHost, "unverified.test", "dev", "-"},
			{KindHost, "other.test", "", "-"},

			{KindEnvironmentID, idAcmeDev, "", "acme/dev"},
			{KindEnvironmentID, idAcmeDev, "dev", "acme/dev"},
			{KindEnvironmentID, idAcmeDev, idAcmeDev, "acme/dev"},
			{KindEnvironmentID, idAcmeDev, "production", "acme/-"}, // the id leads to this environment alone
			{KindEnvironmentID, idAcmeDev, idAcmeProd, "acme/-"},
			{KindEnvironmentID, idAcme, "", "-"},

			{KindAPIKey, hashOf("key"), "", "acme/dev"},
			{KindAPIKey, hashOf("later"), "", "acme/dev"},
			{KindAPIKey, hashOf("key"), "dev", "acme/dev"},
			{KindAPIKey, hashOf("key"), "production", "acme/-"}, // a key is good for its environment alone
			{KindAPIKey, hashOf("key"), idAcmeProd, "acme/-"},
			{KindAPIKey, hashOf("expired"), "", "-"},
			{KindAPIKey, hashOf("revoked"), "", "-"},
			{KindAPIKey, hashOf("revoked"), "dev", "-"},
			{KindAPIKey, hashOf("none"), "", "-"},
			{KindAPIKey, "key", "", "-"},

			{KindSession, hashOf("in dev"), "", "acme/dev"},
			{KindSession, hashOf("in acme"), "", "acme/production"},
			{KindSession, hashOf("both"), "", "acme/dev"},
			{KindSession, hashOf("in dev"), "dev", "acme/dev"},
			{KindSession, hashOf("in dev"), idAcmeDev, "acme/dev"},
			{KindSession, hashOf("in dev"), "production", "acme/-"}, // the session names its environment
			{KindSession, hashOf("in acme"), idAcmeDev, "acme/dev"},
			{KindSession, hashOf("in acme"), idGlobProd, "acme/-"},
			{KindSession, hashOf("nowhere"), "", "-"},
			{KindSession, hashOf("over"), "", "-"},
			{KindSession, hashOf("out"), "", "-"},

			{KindNone, "", "dev", "-"},
			{Kind(99), "acme", "", "-"},
		} {
			r, err := s.Resolve(t.Context(), Reference{Kind: test.kind, Key: test.key, Environment: test.environment})
			got := ""
			var missing *NotFoundError
			switch {
			case err == nil:
				got = r.Tenant.Slug + "/" + r.Environment.Slug
			case errors.As(err, &missing) && errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnavailable):
				got = map[uuid.UUID]string{uuid.Nil: "-", uuid.MustParse(idAcme): "acme/-"}[missing.Tenant]
			default:
				got = err.Error()
			}
			if got != test.want || (r != nil) != (err == nil) {
				t.Errorf("%s %.50q environment %q: got %s, want %s", test.kind, test.key, test.environment, got, test.want)
			}
		}
	})
}

// Promise: a snapshot has everything: plan overridden by tenant, the environment's own quotas apart, the nearest
// upstreams, no time for no expiry, nil for what is empty.
func TestResolvedSnapshot(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		world(t, s)
		for _, test := range []struct {
			slug, environment string
			want              Resolved
		}{
			{"acme", "", Resolved{
				Tenant: ResolvedTenant{
					ID: uuid.MustParse(idAcme), Slug: "acme", Name: "Acme Corp", Plan: "pro", Status: StatusActive, Isolation: IsolationIsolatedSchema,
					SubscriptionExpiresAt: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
					Quotas:                Quotas{APIRateLimit: 900, MaxConcurrentRequests: 50}, // the plan's burst went with its rate
					Metadata:              map[string]string{"canary": "true"},
					SecurityPolicy:        &SecurityPolicy{AccessControl: AccessControl{IPWhitelist: []string{"10.0.0.0/8"}, RequireMFA: true}},
				},
				Environment: ResolvedEnvironment{
					ID: uuid.MustParse(idAcmeProd), Slug: "production", Name: "Production", Type: EnvironmentProduction, Default: true,
					Status: StatusActive, Region: "eu-west-1",
				},
				Upstreams: []Upstream{{Scheme: "https", Address: "acme.internal:443"}},
				Database:  Database{Driver: "postgres", Name: "shared", Schema: "acme"},
			}},
			{"acme", "dev", Resolved{
				Tenant: ResolvedTenant{
					ID: uuid.MustParse(idAcme), Slug: "acme", Name: "Acme Corp", Plan: "pro", Status: StatusActive, Isolation: IsolationIsolatedSchema,
					SubscriptionExpiresAt: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
					Quotas:                Quotas{APIRateLimit: 900, MaxConcurrentRequests: 50},
					Metadata:              map[string]string{"canary": "true"},
					SecurityPolicy:        &SecurityPolicy{AccessControl: AccessControl{IPWhitelist: []string{"10.0.0.0/8"}, RequireMFA: true}},
				},
				Environment: ResolvedEnvironment{
					ID: uuid.MustParse(idAcmeDev), Slug: "dev", Name: "dev", Type: EnvironmentDevelopment, Status: StatusActive,
					Quotas: &Quotas{APIRateLimit: 5}, Metadata: map[string]string{"a": "b"},
				},
				Upstreams: []Upstream{{Scheme: "http", Address: "127.0.0.1:9003"}, {Pool: "dev"}},
			}},
			{"globex", "", Resolved{
				Tenant: ResolvedTenant{
					ID: uuid.MustParse(idGlobex), Slug: "globex", Name: "globex", Plan: "free", Status: StatusActive, Isolation: IsolationSharedSchema,
					Quotas: Quotas{APIRateLimit: 60, Burst: 20, MaxUsers: 3},
				},
				Environment: ResolvedEnvironment{
					ID: uuid.MustParse(idGlobProd), Slug: "production", Name: "production", Type: EnvironmentProduction, Default: true, Status: StatusActive,
				},
				Upstreams: []Upstream{{Scheme: "http", Address: "127.0.0.1:9001"}},
			}},
			{"initech", "", Resolved{ // a plan that nobody defines has no quotas and no upstreams
				Tenant: ResolvedTenant{
					ID: uuid.MustParse(idInitech), Slug: "initech", Name: "initech", Plan: "nobody", Status: StatusSuspended, Isolation: IsolationSharedSchema,
				},
				Environment: ResolvedEnvironment{
					ID: uuid.MustParse(idInitProd), Slug: "production", Name: "production", Type: EnvironmentProduction, Default: true, Status: StatusArchived,
				},
			}},
		} {
			got, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: test.slug, Environment: test.environment})
			if err != nil {
				t.Fatal(err)
			}
			test.want.Seal()
			if !reflect.DeepEqual(*got, test.want) {
				t.Errorf("got\n%+v\nwant\n%+v", *got, test.want)
			}
		}
	})
}

// Promise: what a plain SQL client wrote is read as far as it makes sense, and else it is an error of the registry, with
// the place, never "unknown" and never half a snapshot.
func TestResolveForeignValues(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		world(t, s)
		resolve := func() (*Resolved, error) {
			return s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"})
		}
		run(t, s, `UPDATE sys_organization SET metadata = '{"n": 1.50, "b": true, "o": {"x": [1, 2]}, "z": null, "s": "é"}' WHERE slug = 'acme'`)
		r, err := resolve()
		want := map[string]string{"n": "1.50", "b": "true", "o": `{"x":[1,2]}`, "z": "null", "s": "é"}
		if err != nil || !reflect.DeepEqual(r.Tenant.Metadata, want) {
			t.Errorf("got %v %v", r, err)
		}
		for _, test := range []struct{ set, want string }{
			{`upstreams = '["nonsense"]'`, "upstreams of tenant " + idAcme},
			{`upstreams = '[7]'`, "upstreams of tenant " + idAcme},
			{`security_policy = '{"accessControl": 7}'`, "security_policy of tenant " + idAcme},
			{`subscription_expires_at = '2026-02-30T00:00:00Z'`, "subscription_expires_at of tenant " + idAcme},
		} {
			run(t, s, `UPDATE sys_organization SET upstreams = NULL, security_policy = NULL, subscription_expires_at = NULL, metadata = NULL`)
			if r, err := resolve(); err != nil {
				t.Fatal(r, err)
			}
			run(t, s, `UPDATE sys_organization SET `+test.set+` WHERE slug = 'acme'`)
			r, err := resolve()
			if r != nil || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v %v", test.set, r, err)
			}
		}
	})
}

// Promise: a tenant that has no environment yet is known; only its environment is missing.
func TestResolveWithoutEnvironment(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		run(t, s, `INSERT INTO sys_organization (id, slug, name) VALUES (?1, 'acme', 'Acme')`, idAcme)
		for _, ref := range []Reference{{Kind: KindSlug, Key: "acme"}, {Kind: KindTenantID, Key: idAcme}, {Kind: KindSlug, Key: "acme", Environment: "x"}} {
			_, err := s.Resolve(t.Context(), ref)
			var missing *NotFoundError
			if !errors.As(err, &missing) || missing.Tenant != uuid.MustParse(idAcme) {
				t.Errorf("%+v: %v", ref, err)
			}
		}
	})
}

// Promise: no lookup reads a table from end to end, so that a registry of a million environments answers as fast as one
// of ten.
func TestResolveUsesIndexes(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	for kind, l := range lookups {
		for _, environment := range []string{"", "dev", idAcmeDev} {
			condition, _ := l.condition(environment)
			args := l.args("x", environment)
			queries := []string{`SELECT * FROM sys_resolved WHERE ` + condition}
			if environment == "" {
				queries = append(queries, `SELECT id FROM sys_organization WHERE id = `+l.tenant)
			}
			for _, query := range queries {
				err := s.queryOn(t.Context(), s.read, func(rows *sql.Rows) error {
					var id, parent, notused int
					var detail string
					if err := rows.Scan(&id, &parent, &notused, &detail); err != nil {
						return err
					}
					if strings.HasPrefix(detail, "SCAN") && detail != "SCAN CONSTANT ROW" {
						t.Errorf("%s, environment %q: %s", kind, environment, detail)
					}
					return nil
				}, `EXPLAIN QUERY PLAN `+query, args...)
				if err != nil {
					t.Errorf("%s: %v", kind, err)
				}
			}
		}
	}
}

// Promise: the columns of the view are where the code looks for them.
func TestResolvedColumns(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	rows, err := s.read.QueryContext(t.Context(), `SELECT * FROM sys_resolved`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || rows.Err() != nil {
		t.Fatal(err, rows.Err())
	}
	if len(columns) != resolvedColumns {
		t.Fatalf("%d columns, want %d", len(columns), resolvedColumns)
	}
	for i, want := range map[int]string{
		colTenantID: "organization_id", colTenantSlug: "slug", colTenantName: "name", colPlan: "plan", colTenantStatus: "status",
		colIsolation: "isolation_level", colExpires: "subscription_expires_at", colTenantQuotas: "max_users",
		colTenantQuotas + quotaCount - 1: "max_deployments_per_day", colTenantUpstreams: "upstreams", colTenantMetadata: "metadata",
		colSecurityPolicy: "security_policy", colEnvironmentID: "environment_id", colEnvironmentSlug: "environment_slug",
		colEnvironmentName: "environment_name", colEnvironmentType: "environment_type", colIsDefault: "is_default",
		colEnvironmentStatus: "environment_status", colRegion: "environment_region", colEnvironmentQuotas: "environment_max_users",
		colEnvironmentUpstreams: "environment_upstreams", colEnvironmentMetadata: "environment_metadata", colPlanQuotas: "plan_max_users",
		colPlanUpstreams: "plan_upstreams", colDriver: "database_driver", colDatabase: "database_name", colSchema: "database_schema",
	} {
		if columns[i] != want {
			t.Errorf("column %d is %s, want %s", i, columns[i], want)
		}
	}
}

// Promise: a host name that comes while it is looked up is unknown or found, and never an unknown environment.
func TestResolveHostThatComes(t *testing.T) {
	var s *Store
	var between func() // the clock is read after the first query, before the one that says what is missing
	s = migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db", Now: func() time.Time {
		if f := between; f != nil {
			between = nil
			f()
		}
		return time.Now()
	}})
	world(t, s)
	between = func() {
		run(t, s, `INSERT INTO sys_domain (hostname, environment_id, verified_at) VALUES ('new.acme.test', ?1, '2026-01-01T00:00:00.000Z')`, idAcmeDev)
	}
	r, err := s.Resolve(t.Context(), Reference{Kind: KindHost, Key: "new.acme.test"})
	if between != nil {
		t.Fatal("nothing came in between")
	}
	if err != nil || r.Environment.ID.String() != idAcmeDev {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Promise: a tenant that is removed while it is looked up by a former slug is an unknown tenant, and not one whose environment is
// unknown.
func TestResolveTenantThatGoes(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	world(t, s)
	for _, row := range []struct {
		tenant, environment string
		want                uuid.UUID
	}{
		{idAcme, "none", uuid.MustParse(idAcme)},
		{idAcme, "", uuid.MustParse(idAcme)},
		{"0190a000-0000-7000-8000-00000000dead", "", uuid.Nil},
	} {
		var missing *NotFoundError
		if err := s.missing(t.Context(), uuid.MustParse(row.tenant), row.environment); !errors.As(err, &missing) || missing.Tenant != row.want {
			t.Errorf("%s %q: %v", row.tenant, row.environment, err)
		}
	}
}
