package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/router/credential"
	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: a name that was asked for before it was somebody's does not stay unknown, and a flood of made-up names, keys
// and sessions, each of the right form, takes nothing from tenants that are known: they stay in memory, are served at
// once, and a suspension holds in time meanwhile.
func TestAttackUnknownNames(t *testing.T) {
	t.Parallel()
	w, b := startWitness(t), fileBackend(t)
	b.load(t, witnessTenants(w))
	g := harness.Start(t, harness.Options{
		// The least room: known and unknown names would fight for it if they shared it.
		Tenants: b.directive("poll_interval 500ms") + "cache {\nsize 10\nnegative_size 10\nnegative_ttl 1h\n}\n", Global: "metrics",
		Site: "tenant {\nidentify subdomain {tenant}.app.test\nidentify api_key\nidentify session {\nsecret " + attackSessionSecret + "\n}\n}\nreverse_proxy {\ndynamic tenant\n}",
	})
	// Poisoning: unknown first, created then.
	if answer := g.Get(t, "late.app.test", "/"); answer.Status != 404 {
		t.Fatalf("status %d", answer.Status)
	}
	up := []string{w.address}
	b.load(t, document{Tenants: []tenant{{Slug: "late", Name: "Late", Plan: "pro", Environments: []environment{
		{Slug: "production", Name: "P", Type: "production", IsDefault: true, Upstreams: up},
	}}}})
	harness.Eventually(t, 5*time.Second, g.Expect(t.Context(), "late.app.test", 200, "witness"))

	for _, host := range []string{"acme.app.test", "globex.app.test"} {
		g.Get(t, host, "/").Echo(t)
	}
	evictions := metric(t, g, "tenantgate_cache_evictions_total")
	flood := g.StartLoad(t, harness.Load{Workers: 16, AtMost: 20 * time.Second, Ask: func(n int) harness.Ask {
		switch n % 3 {
		case 0:
			return harness.Ask{Host: fmt.Sprintf("made-up-%d.app.test", n)}
		case 1:
			key, err := credential.GenerateKey("production", nil)
			if err != nil {
				t.Error(err)
			}
			return harness.Ask{Host: "any.test", Header: map[string]string{"X-API-Key": key}}
		}
		// Only who has the secret can make one of these.
		return harness.Ask{Host: "any.test", Header: map[string]string{"Cookie": "better-auth.session_token=" + signedSession(attackSessionSecret, fmt.Sprintf("made-up-%030d", n))}}
	}, Check: func(_ int, answer harness.Answer) error {
		if answer.Status == 200 {
			return fmt.Errorf("served: %s", answer.Body)
		}
		return nil
	}})
	victims := g.StartLoad(t, harness.Load{
		Workers: 1, Every: time.Millisecond, AtMost: 20 * time.Second,
		Ask: func(int) harness.Ask { return harness.Ask{Host: "globex.app.test"} },
		Check: func(_ int, answer harness.Answer) error {
			if answer.Status != 200 {
				return fmt.Errorf("status %d: %s", answer.Status, answer.Body)
			}
			return nil
		},
	})
	harness.Eventually(t, 15*time.Second, func() error {
		if flood.Done() < 1500 || victims.Done() < 200 {
			return fmt.Errorf("%d and %d requests so far", flood.Done(), victims.Done())
		}
		return nil
	})
	suspend(t, b)
	// Two polls, and what a busy machine adds.
	harness.Eventually(t, 5*time.Second, g.Expect(t.Context(), "acme.app.test", 403, ""))
	flooded, served := flood.Stop(), victims.Stop()
	t.Logf("flood: %s; meanwhile: %s", flooded, served)
	if flooded.Failures > 0 || served.Failures > 0 {
		t.Error("see above")
	}
	if got := metric(t, g, "tenantgate_cache_evictions_total"); got != evictions {
		t.Errorf("tenants were evicted: %v, before %v", got, evictions)
	}
}

