package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Promise: the audit log is found by tenant, environment, actor, action and time, the newest first and in parts, also
// for what is gone.
func TestListAudit(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		importText(t, s, designDocument)
		other := newTenant(t, s, "other")
		dev := must(s.GetEnvironment(ctx, "other", "dev"))(t)
		second := Actor{ID: "second", Kind: "cli"}
		must(s.TransitionEnvironment(ctx, second, "other", "dev", 0, Transition{Action: ActionArchive}))(t)
		must(s.TransitionTenant(ctx, second, "other", 0, Transition{Action: ActionSuspend}))(t)
		wantRefusal(t, "destroy", s.DestroyEnvironment(ctx, operator, "other", "dev", 0, ""), "", "")
		run(t, s, `INSERT INTO sys_audit_log (at, actor, action) VALUES ('2020-01-01T00:00:00.000Z', 'x', 'old.thing')`)
		run(t, s, `INSERT INTO sys_audit_log (at, actor, action) VALUES ('2020-01-02T00:00:00.000Z', 'x', 'older')`)
		at := func(day int) time.Time { return time.Date(2020, 1, day, 0, 0, 0, 0, time.UTC) }
		for _, test := range []struct {
			name string
			f    AuditFilter
			want string
		}{
			{"tenant", AuditFilter{Tenant: other.ID}, "environment.delete organization.suspend environment.archive organization.create"},
			{"environment", AuditFilter{Environment: dev.ID}, "environment.delete environment.archive"},
			{"actor", AuditFilter{Actor: "second"}, "organization.suspend environment.archive"},
			{"action", AuditFilter{Action: "organization.suspend"}, "organization.suspend"},
			{"actions", AuditFilter{Action: "environment."}, "environment.delete environment.archive"},
			{"all", AuditFilter{Tenant: other.ID, Actor: "second", Action: "organization."}, "organization.suspend"},
			{"until", AuditFilter{Until: at(3)}, "older old.thing"},
			{"until is the first one after", AuditFilter{Until: at(2)}, "old.thing"},
			{"since is the first one", AuditFilter{Since: at(2), Until: at(3)}, "older"},
			{"nothing", AuditFilter{Tenant: uuid.MustParse(idInitech)}, ""},
		} {
			for _, limit := range []int{1, 2, 1000} {
				var got []string
				f := test.f
				for f.Limit = limit; ; {
					list, next, err := s.ListAudit(ctx, f)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range list {
						got = append(got, e.Action)
					}
					if f.Cursor = next; next == "" {
						break
					}
				}
				if strings.Join(got, " ") != test.want {
					t.Errorf("%s: got %v, want %s", test.name, got, test.want)
				}
			}
		}
		for field, f := range map[string]AuditFilter{"actor": {Actor: "a\x00"}, "action": {Action: strings.Repeat("a", 256)}} {
			_, _, err := s.ListAudit(ctx, f)
			if code := Code(err); code != CodeInvalid && code != CodeTooLong {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}

// Promise: rows of the audit log stay as long as their tenant says, and others as long as the caller says; a retention
// that is none counts as not said.
func TestTrimAudit(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		now := noon()
		for slug, days := range map[string]string{"week": "7", "long": "400", "odd": "a week", "zero": "0", "text": "7 days", "huge": "36501", "none": ""} {
			metadata := map[string]string{"other": "x"}
			if days != "" {
				metadata[RetentionKey] = days
			}
			doc := &Document{Tenants: []DocumentTenant{{Slug: slug, Metadata: metadata}}} // an import takes any text
			if _, err := s.ImportDocument(ctx, doc, ImportOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		run(t, s, `DELETE FROM sys_audit_log`)
		add := func(slug string, age time.Duration) {
			run(t, s, `INSERT INTO sys_audit_log (at, actor, action, organization_id, subject) VALUES (?1, 'x', 'test', (SELECT id FROM sys_organization WHERE slug = ?2), ?2)`, formatTime(now.Add(-age)), slug)
		}
		const day = 24 * time.Hour
		for _, slug := range []string{"week", "long", "odd", "zero", "text", "huge", "none", "gone"} {
			add(slug, 7*day+time.Hour)
			add(slug, 7*day-time.Hour)
			add(slug, 399*day)
		}
		left := func() string {
			return one[string](t, s, `SELECT coalesce(group_concat(subject || n, ' '), '') FROM (SELECT subject, count(*) AS n FROM sys_audit_log GROUP BY subject ORDER BY subject)`)
		}
		if n, err := s.TrimAudit(ctx, now, 0); err != nil || n != 2 || left() != "gone3 huge3 long3 none3 odd3 text3 week1 zero3" {
			t.Errorf("%d went, left %s, %v", n, left(), err)
		}
		if n, err := s.TrimAudit(ctx, now, 30*day); err != nil || n != 6 || left() != "gone2 huge2 long3 none2 odd2 text2 week1 zero2" {
			t.Errorf("%d went, left %s, %v", n, left(), err)
		}
		run(t, s, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) INSERT INTO sys_audit_log (at, actor, action) SELECT '2020-01-01T00:00:00.000Z', 'x', 'test' FROM n`, 2*trimAtOnce+5)
		if n, err := s.TrimAudit(ctx, now, 30*day); err != nil || n != 2*trimAtOnce+5 {
			t.Errorf("%d went, %v", n, err)
		}
	})
}

// Promise: no way to change something leaves a secret in the audit log: not a hash, not a token.
func TestAuditHoldsNoSecret(t *testing.T) {
	t.Parallel()
	s := migrated(t, backends()[0].open(t))
	callLifecycle(t.Context(), s, func(_ string, call func() error) { _ = call() }) // in any order, whatever comes of it
	newTenant(t, s, "secret")
	must(s.CreateAPIKey(t.Context(), operator, "secret", "", NewAPIKey{Name: "k", KeySecret: KeySecret{Hash: hashOf("k")}}))(t)
	for _, text := range allText(t, s, `SELECT coalesce(detail, '') || coalesce(subject, '') FROM sys_audit_log`) {
		if strings.Contains(text, hashOf("k")) || strings.Contains(text, strings.Repeat("a", 64)) || strings.Contains(text, "private") {
			t.Errorf("got %s", text)
		}
	}
}
