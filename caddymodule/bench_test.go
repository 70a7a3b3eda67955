package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/internal/collector"
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

// apiHeader is what an API client sends.
func apiHeader() http.Header {
	return http.Header{
		"User-Agent": {"client/1.0"}, "Accept": {"application/json"}, "Accept-Encoding": {"gzip"},
		"Authorization": {"Bearer 0123456789abcdef"}, "Content-Type": {"application/json"}, "X-Request-Id": {"0123456789"},
		"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
}

// limited is a tenant with a limit that never runs out.
func limited() *registry.Resolved {
	res := globex()
	res.Tenant.Quotas = registry.Quotas{APIRateLimit: 1e12, Burst: 1e12}
	res.Environment.Quotas = nil
	return res
}

// benchCases are the kinds of requests that BenchmarkHandler and TestAllocations look at.
var benchCases = []struct {
	name   string
	host   string
	header func() http.Header
	server *caddyhttp.Server
	allocs int // that the handler itself makes
	make   func(testing.TB) *Handler
}{
	{"bare", "acme.app.example.com", func() http.Header { return http.Header{} }, &caddyhttp.Server{}, 6, benchHandler},
	{"curl", "acme.app.example.com", curlHeader, &caddyhttp.Server{}, 6, benchHandler},
	{"api", "acme.app.example.com", apiHeader, &caddyhttp.Server{}, 6, benchHandler},
	{"browser", "acme.app.example.com", browserHeader, &caddyhttp.Server{}, 6, benchHandler},
	{"curl,limit", "globex.app.example.com", curlHeader, &caddyhttp.Server{}, 7, benchHandler},
	{"browser,limit", "globex.app.example.com", browserHeader, &caddyhttp.Server{}, 7, benchHandler},
	{"browser,limit,log", "globex.app.example.com", browserHeader, &caddyhttp.Server{Logs: &caddyhttp.ServerLogConfig{}}, 10, benchHandler},
	{"curl,token", "acme.app.example.com", tokenHeader, &caddyhttp.Server{}, 6, benchTokenHandler},
	{"browser,token", "acme.app.example.com", browserTokenHeader, &caddyhttp.Server{}, 6, benchTokenHandler},
	{"curl,token,member", "acme.app.example.com", tokenHeader, &caddyhttp.Server{}, 6, benchTokenMemberHandler},
	{"curl,session", "acme.app.example.com", sessionHeader, &caddyhttp.Server{}, 6, benchSessionHandler},
	{"curl,session,member", "acme.app.example.com", sessionHeader, &caddyhttp.Server{}, 6, benchSessionMemberHandler},
	{"curl,session table", "acme.app.example.com", sessionHeader, &caddyhttp.Server{}, 6, benchTableHandler},
	{"curl,session table,member", "acme.app.example.com", sessionHeader, &caddyhttp.Server{}, 6, benchTableMemberHandler},
	{"browser,session,member", "acme.app.example.com", browserSessionHeader, &caddyhttp.Server{}, 6, benchSessionMemberHandler},
	{"curl,key", "acme.app.example.com", keyHeader, &caddyhttp.Server{}, 6, benchKeyHandler},
	{"curl,key,member", "acme.app.example.com", userKeyHeader, &caddyhttp.Server{}, 6, benchKeyHandler},
	{"curl,context", "acme.app.example.com", curlHeader, &caddyhttp.Server{}, 6, benchContextHandler},
	{"browser,late", "acme.app.example.com", browserHeader, &caddyhttp.Server{}, 2, late(benchHandler)},
	{"browser,limit,late", "globex.app.example.com", browserHeader, &caddyhttp.Server{}, 3, late(benchHandler)},
	{"browser,token,late", "acme.app.example.com", browserTokenHeader, &caddyhttp.Server{}, 2, late(benchTokenHandler)},
	{"browser,token,member,late", "acme.app.example.com", browserTokenHeader, &caddyhttp.Server{}, 2, late(benchTokenMemberHandler)},
	{"browser,session,member,late", "acme.app.example.com", browserSessionHeader, &caddyhttp.Server{}, 2, late(benchSessionMemberHandler)},
	{"browser,key,late", "acme.app.example.com", browserKeyHeader, &caddyhttp.Server{}, 2, late(benchKeyHandler)},
}

// late makes a handler whose headers are set when the request is forwarded.
func late(handler func(testing.TB) *Handler) func(testing.TB) *Handler {
	return func(tb testing.TB) *Handler {
		h := handler(tb)
		h.late = true
		return h
	}
}

// benchNext stands for the handler that forwards: it writes the headers that have waited for that, as tenant_proxy does.
func benchNext(h *Handler) caddyhttp.Handler {
	if !h.late {
		return caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	}
	buf := make([]byte, 0, 2<<10)
	return caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		st := stateOf(r.Context())
		for name := range r.Header {
			if st.Replaces(name) {
				return errNoTenant
			}
		}
		b, err := st.AppendFields(buf[:0])
		if err == nil && len(b) == 0 {
			err = errNoTenant
		}
		return err
	})
}

