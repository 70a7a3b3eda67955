package e2e_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/coder/websocket"

	"github.com/tenantgate/tenantgate/test/harness"
)

// transportLimit is how long anything may take here; nothing waits for it in full unless it fails.
const transportLimit = 20 * time.Second

// Promise: what goes through transport tenant is what goes through the standard transport.
func TestTransport(t *testing.T) {
	t.Parallel()
	u := startLeanUpstream(t)
	g := startTransports(t, u.address, startRawUpstream(t, rawAnswers))
	testTransportMessages(t, g)
	t.Run("early hints", func(t *testing.T) { testTransportEarlyHints(t, g) })
	t.Run("WebSocket", func(t *testing.T) { testTransportWebSocket(t, g) })
	t.Run("client goes away", func(t *testing.T) { testTransportClientGoesAway(t, u, g) })
	t.Run("upstream dies", func(t *testing.T) { testTransportUpstreamDies(t, g) })
	t.Run("ambiguous responses", func(t *testing.T) { testTransportAmbiguous(t, g) })
	t.Run("limits", func(t *testing.T) { testTransportLimits(t, g) })
}

func testTransportMessages(t *testing.T, g *harness.Gateway) {
	large := strings.Repeat("0123456789abcdef", 1<<17)
	rows := []struct {
		name, method, path string
		body               func() io.Reader
		change             func(*http.Request)
		status             int
		want               string
		header             map[string]string
		trailer            string
	}{
		{
			name: "header", path: "/header", status: 200,
			header: map[string]string{
				"Got-Host": "acme.app.test", "Got-X-Tenant-Slug": "acme", "Got-X-Forwarded-For": "127.0.0.1", "Got-User-Agent": "me", "Got-Connection": "",
				"Set-Cookie": "a=1", "Content-Length": "0",
			},
			change: func(r *http.Request) {
				r.Header = http.Header{"User-Agent": {"me"}, "X-Tenant-Slug": {"globex"}, "Connection": {"X-Spoofed"}, "X-Spoofed": {"yes"}}
			},
		},
		{name: "no content", path: "/204", status: 204},
		{name: "not modified", path: "/304", status: 304, header: map[string]string{"Etag": `"tag"`}},
		{name: "HEAD", method: "HEAD", path: "/header", status: 200, header: map[string]string{"Got-X-Tenant-Slug": "acme"}},
		{name: "sized body", method: "POST", path: "/echo", body: func() io.Reader { return strings.NewReader("hello") }, status: 200, want: "hello", header: map[string]string{"X-Framing": "5 []"}, trailer: "sum:"},
		{name: "large sized body", method: "PUT", path: "/echo", body: func() io.Reader { return strings.NewReader(large) }, status: 200, want: large, header: map[string]string{"X-Framing": "2097152 []"}, trailer: "sum:"},
		{
			name: "large chunked body with a trailer", method: "POST", path: "/echo", status: 200, want: large, trailer: "sum:abc",
			body:   func() io.Reader { return iotest.HalfReader(strings.NewReader(large)) },
			header: map[string]string{"X-Framing": "-1 [chunked]"},
			change: func(r *http.Request) { r.Trailer = http.Header{"X-Client-Sum": {"abc"}} },
		},
		{name: "GET with a chunked body", method: "GET", path: "/echo", body: func() io.Reader { return iotest.HalfReader(strings.NewReader("hello")) }, status: 200, want: "hello", trailer: "sum:"},
		{name: "expect", method: "POST", path: "/echo", body: func() io.Reader { return strings.NewReader("hello") }, status: 200, want: "hello", trailer: "sum:", change: func(r *http.Request) { r.Header.Set("Expect", "100-continue") }},
		{name: "answer before the body", method: "POST", path: "/413", body: func() io.Reader { return strings.NewReader("hello") }, status: 413},
	}
	for _, row := range rows {
		for _, by := range transports {
			t.Run(row.name+by, func(t *testing.T) {
				var body io.Reader
				if row.body != nil {
					body = row.body()
				}
				got := sendBy(t, g, row.method, by+row.path, body, row.change)
				if got.err != nil || got.status != row.status || got.body != row.want {
					t.Fatalf("%v, %d, %d bytes", got.err, got.status, len(got.body))
				}
				for name, want := range row.header {
					if v := got.header.Get(name); v != want {
						t.Errorf("%s: %q, want %q", name, v, want)
					}
				}
				if v := got.trailer.Get("X-Sum"); v != row.trailer {
					t.Errorf("trailer %q, want %q", v, row.trailer)
				}
			})
		}
	}
}

// Interim responses reach the client.
func testTransportEarlyHints(t *testing.T, g *harness.Gateway) {
	for _, by := range transports {
		var link string
		got := sendBy(t, g, "GET", by+"/hints", nil, func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
					if code == http.StatusEarlyHints {
						link = header.Get("Link")
					}
					return nil
				},
			}))
		})
		if got.err != nil || got.body != "hinted" || link != "</style.css>; rel=preload" {
			t.Errorf("%s: %v, %q, %q", by, got.err, got.body, link)
		}
	}
}

// WebSockets work as ever, handed over to the standard transport.
func testTransportWebSocket(t *testing.T, g *harness.Gateway) {
	for _, by := range transports {
		ctx, cancel := context.WithTimeout(t.Context(), transportLimit)
		defer cancel()
		conn, _, err := websocket.Dial(ctx, "ws://"+g.Address+by+"/ws", &websocket.DialOptions{Host: "acme.app.test"}) //nolint:bodyclose // the connection is
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.CloseNow() }()
		for _, word := range []string{"hello", strings.Repeat("long", 5000)} {
			if err := conn.Write(ctx, websocket.MessageText, []byte(word)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := conn.Read(ctx); err != nil || string(got) != word {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
	}
}

// Events pass as they come, and a client that goes away ends its request at the upstream, whatever it waits for.
func testTransportClientGoesAway(t *testing.T, u *leanUpstream, g *harness.Gateway) {
	harness.Eventually(t, transportLimit, func() error { // the WebSockets have ended
		if n := u.open.Load(); n != 0 {
			return errCount(n)
		}
		return nil
	})
	for _, by := range transports {
		for _, path := range []string{"/events", "/hang", "/hang/header"} {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(transportLimit))
			_, _ = io.WriteString(conn, "GET "+by+path+" HTTP/1.1\r\nHost: acme.app.test\r\n\r\n")
			if path == "/events" {
				in := bufio.NewReader(conn)
				for line := ""; line != "data: 2\n"; {
					if line, err = in.ReadString('\n'); err != nil {
						t.Fatalf("%s: the events do not come: %v", by, err)
					}
				}
			}
			open := func(want int64) {
				t.Helper()
				harness.Eventually(t, transportLimit, func() error {
					if n := u.open.Load(); n != want {
						return errCount(n)
					}
					return nil
				})
			}
			open(1)
			conn.Close()
			open(0)
		}
	}
}