// Promise: a tenant has one limit under all of its names: by slug, id, domain, path, environment, in any case, over any
// connection, with whatever headers of addresses. Another tenant's stays whole, and who proves nothing where proof is
// required spends nobody's.
func TestAttackQuota(t *testing.T) {
	t.Parallel()
	const burst = 30
	g, _, b := startAttacked(t, `identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
		identify domain
		identify path /t/{tenant}
		identify header X-Tenant-ID X-Environment-ID
		identify jwt {
			secret `+hmacSecret+`
			tenant_claim -
		}
		identify query`, func(d *document) {
		d.Tenants[0].Quotas = map[string]int{"apiRateLimit": 1, "burst": burst}
		d.Tenants[1].Quotas = map[string]int{"apiRateLimit": 1, "burst": burst}
	})
	header := func(pairs ...string) map[string]string {
		h := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = pairs[i+1]
		}
		return h
	}
	const other = "any.test"
	asks := []harness.Ask{
		{Host: "acme.app.test"},
		{Host: "ACME.APP.TEST."},
		{Host: "acme.app.test:8080"},
		{Host: acmeID + ".app.test"},
		{Host: "acme--dev.app.test"},
		{Host: "acme--" + acmeDevID + ".app.test"},
		{Host: "app.acme.test"},
		{Host: "DEV.acme.test"},
		{Host: other, Path: "/t/acme/"},
		{Host: other, Path: "/t/%61cme/"},
		{Host: other, Path: "/t/" + acmeID},
		{Host: other, Header: header("X-Tenant-ID", "acme")},
		{Host: other, Header: header("X-Tenant-ID", "ACME")},
		{Host: other, Header: header("X-Tenant-ID", acmeID)},
		{Host: other, Header: header("X-Environment-ID", acmeDevID)},
		{Host: other, Header: header("X-Tenant-ID", "acme", "X-Environment-ID", "dev")},
		{Host: other, Path: "/?tenant=acme"},
		{Host: other, Path: "/?tenant=" + acmeID},
		{Host: "acme.app.test", Header: header("X-Forwarded-For", "192.0.2.1")},
		{Host: "acme.app.test", Header: header("X-Real-Ip", "192.0.2.2")},
		{Host: "acme.app.test", Method: "HEAD"},
		{Host: "acme.app.test", Method: "OPTIONS"},
		{Host: "acme.app.test", Header: header("X-Tenant-Plan", "enterprise", "X-User-ID", "root")},
		{Host: "acme.app.test", Header: header("Cache-Control", "no-cache", "RateLimit", `"requests";r=99;t=1`)},
		{Host: "acme.app.test", Path: "/other?x=1", Method: "DELETE"},
		{Host: "acme.app.test", Header: header("X-HTTP-Method-Override", "GET")},
	}
	allowed := 0
	for n := range 2 * len(asks) {
		answer := g.Send(t, asks[n%len(asks)])
		switch answer.Status {
		case 200:
			allowed++
		case 429:
		default:
			t.Errorf("%+v: status %d, %s", asks[n%len(asks)], answer.Status, answer.Body)
		}
	}
	if allowed != burst {
		t.Errorf("%d requests were allowed by many names, want %d", allowed, burst)
	}
	// What is refused spends nothing, whoever's name it bears.
	for range 2 * burst {
		for _, ask := range []harness.Ask{
			{Host: "globex.app.test", Header: header("X-Tenant-ID", "acme")},
			{Host: "globex.app.test", Header: header("Authorization", "Bearer x.y.z")},
			{Host: "globex--none.app.test"},
			{Host: "globex.app.test", Path: "/?tenant=acme"},
		} {
			if answer := g.Send(t, ask); answer.Status == 200 || answer.Status == 429 {
				t.Fatalf("%+v: status %d", ask, answer.Status)
			}
		}
	}
	for n := range burst {
		if answer := g.Get(t, "globex.app.test", "/"); answer.Status != 200 {
			t.Fatalf("request %d of the other tenant: status %d", n, answer.Status)
		}
	}

	// The same, where proof is required.
	proven := harness.Start(t, harness.Options{
		Tenants: b.directive(""),
		Site:    "tenant {\nidentify subdomain {tenant}.app.test\nidentify jwt {\nsecret " + hmacSecret + "\n}\nrequire authenticated\n}\nreverse_proxy {\ndynamic tenant\n}",
	})
	for range 2 * burst {
		if answer := proven.Get(t, "acme.app.test", "/"); answer.Status != 401 {
			t.Fatalf("status %d", answer.Status)
		}
	}
	token := tokenFor(t, jwt.SigningMethodHS256, []byte(hmacSecret), "", "tenant_id", "acme")
	for n := range burst {
		if answer := proven.Send(t, withToken("acme.app.test", token)); answer.Status != 200 {
			t.Fatalf("request %d after a flood without proof: status %d", n, answer.Status)
		}
	}
}

