package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: a WebSocket within HTTP/2 (RFC 8441) is closed by a close frame like any other.
func TestWebSocketWithinHTTP2IsClosed(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	u := startStreamUpstream(t)
	b.load(t, streamTenants(u))
	o := streamOptions(b, "")
	o.Env = append(o.Env, "GODEBUG=http2xconnect=1") // Go's server does not offer it without
	g := harness.Start(t, o)
	// Frames as in RFC 6455 §5.7, masked with zeros.
	const text, echo = "\x81\x85\x00\x00\x00\x00Hello", "\x81\x05Hello"
	out, in := io.Pipe()
	defer in.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, "http://"+g.Address+"/ws", out)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "acme.app.test"
	r.Header[":protocol"] = []string{"websocket"}
	r.Header.Set("Sec-WebSocket-Version", "13")
	//nolint:staticcheck // net/http's own transport does not send the pseudo-header
	res, err := (&http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}).RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", res, err)
	}
	defer res.Body.Close()
	if _, err := io.WriteString(in, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(echo))
	if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != echo {
		t.Fatalf("got %q, %v", got, err)
	}
	suspend(t, b)
	closing := []byte("\x88\x12\x03\xf0tenant_suspended")
	got = make([]byte, len(closing))
	if _, err := io.ReadFull(res.Body, got); err != nil || !bytes.Equal(got, closing) {
		t.Fatalf("got %q, %v, want %q", got, err, closing)
	}
	// What comes now does not reach the upstream, but for the close frame, which ends both.
	if _, err := io.WriteString(in, text+"\x88\x82\x00\x00\x00\x00\x03\xf0"); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
		t.Errorf("after the close frame: %q, %v", rest, err)
	}
	harness.Eventually(t, 5*time.Second, func() error {
		if u.open.Load() != 0 {
			return errors.New("the upstream's end is open")
		}
		return nil
	})
}

// Promise: over HTTP/3, too, a response in progress is reset when its tenant is suspended, and others on the same
// connection go on.
func TestSuspensionClosesStreamsOfHTTP3(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	u := startStreamUpstream(t)
	b.load(t, streamTenants(u))
	g := harness.Start(t, harness.Options{Env: b.env(), Caddyfile: strings.NewReplacer("REGISTRY", b.directive("poll_interval 1s")).Replace(`{
	admin {$ADMIN}
	auto_https disable_redirects
	skip_install_trust
	tenants {
		REGISTRY
	}
}

https://acme.app.test:{$PORT}, https://globex.app.test:{$PORT} {
	bind 127.0.0.1
	tls internal
	tenant {
		identify subdomain {tenant}.app.test
	}
	reverse_proxy {
		dynamic tenant
	}
}
`)})
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the gateway's own authority
		Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, g.Address, t, q)
		},
	}
	defer transport.Close()
	_, port, err := net.SplitHostPort(g.Address)
	if err != nil {
		t.Fatal(err)
	}
	open := func(host, path string) *stream {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		t.Cleanup(cancel)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+":"+port+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		var res *http.Response
		// The certificates are being made.
		harness.Eventually(t, 30*time.Second, func() error {
			res, err = transport.RoundTrip(r) //nolint:bodyclose // below
			return err
		})
		t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode != http.StatusOK || res.ProtoMajor != 3 {
			t.Fatalf("%s: %s %s", host, res.Proto, res.Status)
		}
		buf := make([]byte, 32<<10)
		return newStream(t, host+path+" HTTP/3.0", func() (int, error) { return res.Body.Read(buf) })
	}
	var theirs, others []*stream
	for _, path := range []string{"/events", "/download"} {
		theirs, others = append(theirs, open("acme.app.test", path)), append(others, open("globex.app.test", path))
	}
	suspend(t, b)
	for _, s := range theirs {
		select {
		case <-s.ended:
			var reset *http3.Error
			if !errors.As(s.err, &reset) || !reset.Remote {
				t.Errorf("%s: ended with %v, want a reset of the stream", s.name, s.err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: still open", s.name)
		}
	}
	checkOpen(t, others)
	harness.Eventually(t, 5*time.Second, func() error {
		if u.open.Load() != int64(len(others)) {
			return errors.New("the upstream's end is open")
		}
		return nil
	})
}
