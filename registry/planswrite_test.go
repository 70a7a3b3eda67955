package registry

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// Promise: plans are made, changed in what is given, listed, and removed when nobody has them or by force.
func TestPlans(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		put := func(p DocumentPlan, version int64) (*Plan, bool, error) { return s.PutPlan(ctx, operator, p, version) }
		p, created, err := put(DocumentPlan{Name: "pro", Quotas: &Quotas{APIRateLimit: 600}, Upstreams: []Upstream{{Pool: "blue"}}}, NotThere)
		if err != nil || !created || p.Version != 1 || p.Quotas.APIRateLimit != 600 || len(p.Upstreams) != 1 {
			t.Fatalf("got %+v, %v", p, err)
		}
		if text, row := lastAudit(t, s); !strings.HasPrefix(text, `plan.create pro {"after":{"name":"pro","quotas":{"apiRateLimit":600}`) || row.Tenant.String() != "00000000-0000-0000-0000-000000000000" {
			t.Errorf("got %s", text)
		}
		_, _, err = put(DocumentPlan{Name: "pro"}, NotThere)
		wantRefusal(t, "there already", err, CodeDuplicate, "name")
		before := must(s.Changes(ctx, 0, 0))(t)
		p, created, err = put(DocumentPlan{Name: "pro", Quotas: &Quotas{APIRateLimit: 700}}, 1)
		if err != nil || created || p.Version != 2 || p.Quotas.APIRateLimit != 700 || len(p.Upstreams) != 1 {
			t.Errorf("got %+v, %v", p, err)
		}
		if list := must(s.Changes(ctx, before.Newest, 0))(t).List; len(list) != 1 || list[0].Entity != "plan" || list[0].Key != "pro" {
			t.Errorf("the change log has %+v", list)
		}
		if text, _ := lastAudit(t, s); text != `plan.update pro {"before":{"quotas":{"apiRateLimit":600}},"after":{"quotas":{"apiRateLimit":700}},"version":2}` {
			t.Errorf("got %s", text)
		}
		_, _, err = put(DocumentPlan{Name: "pro"}, 1)
		wantRefusal(t, "stale", err, CodeVersionConflict, "")
		_, _, err = put(DocumentPlan{Name: "none"}, 1)
		wantRefusal(t, "not there", err, CodeNotFound, "")
		_, _, err = put(DocumentPlan{Name: "Pro!"}, 0)
		wantRefusal(t, "bad name", err, CodeInvalid, "name")
		_, _, err = put(DocumentPlan{Name: "x", Quotas: &Quotas{Burst: MaxQuota + 1}}, 0)
		wantRefusal(t, "bad quota", err, CodeInvalid, "quotas.burst")
		rows := counts(t, s)
		if p, _, err := put(DocumentPlan{Name: "pro", Quotas: &Quotas{APIRateLimit: 700}}, 0); err != nil || p.Version != 2 || counts(t, s) != rows {
			t.Error("nothing differs, and something was written")
		}

		must(s.CreateTenant(ctx, operator, NewTenant{DocumentTenant: DocumentTenant{Slug: "acme", Plan: "pro"}}))(t)
		wantRefusal(t, "in use", s.DeletePlan(ctx, operator, "pro", 0, false), CodeStateConflict, "")
		wantRefusal(t, "stale", s.DeletePlan(ctx, operator, "pro", 1, true), CodeVersionConflict, "")
		wantRefusal(t, "by force", s.DeletePlan(ctx, operator, "pro", 2, true), "", "")
		if text, _ := lastAudit(t, s); !strings.HasPrefix(text, `plan.delete pro {"before":{`) {
			t.Errorf("got %s", text)
		}
		wantRefusal(t, "again", s.DeletePlan(ctx, operator, "pro", 0, true), CodeNotFound, "")
		if got := must(s.GetTenant(ctx, "acme"))(t); got.Plan != "pro" || got.Version != 1 {
			t.Errorf("got %+v", got)
		}
		made := atomic.Int64{}
		together(8, func(i int) { // whoever comes second changes it
			_, created, err := put(DocumentPlan{Name: "race", Quotas: &Quotas{Burst: int64(i + 1)}}, 0)
			if err != nil {
				t.Error(err)
			}
			if created {
				made.Add(1)
			}
		})
		if got := must(s.GetPlan(ctx, "race"))(t); made.Load() != 1 || got.Version != 8 {
			t.Errorf("%d made it, its version is %d", made.Load(), got.Version)
		}
		for i := range 4 {
			if _, _, err := put(DocumentPlan{Name: fmt.Sprintf("p%d", i)}, 0); err != nil {
				t.Fatal(err)
			}
		}
		names := ""
		for page := (Page{Limit: 2}); ; {
			list, next, err := s.ListPlans(ctx, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				names += p.Name + " "
			}
			if page.Cursor = next; next == "" {
				break
			}
		}
		if names != "p0 p1 p2 p3 race " {
			t.Errorf("got %s", names)
		}
		sound(t, s)
	})
}
