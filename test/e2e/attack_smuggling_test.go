package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// hidden is the request that each smuggler hides in another one: it names another tenant, as nobody but the gateway may.
const hidden = "GET /smuggled HTTP/1.1\r\nHost: globex.app.test\r\nX-Tenant-ID: " + globexID + "\r\nX-Smuggled: 1\r\n\r\n"

// smuggler returns the ways to hide it that HTTP/1.1 has given rise to, each with acme's Host.
func smugglers() map[string]string {
	host := "Host: acme.app.test"
	chunked := "0\r\n\r\n" + hidden
	length := fmt.Sprintf("Content-Length: %d", len(chunked))
	return map[string]string{
		"CL.TE":                          lines("POST / HTTP/1.1", host, length, "Transfer-Encoding: chunked") + chunked,
		"TE.CL":                          lines("POST / HTTP/1.1", host, "Transfer-Encoding: chunked", "Content-Length: 4") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
		"CL.CL":                          lines("POST / HTTP/1.1", host, "Content-Length: 0", length) + chunked,
		"CL list":                        lines("POST / HTTP/1.1", host, "Content-Length: 0, "+length[16:]) + chunked,
		"CL with a sign":                 lines("POST / HTTP/1.1", host, "Content-Length: +0") + hidden,
		"CL in hexadecimal":              lines("POST / HTTP/1.1", host, "Content-Length: 0x0") + hidden,
		"CL negative":                    lines("POST / HTTP/1.1", host, "Content-Length: -1") + hidden,
		"CL beyond 64 bits":              lines("POST / HTTP/1.1", host, "Content-Length: 18446744073709551616") + hidden,
		"CL with a blank before colon":   lines("POST / HTTP/1.1", host, "Content-Length : "+length[16:]) + chunked,
		"CL in an underscore's disguise": lines("POST / HTTP/1.1", host, "Content_Length: 0", length) + chunked,
		"CL of a GET":                    lines("GET / HTTP/1.1", host, length) + chunked,
		"TE with a blank before colon":   lines("POST / HTTP/1.1", host, length, "Transfer-Encoding : chunked") + chunked,
		"TE folded":                      lines("POST / HTTP/1.1", host, length, "Transfer-Encoding:\r\n chunked") + chunked,
		"TE with a tab":                  lines("POST / HTTP/1.1", host, length, "Transfer-Encoding:\tchunked") + chunked,
		"TE with a vertical tab":         lines("POST / HTTP/1.1", host, length, "Transfer-Encoding: \x0bchunked") + chunked,
		"TE twice":                       lines("POST / HTTP/1.1", host, length, "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + chunked,
		"TE list":                        lines("POST / HTTP/1.1", host, length, "Transfer-Encoding: identity, chunked") + chunked,
		"TE unknown":                     lines("POST / HTTP/1.1", host, length, "Transfer-Encoding: xchunked") + chunked,
		"TE in quotes":                   lines("POST / HTTP/1.1", host, length, `Transfer-Encoding: "chunked"`) + chunked,
		"TE behind a bare CR":            lines("POST / HTTP/1.1", host, length, "X-Other: 1\rTransfer-Encoding: chunked") + chunked,
		"TE behind a bare LF":            lines("POST / HTTP/1.1", host, length, "X-Other: 1\nTransfer-Encoding: chunked") + chunked,
		"TE of HTTP/1.0":                 lines("POST / HTTP/1.0", host, length, "Transfer-Encoding: chunked", "Connection: keep-alive") + chunked,
		"CL named in Connection":         lines("POST / HTTP/1.1", host, "Connection: Content-Length", length) + chunked,
		"TE named in Connection":         lines("POST / HTTP/1.1", host, "Connection: Transfer-Encoding, close", "Transfer-Encoding: chunked") + chunked,
		"chunk extension with a LF":      lines("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "2;\nxx\r\n10\r\n\r\n0\r\n\r\n" + hidden,
		"chunk extension of many bytes":  lines("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "1;" + strings.Repeat("x", 9000) + "\r\nx\r\n0\r\n\r\n" + hidden,
		"chunk size with a sign":         lines("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "+0\r\n\r\n" + hidden,
		"chunk size with 0x":             lines("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "0x0\r\n\r\n" + hidden,
		"chunk size with a underscore":   lines("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "0_0\r\n\r\n" + hidden,
		"chunk size beyond 64 bits":      lines("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "10000000000000000\r\n" + hidden,
		"chunk data ended by LF":         lines("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "1\r\nx\n0\r\n\r\n" + hidden,
		"trailer with a request":         lines("POST / HTTP/1.1", host, "Transfer-Encoding: chunked") + "0\r\nX-Other: 1\r\n" + hidden,
		"request in the header":          lines("GET / HTTP/1.1", host, "X-Other: 1\n\nGET /smuggled HTTP/1.1\nX-Smuggled: 1"),
		"Expect and a body":              lines("POST / HTTP/1.1", host, "Expect: 100-continue", length) + chunked,
		"CONNECT":                        lines("CONNECT acme.app.test:80 HTTP/1.1", "Host: acme.app.test:80") + hidden,
		"request target with a blank":    lines("GET / HTTP/1.1\r\nX-Smuggled: 1 HTTP/1.1", host),
	}
}

// Promise: whatever framing a request of one tenant claims to have, what stands behind the gateway sees one framing, each
// request with the tenant of the Host under which the gateway took it, and the next request of another tenant on the same
// upstream's connections is that tenant's own.
func TestAttackRequestSmuggling(t *testing.T) {
	t.Parallel()
	for name, by := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRequestSmuggling(t, by)
		})
	}
}

func testRequestSmuggling(t *testing.T, by way) {
	g, w, _ := startAttackedBy(t, by, "identify subdomain {tenant}.app.test", nil)
	for name, sent := range smugglers() {
		answers, err := pipeline(t.Context(), g.Address, sent)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, answer := range answers {
			if answer.Status >= 500 && answer.Status != 501 && answer.Status != 505 {
				t.Errorf("%s: status %d, %s", name, answer.Status, answer.Body)
			}
		}
		e := g.Get(t, "globex.app.test", "/victim").Echo(t)
		if got := e.Values("X-Tenant-ID"); e.URI != "/victim" || len(got) != 1 || got[0] != globexID || e.Body != "" || len(e.Values("X-Smuggled")) != 0 {
			t.Errorf("%s: the next request of another tenant came out as %+v", name, e)
		}
	}
	// A second request on the wire counts as one that the client has sent itself: it has passed the gateway, and so
	// carries what the gateway says of its Host.
	for _, e := range w.requests() {
		want := map[string]string{"acme.app.test": acmeID, "acme.app.test:80": acmeID, "globex.app.test": globexID}[e.Host]
		if got := e.Values("X-Tenant-ID"); len(got) != 1 || got[0] != want {
			t.Errorf("the upstream saw %s %s of host %s with tenant %q", e.Method, e.URI, e.Host, got)
		}
		if len(e.Values("X-Forwarded-Host")) != 1 {
			t.Errorf("the upstream saw %s of host %s, which the gateway has not forwarded", e.URI, e.Host)
		}
	}
	checkFraming(t, w.received())
}

// checkFraming looks at the bytes that the upstream got: heads in which a parser other than Go's would see something else.
func checkFraming(t *testing.T, received string) {
	t.Helper()
	for _, head := range strings.Split(received, "\r\n\r\n") {
		_, fields, isRequest := strings.Cut(head, " HTTP/1.1\r\n")
		if !isRequest {
			continue // a body
		}
		framings := 0
		for line := range strings.SplitSeq(fields, "\r\n") {
			name, _, ok := strings.Cut(line, ":")
			if !ok || strings.ContainsAny(line, "\r\n\x00") || name != strings.TrimSpace(name) {
				t.Errorf("the upstream got the line %q", line)
			}
			if strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") {
				framings++
			}
		}
		if framings > 1 {
			t.Errorf("the upstream got a request with %d framings: %q", framings, head)
		}
	}
}

// Promise: an upstream that would switch to HTTP/2 in clear text, or to any protocol that carries requests, is not asked
// to: within such a connection a client could send requests that name any tenant.
func TestAttackUpgradeToHTTP2(t *testing.T) {
	t.Parallel()
	address, switched := startSwitcher(t)
	b := fileBackend(t)
	up := &harness.Upstream{Name: "switcher", Address: address}
	b.load(t, someTenants(upstreams{production: up, dev: up, globex: up}))
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""),
		Site:    "tenant {\nidentify subdomain {tenant}.app.test\nexempt /open\n}\nhandle /open {\nreverse_proxy " + address + "\n}\ntenant_proxy",
	})
	for _, path := range []string{"/", "/open"} {
		for _, upgrade := range []string{
			"Upgrade: h2c", "upgrade: H2C", "Upgrade: websocket, h2c", "Upgrade: websocket\r\nUpgrade: h2c", "Upgrade: HTTP/2.0", "Upgrade: TLS/1.2",
			"Upgrade: SPDY/3.1", "Upgrade: h2c-14", "Upgrade:\th2c", "Upgrade:\r\n h2c",
		} {
			for _, connection := range []string{"Upgrade, HTTP2-Settings", "Upgrade"} {
				answer, err := harness.SendRaw(t.Context(), g.Address, lines("GET "+path+" HTTP/1.1", "Host: acme.app.test",
					"Connection: "+connection, upgrade, "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"))
				if err != nil || answer.Status == http.StatusSwitchingProtocols {
					t.Errorf("%s, %q: status %d, %v", path, upgrade, answer.Status, err)
				}
			}
		}
	}
	// The upstream would have: asked for a WebSocket it switches.
	answer, err := harness.SendRaw(t.Context(), g.Address, lines("GET / HTTP/1.1", "Host: acme.app.test", "Connection: Upgrade",
		"Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"))
	if err != nil || answer.Status != http.StatusSwitchingProtocols {
		t.Errorf("a WebSocket: status %d, %v", answer.Status, err)
	}
	if got := switched(); strings.Join(got, " ") != "websocket" {
		t.Errorf("the upstream switched to %q", got)
	}
}

// startSwitcher starts an upstream that switches to whatever protocol it is asked for, and tells of them.
func startSwitcher(t *testing.T) (address string, switched func() []string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := make(chan string, 100)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol := strings.Join(r.Header["Upgrade"], ", ")
		if protocol == "" {
			var b bytes.Buffer
			_ = json.NewEncoder(&b).Encode(harness.Echo{Upstream: "switcher", Header: r.Header})
			_, _ = w.Write(b.Bytes())
			return
		}
		protocols <- protocol
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", protocol)
		w.WriteHeader(http.StatusSwitchingProtocols)
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln) // until it is closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return ln.Addr().String(), func() (list []string) {
		for len(protocols) > 0 {
			list = append(list, <-protocols)
		}
		return list
	}
}
