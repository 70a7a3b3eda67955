package caddymodule

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// uncompressed is a client that does not ask for compressed responses.
var uncompressed = &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}

// echoOf sends a request and returns what the upstream was sent, and whether the standard transport has sent it: that one
// asks for compressed responses by itself.
func echoOf(t *testing.T, r *http.Request) (e echo, standard bool) {
	t.Helper()
	res, err := uncompressed.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s %v", res.StatusCode, body, err)
	}
	e = echoed(t, string(body))
	return e, e.Header.Get("Accept-Encoding") == "gzip"
}

// TestTransportHandsOver keeps the promise that transport tenant does what is plain by itself, whatever its options are,
// and leaves to the standard transport what it cannot do, with a warning where that is everything.
func TestTransportHandsOver(t *testing.T) {
	rows := []struct {
		name, options string
		header        http.Header
		standard      bool
		warning       string
	}{
		{name: "plain"},
		{name: "limits", options: "dial_timeout 5s\nresponse_header_timeout 1m\nread_timeout 1m\nwrite_timeout 1m\nmax_response_header 64KiB\nread_buffer 8KiB"},
		{name: "keepalive", options: "keepalive 1m\nkeepalive_interval 1m\nkeepalive_idle_conns 10\nkeepalive_idle_conns_per_host 5\ncompression off"},
		{name: "no keepalive", options: "keepalive off"},
		{name: "dialer", options: "local_address 127.0.0.1\ndial_fallback_delay 1s\nresolvers 127.0.0.1"},
		{name: "versions", options: "versions 1.1 2"},
		{name: "expect", header: http.Header{"Expect": {"100-continue"}}},
		{name: "expect with a timeout", options: "expect_continue_timeout 1m", header: http.Header{"Expect": {"100-continue"}}, standard: true},
		{name: "not expected", options: "expect_continue_timeout 1m"},
		{name: "TLS except for this port", options: "tls\ntls_except_ports {port}"},
		{name: "limit of connections", options: "max_conns_per_host 5", standard: true, warning: "max_conns_per_host"},
		{name: "forward proxy", options: "network_proxy none", standard: true, warning: "network_proxy"},
	}
	s := newServer(t)
	address := newEcho(t, "up")
	_, port, _ := net.SplitHostPort(address)
	var site strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&site, "handle /%d {\nreverse_proxy %s {\ntransport tenant {\n%s\n}\n}\n}\n", i, address, strings.ReplaceAll(row.options, "{port}", port))
	}
	s.mustLoad(s.fileRegistry(""), site.String())
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for range 2 {
				if e, standard := echoOf(t, s.request(http.MethodPost, "a.test", fmt.Sprintf("/%d", i), row.header)); standard != row.standard {
					t.Errorf("sent by the standard transport: %t, %+v", standard, e)
				}
			}
			if row.warning != "" && len(s.logged(`"because_of":"`+row.warning+`"`)) == 0 {
				t.Error("there is no warning")
			}
		})
	}
}

// TestTransportOtherUpstreams keeps the promise that upstreams with TLS, and at unix sockets, are served as ever.
func TestTransportOtherUpstreams(t *testing.T) {
	secure := httptest.NewTLSServer(echoHandler("secure"))
	defer secure.Close()
	s := newServer(t)
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: echoHandler("local")} //nolint:gosec // the test is its only client
	go func() { _ = local.Serve(l) }()
	defer local.Close() //nolint:errcheck // it was only read from
	s.mustLoad(s.fileRegistry(""), "reverse_proxy /secure "+secure.URL+" {\ntransport tenant {\ntls_insecure_skip_verify\n}\n}\n"+
		"reverse_proxy /local unix/"+l.Addr().String()+" {\ntransport tenant\n}\n")
	for _, name := range []string{"secure", "local"} {
		if e, standard := echoOf(t, s.request(http.MethodGet, "a.test", "/"+name, nil)); e.Upstream != name || !standard {
			t.Errorf("%s: %t, %+v", name, standard, e)
		}
	}
}

// TestTransportDynamic keeps the promise that one reverse_proxy with transport tenant serves tenants with https and with
// http upstreams.
func TestTransportDynamic(t *testing.T) {
	secure := httptest.NewTLSServer(echoHandler("secure"))
	defer secure.Close()
	s := newServer(t)
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"plain": {newEcho(t, "plain")}, "secure": {secure.URL}})),
		"tenant {\nidentify subdomain {tenant}.app.test\n}\nreverse_proxy {\ndynamic tenant\ntransport tenant {\ntls_insecure_skip_verify\n}\n}\n")
	for range 2 {
		for _, slug := range []string{"plain", "secure"} {
			e, standard := echoOf(t, s.request(http.MethodGet, slug+".app.test", "/", nil))
			if e.Upstream != slug || standard != (slug == "secure") {
				t.Errorf("%s: %t, %+v", slug, standard, e)
			}
		}
	}
}

// TestTransportAddress keeps the promise that a request without an upstream of reverse_proxy is handed over.
func TestTransportAddress(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "http://192.0.2.1/", nil)
	if address, ok := new(Transport).address(r); ok {
		t.Error(address)
	}
	if why := (&Transport{HTTPTransport: reverseproxy.HTTPTransport{Versions: []string{"h2c", "2"}}}).handsOverAll(); why != "versions" {
		t.Errorf("h2c: %q", why)
	}
	if why := (&Transport{HTTPTransport: reverseproxy.HTTPTransport{ProxyProtocol: "v2"}}).handsOverAll(); why != "proxy_protocol" {
		t.Errorf("PROXY protocol: %q", why)
	}
}
