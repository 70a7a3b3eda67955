package registry

import (
	"testing"
	"time"
)

// slugs returns what slugs of tenants lead to, "-" for nothing; as a gateway sees it and as an operator does.
func leads(t *testing.T, s *Store, slugs ...string) (gateway, operators string) {
	t.Helper()
	for _, slug := range slugs {
		to, by := "-", "-"
		if r, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: slug}); err == nil {
			to = r.Tenant.Name
		}
		if tenant, err := s.GetTenant(t.Context(), slug); err == nil {
			by = tenant.Name
		}
		gateway, operators = gateway+to, operators+by
	}
	return gateway, operators
}

// Promise: a slug that is given up leads on as long as that was said and no longer, nobody else can take it meanwhile,
// and a live slug wins; gateways hear of each step.
func TestTenantAliases(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		begin := time.Now()
		now := begin
		s.now = func() time.Time { return now }
		for _, slug := range []string{"a", "b"} {
			must(s.CreateTenant(ctx, operator, NewTenant{DocumentTenant: DocumentTenant{Slug: slug, Name: slug}}))(t)
		}
		want := func(what, want string) {
			t.Helper()
			gateway, operators := leads(t, s, "a", "a1", "a2", "b", "b1")
			if gateway != want || operators != want {
				t.Errorf("%s: a gateway sees %s, an operator %s, want %s", what, gateway, operators, want)
			}
		}
		rename := func(from, to string, alias KeepAlias) error {
			_, err := s.UpdateTenant(ctx, operator, from, 0, TenantPatch{Slug: to, Alias: alias})
			return err
		}
		wantRefusal(t, "without alias", rename("a", "a1", KeepAlias{}), "", "")
		want("without alias", "-a-b-")
		before := must(s.Changes(ctx, 0, 0))(t)
		wantRefusal(t, "kept", rename("a1", "a2", KeepAlias{Keep: true}), "", "")
		want("kept", "-aab-")
		told := map[string]bool{}
		for _, c := range must(s.Changes(ctx, before.Newest, 0))(t).List {
			told[c.Entity+" "+c.Key] = true
		}
		if !told["organization a1"] || !told["organization a2"] || !told["organization_alias a1"] {
			t.Errorf("the change log has %v", told)
		}
		wantRefusal(t, "a former slug", rename("b", "a1", KeepAlias{}), CodeDuplicate, "slug")
		_, err := s.CreateTenant(ctx, operator, NewTenant{DocumentTenant: DocumentTenant{Slug: "a1"}})
		wantRefusal(t, "a new tenant with a former slug", err, CodeDuplicate, "slug")
		want("refused", "-aab-")
		wantRefusal(t, "back to its own", rename("a2", "a1", KeepAlias{Keep: true}), "", "")
		if list := must(s.TenantAliases(ctx, "a1"))(t); len(list) != 1 || list[0].Slug != "a2" || !list[0].ExpiresAt.IsZero() || list[0].CreatedAt.IsZero() {
			t.Errorf("got %+v", list)
		}
		want("back to its own", "-aab-")
		wantRefusal(t, "removed", s.RemoveTenantAlias(ctx, operator, "a1", "a2"), "", "")
		if text, _ := lastAudit(t, s); text != `organization.unalias a2 {"before":{"alias":"a2"}}` {
			t.Errorf("got %s", text)
		}
		wantRefusal(t, "removed again", s.RemoveTenantAlias(ctx, operator, "a1", "a2"), CodeNotFound, "")
		wantRefusal(t, "of another tenant", s.RemoveTenantAlias(ctx, operator, "b", "a1"), CodeNotFound, "")
		want("removed", "-a-b-")

		wantRefusal(t, "expired at once", rename("b", "b1", KeepAlias{Keep: true, ExpiresAt: now}), CodeInvalid, "aliasExpiresAt")
		wantRefusal(t, "expiry of nothing", rename("b", "b1", KeepAlias{ExpiresAt: now.Add(time.Hour)}), CodeInvalid, "aliasExpiresAt")
		wantRefusal(t, "for an hour", rename("b", "b1", KeepAlias{Keep: true, ExpiresAt: begin.Add(time.Hour)}), "", "")
		now = begin.Add(time.Hour - time.Minute)
		want("within the hour", "-a-bb")
		now = begin.Add(time.Hour + time.Minute)
		want("after the hour", "-a--b")
		before = must(s.Changes(ctx, 0, 0))(t)
		if n, err := s.TrimAliases(ctx, now); err != nil || n != 1 {
			t.Errorf("trimmed %d, %v", n, err)
		}
		if list := must(s.Changes(ctx, before.Newest, 0))(t).List; len(list) != 1 || list[0].Entity != "organization_alias" || list[0].Key != "b" {
			t.Errorf("the change log has %+v", list)
		}
		wantRefusal(t, "free again", rename("a1", "b", KeepAlias{}), "", "")

		// Another writer may make a slug live that is a former one: it wins, until it goes.
		run(t, s, `INSERT INTO sys_organization_alias (slug, organization_id) SELECT 'b', id FROM sys_organization WHERE name = 'b'`)
		want("a live slug wins", "---ab")
		sound(t, s)
	})
}