// BenchmarkHandler is the gateway's own share of a warm request, strip to inject, without the next handler and without
// what Caddy itself does to prepare a request. A handler changes its request, so that each run needs a new one: the
// benchmark times preparing alone and preparing with serving in turn, and reports the difference as own-ns/op. ns/op
// and the other figures of a line are of everything together.
//
// The collector's target is that of cmd/tenantgate.
func BenchmarkHandler(b *testing.B) {
	defer collector.Pace(400, 128<<20)()
	for _, bench := range benchCases {
		b.Run(bench.name, func(b *testing.B) {
			h := bench.make(b)
			next := benchNext(h)
			const chunk = 64
			var own time.Duration
			runs := 0
			for b.Loop() {
				begin := time.Now()
				for range chunk {
					benchRequest(bench.host, bench.header(), bench.server)
				}
				middle := time.Now()
				for range chunk {
					w, r := benchRequest(bench.host, bench.header(), bench.server)
					if err := h.ServeHTTP(w, r, next); err != nil {
						b.Fatal(err)
					}
				}
				own += time.Since(middle) - middle.Sub(begin)
				runs += chunk
			}
			b.ReportMetric(float64(own.Nanoseconds())/float64(runs), "own-ns/op")
		})
	}
}

func benchHandler(tb testing.TB) *Handler {
	return testHandler(tb, testApp(tb, acme(), limited()), &Handler{},
		&Subdomain{Patterns: []string{"{tenant}.app.example.com", "{tenant}--{environment}.app.example.com"}})
}

// benchTokenHandler is a handler that takes its tenant from a token, and holds the host name against it.
func benchTokenHandler(tb testing.TB) *Handler {
	source := &JWT{Secrets: []string{tokenSecret}}
	var err error
	if source.keys, err = source.readSecrets(); err != nil {
		tb.Fatal(err)
	}
	return testHandler(tb, testApp(tb, acme(), limited()), &Handler{RequireAuthenticated: true},
		&Subdomain{Patterns: []string{"{tenant}.app.example.com"}}, source)
}

// benchToken is one token for all runs: what is measured is a warm one.
var benchToken = sync.OnceValue(func() string {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"exp": time.Now().Add(24 * time.Hour).Unix(), "sub": "user-1", "tenant_id": "acme", "roles": []string{"env_user"},
	})
	text, err := token.SignedString([]byte(tokenSecret))
	if err != nil {
		panic(err)
	}
	return "Bearer " + text
})

// tokenHeader and browserTokenHeader are what curl and a browser's script send with a token.
func tokenHeader() http.Header {
	h := curlHeader()
	h["Authorization"] = []string{benchToken()}
	return h
}

func browserTokenHeader() http.Header {
	h := browserHeader()
	h["Authorization"] = []string{benchToken()}
	return h
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
			l := appendLimits(limits[:0], res, nil)
			h.runtime.quota.Take(time.Now(), 1, l, statuses[:len(l)])
		}
	})
	b.Run("spend and words", func(b *testing.B) {
		st := &state{request: router.Request{Now: time.Now()}, decision: router.Decision{Resolved: res}}
		w := &nullWriter{header: http.Header{}}
		b.ReportAllocs()
		for b.Loop() {
			if refusal := h.spend(w, st); refusal != nil {
				b.Fatal(refusal)
			}
		}
	})
	b.Run("inject,browser", func(b *testing.B) {
		st := &state{decision: router.Decision{Resolved: acme()}}
		r := &http.Request{Header: browserHeader()}
		h.inject(r, st)
		b.ReportAllocs()
		for b.Loop() {
			st.used = 0
			h.inject(r, st)
		}
	})
}
