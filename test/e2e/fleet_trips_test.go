package e2e_test

import (
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/redis"
)

// Promise: a busy tenant costs at most one round trip for 50 requests on four gateways, as Redis itself counts them, whether it
// is within its limit or beyond.
//
// How many round trips there are depends on the time that passes, and how many requests on the machine. So a tenant is busy
// here when each gateway has 400 requests a second of it, and it has been for a while, in which the gateways learn what it
// needs; a round in which there were fewer requests is repeated with more clients. What is left then is that the round trips
// are few for the time.
func TestFleetRoundTrips(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	d := someTenants(u)
	d.Tenants[0].Quotas = map[string]int{"apiRateLimit": 60 * 50_000}
	d.Tenants[1].Quotas = map[string]int{"apiRateLimit": 60 * 100, "burst": 100}
	b := fileBackend(t)
	b.load(t, d)
	server := redis.Start(t, redis.Options{})
	list := startFleet(t, b, server.URL(), "timeout 5s", harness.Options{Plain: true})
	for _, host := range []string{"acme.app.test", "globex.app.test"} {
		const rounds = 4
		for round := 1; round <= rounds; round++ {
			if fewRoundTrips(t, list, server, host, round, round == rounds) {
				break
			}
		}
	}
	if n := list.sum(t, "tenantgate_quota_redis_losses_total"); n > 0 {
		t.Errorf("Redis was lost %v times, without a reason", n)
	}
	list.stop(t)
}

// fewRoundTrips loads a tenant and counts, and reports whether the tenant was busy. The last round counts in any case.
func fewRoundTrips(t *testing.T, list gateways, server *redis.Server, host string, round int, last bool) (busy bool) {
	t.Helper()
	s := send(t, list, harness.Ask{Host: host}, float64(600*len(list)*round), evenly)
	harness.Throughout(t, 1500*time.Millisecond, list.ended)
	// In this order, so that what is decided meanwhile counts as a round trip and not as a request.
	before := decisions(t, server)
	began, asked := time.Now(), -len(s.soFar())
	harness.Throughout(t, 3*time.Second, list.ended)
	asked += len(s.soFar())
	took, made := time.Since(began), decisions(t, server)-before
	r := s.stop()
	t.Logf("%s: %v; %d round trips for %d requests in %s", host, r, made, asked, took.Round(time.Millisecond))
	if r.Failures > 0 {
		t.Errorf("%s: %s", host, r)
	}
	seconds := took.Seconds() * float64(len(list))
	busy = float64(asked) >= 400*seconds
	if busy && (made > asked/50 || made == 0) {
		t.Errorf("%s: %d round trips for %d requests", host, made, asked)
	}
	if last && !busy {
		t.Logf("%s: in %d rounds this machine did not send as much as makes a busy tenant", host, round)
		if float64(made) > 15*seconds {
			t.Errorf("%s: %d round trips in %s", host, made, took)
		}
	}
	return busy
}

// decisions returns how many scripts Redis has run, but for heartbeats, of which each removes from the set of nodes who is gone.
func decisions(t *testing.T, server *redis.Server) int {
	t.Helper()
	return server.Scripts(t) - server.Calls(t, "zremrangebyscore")
}
