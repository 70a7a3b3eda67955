package registry

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// Promise: with another key in front all credentials are sealed anew, part by part; what does not open stays and is named,
// and so is every key that is in use.
func TestReseal(t *testing.T) {
	t.Parallel()
	onAllWithKeys(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		const tenants = 5
		secrets := map[string]string{} // by tenant
		ids := map[string]uuid.UUID{}
		for n := range tenants {
			slug := fmt.Sprintf("t%d", n)
			newTenant(t, s, slug)
			secrets[slug] = "secret of " + slug
			ids[slug] = must(s.CreateDatabaseCredential(ctx, operator, slug, "", NewDatabaseCredential{Secret: secrets[slug]}))(t).ID
		}
		gone := must(s.CreateDatabaseCredential(ctx, operator, "t0", "", NewDatabaseCredential{Scope: ScopeAdmin, Secret: "gone"}))(t)
		must(s.RevokeDatabaseCredential(ctx, operator, "t0", "", gone.ID.String(), 0))(t)
		lost := must(s.CreateDatabaseCredential(ctx, operator, "t1", "", NewDatabaseCredential{Scope: ScopeAdmin, Secret: "lost"}))(t)
		run(t, s, `UPDATE sys_database_credential SET key_id = 'k0' WHERE id = ?1`, lost.ID.String())

		s.keys = testKeyring(t, testKey(t, "k2", 2), testKey(t, "k1", 1))
		var resealed, calls int
		var last *Reseal
		var unopened []UnopenedCredential
		for p := (Page{Limit: 2}); ; p.Cursor = last.Next {
			last = must(s.ResealDatabaseCredentials(ctx, operator, p))(t)
			resealed += last.Resealed
			unopened = append(unopened, last.Unopened...)
			if calls++; last.KeyID != "k2" || len(last.Unopened)+last.Resealed > 2 || last.Next != "" && last.Keys != nil {
				t.Errorf("got %+v", last)
			}
			if last.Next == "" {
				break
			}
		}
		if resealed != tenants || calls != 3 || len(unopened) != 1 || unopened[0].ID != lost.ID || unopened[0].KeyID != "k0" ||
			unopened[0].Tenant != must(s.GetTenant(ctx, "t1"))(t).ID {
			t.Errorf("%d in %d calls, closed are %+v", resealed, calls, unopened)
		}
		if got := mustJSON(last.Keys); got != `[{"id":"k0","credentials":1,"configured":false},{"id":"k1","credentials":0,"configured":true},{"id":"k2","credentials":5,"configured":true}]` {
			t.Errorf("keys: %s", got)
		}
		s.keys = testKeyring(t, testKey(t, "k2", 2))
		for slug, want := range secrets {
			c, secret, err := s.RevealDatabaseCredential(ctx, operator, slug, "", ids[slug].String(), 2)
			if err != nil || secret != want || c.KeyID != "k2" {
				t.Errorf("%s: %q %v", slug, secret, err)
			}
		}
		rows := counts(t, s)
		if again := must(s.ResealDatabaseCredentials(ctx, operator, Page{}))(t); again.Resealed != 0 || counts(t, s) != rows {
			t.Errorf("a second time it wrote something: %+v", again)
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_audit_log WHERE action = 'database_credential.reseal' AND organization_id IS NOT NULL`); n != tenants {
			t.Errorf("%d rows in the audit log", n)
		}
		_, err := s.ResealDatabaseCredentials(ctx, operator, Page{Limit: -1})
		wantRefusal(t, "limit", err, CodeInvalid, "limit")
		_, err = s.ResealDatabaseCredentials(ctx, operator, Page{Cursor: "x"})
		wantRefusal(t, "cursor", err, CodeInvalid, "cursor")
		sound(t, s)
	})
}

// Promise: who asks for a secret while it is sealed anew gets it, with whichever key it is sealed at that moment.
func TestRevealWhileResealing(t *testing.T) {
	t.Parallel()
	one, two := testKey(t, "k1", 1), testKey(t, "k2", 2)
	s := with(t, sealing(t, backends()[0]), one, two)
	newTenant(t, s, "acme")
	c := must(s.CreateDatabaseCredential(t.Context(), operator, "acme", "", NewDatabaseCredential{Secret: "secret"}))(t)
	stores := []*Store{with(t, s, two, one), s}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range 20 {
			if _, err := stores[n%2].ResealDatabaseCredentials(t.Context(), operator, Page{}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		if _, secret, err := s.RevealDatabaseCredential(t.Context(), operator, "acme", "", c.ID.String(), 0); err != nil || secret != "secret" {
			t.Errorf("%q %v", secret, err)
		}
	}
	wg.Wait()
	if version := must(s.GetDatabaseCredential(t.Context(), "acme", "", c.ID.String()))(t).Version; version != 21 {
		t.Errorf("version %d after 20 times", version)
	}
}

// Promise: secrets of the greatest length are resealed too, so many at once that others need not wait for long.
func TestResealLargest(t *testing.T) {
	t.Parallel()
	for _, b := range backends()[:2] {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := sealing(t, b)
			newTenant(t, s, "acme")
			environment := must(s.GetEnvironment(t.Context(), "acme", ""))(t).ID.String()
			run(t, s, `DROP INDEX sys_database_credential_active`)
			const count = 40
			for range count / 10 {
				op := new(operation)
				for range 10 {
					op.insertCredential(&DatabaseCredential{ID: NewID(), Scope: ScopeReadOnly}, environment, &s.keys.keys[0], strings.Repeat("ü", MaxSecret/2))
				}
				if err := s.apply(t.Context(), operator, op); err != nil {
					t.Fatal(err)
				}
			}
			s.keys = testKeyring(t, testKey(t, "k2", 2), testKey(t, "k1", 1))
			n, calls := 0, 0
			for p := (Page{}); ; calls++ {
				r := must(s.ResealDatabaseCredentials(t.Context(), operator, p))(t)
				n += r.Resealed
				if p.Cursor = r.Next; r.Next == "" {
					break
				}
			}
			if n != count || calls < 2 {
				t.Errorf("%d were resealed in %d calls and one", n, calls)
			}
		})
	}
}
