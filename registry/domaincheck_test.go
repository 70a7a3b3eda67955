package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Promise: of several gateways one checks a claim; a check that fails is put off, and one that is out of time is given up.
func TestDomainChecks(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			var mu sync.Mutex
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			o := b.open(t)
			o.Now = func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return now
			}
			later := func(d time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				now = now.Add(d)
			}
			s := migrated(t, o)
			withDomainTenants(t, s)
			const claims = 20
			for i := range claims {
				addDomain(t, s, domainProd, fmt.Sprintf("d%02d.example", i))
			}
			var wg sync.WaitGroup
			taken := map[string]int{}
			for range 4 {
				gateway := migrated(t, o)
				wg.Go(func() {
					for {
						list, err := gateway.TakeDueDomains(context.WithoutCancel(t.Context()), 3, time.Minute)
						if err != nil {
							t.Error(err)
						}
						if len(list) == 0 {
							return
						}
						mu.Lock()
						for _, d := range list {
							taken[d.Hostname]++
						}
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if len(taken) != claims {
				t.Errorf("%d claims were taken", len(taken))
			}
			for host, n := range taken {
				if n != 1 {
					t.Errorf("%s was taken %d times", host, n)
				}
			}
			later(time.Minute) // as if those gateways had ended
			list, err := s.TakeDueDomains(t.Context(), 0, time.Minute)
			if err != nil || len(list) != claims {
				t.Fatalf("%d are due after the lease, %v", len(list), err)
			}
			d := list[0]
			if err := s.DomainCheckFailed(t.Context(), d, s.now().Add(time.Hour), "no\nsuch "+strings.Repeat("x", 400)); err != nil {
				t.Fatal(err)
			}
			later(59 * time.Minute)
			if list, err = s.TakeDueDomains(t.Context(), 0, time.Hour); err != nil || len(list) != claims-1 {
				t.Fatalf("%d are due, %v", len(list), err)
			}
			later(time.Minute)
			if list, err = s.TakeDueDomains(t.Context(), 0, time.Minute); err != nil || len(list) != 1 || list[0].Checks != 1 ||
				len(list[0].Failure) != 300 || !strings.HasPrefix(list[0].Failure, "no such x") || list[0].CheckedAt.IsZero() {
				t.Fatalf("due %+v, %v", list, err)
			}
			// The next check would come too late.
			if err := s.DomainCheckFailed(t.Context(), list[0], list[0].ExpiresAt, "still none"); err != nil {
				t.Fatal(err)
			}
			later(30 * 24 * time.Hour)
			if list, err = s.PendingDomains(t.Context(), 0); err != nil || len(list) != claims-1 {
				t.Errorf("%d are pending, %v", len(list), err)
			}
			// What was removed in the meantime is not brought back.
			if err := s.RemoveDomain(t.Context(), domainProd, list[0].Hostname, "u1", ""); err != nil {
				t.Fatal(err)
			}
			if err := s.DomainCheckFailed(t.Context(), list[0], s.now(), "none"); err != nil {
				t.Fatal(err)
			}
			if n := one[int](t, s, `SELECT count(*) FROM sys_domain_claim`); n != claims-1 {
				t.Errorf("%d claims", n)
			}
		})
	}
}

// Promise: tenants take turns: one with many claims does not hold up another's single one.
func TestDomainTurns(t *testing.T) {
	onDomains(t, func(t *testing.T, s *Store) {
		for i := range 10 {
			addDomain(t, s, []uuid.UUID{domainProd, domainDev}[i%2], fmt.Sprintf("d%d.example", i))
		}
		late := addDomain(t, s, domainGlobex, "late.example")
		run(t, s, `UPDATE sys_domain_claim SET next_check_at = '2020-01-01T00:00:00.000Z' WHERE environment_id <> ?1`, domainGlobex.String())
		list, err := s.TakeDueDomains(t.Context(), 2, time.Minute)
		if err != nil || len(list) != 2 || list[0].Tenant == list[1].Tenant || list[1].Hostname != late.Hostname {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// Promise: the pages of names hold each name once, verified hosts only, former slugs included.
func TestNames(t *testing.T) {
	onDomains(t, func(t *testing.T, s *Store) {
		for i := range 7 {
			d := addDomain(t, s, domainProd, fmt.Sprintf("d%d.example", i))
			if i != 3 {
				verifyDomain(t, s, d)
			}
		}
		run(t, s, `INSERT INTO sys_organization_alias (slug, organization_id) SELECT 'former', id FROM sys_organization WHERE slug = 'acme'`)
		collect := func(page func(context.Context, string, int) ([]string, error)) string {
			var all []string
			after := ""
			for {
				list, err := page(t.Context(), after, 2)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, list...)
				if len(list) < 2 {
					return strings.Join(all, " ")
				}
				after = list[1]
			}
		}
		if got := collect(s.VerifiedHosts); got != "d0.example d1.example d2.example d4.example d5.example d6.example" {
			t.Errorf("hosts %s", got)
		}
		if got := collect(s.TenantSlugs); got != "acme former globex" {
			t.Errorf("slugs %s", got)
		}
		var after EnvironmentName
		var slugs []string
		for {
			list, err := s.EnvironmentNames(t.Context(), after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range list {
				slugs = append(slugs, n.Slug)
				after = n
			}
			if len(list) < 2 {
				break
			}
		}
		if len(slugs) != 3 {
			t.Errorf("environments %v", slugs)
		}
	})
}

// Promise: however many prove a name at once, one has it.
func TestDomainRace(t *testing.T) {
	for _, b := range backends()[:2] {
		t.Run(b.name, func(t *testing.T) {
			o := b.open(t)
			s := migrated(t, o)
			withDomainTenants(t, s)
			claims := []Domain{addDomain(t, s, domainProd, "app.example.com"), addDomain(t, s, domainGlobex, "app.example.com")}
			var won [2]int
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := range 8 {
				d, gateway := claims[i%2], migrated(t, o)
				wg.Go(func() {
					_, err := gateway.VerifyDomain(t.Context(), d.Environment, d.Hostname, d.Token, DomainDNS, "gateway", "system")
					var refused *DomainError
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won[i%2]++
					} else if !errors.As(err, &refused) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			winner := serves(t, s, "app.example.com")
			if (won[0] == 0) == (won[1] == 0) || winner != claims[0].Environment && winner != claims[1].Environment {
				t.Errorf("won %v, serves %s", won, winner)
			}
			if got := audited(t, s, "app.example.com"); got != "domain.add domain.add domain.verify" {
				t.Errorf("audit log: %s", got)
			}
		})
	}
}
