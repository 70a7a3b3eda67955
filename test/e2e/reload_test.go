package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: a reload loses no request and no quota state, however often; and one that fails leaves what runs untouched.
//
// The clients keep their connections and open another one when the server closes one that is idle, as HTTP/1.1 asks them
// to (RFC 9112 §9.3.1 and §9.6). A connection that is opened in the very moment in which Caddy hands over between two
// listening sockets can be reset; that is Caddy's and the same without our modules, and not what is tested here.
func TestReloadUnderLoad(t *testing.T) {
	const burst, perMinute = 20, 60
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		d := someTenants(u)
		d.Tenants[1].Quotas = map[string]int{"apiRateLimit": perMinute, "burst": burst}
		b.load(t, d)
		options := func(extra string) harness.Options {
			return harness.Options{Tenants: b.directive(""), Site: fmt.Sprintf(refusingSite, "") + extra, Env: b.env(), Plain: true}
		}
		g := harness.Start(t, options(""))

		began := time.Now()
		allowed := 0
		spend := func(requests int) (refused int) {
			for range requests {
				switch answer := g.Get(t, "globex.app.test", "/"); answer.Status {
				case 200:
					allowed++
				case 429:
					refused++
				default:
					t.Errorf("status %d: %s", answer.Status, answer.Body)
				}
			}
			return refused
		}
		if spend(burst+10) == 0 {
			t.Error("nothing was refused before the first reload")
		}

		load := g.StartLoad(t, harness.Load{
			Reloads: true,
			Workers: 8, Every: 2 * time.Millisecond,
			Ask: func(n int) harness.Ask {
				a := harness.Ask{Host: "acme.app.test"}
				// Some are inside the gateway for longer than a reload takes to swap.
				if n%4 == 0 {
					a.Header = map[string]string{harness.DelayHeader: "300ms"}
				}
				return a
			},
			Check: func(_ int, a harness.Answer) error {
				if a.Status != 200 {
					return fmt.Errorf("status %d: %s", a.Status, a.Body)
				}
				return nil
			},
		})
		for n := range 5 {
			before := load.Done()
			// Each configuration differs, as after an edit; the third is the same as the second.
			if r := g.Reload(t, options(fmt.Sprintf("header Config %d\n", n/2))); r.ExitCode != 0 {
				t.Fatalf("reload %d: exit code %d\n%s", n, r.ExitCode, r.Output())
			}
			if spend(10) == 0 {
				t.Errorf("after reload %d nothing was refused: the quota state is gone", n)
			}
			harness.Eventually(t, 10*time.Second, func() error {
				if load.Done() < before+50 {
					return fmt.Errorf("only %d requests since the reload", load.Done()-before)
				}
				return nil
			})
		}
		bad := g.Reload(t, options("tenant {\nidentify nonsense\n}\n"))
		if bad.ExitCode == 0 {
			t.Error("a reload of a broken Caddyfile succeeded")
		}
		// This one is fine to read, and fails when it is started: its registry cannot be opened.
		o := options("")
		o.Tenants = "registry file:" + g.Dir + "/Caddyfile/tenants.db"
		if r := g.Reload(t, o); r.ExitCode == 0 {
			t.Error("a reload with a registry that cannot be opened succeeded")
		}
		// Caddy opens the listeners of a configuration before it knows whether all of it starts.
		harness.Eventually(t, 5*time.Second, func() error {
			answer, err := harness.Send(t.Context(), g.Client, g.Address, harness.Ask{Host: "acme.app.test"})
			if got := answer.Header.Get("Config"); err == nil && got != "2" {
				t.Errorf("after a failed reload configuration %q serves, want the last good one, 2", got)
			}
			return err
		})
		if spend(10) == 0 {
			t.Error("after a failed reload nothing was refused: the quota state is gone")
		}
		report := load.Stop()
		t.Log(report)
		if report.Failures > 0 {
			t.Errorf("requests were lost: %s", report)
		}
		if most := burst + int(time.Since(began).Seconds()*perMinute/60) + 1; allowed < burst || allowed > most {
			t.Errorf("%d requests were allowed over all reloads, want %d to %d", allowed, burst, most)
		}
	})
}

// Promise: the cache survives a reload: with the registry gone, tenants that were served before are served after it.
func TestReloadKeepsTheCache(t *testing.T) {
	t.Parallel()
	b := sqldBackend(t)
	u := startUpstreams(t)
	b.load(t, someTenants(u))
	o := harness.Options{Tenants: b.directive("timeout 500ms"), Site: fmt.Sprintf(refusingSite, ""), Env: b.env()}
	g := harness.Start(t, o)
	if got := g.Get(t, "acme.app.test", "/").Echo(t).Upstream; got != "acme-production" {
		t.Fatalf("upstream %s answered", got)
	}
	b.proxy.Down()
	if r := g.Reload(t, o); r.ExitCode != 0 {
		t.Fatalf("reload without the registry: exit code %d\n%s", r.ExitCode, r.Output())
	}
	if got := g.Get(t, "acme.app.test", "/").Echo(t).Upstream; got != "acme-production" {
		t.Errorf("upstream %s answered", got)
	}
}

// Promise: a reload that names another registry serves that one's tenants, and none of the former's.
func TestReloadToAnotherRegistry(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	one, other := fileBackend(t), fileBackend(t)
	one.load(t, someTenants(u))
	d := someTenants(u)
	d.Tenants = d.Tenants[:1]
	d.Tenants[0].Environments[0].Upstreams = []string{u.globex.Address}
	other.load(t, d)
	options := func(b backend) harness.Options {
		return harness.Options{Tenants: b.directive(""), Site: fmt.Sprintf(refusingSite, "")}
	}
	g := harness.Start(t, options(one))
	for host, upstream := range map[string]string{"acme.app.test": "acme-production", "globex.app.test": "globex"} {
		if err := g.Expect(t.Context(), host, 200, upstream)(); err != nil {
			t.Fatal(err)
		}
	}
	if r := g.Reload(t, options(other)); r.ExitCode != 0 {
		t.Fatalf("reload: exit code %d\n%s", r.ExitCode, r.Output())
	}
	if err := g.Expect(t.Context(), "acme.app.test", 200, "globex")(); err != nil {
		t.Error(err)
	}
	if err := g.Expect(t.Context(), "globex.app.test", 404, "")(); err != nil {
		t.Error(err)
	}
}
