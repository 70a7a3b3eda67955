package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// upstreamFault is something that can happen to an upstream.
type upstreamFault struct {
	name       string
	begin, end func(*harness.Proxy) // nil for one that comes and goes
}

// upstreamFaults are what can happen to an upstream behind reverse_proxy.
func upstreamFaults(t *testing.T) []upstreamFault {
	up := func(p *harness.Proxy) { p.Up(t) }
	inject := func(f harness.Fault) func(*harness.Proxy) { return func(p *harness.Proxy) { p.Inject(f) } }
	return []upstreamFault{
		{"upstream dead", (*harness.Proxy).Down, up},
		{"upstream hung", (*harness.Proxy).Hang, (*harness.Proxy).Resume},
		{"upstream slow", inject(harness.Fault{Latency: 200 * time.Millisecond}), (*harness.Proxy).Cure},
		{"upstream resets in the middle of a body", inject(harness.Fault{Reset: true, ResetAfter: 300}), (*harness.Proxy).Cure},
		{"upstream up and down", nil, nil},
	}
}

// faultsOfUpstreams tries all that can happen to the upstream of one tenant's environment, one after another. Its own
// clients are told; nobody else sees anything of it.
func faultsOfUpstreams(t *testing.T) {
	faultsBehind(t, "dynamic tenant\ntransport http {\ndial_timeout 6s\nresponse_header_timeout 6s\n}", upstreamFaults(t))
}

// faultsOfOwnUpstreams tries the same with tenant_proxy, which says less in the log.
func faultsOfOwnUpstreams(t *testing.T) {
	var list []upstreamFault
	for _, f := range upstreamFaults(t) {
		if f.name == "upstream resets in the middle of a body" {
			f.name += ", with `tenant_proxy`"
		}
		list = append(list, f)
	}
	faultsBehind(t, "transport tenant {\ndial_timeout 6s\nresponse_header_timeout 6s\n}", list)
}

// faultsBehind tries faults with the options of reverse_proxy, or with those of tenant_proxy where its transport is meant.
func faultsBehind(t *testing.T, options string, faults []upstreamFault) {
	u := startUpstreams(t)
	d := someTenants(u)
	p := harness.StartProxy(t, u.production.Address)
	d.Tenants[0].Environments[0].Upstreams = []string{p.Address}
	b := fileBackend(t)
	b.load(t, d)
	s := newStage(t, b, b, "timeout 20s", func(o *harness.Options) {
		o.Site = strings.Replace(o.Site, "dynamic tenant", options, 1)
		if strings.HasPrefix(options, "transport tenant") {
			o.Site = strings.Replace(o.Site, "reverse_proxy", "tenant_proxy", 1)
		}
	})
	for _, c := range faults {
		t.Run(c.name, func(t *testing.T) {
			f := faultNamed(t, c.name)
			s.settle(t)
			goroutines, files := s.size(t)
			before := len(s.g.Log(t))
			if c.begin != nil {
				c.begin(p)
			}
			own := startCrowd(t, s.g, 16, 20*time.Millisecond, 1, func() string { return warmHosts[0] })
			n := 0
			others := startCrowd(t, s.g, 1, 5*time.Millisecond, 1, func() string { n++; return warmHosts[1+n%2] })
			if c.begin != nil {
				harness.Throughout(t, faultLasts, s.g.Ended)
				own.reaches(t, 1)
			} else {
				flap(t, p, own.tally)
			}
			others.reaches(t, 100)
			own.end()
			if c.end != nil {
				c.end(p)
			}
			healed := time.Now()
			harness.Eventually(t, healWithin, s.g.Expect(t.Context(), warmHosts[0], 200, "acme-production"))
			took := time.Since(healed)
			others.end()
			all, ok, failed := own.of()
			there, served, refused := others.of()
			t.Logf("its own tenant: %d requests, %d × 2xx, %d × 5xx, %d cut off; other cached tenants: %d requests, %d × 2xx, %d × 5xx, slowest %s; healed after %s",
				all, ok, failed, len(own.lost), there, served, refused, max(others.slowest[warmHosts[1]], others.slowest[warmHosts[2]]).Round(time.Millisecond), took.Round(time.Millisecond))
			if served != there {
				t.Errorf("other tenants: %v, %q", others.statuses, others.lost)
			}
			for _, status := range f.others {
				if own.status(status) == 0 {
					t.Errorf("its own tenant never got status %d: %v", status, own.statuses)
				}
			}
			for status := range own.statuses[warmHosts[0]] {
				if !slices.Contains(f.others, status) {
					t.Errorf("its own tenant got status %d, want one of %d", status, f.others)
				}
			}
			if cut := strings.Contains(c.name, "body"); cut != (len(own.lost) > 0) || cut && len(own.lost) != all {
				t.Errorf("%d of %d answers were cut off: %q", len(own.lost), all, own.lost)
			}
			lines, requests := s.lines(t, before)
			s.says(t, f, lines)
			if requests > all {
				t.Errorf("Caddy has logged %d lines about %d requests", requests, all)
			}
			s.returnsTo(t, goroutines, files)
		})
	}
}

// flap takes an upstream down and up again, until clients have seen both several times.
func flap(t *testing.T, p *harness.Proxy, seen *tally) {
	t.Helper()
	for range 4 {
		for _, step := range []struct {
			status int
			change func()
		}{{502, p.Down}, {200, func() { p.Up(t) }}} {
			step.change()
			before := seen.status(step.status)
			harness.Eventually(t, healWithin, func() error {
				if n := seen.status(step.status); n < before+10 {
					return fmt.Errorf("status %d: %d times, before %d", step.status, n, before)
				}
				return nil
			})
		}
	}
}
