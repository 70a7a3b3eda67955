package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: 10,000 requests at once for one cold tenant ask the registry once. The queries are counted on the wire, by
// the tenant's slug in what the gateway sends to the server: for 10,000 requests it is there as often as for one.
func TestColdTenantIsLookedUpOnce(t *testing.T) {
	const requests = 10_000
	s := sqldBackend(t)
	d := document{Plans: []plan{{Name: "pro"}}}
	for _, slug := range []string{"quiet-tenant", "rushed-tenant", "warm-tenant"} {
		d.Tenants = append(d.Tenants, tenant{Slug: slug, Name: slug, Plan: "pro"})
	}
	s.direct.load(t, d)
	g := harness.Start(t, harness.Options{
		Tenants: s.directive("timeout 20s"),
		Global:  "metrics",
		Site:    "tenant {\nidentify subdomain {tenant}.app.test\n}\nrespond {tenant.slug}",
		Env:     s.env(),
		Plain:   true,
	})
	quiet, rushed := s.proxy.Watch("quiet-tenant"), s.proxy.Watch("rushed-tenant")
	if got := g.Get(t, "quiet-tenant.app.test", "/"); got.Body != "quiet-tenant" {
		t.Fatalf("got %+v", got)
	}
	if quiet() == 0 {
		t.Fatal("a request for a cold tenant sent nothing to the registry that names it")
	}

	// All connections first; then the registry hangs, so that no request can be done before all are under way.
	conns := make([]net.Conn, requests)
	readers := make([]*bufio.Reader, requests)
	for n := range conns {
		conn, err := (&net.Dialer{Timeout: 20 * time.Second}).DialContext(t.Context(), "tcp", g.Address)
		if err != nil {
			t.Fatalf("connection %d: %v (the limit of open files must be above %d)", n, err, requests)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(60 * time.Second))
		conns[n], readers[n] = conn, bufio.NewReader(conn)
	}
	s.proxy.Hang()
	inParallel(requests, func(n int) {
		if _, err := io.WriteString(conns[n], "GET / HTTP/1.1\r\nHost: rushed-tenant.app.test\r\n\r\n"); err != nil {
			t.Errorf("request %d: %v", n, err)
		}
	})
	harness.Eventually(t, 15*time.Second, func() error {
		inFlight, err := requestsInFlight(t.Context(), g)
		if err == nil && inFlight < requests {
			err = fmt.Errorf("%d requests are in the gateway, want %d", inFlight, requests)
		}
		return err
	})
	s.proxy.Resume()
	var wrong atomic.Int64
	inParallel(requests, func(n int) {
		resp, err := http.ReadResponse(readers[n], nil)
		if err != nil {
			t.Errorf("answer %d: %v", n, err)
			return
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(body) != "rushed-tenant" {
			if wrong.Add(1) <= 3 {
				t.Errorf("answer %d: status %d, body %q, %v", n, resp.StatusCode, body, err)
			}
		}
	})
	if wrong.Load() > 0 {
		t.Errorf("%d of %d answers were wrong", wrong.Load(), requests)
	}
	if quiet() != rushed() {
		t.Errorf("%d requests at once named the tenant %d times to the registry; one request does so %d times", requests, rushed(), quiet())
	}
}

// inParallel does n things with a bounded number of goroutines.
func inParallel(n int, do func(int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
}

// requestsInFlight reads the gauge that Caddy keeps of the requests in its first handler.
func requestsInFlight(ctx context.Context, g *harness.Gateway) (int, error) {
	answer, err := harness.Send(ctx, g.Client, g.Admin, harness.Ask{Path: "/metrics"})
	if err != nil {
		return 0, err
	}
	most := 0
	for line := range strings.Lines(answer.Body) {
		if strings.HasPrefix(line, "caddy_http_requests_in_flight{") {
			var n float64
			fields := strings.Fields(line)
			if _, err := fmt.Sscan(fields[len(fields)-1], &n); err != nil {
				return 0, err
			}
			most = max(most, int(n))
		}
	}
	return most, nil
}
