package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// outageOptions make every entry of the cache stale soon, so that an outage is felt by each of them.
func outageOptions(b backend) harness.Options {
	return harness.Options{
		Tenants: b.directive("poll_interval 200ms\ntimeout 1s") + "cache {\nttl 300ms\n}",
		Site:    fmt.Sprintf(refusingSite, ""),
		Env:     b.env(),
		Plain:   true,
	}
}

// Promise: the registry stopped, restarted or hung, under load: no response of 5xx for tenants that are cached, none
// that takes long; and afterwards changes arrive again.
func TestRegistryOutageUnderLoad(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		begin, heal func(t *testing.T, s server)
	}{
		{
			"server stopped and restarted",
			func(_ *testing.T, s server) { s.sqld.Stop() },
			func(t *testing.T, s server) { s.sqld.Restart(t) },
		},
		{
			"connections refused and reset",
			func(_ *testing.T, s server) { s.proxy.Down() },
			func(t *testing.T, s server) { s.proxy.Up(t) },
		},
		{
			"network hangs",
			func(_ *testing.T, s server) { s.proxy.Hang() },
			func(_ *testing.T, s server) { s.proxy.Resume() },
		},
		{
			"server hangs",
			func(t *testing.T, s server) { s.sqld.Pause(t) },
			func(t *testing.T, s server) { s.sqld.Resume(t) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sqldBackend(t)
			u := startUpstreams(t)
			s.load(t, someTenants(u))
			g := harness.Start(t, outageOptions(s.backend))
			hosts := []string{"acme.app.test", "acme--dev.app.test", "globex.app.test"}
			for _, host := range hosts {
				g.Get(t, host, "/").Echo(t)
			}
			load := g.StartLoad(t, harness.Load{
				Every: 5 * time.Millisecond,
				Ask:   func(n int) harness.Ask { return harness.Ask{Host: hosts[n%len(hosts)]} },
				Check: func(_ int, a harness.Answer) error {
					if a.Status != 200 {
						return fmt.Errorf("status %d: %s", a.Status, a.Body)
					}
					return nil
				},
			})
			// Longer than an entry is fresh and a call may take.
			tt.begin(t, s)
			harness.Throughout(t, 3*time.Second, g.Ended)

			// Who was never heard of is told that it is our trouble, not that there is no such tenant, and without delay.
			began := time.Now()
			answer := g.Get(t, "stranger.app.test", "/")
			if p := answer.Problem(t); answer.Status != 503 || p.Code != "registry_unavailable" || answer.Header.Get("Retry-After") == "" {
				t.Errorf("a stranger got status %d: %s", answer.Status, answer.Body)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("a stranger waited %s", took)
			}

			tt.heal(t, s)
			db := harness.OpenSQL(t, s.direct.url, s.direct.token)
			harness.Eventually(t, 20*time.Second, func() error { return db.PingContext(t.Context()) })
			report := load.Stop()
			t.Log(report)
			if report.Failures > 0 || report.Done < 100 {
				t.Error(report)
			}
			if report.Slowest > 3*time.Second {
				t.Errorf("the slowest answer took %s", report.Slowest)
			}
			harness.Exec(t, db, "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'globex'")
			took := harness.Eventually(t, 15*time.Second, g.Expect(t.Context(), "globex.app.test", 403, ""))
			t.Logf("the suspension held %s after it was written", took)
		})
	}
}

// Promise: a gateway that starts while the registry is down, or hangs, serves the tenants that it knew, from its hot
// set; and when the registry is back, it hears of changes.
func TestStartWithoutRegistry(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(p *harness.Proxy){"down": (*harness.Proxy).Down, "hung": (*harness.Proxy).Hang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sqldBackend(t)
			u := startUpstreams(t)
			s.load(t, someTenants(u))
			o := outageOptions(s.backend)
			o.Dir = t.TempDir()
			first := harness.Start(t, o)
			first.Get(t, "acme.app.test", "/").Echo(t)
			first.Stop(t)

			begin(s.proxy)
			began := time.Now()
			g := harness.Start(t, o)
			t.Logf("serves %s after its start", time.Since(began))
			if got := g.Get(t, "acme.app.test", "/").Echo(t).Upstream; got != "acme-production" {
				t.Errorf("upstream %s answered", got)
			}
			if got := g.Get(t, "globex.app.test", "/"); got.Status != 503 {
				t.Errorf("a tenant that was never asked for: status %d, want 503", got.Status)
			}

			db := harness.OpenSQL(t, s.direct.url, s.direct.token)
			harness.Exec(t, db, "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'")
			s.proxy.Resume()
			if name == "down" {
				s.proxy.Up(t)
			}
			harness.Eventually(t, 15*time.Second, g.Expect(t.Context(), "acme.app.test", 403, ""))
			harness.Eventually(t, 15*time.Second, g.Expect(t.Context(), "globex.app.test", 200, "globex"))
		})
	}
}

// Promise: without a hot set, a registry that cannot be used ends the start with an error that says what is wrong,
// soon, and without showing the token.
func TestStartFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		begin func(t *testing.T, s *server)
		says  []string // any of these
	}{
		{"registry down", func(_ *testing.T, s *server) { s.proxy.Down() }, []string{"refused"}},
		{"registry hangs", func(_ *testing.T, s *server) { s.proxy.Hang() }, []string{"no answer within"}},
		{"wrong token", func(_ *testing.T, s *server) { s.token = s.sqld.ForeignToken() }, []string{"refused the token"}},
		{"schema of a newer version", func(t *testing.T, s *server) {
			raiseSchema(t, s.direct)
		}, []string{"its schema has version 9999"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sqldBackend(t)
			s.load(t, document{Plans: []plan{{Name: "free"}}})
			tt.begin(t, &s)
			o := outageOptions(s.backend)
			r := harness.StartFails(t, o, 20*time.Second)
			expectStartError(t, r, tt.says, s.token)
			t.Logf("ended after %s", r.Took)
		})
	}
	t.Run("schema of a newer version in a file", func(t *testing.T) {
		t.Parallel()
		b := fileBackend(t)
		b.load(t, document{Plans: []plan{{Name: "free"}}})
		raiseSchema(t, b)
		expectStartError(t, harness.StartFails(t, outageOptions(b), 20*time.Second), []string{"its schema has version 9999"}, "")
	})
}

func expectStartError(t *testing.T, r harness.Result, says []string, token string) {
	t.Helper()
	// Caddy says last why it ends.
	lines := strings.Split(strings.TrimSpace(r.Output()), "\n")
	last := strings.ToLower(lines[len(lines)-1])
	said := false
	for _, s := range says {
		said = said || strings.Contains(last, s)
	}
	if !said {
		t.Errorf("the error says none of %q: %s", says, last)
	}
	if token != "" && strings.Contains(r.Output(), token) {
		t.Error("the output shows the token")
	}
	if strings.Contains(r.Output(), "goroutine ") {
		t.Errorf("the gateway panicked:\n%s", r.Output())
	}
}

// raiseSchema makes the registry look as if a Tenantgate of the future had migrated it.
func raiseSchema(t *testing.T, b backend) {
	t.Helper()
	harness.Exec(t, harness.OpenSQL(t, b.url, b.token),
		"INSERT INTO sys_migration (version, name, applied_at) VALUES (9999, 'from the future', '2099-01-01T00:00:00Z')")
}
