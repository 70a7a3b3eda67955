package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/redis"
)

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
				timeout 5s
				mode %s
			}
			`, server.Addr(), server.CAFile(), mode),
			Site: fmt.Sprintf(refusingSite, ""), Env: []string{"REDIS_PASSWORD=" + secret},
		}
	}
	g := harness.Start(t, options("lease"))
	harness.Eventually(t, 10*time.Second, func() error {
		if metricOf(t, g, "tenantgate_quota_redis_up") != 1 {
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
			if n := metricOf(t, g, "tenantgate_quota_redis_gateways"); n != 2 {
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

// Promise: a gateway that stops shares its limits to the end: until the last request is done it is one of the fleet, whatever
// part of it stops first, which is not always the same.
func TestFleetStopsLast(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, fleetSize), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	}))
	t.Cleanup(upstream.Close)
	finish := sync.OnceFunc(func() { close(release) })
	t.Cleanup(finish)
	d := someTenants(startUpstreams(t))
	d.Tenants[0].Environments[0].Upstreams = []string{upstream.Listener.Addr().String()}
	b := fileBackend(t)
	b.load(t, d)
	server := redis.Start(t, redis.Options{})
	list := startFleet(t, b, server.URL(), "timeout 5s", harness.Options{})
	var all sync.WaitGroup
	for _, g := range list {
		all.Go(func() {
			if answer := g.Get(t, "acme.app.test", "/"); answer.Status != http.StatusOK {
				t.Errorf("status %d: %s", answer.Status, answer.Body)
			}
		})
		<-entered
	}
	all.Go(func() { list.stop(t) })
	for _, g := range list {
		harness.Eventually(t, 15*time.Second, func() error {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Address)
			if err != nil {
				return nil
			}
			return errors.Join(errors.New("it takes connections"), conn.Close())
		})
	}
	// Who has left does not come back; who is late with a heartbeat does.
	harness.Eventually(t, 10*time.Second, func() error {
		if n, err := server.Must(t, "ZCARD", "tenantgate:{nodes}").AsInt64(); err != nil || n != fleetSize {
			return fmt.Errorf("%d of %d gateways are in the fleet while they have requests, %w", n, fleetSize, err)
		}
		return nil
	})
	finish()
	all.Wait()
}
