package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// proxied counts the requests that reverse_proxy has served.
func (s *server) proxied() int { return len(s.logged(`"msg":"selected upstream"`)) }

// Promise: tenant_proxy serves plain requests by itself and leaves the rest to reverse_proxy: what is not plain, what has no
// tenant, and everything where there is an option that only reverse_proxy knows, which is logged.
func TestTenantProxyLeaves(t *testing.T) {
	plain, secure := newEcho(t, "plain"), httptest.NewTLSServer(echoHandler("secure"))
	defer secure.Close()
	static := newEcho(t, "static")
	rows := []struct {
		name, options string
		slug          string // plain
		path          string // /N/
		header        http.Header
		left          bool
		upstream      string // plain
		because       string
	}{
		{name: "plain"},
		{name: "options of the transport", options: "transport tenant {\ndial_timeout 5s\nread_timeout 1m\n}"},
		{name: "said again", options: "dynamic tenant"},
		{name: "options of upgrades", options: "stream_timeout 1h\nstream_close_delay 1m\nstream_buffer_size 8KiB"},
		{name: "an upgrade", header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"foo"}}, left: true},
		{name: "https", slug: "secure", options: "transport tenant {\ntls_insecure_skip_verify\n}", left: true, upstream: "secure"},
		{name: "no upstream", slug: "bare", options: "to " + static, left: true, upstream: "static"},
		{name: "no tenant", path: "/exempt", options: "to " + static, left: true, upstream: "static"},
		{name: "expect", options: "transport tenant {\nexpect_continue_timeout 1m\n}", header: http.Header{"Expect": {"100-continue"}}, left: true},
		{name: "header_up", options: "header_up X-More {http.reverse_proxy.upstream.port}", left: true, because: `["headers"]`},
		{name: "lb_policy", options: "lb_policy first\nflush_interval -1", left: true, because: `["flush_interval","load_balancing"]`},
		{name: "transport", options: "transport http {\nread_buffer 8KiB\n}", left: true, because: `["transport"]`},
		{name: "dynamic", options: "dynamic a 127.0.0.1 1", left: true, because: `["dynamic_upstreams"]`, upstream: "-"},
		{name: "max_conns_per_host", options: "transport tenant {\nmax_conns_per_host 9\n}", left: true},
	}
	s := newServer(t)
	var site strings.Builder
	site.WriteString("tenant {\nidentify subdomain {tenant}.app.test\nexempt /exempt\n}\n")
	for i, row := range rows {
		path := row.path
		if path == "" {
			path = fmt.Sprintf("/%d/", i)
		}
		fmt.Fprintf(&site, "handle %s {\ntenant_proxy {\n%s\n}\n}\n", path, row.options)
	}
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"plain": {plain}, "secure": {secure.URL}, "bare": nil})), site.String())
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			slug, path, upstream := row.slug, row.path, row.upstream
			if path == "" {
				path = fmt.Sprintf("/%d/", i)
			}
			if slug == "" {
				slug = "plain"
			}
			if upstream == "" {
				upstream = "plain"
			}
			before := s.proxied()
			res, body := s.do(s.request(http.MethodPost, slug+".app.test", path, row.header))
			if upstream != "-" && (res.StatusCode != http.StatusOK || echoed(t, body).Upstream != upstream) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if left := s.proxied() > before; left != row.left {
				t.Errorf("left to reverse_proxy: %t", left)
			}
			if row.because != "" && len(s.logged(`"because_of":`+row.because)) == 0 {
				t.Error("the log does not say why")
			}
		})
	}
}

// Promise: an upstream of a pool that cannot be connected to is left for another one, with the body whole, and 502 is the
// answer only where none can; all of them get requests.
func TestTenantProxyPool(t *testing.T) {
	var dead []string
	for range 3 {
		dead = append(dead, "127.0.0.1:"+freePort(t))
	}
	bodies := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		_, _ = io.WriteString(w, " at "+r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
	})
	var alive []string
	for range 2 {
		up := httptest.NewServer(bodies)
		defer up.Close()
		alive = append(alive, strings.TrimPrefix(up.URL, "http://"))
	}
	s := newServer(t)
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"some": {"pool:some"}, "none": {"pool:none"}, "listed": {dead[0], alive[0]}}),
		"pool some "+strings.Join(append(dead, alive...), " "), "pool none "+strings.Join(dead, " ")),
		"tenant {\nidentify subdomain {tenant}.app.test\n}\ntenant_proxy\n")
	send := func(slug string) (int, string) {
		r := s.request(http.MethodPost, slug+".app.test", "/", nil)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("body")), 4
		res, body := s.do(r)
		return res.StatusCode, body
	}
	seen := map[string]int{}
	for range 40 {
		status, body := send("some")
		seen[body]++
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	if len(seen) != 2 || seen["body at "+alive[0]] == 0 || seen["body at "+alive[1]] == 0 {
		t.Error(seen)
	}
	if status, body := send("listed"); status != http.StatusOK || body != "body at "+alive[0] {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := send("none"); status != http.StatusBadGateway {
		t.Error(status)
	}
	if n := s.proxied(); n != 0 {
		t.Errorf("reverse_proxy served %d", n)
	}
}

// Promise: an upstream that takes too long is 504, as with reverse_proxy.
func TestTenantProxyTimeout(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	s := newServer(t)
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"slow": {newSlow(t, entered, release)}})),
		"tenant {\nidentify subdomain {tenant}.app.test\n}\ntenant_proxy {\ntransport tenant {\nresponse_header_timeout 50ms\n}\n}\n")
	res, body := s.get("slow.app.test", "/")
	close(release)
	if res.StatusCode != http.StatusGatewayTimeout || body != "" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

