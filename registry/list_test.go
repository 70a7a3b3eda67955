package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// tenantSlugsOf reads all parts of a list.
func tenantSlugsOf(t testing.TB, s *Store, f TenantFilter) (slugs []string) {
	t.Helper()
	for {
		list, next, err := s.ListTenants(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, tenant := range list {
			slugs = append(slugs, tenant.Slug)
		}
		if f.Cursor = next; next == "" {
			return slugs
		}
	}
}

// Promise: a list in parts has everything that was there all the time, once, in order, whatever others write meanwhile.
func TestListTenantsWhileOthersWrite(t *testing.T) {
	t.Parallel()
	const tenants = 2500
	onAll(t, func(t *testing.T, s *Store) {
		doc := &Document{}
		for i := range tenants {
			doc.Tenants = append(doc.Tenants, DocumentTenant{Slug: fmt.Sprintf("t%05d", i)})
		}
		if _, err := s.ImportDocument(t.Context(), doc, ImportOptions{}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ { // new ones between those that are there, and others that go
				slug := fmt.Sprintf("t%05d-x", i%tenants)
				_, err := s.CreateTenant(t.Context(), operator, NewTenant{DocumentTenant: DocumentTenant{Slug: slug}})
				if err == nil && i%2 == 0 {
					if _, err = s.TransitionTenant(t.Context(), operator, slug, 0, Transition{Action: ActionArchive}); err == nil {
						err = s.DestroyTenant(t.Context(), operator, slug, 0, slug)
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		for _, limit := range []int{0, MaxPage} {
			n, last := 0, ""
			for _, slug := range tenantSlugsOf(t, s, TenantFilter{Page: Page{Limit: limit}}) {
				if slug <= last {
					t.Fatalf("limit %d: %s after %s", limit, slug, last)
				}
				if last = slug; !strings.HasSuffix(slug, "-x") {
					n++
				}
			}
			if n != tenants {
				t.Errorf("limit %d: %d of %d", limit, n, tenants)
			}
		}
		stop()
		wg.Wait()
	})
}

// Promise: filters find what they name, together and each by itself; what no list has given is refused as a cursor.
func TestListFilters(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		world(t, s)
		newTenant(t, s, "acme-2")
		for _, test := range []struct {
			f    TenantFilter
			want string
		}{
			{TenantFilter{}, "acme acme-2 globex initech"},
			{TenantFilter{Status: StatusSuspended}, "initech"},
			{TenantFilter{Status: StatusActive}, "acme acme-2 globex"},
			{TenantFilter{Plan: "pro"}, "acme"},
			{TenantFilter{Plan: "none"}, ""},
			{TenantFilter{Region: "eu-west-1"}, "acme"},
			{TenantFilter{Prefix: "acme"}, "acme acme-2"},
			{TenantFilter{Prefix: "acme-"}, "acme-2"},
			{TenantFilter{Prefix: "a", Plan: "free", Status: StatusActive}, "acme-2"},
			{TenantFilter{Prefix: "a", Region: "us"}, ""},
		} {
			for _, limit := range []int{1, 3, 4, 1000} {
				test.f.Limit = limit
				if got := strings.Join(tenantSlugsOf(t, s, test.f), " "); got != test.want {
					t.Errorf("%+v: got %s, want %s", test.f, got, test.want)
				}
			}
		}
		for field, f := range map[string]TenantFilter{
			"status": {Status: "x"}, "plan": {Plan: "X"}, "region": {Region: "a b"}, "prefix": {Prefix: "A%"}, "limit": {Page: Page{Limit: MaxPage + 1}},
		} {
			_, _, err := s.ListTenants(ctx, f)
			wantRefusal(t, field, err, CodeInvalid, field)
		}
		_, _, err := s.ListTenants(ctx, TenantFilter{Page: Page{Limit: -1}})
		wantRefusal(t, "limit", err, CodeInvalid, "limit")

		environments := func(f EnvironmentFilter) (slugs string) {
			for {
				list, next, err := s.ListEnvironments(ctx, "acme", f)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range list {
					slugs += e.Slug + " "
				}
				if f.Cursor = next; next == "" {
					return slugs
				}
			}
		}
		for _, test := range []struct {
			f    EnvironmentFilter
			want string
		}{
			{EnvironmentFilter{}, "dev production "},
			{EnvironmentFilter{Page: Page{Limit: 1}}, "dev production "},
			{EnvironmentFilter{Type: EnvironmentDevelopment}, "dev "},
			{EnvironmentFilter{Region: "eu-west-1", Status: StatusActive}, "production "},
			{EnvironmentFilter{Status: StatusFailed}, ""},
		} {
			if got := environments(test.f); got != test.want {
				t.Errorf("%+v: got %s, want %s", test.f, got, test.want)
			}
		}
		for field, f := range map[string]EnvironmentFilter{"status": {Status: StatusDestroying}, "type": {Type: "x"}, "region": {Region: "ü"}} {
			_, _, err := s.ListEnvironments(ctx, "acme", f)
			wantRefusal(t, field, err, CodeInvalid, field)
		}

		for what, text := range map[string]string{
			"no base64": "?", "no JSON": encoded("x"), "no list": encoded(`{}`), "no name": encoded(`[]`), "no key": encoded(`["tenants"]`),
			"too many": encoded(`["tenants", "a", "b"]`), "of another list": cursor("plans", "free"), "a NUL": encoded(`["tenants", "a\u0000"]`), "numbers": encoded(`["tenants", 1]`),
			"long": encoded(`["tenants", "` + strings.Repeat("a", 3000) + `"]`),
		} {
			for name, list := range map[string]func(p Page) error{
				"tenants": func(p Page) error { _, _, err := s.ListTenants(ctx, TenantFilter{Page: p}); return err },
				"environments": func(p Page) error {
					_, _, err := s.ListEnvironments(ctx, "acme", EnvironmentFilter{Page: p})
					return err
				},
				"members": func(p Page) error { _, _, err := s.ListMembers(ctx, "acme", "", MemberFilter{Page: p}); return err },
				"keys":    func(p Page) error { _, _, err := s.ListAPIKeys(ctx, "acme", "", p); return err },
				"audit":   func(p Page) error { _, _, err := s.ListAudit(ctx, AuditFilter{Page: p}); return err },
			} {
				wantRefusal(t, name+": "+what, list(Page{Cursor: text}), CodeInvalid, "cursor")
			}
		}
		_, _, err = s.ListAudit(ctx, AuditFilter{Page: Page{Cursor: cursor("audit", "1 OR 1")}})
		wantRefusal(t, "no number", err, CodeInvalid, "cursor")
		if got := tenantSlugsOf(t, s, TenantFilter{Page: Page{Cursor: cursor("tenants", "' OR 1 --")}}); len(got) != 4 {
			t.Errorf("a cursor is taken as SQL: %v", got)
		}
	})
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// Promise: a part of a list that is larger than a server's answer can be comes in smaller parts, complete.
func TestListLarge(t *testing.T) {
	t.Parallel()
	s := migrated(t, backends()[1].open(t))
	const plans = 900
	long := []Upstream{}
	for i := range maxUpstreams {
		long = append(long, Upstream{Scheme: "http", Address: fmt.Sprintf("%s%02d.test:80", strings.Repeat(strings.Repeat("h", 60)+".", 3), i)})
	}
	doc := &Document{}
	for i := range plans {
		doc.Plans = append(doc.Plans, DocumentPlan{Name: fmt.Sprintf("p%04d", i), Upstreams: long})
	}
	if _, err := s.ImportDocument(t.Context(), doc, ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	n, parts := 0, 0
	for page := (Page{Limit: MaxPage}); ; parts++ {
		list, next, err := s.ListPlans(t.Context(), page)
		if err != nil {
			t.Fatal(err)
		}
		n += len(list)
		if page.Cursor = next; next == "" {
			break
		}
	}
	if n != plans || parts == 0 {
		t.Errorf("%d plans in %d parts", n, parts+1)
	}
}
