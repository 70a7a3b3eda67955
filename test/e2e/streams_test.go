package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"

	"github.com/tenantgate/tenantgate/test/harness"
)

// streamUpstream answers with what does not end by itself, and counts what is open.
type streamUpstream struct {
	address string
	open    atomic.Int64
}

func startStreamUpstream(t *testing.T) *streamUpstream {
	t.Helper()
	u := &streamUpstream{}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	u.address = strings.TrimPrefix(server.URL, "http://")
	return u
}

// ServeHTTP serves /ws, a WebSocket that echoes; /events, an event every 50 ms; and a download without end.
func (u *streamUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.open.Add(1)
	defer u.open.Add(-1)
	switch r.URL.Path {
	case "/ws":
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		for {
			kind, message, err := conn.Read(context.WithoutCancel(r.Context()))
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			fmt.Fprint(w, "data: event\n\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	default:
		for chunk := make([]byte, 16<<10); r.Context().Err() == nil; time.Sleep(5 * time.Millisecond) {
			w.Write(chunk)
		}
	}
}

// streamTenants are acme, with a domain, and globex, both served by one upstream.
func streamTenants(u *streamUpstream) document {
	env := func(id string, domains ...string) []environment {
		return []environment{{
			ID: id, Slug: "production", Name: "Production", Type: "production", IsDefault: true,
			Upstreams: []string{u.address}, Domains: domains,
		}}
	}
	return document{
		Plans: []plan{{Name: "pro"}},
		Tenants: []tenant{
			{ID: acmeID, Slug: "acme", Name: "Acme Corp", Plan: "pro", Environments: env(acmeProdID, "app.acme.test")},
			{ID: globexID, Slug: "globex", Name: "Globex", Plan: "pro", Environments: env(globexProd)},
		},
	}
}

// streamOptions are a gateway that also speaks HTTP/2 without TLS and forwards with tenant_proxy; more stands in its block, and
// leaves all to reverse_proxy if there is something.
func streamOptions(b backend, more string) harness.Options {
	return harness.Options{
		Tenants: b.directive("poll_interval 1s\ntimeout 1s"),
		Global:  "servers {\nprotocols h1 h2c\n}",
		Site:    "tenant {\nidentify subdomain {tenant}.app.test\nidentify domain\n}\ntenant_proxy {\n" + more + "\n}",
		Env:     b.env(),
	}
}

// suspend suspends acme as anybody with an SQL client would.
func suspend(t *testing.T, b backend) {
	t.Helper()
	harness.Exec(t, harness.OpenSQL(t, b.url, b.token), "UPDATE sys_organization SET status = 'suspended' WHERE id = ?", acmeID)
}

// stream is something that a client has open.
type stream struct {
	name  string
	bytes atomic.Int64 // or messages
	ended chan struct{}
	at    time.Time // when it ended
	err   error     // why
}

func newStream(t *testing.T, name string, next func() (int, error)) *stream {
	t.Helper()
	s := &stream{name: name, ended: make(chan struct{})}
	n, err := next()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s.bytes.Add(int64(n))
	go func() {
		defer close(s.ended)
		for s.err == nil {
			n, s.err = next()
			s.bytes.Add(int64(n))
		}
		s.at = time.Now()
	}()
	return s
}

// openSocket opens a WebSocket and sends a message every 50 ms.
func openSocket(t *testing.T, g *harness.Gateway, host string) *stream {
	t.Helper()
	return openSocketWith(t, g, host, nil)
}

// openSocketWith is openSocket with a header.
func openSocketWith(t *testing.T, g *harness.Gateway, host string, header http.Header) *stream {
	t.Helper()
	//nolint:bodyclose // there is none with an upgrade
	conn, _, err := websocket.Dial(t.Context(), "ws://"+g.Address+"/ws", &websocket.DialOptions{
		Host: host, HTTPHeader: header, HTTPClient: &http.Client{Transport: &http.Transport{}},
	})
	if err != nil {
		t.Fatalf("%s: %v", host, err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() { cancel(); _ = conn.CloseNow() })
	first := true
	return newStream(t, host+" WebSocket", func() (int, error) {
		if !first {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		first = false
		// A write fails as soon as the close has come; what counts is what it said.
		_ = conn.Write(ctx, websocket.MessageText, []byte("x"))
		_, message, err := conn.Read(ctx)
		return len(message), err
	})
}

// openResponse opens a response over HTTP/1.1 or HTTP/2.
func openResponse(t *testing.T, g *harness.Gateway, c *http.Client, host, path string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.Address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	res, err := c.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s%s: %v, %v", host, path, res, err)
	}
	t.Cleanup(func() { res.Body.Close() })
	buf := make([]byte, 32<<10)
	return newStream(t, host+path+" "+res.Proto, func() (int, error) { return res.Body.Read(buf) })
}

// clients returns one that speaks HTTP/1.1 and one that speaks HTTP/2, each over one connection where it can.
func clients() (h1, h2 *http.Client) {
	onlyH2 := new(http.Protocols)
	onlyH2.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{}}, &http.Client{Transport: &http.Transport{Protocols: onlyH2}}
}

// openAll opens one of each kind.
func openAll(t *testing.T, g *harness.Gateway, h1, h2 *http.Client, host string) []*stream {
	t.Helper()
	return []*stream{
		openSocket(t, g, host),
		openResponse(t, g, h1, host, "/events"),
		openResponse(t, g, h2, host, "/events"),
		openResponse(t, g, h1, host, "/download"),
		openResponse(t, g, h2, host, "/download"),
	}
}

// checkClosed waits for the end of a stream, and fails the test when it is not a proper one, or is late.
func checkClosed(t *testing.T, s *stream, code websocket.StatusCode, reason string, from time.Time, within time.Duration) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(within + 20*time.Second):
		t.Errorf("%s: still open", s.name)
		return
	}
	var closed websocket.CloseError
	var reset http2.StreamError
	switch {
	case strings.HasSuffix(s.name, "WebSocket"):
		if !errors.As(s.err, &closed) || closed.Code != code || closed.Reason != reason {
			t.Errorf("%s: ended with %v, want close code %d %q", s.name, s.err, code, reason)
		}
	case strings.HasSuffix(s.name, "HTTP/2.0"):
		if !errors.As(s.err, &reset) {
			t.Errorf("%s: ended with %v, want a reset of the stream", s.name, s.err)
		}
	case !errors.Is(s.err, io.ErrUnexpectedEOF):
		t.Errorf("%s: ended with %v, want %v", s.name, s.err, io.ErrUnexpectedEOF)
	}
	if took := s.at.Sub(from); took > within {
		t.Errorf("%s: closed after %s, want %s at most", s.name, took, within)
	}
}