// Promise: clients of one tenant that send slowly, or never end, hinder nobody else; and a header of more bytes than the
// server takes is refused before the gateway looks at it.
func TestAttackSlowAndHuge(t *testing.T) {
	t.Parallel()
	g, _, _ := startAttacked(t, "identify subdomain {tenant}.app.test\nidentify path /t/{tenant}", nil)
	const connections = 200
	var conns []net.Conn
	for n := range connections {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns = append(conns, conn)
		sent := []string{
			"GET / HTTP/1.1\r\nHost: acme.app.test\r\nX-Slow: ",                               // a header that never ends
			"POST / HTTP/1.1\r\nHost: acme.app.test\r\nContent-Length: 1000000\r\n\r\nx",      // nor this body
			"POST / HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r", // nor this chunk
			"G",
		}[n%4]
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
	}
	load := g.StartLoad(t, harness.Load{
		Workers: 2, Count: 200, Ask: func(int) harness.Ask { return harness.Ask{Host: "globex.app.test"} },
		Check: func(_ int, answer harness.Answer) error {
			if answer.Status != 200 {
				return fmt.Errorf("status %d: %s", answer.Status, answer.Body)
			}
			return nil
		},
	})
	// Some go on sending meanwhile, byte by byte.
	var slow sync.WaitGroup
	for _, conn := range conns[:40] {
		slow.Go(func() {
			for range 20 {
				if _, err := conn.Write([]byte("x")); err != nil {
					return
				}
			}
		})
	}
	report := load.Wait()
	slow.Wait()
	t.Log(report)
	if report.Failures > 0 || report.Slowest > 5*time.Second {
		t.Error("others were hindered")
	}

	huge := strings.Repeat("a", 2<<20)
	for name, request := range map[string]string{
		"value":   get("/", "Host: acme.app.test", "X-Huge: "+huge),
		"name":    get("/", "Host: acme.app.test", huge+": x"),
		"fields":  get("/", "Host: acme.app.test", strings.Repeat("X-Huge: a\r\n", 200_000)+"X-End: 1"),
		"target":  get("/"+huge, "Host: acme.app.test"),
		"host":    get("/", "Host: "+huge+".app.test"),
		"cookies": get("/", "Host: acme.app.test", "Cookie: "+strings.Repeat("a=b; ", 400_000)),
	} {
		status, err := statusOf(t, g.Address, request)
		// The server may close while we still send.
		if err == nil && (status < 400 || status > 499) {
			t.Errorf("huge %s: status %d", name, status)
		}
	}
	if answer := g.Get(t, "globex.app.test", "/"); answer.Status != 200 {
		t.Errorf("afterwards: status %d", answer.Status)
	}
}

// statusOf sends a request and reads the status at the same time, for requests that the server does not read to the end.
func statusOf(t *testing.T, address, request string) (int, error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	writing.Go(func() { _, _ = io.WriteString(conn, request) }) // ends with the connection
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	conn.Close()
	writing.Wait()
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}
