package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// attack is one row of the table of attacks: what is sent, and what has to come of it.
type attack struct {
	name string
	// request is sent as it is, on a connection of its own.
	request string
	// refused are the statuses that are right; with none, the request has to be served for tenant.
	refused []int
	tenant  string // acmeID or globexID
}

// soon is time enough for a change in the registry to be served, on a machine with much else to do.
const soon = 10 * time.Second

// refusedBy are the statuses with which a malformed request is refused, by the server or by the gateway.
var refusedBy = []int{400, 403, 404, 405, 431, 501, 505}

// run sends the rows of a table and reports what happened otherwise than expected.
func (a attack) run(t *testing.T, g *harness.Gateway) {
	t.Helper()
	answer, err := harness.SendRaw(t.Context(), g.Address, a.request)
	if err != nil {
		t.Errorf("%s: %v", a.name, err)
		return
	}
	if len(a.refused) == 0 {
		if answer.Status != http.StatusOK {
			t.Errorf("%s: status %d, want to be served; body %s", a.name, answer.Status, answer.Body)
			return
		}
		if got := answer.Echo(t).Values("X-Tenant-ID"); len(got) != 1 || got[0] != a.tenant {
			t.Errorf("%s: served as tenant %q, want %s", a.name, got, a.tenant)
		}
		return
	}
	for _, status := range a.refused {
		if answer.Status == status {
			return
		}
	}
	t.Errorf("%s: status %d, want one of %v; body %s", a.name, answer.Status, a.refused, answer.Body)
}

// witness is one upstream for all tenants, as most services have it: whoever gets a request past the gateway gets it
// among those of others. It keeps every byte that arrives, and every request that it understands.
type witness struct {
	address string

	mu    sync.Mutex
	bytes bytes.Buffer
	seen  []harness.Echo
}

func startWitness(t *testing.T) *witness {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{address: ln.Addr().String()}
	server := &http.Server{Handler: http.HandlerFunc(w.serve), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(witnessListener{ln, w}) // until it is closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return w
}

func (w *witness) serve(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // what is cut off is short
	e := harness.Echo{
		Upstream: "witness", Method: r.Method, Host: r.Host, URI: r.RequestURI, Header: r.Header, Trailer: r.Trailer, Body: string(body),
	}
	w.mu.Lock()
	w.seen = append(w.seen, e)
	w.mu.Unlock()
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(e)
}

// requests returns what was understood so far.
func (w *witness) requests() []harness.Echo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]harness.Echo(nil), w.seen...)
}

// received returns the bytes that came so far.
func (w *witness) received() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes.String()
}

// witnessListener and witnessConn let the witness see what its server reads.
type witnessListener struct {
	net.Listener
	w *witness
}

func (l witnessListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &witnessConn{Conn: c, w: l.w}, nil
}

type witnessConn struct {
	net.Conn
	w *witness
}

func (c *witnessConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.bytes.Write(p[:n])
	return n, err
}

// witnessTenants are acme and globex behind one and the same upstream.
func witnessTenants(w *witness) document {
	up := &harness.Upstream{Name: "witness", Address: w.address}
	return someTenants(upstreams{production: up, dev: up, globex: up})
}

// way is a way to the tenants' upstreams: what stands in the directive tenant, and what stands behind it.
type way struct{ inject, proxy string }

var ways = map[string]way{
	"tenant_proxy":  {"", "tenant_proxy"},
	"inject late":   {"inject late", "tenant_proxy"},
	"reverse_proxy": {"", "reverse_proxy {\ndynamic tenant\n}"},
}

// startAttacked starts a gateway that forwards with tenant_proxy to a witness; site is the body of its directive tenant.
func startAttacked(t *testing.T, site string, change func(*document)) (*harness.Gateway, *witness, backend) {
	t.Helper()
	return startAttackedBy(t, ways["tenant_proxy"], site, change)
}

// startAttackedBy is startAttacked with one of the ways.
func startAttackedBy(t *testing.T, by way, site string, change func(*document)) (*harness.Gateway, *witness, backend) {
	t.Helper()
	w, b := startWitness(t), fileBackend(t)
	d := witnessTenants(w)
	if change != nil {
		change(&d)
	}
	b.load(t, d)
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""), Global: "servers {\nprotocols h1 h2c\n}",
		Site: "tenant {\n" + site + "\n" + by.inject + "\n}\n" + by.proxy,
	})
	return g, w, b
}

// pipeline sends bytes as they are on one connection, and reads every answer until the server closes, or nothing more
// comes for a while: what counts is what the upstream sees.
func pipeline(ctx context.Context, address, sent string) ([]harness.Answer, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, sent); err != nil {
		return nil, fmt.Errorf("sending: %w", err)
	}
	var answers []harness.Answer
	for r := bufio.NewReader(conn); ; {
		if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return answers, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers, nil //nolint:nilerr // the end of the answers
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return answers, nil //nolint:nilerr // it was cut off
		}
		answers = append(answers, harness.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)})
	}
}

// lines joins the lines of a request's head, and ends it.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }
