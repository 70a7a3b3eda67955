package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/domains"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: a claimed domain is served, with a certificate, once its owner shows the token in the DNS or on the web
// server at the name, within the interval of checks; one whose owner does not is not.
func TestDomainVerification(t *testing.T) {
	onEachBackend(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		b.load(t, domainTenants(u))
		store := b.store(t)
		ns := harness.StartDNS(t)
		var mu sync.Mutex
		proofs := map[string]string{} // by host and path
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			host, _, _ := net.SplitHostPort(r.Host)
			io.WriteString(w, proofs[host+r.URL.Path])
		}))
		t.Cleanup(web.Close)
		_, port, _ := net.SplitHostPort(web.Listener.Addr().String())
		g := startSecured(t, b, fmt.Sprintf("domains {\nresolver %s\ninterval 1s\nhttp_port %s\nallow_private\n}", ns.Address, port), "")
		claim := func(host, environment string) registry.Domain {
			t.Helper()
			d, err := store.AddDomain(t.Context(), uuid.MustParse(environment), host, "u1", "user")
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		byDNS, byHTTP := claim("dns.acme.test", acmeProdID), claim("http.globex.test", globexProd)
		rival, neither := claim("dns.acme.test", globexProd), claim("neither.acme.test", acmeProdID)
		for _, d := range []registry.Domain{byDNS, byHTTP, rival, neither} {
			if got := g.upstream(t, d.Hostname); got != "no certificate" {
				t.Errorf("%s is served before it is proved: %s", d.Hostname, got)
			}
		}
		ns.SetTXT("_tenantgate.dns.acme.test", "v=spf1 -all", "tenantgate-verification="+byDNS.Token)
		ns.SetAddresses("http.globex.test", "127.0.0.1")
		ns.SetTXT("_tenantgate.neither.acme.test", "tenantgate-verification="+byDNS.Token)
		mu.Lock()
		proofs["http.globex.test"+domains.TokenPath+byHTTP.Token] = domains.Proof(byHTTP.Token)
		mu.Unlock()
		took := harness.Eventually(t, 15*time.Second, g.becomes(t, "dns.acme.test", "acme-production"))
		t.Logf("served %s after its record", took.Round(time.Millisecond))
		harness.Eventually(t, 15*time.Second, g.becomes(t, "http.globex.test", "globex"))
		if got := g.upstream(t, "neither.acme.test"); got != "no certificate" {
			t.Errorf("neither.acme.test: %s", got)
		}
		for environment, want := range map[string]map[string]registry.DomainMethod{
			acmeProdID: {"dns.acme.test": registry.DomainDNS, "neither.acme.test": ""}, globexProd: {"http.globex.test": registry.DomainHTTP},
		} {
			list, err := store.Domains(t.Context(), uuid.MustParse(environment))
			if err != nil {
				t.Fatal(err)
			}
			for host, method := range want {
				i := slices.IndexFunc(list, func(d registry.Domain) bool { return d.Hostname == host })
				if i < 0 || list[i].Method != method || method == "" && list[i].Failure == "" {
					t.Errorf("%s: %+v", host, list)
				}
			}
			if i := slices.IndexFunc(list, func(d registry.Domain) bool { return d.Hostname == rival.Hostname }); environment == globexProd && i >= 0 {
				t.Errorf("the rival's claim is left: %+v", list[i])
			}
		}
		if strings.Contains(g.Log(t), byDNS.Token) {
			t.Error("the log has the token")
		}
	})
}

