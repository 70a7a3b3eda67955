package caddymodule

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/internal/collector"
	"github.com/tenantgate/tenantgate/registry"
)

// exhausted is a tenant with a limit that is used up after its first request.
func exhausted() *registry.Resolved {
	res := limited()
	res.Tenant.Quotas = registry.Quotas{APIRateLimit: 1, Burst: 1}
	return res
}

// held is a tenant that is suspended.
func held() *registry.Resolved {
	res := acme()
	res.Tenant.Status = registry.StatusSuspended
	return res
}

// refusalCase is a way of answering without an upstream.
type refusalCase struct {
	name, host string
	status     int
	allocs     int // that the handler itself makes
	handler    caddyhttp.MiddlewareHandler
}

func refusalCases(tb testing.TB) []refusalCase {
	tb.Helper()
	h := testHandler(tb, testApp(tb, held(), exhausted()), &Handler{}, &Subdomain{Patterns: []string{"{tenant}.app.example.com"}})
	serve(tb, h, http.MethodGet, "http://globex.app.example.com/", nil) // uses the limit up
	return []refusalCase{
		{"respond 429", "globex.app.example.com", http.StatusTooManyRequests, 0, caddyhttp.StaticResponse{StatusCode: "429"}},
		{"over quota 429", "globex.app.example.com", http.StatusTooManyRequests, 3, h},
		{"suspended 403", "acme.app.example.com", http.StatusForbidden, 2, h},
		{"unknown 404", "nobody.app.example.com", http.StatusNotFound, 2, h},
	}
}

// statusWriter is a nullWriter that keeps the status.
type statusWriter struct {
	nullWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) { w.status = status }

func benchRefusal(tb testing.TB, c *refusalCase) {
	w, r := benchRequest(c.host, curlHeader(), &caddyhttp.Server{})
	sw := &statusWriter{nullWriter: *w.(*nullWriter)}
	if c.handler == nil {
		return
	}
	if err := c.handler.ServeHTTP(sw, r, nil); err != nil || sw.status != c.status {
		tb.Fatalf("%s: status %d, %v", c.name, sw.status, err)
	}
}

// BenchmarkRefusal is what refusing costs, without what Caddy itself does to prepare a request, next to what Caddy's own
// respond costs, which says less. See BenchmarkHandler for own-ns.
//
// The collector's target is that of cmd/tenantgate.
func BenchmarkRefusal(b *testing.B) {
	defer collector.Pace(400, 128<<20)()
	for _, c := range refusalCases(b) {
		b.Run(c.name, func(b *testing.B) {
			prepare := c
			prepare.handler = nil
			const chunk = 64
			var own time.Duration
			runs := 0
			for b.Loop() {
				begin := time.Now()
				for range chunk {
					benchRefusal(b, &prepare)
				}
				middle := time.Now()
				for range chunk {
					benchRefusal(b, &c)
				}
				own += time.Since(middle) - middle.Sub(begin)
				runs += chunk
			}
			b.ReportMetric(float64(own.Nanoseconds())/float64(runs), "own-ns/op")
		})
	}
}
