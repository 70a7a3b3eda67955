package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// The environments of the domain tests: two of acme, one of globex.
var (
	domainProd   = uuid.MustParse("0190a000-0000-7000-8000-0000000000a1")
	domainDev    = uuid.MustParse("0190a000-0000-7000-8000-0000000000a2")
	domainGlobex = uuid.MustParse("0190a000-0000-7000-8000-0000000000b1")
)

// withDomainTenants writes the tenants of the domain tests.
func withDomainTenants(t testing.TB, s *Store) {
	t.Helper()
	_, err := s.Import(t.Context(), strings.NewReader(fmt.Sprintf(`{"tenants": [
{"slug": "acme", "environments": [{"id": %q, "slug": "production", "isDefault": true}, {"id": %q, "slug": "dev"}]},
{"slug": "globex", "environments": [{"id": %q, "slug": "production", "isDefault": true}]}]}`, domainProd, domainDev, domainGlobex)), ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// onDomains runs a test on every kind of registry, with the tenants of the domain tests.
func onDomains(t *testing.T, test func(t *testing.T, s *Store)) {
	onAll(t, func(t *testing.T, s *Store) {
		withDomainTenants(t, s)
		test(t, s)
	})
}

func addDomain(t testing.TB, s *Store, environment uuid.UUID, host string) Domain {
	t.Helper()
	d, err := s.AddDomain(t.Context(), environment, host, "u1", "user")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func verifyDomain(t testing.TB, s *Store, d Domain) Domain {
	t.Helper()
	d, err := s.VerifyDomain(t.Context(), d.Environment, d.Hostname, d.Token, DomainDNS, "gateway", "system")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// serves returns the environment that a host name leads to, or uuid.Nil.
func serves(t testing.TB, s *Store, host string) uuid.UUID {
	t.Helper()
	r, err := s.Resolve(t.Context(), Reference{Kind: KindHost, Key: host})
	if errors.Is(err, ErrNotFound) {
		return uuid.Nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.Environment.ID
}

// wantCode checks the code of a *DomainError.
func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	var refused *DomainError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("got %v, want the code %s", err, code)
	}
}

// audited returns the actions in the audit log about a host name, the oldest first.
func audited(t testing.TB, s *Store, host string) string {
	t.Helper()
	return one[string](t, s, `SELECT coalesce(group_concat(action, ' '), '') FROM (SELECT action FROM sys_audit_log WHERE subject = ?1 ORDER BY seq)`, host)
}

// Promise: a claimed name serves nobody until it is proved; then it serves its environment, and each step is in the
// audit log and the second in the change log.
func TestDomainLife(t *testing.T) {
	onDomains(t, func(t *testing.T, s *Store) {
		d := addDomain(t, s, domainProd, "Bücher.Example.")
		const host = "xn--bcher-kva.example"
		if d.Hostname != host || d.Verified() || len(d.Token) != 27 || d.Environment != domainProd || d.Tenant == uuid.Nil ||
			d.NextCheckAt.IsZero() || !d.ExpiresAt.Equal(d.CreatedAt.Add(DomainClaimLifetime)) {
			t.Errorf("claimed %+v", d)
		}
		if got := serves(t, s, host); got != uuid.Nil {
			t.Errorf("a claim serves %s", got)
		}
		before, err := s.Changes(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		v := verifyDomain(t, s, d)
		if !v.Verified() || v.Method != DomainDNS || v.Token != "" || serves(t, s, host) != domainProd {
			t.Errorf("verified %+v", v)
		}
		after, err := s.Changes(t.Context(), before.Newest, 0)
		if err != nil || len(after.List) != 1 || after.List[0].Entity != "domain" || after.List[0].Key != host {
			t.Errorf("changes %+v, %v", after.List, err)
		}
		if again := verifyDomain(t, s, d); !again.VerifiedAt.Equal(v.VerifiedAt) {
			t.Errorf("verified anew: %+v", again)
		}
		list, err := s.Domains(t.Context(), domainProd)
		if err != nil || len(list) != 1 || list[0] != v {
			t.Errorf("listed %+v, %v", list, err)
		}
		if pending, err := s.PendingDomains(t.Context(), 0); err != nil || len(pending) != 0 {
			t.Errorf("pending %+v, %v", pending, err)
		}
		if err := s.RemoveDomain(t.Context(), domainProd, host, "u1", "user"); err != nil {
			t.Fatal(err)
		}
		if err := s.RemoveDomain(t.Context(), domainProd, host, "u1", "user"); !errors.Is(err, ErrNotFound) {
			t.Errorf("removed twice: %v", err)
		}
		if got := serves(t, s, host); got != uuid.Nil {
			t.Errorf("a removed name serves %s", got)
		}
		if got := audited(t, s, host); got != "domain.add domain.verify domain.remove" {
			t.Errorf("audit log: %s", got)
		}
	})
}

// Promise: who claims a name first keeps it from nobody: each tenant has a token of its own, the first proof has the
// name and ends all claims, and after that nobody can claim it.
func TestDomainClaims(t *testing.T) {
	onDomains(t, func(t *testing.T, s *Store) {
		const host = "app.example.com"
		squatter, owner := addDomain(t, s, domainGlobex, host), addDomain(t, s, domainProd, host)
		if squatter.Token == owner.Token {
			t.Error("both have one token")
		}
		_, err := s.AddDomain(t.Context(), domainDev, host, "u1", "")
		wantCode(t, err, DomainDuplicate)
		// A proof of one claim is none of the other.
		_, err = s.VerifyDomain(t.Context(), domainGlobex, host, owner.Token, DomainDNS, "gateway", "")
		wantCode(t, err, DomainStale)
		_, err = s.VerifyDomain(t.Context(), domainGlobex, host, "", DomainHTTP, "gateway", "")
		wantCode(t, err, DomainStale)
		verifyDomain(t, s, owner)
		_, err = s.VerifyDomain(t.Context(), domainGlobex, host, squatter.Token, DomainDNS, "gateway", "")
		wantCode(t, err, DomainDuplicate)
		for _, e := range []uuid.UUID{domainGlobex, domainProd, domainDev} {
			_, err = s.AddDomain(t.Context(), e, host, "u1", "")
			wantCode(t, err, DomainDuplicate)
		}
		if got := serves(t, s, host); got != domainProd {
			t.Errorf("serves %s", got)
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_domain_claim`); n != 0 {
			t.Errorf("%d claims are left", n)
		}
		// An import vouches, which ends claims just as well.
		addDomain(t, s, domainGlobex, "other.example.com")
		importText(t, s, `{"tenants": [{"slug": "acme", "environments": [{"slug": "dev", "domains": ["other.example.com"]}]}]}`)
		if n := one[int](t, s, `SELECT count(*) FROM sys_domain_claim`); n != 0 {
			t.Errorf("%d claims are left after an import", n)
		}
		// A row that somebody wrote without proof blocks nobody.
		run(t, s, `INSERT INTO sys_domain (hostname, environment_id) VALUES ('squat.example.com', ?1)`, domainGlobex.String())
		verifyDomain(t, s, addDomain(t, s, domainProd, "squat.example.com"))
		if got := serves(t, s, "squat.example.com"); got != domainProd {
			t.Errorf("serves %s", got)
		}
	})
}

// Promise: a name that moves within its tenant stays verified; one that goes to another tenant serves nobody until that
// one has proved it with a token of its own, and never the old one again.
func TestDomainMove(t *testing.T) {
	onDomains(t, func(t *testing.T, s *Store) {
		const host = "app.example.com"
		first := addDomain(t, s, domainProd, host)
		move := func(from, to uuid.UUID) Domain {
			t.Helper()
			d, err := s.MoveDomain(t.Context(), host, from, to, "op", "operator")
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if d := move(domainProd, domainDev); d.Token != first.Token || d.Environment != domainDev {
			t.Errorf("a claim moved to %+v", d)
		}
		first.Environment = domainDev
		verifyDomain(t, s, first)
		if d := move(domainDev, domainProd); !d.Verified() || serves(t, s, host) != domainProd {
			t.Errorf("moved to %+v", d)
		}
		d := move(domainProd, domainGlobex)
		if d.Verified() || d.Token == first.Token || serves(t, s, host) != uuid.Nil {
			t.Errorf("moved to %+v, serves %s", d, serves(t, s, host))
		}
		_, err := s.VerifyDomain(t.Context(), domainProd, host, first.Token, DomainDNS, "gateway", "")
		wantCode(t, err, DomainStale)
		_, err = s.VerifyDomain(t.Context(), domainGlobex, host, first.Token, DomainDNS, "gateway", "")
		wantCode(t, err, DomainStale)
		verifyDomain(t, s, d)
		if got := serves(t, s, host); got != domainGlobex {
			t.Errorf("serves %s", got)
		}
		for _, from := range []uuid.UUID{domainProd, domainDev} {
			if _, err := s.MoveDomain(t.Context(), host, from, domainDev, "op", ""); err == nil {
				t.Error("moved from where it was not")
			}
		}
		// Neither tenant's rows say who the other is.
		if n := one[int](t, s, `SELECT count(*) FROM sys_audit_log WHERE subject = ?1 AND organization_id IS NOT NULL AND detail LIKE '%' || ?2 || '%'`,
			host, domainGlobex.String()); n != 0 {
			t.Errorf("%d rows of a tenant name another's environment", n)
		}
		if got := audited(t, s, host); got != "domain.add domain.move domain.verify domain.move domain.move domain.remove domain.add domain.verify" {
			t.Errorf("audit log: %s", got)
		}
	})
}

// Promise: names that could never be served are refused, with the same normal form as in an import.
func TestDomainNames(t *testing.T) {
	s := migrated(t, backends()[0].open(t))
	withDomainTenants(t, s)
	for _, host := range []string{
		"", ".", "localhost", "a..b", "-a.example", "a-.example", "a_b.example", "*.example.com", "example.com:443", "a b.example",
		"127.0.0.1", "127.1", "1.0x7f", "[::1]", "::1", "http://example.com", "example.com/", strings.Repeat("a", 64) + ".example",
		strings.Repeat("a.", 127) + "example", strings.Repeat("ü", 2000) + ".example", "a\x00.example", "a\n.example", "xn--a.example\u202e",
	} {
		_, err := s.AddDomain(t.Context(), domainProd, host, "u1", "")
		wantCode(t, err, DomainInvalid)
	}
	for host, want := range map[string]string{
		"EXAMPLE.com": "example.com", "example.org.": "example.org", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"STRAßE.example": "xn--strae-oqa.example", "3com.example": "3com.example",
	} {
		if d, err := s.AddDomain(t.Context(), domainProd, host, "u1", ""); err != nil || d.Hostname != want {
			t.Errorf("%s: %s, %v", host, d.Hostname, err)
		}
	}
	if _, err := s.AddDomain(t.Context(), NewID(), "a.example", "u1", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown environment: %v", err)
	}
	if _, err := s.AddDomain(t.Context(), domainProd, "a.example", "", ""); err == nil {
		t.Error("an empty actor was taken")
	}
}

// Promise: a tenant can claim so many names and no more, over all of its environments, and an expired claim makes room
// for a new one.
func TestDomainLimits(t *testing.T) {
	o := backends()[0].open(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o.Now = func() time.Time { return now }
	s := migrated(t, o)
	withDomainTenants(t, s)
	for i := range MaxDomainClaims {
		addDomain(t, s, []uuid.UUID{domainProd, domainDev}[i%2], fmt.Sprintf("d%d.example", i))
	}
	_, err := s.AddDomain(t.Context(), domainProd, "more.example", "u1", "")
	wantCode(t, err, DomainLimit)
	addDomain(t, s, domainGlobex, "more.example")
	now = now.Add(DomainClaimLifetime - time.Second)
	_, err = s.AddDomain(t.Context(), domainDev, "d0.example", "u1", "")
	wantCode(t, err, DomainDuplicate)
	now = now.Add(time.Second)
	if d := addDomain(t, s, domainDev, "d0.example"); !d.CreatedAt.Equal(now) {
		t.Errorf("made anew at %s", d.CreatedAt)
	}
	run(t, s, `DELETE FROM sys_environment WHERE id = ?1`, domainDev.String())
	if n := one[int](t, s, `SELECT count(*) FROM sys_domain_claim WHERE environment_id = ?1`, domainDev.String()); n != 0 {
		t.Errorf("%d claims outlive their environment", n)
	}
}

// Promise: what can be claimed is in its normal form after one normalisation, and within the bounds of the schema.
func FuzzClaimableHost(f *testing.F) {
	for _, seed := range []string{"app.acme.test", "B\u00fccher.Example.", "127.0.0.1", "1.0xff", "xn--a.example", "\u212a.example", "a..b", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, err := claimableHost(s)
		if err != nil {
			var refused *DomainError
			if !errors.As(err, &refused) || refused.Code != DomainInvalid {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if again, err := claimableHost(host); err != nil || again != host {
			t.Errorf("%q became %q, and that %q (%v)", s, host, again, err)
		}
		if len(host) > MaxHostLength || !strings.Contains(host, ".") || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
			t.Errorf("%q became %q", s, host)
		}
	})
}
