package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/redis"
)

// fleetSize is how many gateways there are in these tests.
const fleetSize = 4

// startFleet starts gateways that share a registry and a Redis. lines stand in the block of the option quota.
func startFleet(t *testing.T, b backend, url, lines string, env ...string) []*harness.Gateway {
	t.Helper()
	list := make([]*harness.Gateway, fleetSize)
	for i := range list {
		list[i] = harness.Start(t, harness.Options{
			Tenants: b.directive("") + fmt.Sprintf("quota %s {\n%s\n}\n", url, lines),
			Site:    fmt.Sprintf(refusingSite, ""), Env: append(b.env(), env...),
		})
	}
	for _, g := range list {
		harness.Eventually(t, 10*time.Second, func() error {
			if n := redisMetric(t, g, "tenantgate_quota_redis_gateways"); n != fleetSize {
				return fmt.Errorf("%v gateways", n)
			}
			return nil
		})
	}
	return list
}

// redisMetric reads a metric without labels from the admin endpoint; -1 when it is not there.
func redisMetric(t *testing.T, g *harness.Gateway, name string) float64 {
	t.Helper()
	answer, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: "/metrics"})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(answer.Body) {
		var v float64
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &v); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	return -1
}

// onAll puts the same load on all gateways, and returns what all of them answered together.
func onAll(t *testing.T, list []*harness.Gateway, host string, every time.Duration) (stop func() harness.Report) {
	t.Helper()
	loads := make([]*harness.RunningLoad, len(list))
	for i, g := range list {
		loads[i] = g.StartLoad(t, harness.Load{
			Workers: 2, Every: every, AtMost: time.Minute,
			Ask: func(int) harness.Ask { return harness.Ask{Host: host} },
			Check: func(_ int, a harness.Answer) error {
				if a.Status != http.StatusOK && a.Status != http.StatusTooManyRequests {
					return fmt.Errorf("status %d: %s", a.Status, a.Body)
				}
				return nil
			},
		})
	}
	return func() harness.Report {
		sum := harness.Report{Statuses: map[int]int{}}
		for _, l := range loads {
			r := l.Stop()
			for status, n := range r.Statuses {
				sum.Statuses[status] += n
			}
			sum.Done += r.Done
			sum.Failures += r.Failures
			sum.Slowest = max(sum.Slowest, r.Slowest)
			sum.Errors = append(sum.Errors, r.Errors...)
		}
		return sum
	}
}

// fleetTenants are acme with a limit of 100 a second and a burst of as many, and globex with 60 a minute and a burst of 20.
func fleetTenants(t *testing.T, b backend) {
	t.Helper()
	u := startUpstreams(t)
	d := someTenants(u)
	d.Tenants[0].Quotas = map[string]int{"apiRateLimit": 6000, "burst": 100}
	d.Tenants[1].Quotas = map[string]int{"apiRateLimit": 60, "burst": 20}
	b.load(t, d)
}

// Promise: four gateways on one Redis admit a tenant's limit between them, never more, and nearly all of it when more is
// asked for; in both modes, and without a round trip for most requests in lease mode.
func TestFleetQuota(t *testing.T) {
	for _, mode := range []string{"lease", "exact"} {
		t.Run(mode, func(t *testing.T) {
			b := fileBackend(t)
			fleetTenants(t, b)
			server := redis.Start(t, redis.Options{})
			list := startFleet(t, b, server.URL(), "mode "+mode+"\ntimeout 1s")
			calls := func() (n float64) {
				for _, g := range list {
					n += redisMetric(t, g, "tenantgate_quota_redis_round_trips_total")
				}
				return n
			}
			before, began := calls(), time.Now()
			fast, slow := onAll(t, list, "acme.app.test", 5*time.Millisecond), onAll(t, list, "globex.app.test", 100*time.Millisecond)
			harness.Throughout(t, 6*time.Second, list[0].Ended)
			acme, globex, made := fast(), slow(), calls()-before
			took := time.Since(began).Seconds()
			t.Logf("acme: %v", acme)
			t.Logf("globex: %v; %.0f round trips", globex, made)
			for _, tt := range []struct {
				name  string
				r     harness.Report
				limit float64
			}{{"acme", acme, 100 + 100*took}, {"globex", globex, 20 + took}} {
				if tt.r.Failures > 0 {
					t.Errorf("%s: %s", tt.name, tt.r)
				}
				if n := float64(tt.r.Statuses[200]); n > tt.limit || n < 0.97*tt.limit-2 {
					t.Errorf("%s: %.0f requests were admitted, of %.0f", tt.name, n, tt.limit)
				}
			}
			if most := float64(acme.Done+globex.Done) / 20; mode == "lease" && made > most {
				t.Errorf("%.0f round trips for %d requests", made, acme.Done+globex.Done)
			}
		})
	}
}

