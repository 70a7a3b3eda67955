package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// browserHeader is what a browser sends.
func browserHeader() http.Header {
	return http.Header{
		"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		"Accept":     {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, "Accept-Language": {"en-US,en;q=0.5"},
		"Accept-Encoding": {"gzip, deflate, br, zstd"}, "Connection": {"keep-alive"}, "Cookie": {"session=0123456789abcdef"},
		"Upgrade-Insecure-Requests": {"1"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"},
		"Sec-Fetch-Site": {"none"}, "Sec-Fetch-User": {"?1"}, "Priority": {"u=0, i"},
	}
}

// curlHeader is what curl sends.
func curlHeader() http.Header {
	return http.Header{"User-Agent": {"curl/8.14.1"}, "Accept": {"*/*"}}
}

// unlimited and limited are tenants for benchmarks; limited never runs out.
func limited() *registry.Resolved {
	res := globex()
	res.Tenant.Quotas = registry.Quotas{APIRateLimit: 1e12, Burst: 1e12}
	res.Environment.Quotas = registry.Quotas{}
	return res
}

// BenchmarkHandler is the gateway's own share of a warm request, strip to inject, without the next handler and without
// what Caddy itself does to prepare a request.
func BenchmarkHandler(b *testing.B) {
	for _, bench := range []struct {
		name   string
		host   string
		header func() http.Header
		server *caddyhttp.Server
	}{
		{"curl", "acme.app.example.com", curlHeader, &caddyhttp.Server{}},
		{"browser", "acme.app.example.com", browserHeader, &caddyhttp.Server{}},
		{"curl,limit", "globex.app.example.com", curlHeader, &caddyhttp.Server{}},
		{"browser,limit", "globex.app.example.com", browserHeader, &caddyhttp.Server{}},
		{"browser,limit,log", "globex.app.example.com", browserHeader, &caddyhttp.Server{Logs: &caddyhttp.ServerLogConfig{}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			h := benchHandler(b)
			next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
			// Requests are prepared in batches while the clock stands, so that only the handler is measured.
			const batch = 256
			writers, requests := make([]http.ResponseWriter, batch), make([]*http.Request, batch)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += batch {
				b.StopTimer()
				n := min(batch, b.N-done)
				for i := range n {
					writers[i], requests[i] = benchRequest(bench.host, bench.header(), bench.server)
				}
				b.StartTimer()
				for i := range n {
					if err := h.ServeHTTP(writers[i], requests[i], next); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func benchHandler(tb testing.TB) *Handler {
	return testHandler(tb, testApp(tb, acme(), limited()), &Handler{},
		&Subdomain{Patterns: []string{"{tenant}.app.example.com", "{tenant}--{environment}.app.example.com"}})
}

// nullWriter is a response writer that keeps a header map.
type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header       { return w.header }
func (*nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (*nullWriter) WriteHeader(int)             {}

func benchRequest(host string, header http.Header, server *caddyhttp.Server) (http.ResponseWriter, *http.Request) {
	w := &nullWriter{header: http.Header{"Server": {"Caddy"}}}
	r := &http.Request{Method: http.MethodGet, Host: host, Header: header, URL: benchURL, RemoteAddr: "127.0.0.1:1234"}
	return w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, server)
}

var benchURL = httptest.NewRequest(http.MethodGet, "/api/tasks?page=2", http.NoBody).URL

// BenchmarkStages are the stages of the hot path on their own.
func BenchmarkStages(b *testing.B) {
	h := benchHandler(b)
	res := limited()
	b.Run("strip,browser", func(b *testing.B) {
		r := &http.Request{Header: browserHeader()}
		b.ReportAllocs()
		for b.Loop() {
			h.owned.strip(r)
		}
	})
	b.Run("route", func(b *testing.B) {
		r := &http.Request{Method: http.MethodGet, Host: "globex.app.example.com", Header: browserHeader(), URL: benchURL}
		req := &router.Request{HTTP: r, Now: time.Now()}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.router.Route(b.Context(), req); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("spend", func(b *testing.B) {
		var limits [maxLimits]quota.Limit
		var statuses [maxLimits]quota.Status
		b.ReportAllocs()
		for b.Loop() {
			l := appendLimits(limits[:0], res)
			h.runtime.quota.Take(time.Now(), 1, l, statuses[:len(l)])
		}
	})
	b.Run("spend and words", func(b *testing.B) {
		st := &state{request: router.Request{Now: time.Now()}, decision: router.Decision{Resolved: res}}
		w := &nullWriter{header: http.Header{}}
		b.ReportAllocs()
		for b.Loop() {
			h.spend(w, st)
		}
	})
	b.Run("inject,browser", func(b *testing.B) {
		st := &state{decision: router.Decision{Resolved: acme()}, tenantID: "t", environmentID: "e"}
		header := browserHeader()
		h.inject(header, st)
		b.ReportAllocs()
		for b.Loop() {
			st.used = 0
			h.inject(header, st)
		}
	})
}
