package registry

import (
	"database/sql"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
)

func key(kind Kind, key, environment string) Reference {
	return Reference{Kind: kind, Key: key, Environment: environment}
}

// Promise: a session, an API key and a membership come with all that decides who may pass, and a name never does.
func TestResolveCredentials(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		s.now = noon
		world(t, s)
		run(t, s, `UPDATE sys_session SET authenticated_at = '2026-06-01T08:00:00Z', mfa = 1 WHERE token_hash = ?1`, hashOf("in dev"))
		run(t, s, `UPDATE sys_api_key SET user_id = 'u9', role = 'env_maker', scopes = '["read","write"]', api_rate_limit = 7, burst = 2, max_concurrent_requests = 3 WHERE key_hash = ?1`, hashOf("later"))
		run(t, s, `INSERT INTO sys_environment_member (environment_id, user_id, role) VALUES (?1, 'u1', 'env_viewer')`, idAcmeDev)
		created := one[string](t, s, `SELECT created_at FROM sys_session WHERE token_hash = ?1`, hashOf("in acme"))
		createdAt, err := parseTime(created)
		if err != nil {
			t.Fatal(err)
		}
		later := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, test := range []struct {
			ref  Reference
			want *Credential
		}{
			{key(KindSlug, "acme", ""), nil},
			{key(KindHost, "app.acme.test", ""), nil},
			{key(KindAPIKey, hashOf("key"), ""), &Credential{
				ID: "0190a000-0000-7000-8000-000000000101", NamesTenant: true, NamesEnvironment: true,
			}},
			{key(KindAPIKey, hashOf("later"), ""), &Credential{
				ID: "0190a000-0000-7000-8000-000000000102", User: "u9", Role: RoleMaker, Roles: []string{"env_maker"}, ExpiresAt: later,
				NamesTenant: true, NamesEnvironment: true, Quotas: Quotas{APIRateLimit: 7, Burst: 2, MaxConcurrentRequests: 3},
				Scopes: []string{"read", "write"},
			}},
			{key(KindSession, hashOf("in dev"), ""), &Credential{
				ID: "0190a000-0000-7000-8000-000000000201", User: "u", ExpiresAt: later, MFA: true,
				SignedInAt: time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC), NamesTenant: true, NamesEnvironment: true,
			}},
			{key(KindSession, hashOf("in acme"), "dev"), &Credential{
				ID: "0190a000-0000-7000-8000-000000000202", User: "u", ExpiresAt: later, SignedInAt: createdAt, NamesTenant: true,
			}},
			{key(KindMember, "u1", idAcmeDev), &Credential{
				User: "u1", Role: RoleViewer, Roles: []string{"env_viewer"}, NamesTenant: true, NamesEnvironment: true,
			}},
		} {
			r, err := s.Resolve(t.Context(), test.ref)
			if err != nil {
				t.Errorf("%s: %v", test.ref.Kind, err)
				continue
			}
			if !reflect.DeepEqual(r.Credential, test.want) {
				t.Errorf("%s: got\n%+v, want\n%+v", test.ref.Kind, r.Credential, test.want)
			}
			if r.Tenant.Slug != "acme" {
				t.Errorf("%s: got tenant %s", test.ref.Kind, r.Tenant.Slug)
			}
		}
	})
}

// Promise: who is not a member is not found, whoever else is; and a session that names no tenant is told apart from none.
func TestResolveNoCredential(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		s.now = noon
		world(t, s)
		run(t, s, `INSERT INTO sys_environment_member (environment_id, user_id, role) VALUES (?1, 'u1', 'env_admin')`, idAcmeDev)
		for _, test := range []struct {
			ref  Reference
			user string // of the credential in the error
		}{
			{key(KindMember, "u1", idAcmeProd), ""}, // another environment of the same tenant
			{key(KindMember, "u2", idAcmeDev), ""},
			{key(KindMember, "U1", idAcmeDev), ""},
			{key(KindMember, "u1", "dev"), ""},
			{key(KindMember, "u1", ""), ""},
			{key(KindMember, "", idAcmeDev), ""},
			{key(KindMember, string(make([]byte, MaxUserID+1)), idAcmeDev), ""},
			{key(KindSession, hashOf("nowhere"), ""), "u"},
			{key(KindSession, hashOf("nowhere"), "dev"), "u"},
			{key(KindSession, hashOf("over"), ""), ""},
			{key(KindSessionToken, "", ""), ""},
		} {
			_, err := s.Resolve(t.Context(), test.ref)
			var missing *NotFoundError
			if !errors.As(err, &missing) || missing.Tenant != uuid.Nil {
				t.Errorf("%s %.40q: %v", test.ref.Kind, test.ref.Key, err)
				continue
			}
			if got := missing.Credential; (got != nil) != (test.user != "") || got != nil && got.User != test.user {
				t.Errorf("%s %.40q: credential %+v, want user %q", test.ref.Kind, test.ref.Key, got, test.user)
			}
		}
	})
}