// Promise: a client that goes away ends the request at the upstream, and is 499 in the access log.
func TestTenantProxyClientGone(t *testing.T) {
	entered, gone := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(gone)
	}))
	defer up.Close()
	s := newServer(t)
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"acme": {strings.TrimPrefix(up.URL, "http://")}})),
		"tenant {\nidentify subdomain {tenant}.app.test\n}\ntenant_proxy\n")
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", "127.0.0.1:"+s.port)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: acme.app.test\r\n\r\n")
	<-entered
	c.Close()
	<-gone
	eventually(t, "a line with 499", func() bool { return len(s.logged(`"status":499`)) == 1 })
}

// Promise: log lines can have the placeholders of reverse_proxy that the documentation of TenantProxy names, and
// {tenant.upstream}.
func TestTenantProxyPlaceholders(t *testing.T) {
	u := newRawUpstream(t, map[string]string{"/": "HTTP/1.1 201 Created\r\nX-Version: 7\r\nContent-Length: 0\r\n\r\n"})
	_, port, _ := net.SplitHostPort(u.address)
	want := map[string]any{
		"upstream.hostport": u.address, "upstream.address": u.address, "upstream.host": "127.0.0.1", "upstream.port": port,
		"status_code": 201.0, "status_text": "201 Created", "header.X-Version": "7", "header.x-version": "7", "header.X-None": nil, "nothing": nil,
	}
	s := newServer(t)
	site := "tenant {\nidentify subdomain {tenant}.app.test\n}\n"
	for name := range want {
		site += fmt.Sprintf("log_append %s {http.reverse_proxy.%s}\n", name, name)
	}
	site += "log_append latency {http.reverse_proxy.upstream.latency}\nlog_append ms {http.reverse_proxy.upstream.latency_ms}\ntenant_proxy\n"
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"acme": {u.address}})), site)
	if res, _ := s.get("acme.app.test", "/"); res.StatusCode != http.StatusCreated {
		t.Fatal(res.StatusCode)
	}
	eventually(t, "a log line", func() bool { return len(s.logged("handled request")) == 1 })
	var line map[string]any
	if err := json.Unmarshal([]byte(s.logged("handled request")[0]), &line); err != nil {
		t.Fatal(err)
	}
	for name, v := range want {
		if line[name] != v {
			t.Errorf("%s: %v, want %v", name, line[name], v)
		}
	}
	if ms, ok := line["ms"].(float64); !ok || ms <= 0 || line["latency"] == "" {
		t.Errorf("latency %v, %v ms", line["latency"], line["ms"])
	}
}

// Promise: the address that serves a tenant costs no allocation where there is one, and is any of them where there are several.
func TestTargets(t *testing.T) {
	res := acme()
	app := testApp(t, res)
	if n := testing.AllocsPerRun(100, func() { _, _, _ = app.targets(res) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if scheme, address, others := app.targets(res); scheme != "http" || address != "127.0.0.1:9001" || others != nil {
		t.Error(scheme, address, others)
	}
	res.Upstreams = append(res.Upstreams, registry.Upstream{Scheme: "http", Address: "127.0.0.1:9002"})
	first := map[string]bool{}
	for range 64 {
		_, address, others := app.targets(res)
		first[address] = true
		if len(others) != 1 || others[0] == address {
			t.Fatal(address, others)
		}
	}
	if len(first) != 2 {
		t.Error(first)
	}
	res.Upstreams = []registry.Upstream{{Pool: "nowhere"}}
	if scheme, _, _ := app.targets(res); scheme != "" {
		t.Error(scheme)
	}
}
