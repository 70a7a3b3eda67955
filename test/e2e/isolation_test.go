package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: two tenants never see each other. Whatever the mix of requests on shared connections, each is served with
// exactly the headers and the upstream of its own tenant.
func TestTenantsAreKeptApart(t *testing.T) {
	const tenants, requests = 50, 4000
	onEachBackend(t, func(t *testing.T, b backend) {
		behind := []*harness.Upstream{
			harness.StartUpstream(t, "one"), harness.StartUpstream(t, "two"), harness.StartUpstream(t, "three"),
		}
		d := document{Plans: []plan{{Name: "pro"}}}
		for n := range tenants {
			d.Tenants = append(d.Tenants, tenant{
				ID: numberedID(1, n), Slug: fmt.Sprintf("t%d", n), Name: fmt.Sprintf("Tenant %d", n), Plan: "pro",
				Environments: []environment{
					{
						ID: numberedID(2, n), Slug: "production", Name: "P", Type: "production", IsDefault: true,
						Upstreams: []string{behind[n%3].Address}, Domains: []string{fmt.Sprintf("t%d.own.test", n)},
					},
					{
						ID: numberedID(3, n), Slug: "dev", Name: "D", Type: "development",
						Upstreams: []string{behind[(n+1)%3].Address},
					},
				},
			})
		}
		b.load(t, d)
		g := harness.Start(t, harness.Options{
			// A cache that is too small for all of them, so that they come and go.
			Tenants: b.directive("") + "cache {\nsize 40\n}",
			Site: `tenant {
				identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
				identify domain
				identify path /t/{tenant}/{environment}
				identify header X-Tenant-ID
			}
			@odd header X-Odd *
			reverse_proxy @odd {
				dynamic tenant
			}
			tenant_proxy`,
			Env: b.env(),
		})

		// Number n of the requests is for tenant and way as follows; the multiplier mixes neighbours.
		ask := func(n int) (who, way int, a harness.Ask) {
			who, way = n*7919%tenants, n%5
			switch way {
			case 0:
				a.Host = fmt.Sprintf("t%d.app.test", who)
			case 1:
				a.Host = fmt.Sprintf("t%d--dev.app.test", who)
			case 2:
				a.Host = fmt.Sprintf("t%d.own.test", who)
			case 3:
				a.Path = fmt.Sprintf("/t/t%d/dev/", who)
			case 4:
				a.Header = map[string]string{"X-Tenant-ID": numberedID(1, who)}
			}
			if n%3 == 0 { // of each way, by either proxy
				if a.Header == nil {
					a.Header = map[string]string{}
				}
				a.Header["X-Odd"] = "1"
			}
			return who, way, a
		}
		report := g.StartLoad(t, harness.Load{
			Workers: 16, Count: requests,
			Ask: func(n int) harness.Ask { _, _, a := ask(n); return a },
			Check: func(n int, answer harness.Answer) error {
				who, way, a := ask(n)
				var e harness.Echo
				if err := json.Unmarshal([]byte(answer.Body), &e); err != nil || answer.Status != 200 {
					return fmt.Errorf("%+v: status %d, body %s", a, answer.Status, answer.Body)
				}
				env, name := numberedID(2, who), behind[who%3].Name
				if way == 1 || way == 3 {
					env, name = numberedID(3, who), behind[(who+1)%3].Name
				}
				for header, want := range map[string]string{
					"X-Tenant-ID": numberedID(1, who), "X-Tenant-Slug": fmt.Sprintf("t%d", who), "X-Environment-ID": env,
				} {
					if got := e.Values(header); len(got) != 1 || got[0] != want {
						return fmt.Errorf("%+v: the upstream got %s %q, want %s", a, header, got, want)
					}
				}
				if e.Upstream != name {
					return fmt.Errorf("%+v: upstream %s answered, want %s", a, e.Upstream, name)
				}
				return nil
			},
		}).Wait()
		if report.Failures > 0 || report.Done != requests {
			t.Error(report)
		}
	})
}

// numberedID is a UUID of version 7 that tells what it stands for.
func numberedID(kind, n int) string {
	return fmt.Sprintf("0190a000-0000-7000-8%03d-%012d", kind, n)
}