// Promise: no lookup of a credential reads a table from end to end.
func TestCredentialsUseIndexes(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	for _, query := range []string{selectAPIKey, selectSession, selectMembership} {
		for _, detail := range explain(t, s, query) {
			if len(detail) >= 4 && detail[:4] == "SCAN" {
				t.Errorf("%s: %s", query, detail)
			}
		}
	}
}

// explain returns the lines of a query's plan.
func explain(t *testing.T, s *Store, query string) (details []string) {
	t.Helper()
	err := s.queryOn(t.Context(), s.read, func(rows *sql.Rows) error {
		var id, parent, notused int
		var detail string
		if err := rows.Scan(&id, &parent, &notused, &detail); err != nil {
			return err
		}
		details = append(details, detail)
		return nil
	}, `EXPLAIN QUERY PLAN `+query, "x", "y")
	if err != nil || len(details) == 0 {
		t.Fatal(err, details)
	}
	return details
}

// Promise: roles are ordered viewer < user < maker < admin, and what is no role may do nothing.
func TestRoles(t *testing.T) {
	order := []Role{RoleViewer, RoleUser, RoleMaker, RoleAdmin}
	for i, a := range order {
		for j, b := range order {
			if got := a.AtLeast(b); got != (i >= j) {
				t.Errorf("%s at least %s: %v", a, b, got)
			}
			if got := a.Lower(b); got != order[min(i, j)] {
				t.Errorf("lower of %s and %s: %s", a, b, got)
			}
		}
		for _, none := range []Role{"", "owner", "ENV_ADMIN"} {
			if none.AtLeast(a) || a.Lower(none) != a || none.Lower(a) != a {
				t.Errorf("%q counts as a role beside %s", none, a)
			}
		}
	}
}

// Promise: the IP allow list admits whom it names, in every form of an address, and nobody by an entry that is broken.
func TestAllowsAddress(t *testing.T) {
	for _, test := range []struct {
		list   []string
		client string
		want   bool
	}{
		{nil, "192.0.2.1", true},
		{nil, "", true},
		{[]string{"192.0.2.0/24"}, "192.0.2.77", true},
		{[]string{"192.0.2.0/24"}, "192.0.3.1", false},
		{[]string{"192.0.2.0/24"}, "::ffff:192.0.2.77", true},
		{[]string{"::ffff:192.0.2.0/120"}, "192.0.2.77", true},
		{[]string{"192.0.2.7"}, "192.0.2.7", true},
		{[]string{"192.0.2.7"}, "192.0.2.8", false},
		{[]string{"192.0.2.7"}, "", false},
		{[]string{"2001:db8::/32"}, "2001:db8:1::1", true},
		{[]string{"2001:db8::/32"}, "2001:db9::1", false},
		{[]string{"fe80::/10"}, "fe80::1%eth0", true},
		{[]string{"2001:db8::1"}, "2001:db8::1", true},
		{[]string{"0.0.0.0/0"}, "2001:db8::1", false},
		{[]string{"office"}, "192.0.2.7", false},
		{[]string{"office", "192.0.2.7"}, "192.0.2.7", true},
		{[]string{"10.0.0.0/8", "2001:db8::/32"}, "10.255.0.1", true},
	} {
		var client netip.Addr
		if test.client != "" {
			client = netip.MustParseAddr(test.client)
		}
		a := AccessControl{IPWhitelist: test.list}
		if got := a.AllowsAddress(client); got != test.want {
			t.Errorf("%v, %q: %v before sealing", test.list, test.client, got)
		}
		a.seal()
		if got := a.AllowsAddress(client); got != test.want {
			t.Errorf("%v, %q: %v", test.list, test.client, got)
		}
	}
}