// Promise: Redis killed, hung or started again empty under load costs no client an error and nobody its quota: the
// gateways decide by themselves, with their shares, and share again as soon as they can.
func TestFleetLosesRedis(t *testing.T) {
	for name, fault := range map[string]struct{ begin, end func(*redis.Server) error }{
		"killed": {func(s *redis.Server) error { s.Stop(); return nil }, (*redis.Server).Restart},
		"hung":   {(*redis.Server).Pause, (*redis.Server).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			b := fileBackend(t)
			fleetTenants(t, b)
			server := redis.Start(t, redis.Options{})
			list := startFleet(t, b, server.URL(), "timeout 300ms")
			began := time.Now()
			stop := onAll(t, list, "acme.app.test", 5*time.Millisecond)
			up := func(want float64) {
				t.Helper()
				for _, g := range list {
					harness.Eventually(t, 10*time.Second, func() error {
						if got := redisMetric(t, g, "tenantgate_quota_redis_up"); got != want {
							return fmt.Errorf("tenantgate_quota_redis_up is %v, want %v", got, want)
						}
						return nil
					})
				}
			}
			harness.Throughout(t, time.Second, list[0].Ended)
			if err := fault.begin(server); err != nil {
				t.Fatal(err)
			}
			up(0)
			harness.Throughout(t, 2*time.Second, list[0].Ended)
			if err := fault.end(server); err != nil {
				t.Fatal(err)
			}
			up(1)
			harness.Throughout(t, time.Second, list[0].Ended)
			r := stop()
			limit := 100 + 100*time.Since(began).Seconds()
			t.Logf("%v, of %.0f", r, limit)
			if r.Failures > 0 || r.Slowest > 3*time.Second {
				t.Errorf("%s", r)
			}
			// One burst more is what a Redis that has forgotten everything may cost.
			if n := float64(r.Statuses[200]); n > limit+100 || n < 0.7*limit {
				t.Errorf("%.0f requests were admitted, of %.0f", n, limit)
			}
			for _, g := range list {
				if n := strings.Count(g.Log(t), "redis is lost"); n != 1 {
					t.Errorf("%d lines about the loss", n)
				}
			}
		})
	}
}

// Promise: a reload and a change of Redis's options keep what was spent, and the password shows nowhere: not in the log,
// not in the configuration, not in metrics.
func TestFleetReload(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	u := startUpstreams(t)
	d := someTenants(u)
	d.Tenants[1].Quotas = map[string]int{"apiRateLimit": 1, "burst": 30}
	b.load(t, d)
	const secret = "a-very-secret-password"
	server := redis.Start(t, redis.Options{TLS: true, User: "gate", Password: secret})
	options := func(mode string) harness.Options {
		return harness.Options{
			Tenants: b.directive("") + fmt.Sprintf(`quota rediss://%s {
				username gate
				password {env.REDIS_PASSWORD}
				ca_file %s
				timeout 1s
				mode %s
			}
			`, server.Addr(), server.CAFile(), mode),
			Site: fmt.Sprintf(refusingSite, ""), Env: []string{"REDIS_PASSWORD=" + secret},
		}
	}
	g := harness.Start(t, options("lease"))
	harness.Eventually(t, 10*time.Second, func() error {
		if redisMetric(t, g, "tenantgate_quota_redis_up") != 1 {
			return fmt.Errorf("redis is not in use")
		}
		return nil
	})
	allowed := 0
	spend := func(n int) {
		for range n {
			if g.Get(t, "globex.app.test", "/").Status == http.StatusOK {
				allowed++
			}
		}
	}
	for _, mode := range []string{"lease", "exact", "exact", "lease"} {
		spend(6)
		if r := g.Reload(t, options(mode)); r.ExitCode != 0 {
			t.Fatalf("reload: %s", r.Output())
		}
	}
	if allowed != 24 {
		t.Errorf("%d of 24 were allowed", allowed)
	}
	spend(20)
	if allowed != 30 && allowed != 31 {
		t.Errorf("%d were allowed, of a burst of 30", allowed)
	}
	text := g.Log(t)
	for _, path := range []string{"/config/", "/metrics"} {
		answer, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		text += answer.Body
	}
	if strings.Contains(text, secret) {
		t.Error("the password shows")
	}
	bad := options("lease")
	bad.Tenants = strings.Replace(bad.Tenants, server.CAFile(), "/nowhere.pem", 1)
	if r := g.Reload(t, bad); r.ExitCode == 0 || !strings.Contains(r.Output(), "ca_file") {
		t.Errorf("a reload with a file that is not there: %s", r.Output())
	}
	spend(1)
	answer, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: "/config/apps/tenants/quota"})
	if err != nil || !strings.Contains(answer.Body, server.CAFile()) {
		t.Errorf("after a failed reload the configuration is %s, %v", answer.Body, err)
	}
}

// Promise: gateways that share a Redis tell each other of changes: what one has seen in its poll holds on another at once,
// though that one polls once an hour.
func TestFleetHints(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	u := startUpstreams(t)
	b.load(t, someTenants(u))
	server := redis.Start(t, redis.Options{})
	start := func(interval string) *harness.Gateway {
		return harness.Start(t, harness.Options{
			Tenants: b.directive("poll_interval "+interval) + "quota " + server.URL() + "\n", Site: fmt.Sprintf(refusingSite, ""),
		})
	}
	first, second := start("200ms"), start("1h")
	for _, g := range []*harness.Gateway{first, second} {
		harness.Eventually(t, 10*time.Second, func() error {
			if n := redisMetric(t, g, "tenantgate_quota_redis_gateways"); n != 2 {
				return fmt.Errorf("%v gateways", n)
			}
			return nil
		})
		g.Get(t, "acme.app.test", "/").Echo(t)
	}
	harness.Exec(t, harness.OpenSQL(t, b.url, b.token), "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'")
	took := harness.Eventually(t, 10*time.Second, second.Expect(t.Context(), "acme.app.test", 403, ""))
	t.Logf("after %s", took)
}