// checkOpen fails the test unless more comes.
func checkOpen(t *testing.T, streams []*stream) {
	t.Helper()
	for _, s := range streams {
		before := s.bytes.Load()
		harness.Eventually(t, 5*time.Second, func() error {
			select {
			case <-s.ended:
				t.Fatalf("%s has ended: %v", s.name, s.err)
			default:
			}
			if s.bytes.Load() == before {
				return fmt.Errorf("nothing more comes from %s", s.name)
			}
			return nil
		})
	}
}

// Promise: when a tenant is suspended, its WebSockets, server-sent events and downloads are closed on every gateway
// within two polls: a WebSocket by a close frame with 1008 and the refusal's code, a response so that nobody takes it for
// a whole one, an HTTP/2 stream without its connection. Those of other tenants go on, on the same connection too, and the
// upstream's ends are closed as well.
func TestSuspensionClosesStreams(t *testing.T) {
	const poll = time.Second
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		u := startStreamUpstream(t)
		b.load(t, streamTenants(u))
		gateways := []*harness.Gateway{harness.Start(t, streamOptions(b, ""))}
		if !strings.HasPrefix(b.url, "file:") {
			gateways = append(gateways, harness.Start(t, streamOptions(b, "")))
		}
		var theirs, others []*stream
		for _, g := range gateways {
			h1, h2 := clients()
			theirs = append(theirs, openAll(t, g, h1, h2, "acme.app.test")...)
			others = append(others, openAll(t, g, h1, h2, "globex.app.test")...)
		}
		suspend(t, b)
		from := time.Now()
		for _, s := range theirs {
			checkClosed(t, s, websocket.StatusPolicyViolation, "tenant_suspended", from, 2*poll)
		}
		checkOpen(t, others)
		harness.Eventually(t, 5*time.Second, func() error {
			if n := u.open.Load(); n != int64(len(others)) {
				return fmt.Errorf("%d requests are open at the upstream, want %d", n, len(others))
			}
			return nil
		})
		log := gateways[0].Log(t)
		if n := strings.Count(log, `"msg":"stream closed"`); n != 5 || !strings.Contains(log, `"code":"tenant_suspended"`) {
			t.Errorf("%d lines in the log", n)
		}
	})
}

