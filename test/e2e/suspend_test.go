package e2e_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: a suspension through one gateway stops the tenant's traffic on both of two gateways on one registry, under load:
// on the one that was asked with the answer, on the other within two polls, and for good. No request of anybody else fails.
func TestSuspensionUnderLoad(t *testing.T) {
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		up := harness.StartUpstream(t, "up")
		gateways := []*harness.Gateway{startAdmin(t, b), startAdmin(t, b)}
		c := adminClient(t, gateways[0])
		tenants := must[*registry.Tenant](t)
		for _, slug := range []string{"acme", "globex", "initech"} {
			tenants(c.CreateTenant(t.Context(), adminapi.TenantRequest{Slug: slug, Upstreams: []string{up.Address}}, ""))
		}
		for _, g := range gateways {
			holds(t, g, "acme.app.test", 200)
			holds(t, g, "globex.app.test", 200)
			holds(t, g, "initech.app.test", 200)
		}

		var mu sync.Mutex
		var last [2]time.Time // when a gateway last served acme
		refused := false      // acme was refused by both, and is not to be served again
		var loads []*harness.RunningLoad
		for i, g := range gateways {
			// What was sent before may be admitted before, and answered after.
			sentAfter := map[int]bool{}
			loads = append(loads, g.StartLoad(t, harness.Load{
				Workers: 6, Every: 5 * time.Millisecond,
				Ask: func(n int) harness.Ask {
					mu.Lock()
					defer mu.Unlock()
					sentAfter[n] = refused
					return harness.Ask{Host: []string{"acme", "globex", "initech"}[n%3] + ".app.test", Path: "/"}
				},
				Check: func(n int, answer harness.Answer) error {
					switch {
					case n%3 != 0 && answer.Status != 200:
						return fmt.Errorf("somebody else got %d %s", answer.Status, answer.Body)
					case n%3 == 0 && answer.Status == 200:
						mu.Lock()
						defer mu.Unlock()
						last[i] = time.Now()
						if sentAfter[n] {
							return fmt.Errorf("gateway %d serves the suspended tenant again", i+1)
						}
					case n%3 == 0 && answer.Status != 403:
						return fmt.Errorf("the suspended tenant got %d %s", answer.Status, answer.Body)
					}
					return nil
				},
			}))
		}
		for _, l := range loads {
			harness.Eventually(t, 10*time.Second, func() error {
				if l.Done() < 300 {
					return fmt.Errorf("%d requests so far", l.Done())
				}
				return nil
			})
		}
		tenants(c.TransitionTenant(t.Context(), "acme", registry.ActionSuspend, 0, adminapi.TransitionRequest{Reason: "under load"}))
		suspended := time.Now()
		for _, g := range gateways {
			holds(t, g, "acme.app.test", 403)
		}
		mu.Lock()
		refused = true
		mu.Unlock()
		harness.Throughout(t, adminPoll, func() error {
			for i, g := range gateways {
				if got := status(t, g, "acme.app.test"); got != 403 {
					return fmt.Errorf("gateway %d answers %d again", i+1, got)
				}
			}
			return nil
		})
		for i, l := range loads {
			r := l.Stop()
			if r.Failures > 0 || r.Statuses[403] == 0 || r.Statuses[200] == 0 {
				t.Errorf("gateway %d: %s", i+1, r)
			}
			// A request that was under way when the answer came may have been admitted before.
			if late := last[i].Sub(suspended); i == 0 && late > r.Slowest || late > 2*adminPoll+2*time.Second {
				t.Errorf("gateway %d served the tenant until %s after the suspension", i+1, late)
			} else {
				t.Logf("gateway %d: last served %s after the suspension; %s", i+1, late.Round(time.Millisecond), r)
			}
		}
	})
}