// Promise: a domain that moves to another tenant is not served to anybody from within two polls on until that one has
// proved it, then to that one, and the old one never again. A move within a tenant takes effect within two polls.
func TestDomainMoves(t *testing.T) {
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		const poll = 500 * time.Millisecond // of startSecured
		u := startUpstreams(t)
		b.load(t, domainTenants(u))
		store := b.store(t)
		g := startSecured(t, b, "domains off", "")
		prod, dev, globex := uuid.MustParse(acmeProdID), uuid.MustParse(acmeDevID), uuid.MustParse(globexProd)
		const host = "app.acme.test"
		if got := g.upstream(t, host); got != "acme-production" {
			t.Fatalf("at first: %s", got)
		}
		// Everything that is answered from now on, in order, without repetitions.
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		var asking sync.WaitGroup
		asking.Go(func() {
			for ctx.Err() == nil {
				if got := g.upstream(t, host); len(seen) == 0 || seen[len(seen)-1] != got {
					seen = append(seen, got)
				}
			}
		})
		move := func(from, to uuid.UUID) registry.Domain {
			t.Helper()
			d, err := store.MoveDomain(t.Context(), host, from, to, "op", "operator")
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		within := 2*poll + time.Second // and the time of a busy machine
		move(prod, dev)
		took := harness.Eventually(t, within, g.becomes(t, host, "acme-dev"))
		t.Logf("moved within the tenant after %s", took.Round(time.Millisecond))
		d := move(dev, globex)
		took = harness.Eventually(t, within, g.becomes(t, host, "status 404"))
		t.Logf("no longer the old tenant's after %s", took.Round(time.Millisecond))
		if _, err := store.VerifyDomain(t.Context(), globex, host, d.Token, registry.DomainDNS, "op", "operator"); err != nil {
			t.Fatal(err)
		}
		took = harness.Eventually(t, within, g.becomes(t, host, "globex"))
		t.Logf("the new tenant's after %s", took.Round(time.Millisecond))
		harness.Throughout(t, 3*poll, g.becomes(t, host, "globex"))
		cancel()
		asking.Wait()
		if want := []string{"acme-production", "acme-dev", "status 404", "globex"}; !slices.Equal(seen, want) {
			t.Errorf("answers %q, want %q", seen, want)
		}
	})
}

// Promise: 5,000 handshakes with made-up names get no certificate, ask the registry nothing, and leave those who are
// served alone.
func TestDomainFlood(t *testing.T) {
	const names = 5000
	b := fileBackend(t)
	u := startUpstreams(t)
	b.load(t, domainTenants(u))
	g := startSecured(t, b, "domains off", "{\nsubdomains {tenant}.app.test\n}")
	const host = "app.acme.test"
	if got := g.upstream(t, host); got != "acme-production" {
		t.Fatalf("at first: %s", got)
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if n := metric(t, g.Gateway, `tenantgate_permission_names{complete="true"}`); n < 4 {
			return fmt.Errorf("%v names in memory", n)
		}
		return nil
	})
	median := func(until func() bool) (time.Duration, int) {
		var times []time.Duration
		for !until() {
			began := time.Now()
			if got := g.upstream(t, host); got != "acme-production" {
				t.Fatalf("during the flood: %s", got)
			}
			times = append(times, time.Since(began))
			time.Sleep(2 * time.Millisecond) // a client's pace, not a wait for something
		}
		slices.Sort(times)
		return times[len(times)/2], len(times)
	}
	quietEnd := time.Now().Add(2 * time.Second)
	quiet, _ := median(func() bool { return time.Now().After(quietEnd) })
	loads := metric(t, g.Gateway, "tenantgate_cache_loads_total")
	denied := metric(t, g.Gateway, `tenantgate_certificate_permissions_total{result="denied_unknown"}`)

	done := make(chan struct{})
	go func() {
		defer close(done)
		next := make(chan int)
		var workers sync.WaitGroup
		for range 4 {
			workers.Go(func() {
				for i := range next {
					name := fmt.Sprintf("x%d-%d.example.test", i, time.Now().UnixNano())
					if i%2 == 0 {
						name = fmt.Sprintf("x%d.app.test", i)
					}
					dialer := tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} //nolint:gosec // no certificate is expected at all
					conn, err := dialer.DialContext(t.Context(), "tcp", g.Address)
					if err == nil {
						conn.Close()
						t.Errorf("%s got a certificate", name)
					}
				}
			})
		}
		for i := range names {
			next <- i
		}
		close(next)
		workers.Wait()
	}()
	began := time.Now()
	flooded, answers := median(func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	t.Logf("%d names in %s; median answer %s, before %s", names, time.Since(began).Round(time.Millisecond), flooded, quiet)
	if n := metric(t, g.Gateway, "tenantgate_cache_loads_total"); n != loads {
		t.Errorf("the registry was asked %v times", n-loads)
	}
	if n := metric(t, g.Gateway, `tenantgate_certificate_permissions_total{result="denied_unknown"}`) - denied; n < names {
		t.Errorf("%v names were denied from memory", n)
	}
	// The clients share the gateway's cores, so this is about waiting for something, not about speed.
	if answers < 20 || flooded > 20*quiet+50*time.Millisecond {
		t.Errorf("%d answers, median %s, before %s", answers, flooded, quiet)
	}
}

// metric reads one value from the gateway's metrics; 0 when it is not there.
func metric(t testing.TB, g *harness.Gateway, name string) float64 {
	t.Helper()
	a, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: "/metrics"})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(a.Body) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			var v float64
			if _, err := fmt.Sscan(rest, &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}