// Promise: what is open under a domain is closed when the domain moves to another tenant.
func TestMovedDomainClosesStreams(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	u := startStreamUpstream(t)
	b.load(t, streamTenants(u))
	g := harness.Start(t, streamOptions(b, ""))
	h1, h2 := clients()
	theirs := openAll(t, g, h1, h2, "app.acme.test")
	others := openAll(t, g, h1, h2, "acme.app.test")
	harness.Exec(t, harness.OpenSQL(t, b.url, b.token), "UPDATE sys_domain SET environment_id = ? WHERE hostname = 'app.acme.test'", globexProd)
	from := time.Now()
	for _, s := range theirs {
		checkClosed(t, s, websocket.StatusPolicyViolation, "misdirected_request", from, 10*time.Second)
	}
	checkOpen(t, others)
}

// Promise: a change that takes nothing away closes nothing, and neither does a registry that cannot be reached, not even
// when it had just told of a change; a suspension in the meantime holds as soon as it can be read.
func TestStreamsOutliveChangesAndOutages(t *testing.T) {
	t.Parallel()
	s := sqldBackend(t)
	u := startStreamUpstream(t)
	s.load(t, streamTenants(u))
	g := harness.Start(t, streamOptions(s.backend, ""))
	h1, h2 := clients()
	theirs := openAll(t, g, h1, h2, "acme.app.test")
	harness.Exec(t, harness.OpenSQL(t, s.direct.url, s.direct.token), "UPDATE sys_organization SET name = 'Acme Inc' WHERE id = ?", acmeID)
	harness.Throughout(t, 2500*time.Millisecond, g.Ended)
	checkOpen(t, theirs)
	s.proxy.Down()
	suspend(t, s.direct)
	harness.Throughout(t, 3*time.Second, g.Ended)
	checkOpen(t, theirs)
	s.proxy.Up(t)
	from := time.Now()
	for _, st := range theirs {
		checkClosed(t, st, websocket.StatusPolicyViolation, "tenant_suspended", from, 15*time.Second)
	}
}

// Promise: a reload loses track of nothing that outlives it: with stream_close_delay a WebSocket does, and a response in
// progress always does.
func TestStreamsOutliveAReload(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	u := startStreamUpstream(t)
	b.load(t, streamTenants(u))
	o := streamOptions(b, "stream_close_delay 1m")
	g := harness.Start(t, o)
	h1, h2 := clients()
	theirs := openAll(t, g, h1, h2, "acme.app.test")
	others := openAll(t, g, h1, h2, "globex.app.test")
	for n := range 2 {
		o.Site += fmt.Sprintf("\nheader Config %d", n)
		if r := g.Reload(t, o); r.ExitCode != 0 {
			t.Fatalf("reload: exit code %d\n%s", r.ExitCode, r.Output())
		}
	}
	checkOpen(t, theirs)
	suspend(t, b)
	from := time.Now()
	for _, s := range theirs {
		checkClosed(t, s, websocket.StatusPolicyViolation, "tenant_suspended", from, 10*time.Second)
	}
	checkOpen(t, others)
}

// Promise: 1,000 WebSockets of one tenant are closed at once, each properly, and another tenant notices nothing.
func TestThousandWebSockets(t *testing.T) {
	const poll = time.Second
	b := fileBackend(t)
	u := startStreamUpstream(t)
	b.load(t, streamTenants(u))
	o := streamOptions(b, "")
	o.Plain = true
	g := harness.Start(t, o)
	theirs := make([]*stream, 1000)
	for i := range theirs {
		theirs[i] = openSocket(t, g, "acme.app.test")
	}
	other := openSocket(t, g, "globex.app.test")
	load := g.StartLoad(t, harness.Load{
		Every: 5 * time.Millisecond,
		Ask:   func(int) harness.Ask { return harness.Ask{Host: "nobody.app.test"} },
		Check: func(_ int, a harness.Answer) error {
			if a.Status != http.StatusNotFound {
				return fmt.Errorf("status %d", a.Status)
			}
			return nil
		},
	})
	suspend(t, b)
	from := time.Now()
	var last time.Time
	for _, s := range theirs {
		checkClosed(t, s, websocket.StatusPolicyViolation, "tenant_suspended", from, 2*poll)
		if s.at.After(last) {
			last = s.at
		}
	}
	t.Logf("the last of %d was closed %s after the suspension", len(theirs), last.Sub(from).Round(time.Millisecond))
	checkOpen(t, []*stream{other})
	report := load.Stop()
	t.Log(report)
	if report.Failures > 0 {
		t.Error(report)
	}
	answer := harness.Answer{}
	harness.Eventually(t, 5*time.Second, func() error {
		var err error
		if answer, err = harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: "/metrics"}); err != nil {
			return err
		}
		for _, want := range []string{"tenantgate_streams_open 1\n", `tenantgate_streams_closed_total{code="tenant_suspended"} 1000` + "\n"} {
			if !strings.Contains(answer.Body, want) {
				return fmt.Errorf("no %q among the metrics", want)
			}
		}
		return nil
	})
}