// Promise: the same holds for environments within their tenant.
func TestEnvironmentAliases(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		begin := time.Now()
		now := begin
		s.now = func() time.Time { return now }
		newTenant(t, s, "acme")
		newTenant(t, s, "other")
		leads := func(slug string) string {
			t.Helper()
			r, err := s.Resolve(ctx, Reference{Kind: KindSlug, Key: "acme", Environment: slug})
			e, err2 := s.GetEnvironment(ctx, "acme", slug)
			if (err == nil) != (err2 == nil) {
				t.Errorf("%s: a gateway gets %v, an operator %v", slug, err, err2)
			}
			if err != nil || err2 != nil {
				return "-"
			}
			if r.Environment.ID != e.ID {
				t.Errorf("%s: a gateway gets %v, an operator %v", slug, r.Environment.ID, e.ID)
			}
			return e.Slug
		}
		rename := func(from, to string, alias KeepAlias) error {
			_, err := s.UpdateEnvironment(ctx, operator, "acme", from, 0, EnvironmentPatch{Slug: to, Alias: alias})
			return err
		}
		wantRefusal(t, "kept for an hour", rename("dev", "qa", KeepAlias{Keep: true, ExpiresAt: begin.Add(time.Hour)}), "", "")
		if got := leads("dev"); got != "qa" {
			t.Errorf("dev leads to %s", got)
		}
		wantRefusal(t, "a former slug", rename("production", "dev", KeepAlias{}), CodeDuplicate, "slug")
		if got := must(s.EnvironmentAliases(ctx, "acme", "dev"))(t); len(got) != 1 || got[0].Slug != "dev" || got[0].ExpiresAt.IsZero() {
			t.Errorf("got %+v", got)
		}
		now = begin.Add(2 * time.Hour)
		if got := leads("dev") + leads("qa"); got != "-qa" {
			t.Errorf("after the hour: %s", got)
		}
		if n, err := s.TrimAliases(ctx, now); err != nil || n != 1 {
			t.Errorf("trimmed %d, %v", n, err)
		}
		wantRefusal(t, "for ever", rename("qa", "dev", KeepAlias{Keep: true}), "", "")
		wantRefusal(t, "of another environment", s.RemoveEnvironmentAlias(ctx, operator, "acme", "production", "qa"), CodeNotFound, "")
		wantRefusal(t, "removed", s.RemoveEnvironmentAlias(ctx, operator, "acme", "dev", "qa"), "", "")
		if text, row := lastAudit(t, s); text != `environment.unalias qa {"before":{"alias":"qa"}}` || row.Environment.String() == "" {
			t.Errorf("got %s", text)
		}
		if got := leads("qa"); got != "-" {
			t.Errorf("qa leads to %s", got)
		}
		sound(t, s)
	})
}
