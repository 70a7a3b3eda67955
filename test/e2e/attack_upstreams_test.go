package e2e_test

import (
	"io"
	"net"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: a client cannot have an upstream taken for dead. Where reverse_proxy counts failures (fail_duration), bodies of
// one tenant's requests that are malformed or end too soon are none, and other tenants on the same upstream are served.
func TestAttackUpstreamHealth(t *testing.T) {
	t.Parallel()
	w, b := startWitness(t), fileBackend(t)
	b.load(t, witnessTenants(w))
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""),
		Site: "tenant {\nidentify subdomain {tenant}.app.test\nexempt /open\n}\n@open path /open\nreverse_proxy @open " + w.address + " {\nfail_duration 1h\nmax_fails 1\n}\n" +
			"reverse_proxy {\ndynamic tenant\nfail_duration 1h\nmax_fails 1\n}",
	})
	for _, target := range []string{"/", "/open"} {
		for _, body := range []string{"zz\r\n", "1\r\nxx", "0\r\nnot a trailer\r\n\r\n", "ffffffffffffffffff\r\n"} {
			answer, err := harness.SendRaw(t.Context(), g.Address, lines("POST "+target+" HTTP/1.1", "Host: acme.app.test", "Transfer-Encoding: chunked", "Connection: close")+body+"\x00\r\n")
			if err == nil && answer.Status != 499 && answer.Status != 400 {
				t.Errorf("%s, body %q: status %d", target, body, answer.Status)
			}
		}
		// A body that ends too soon, because the client does.
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, lines("POST "+target+" HTTP/1.1", "Host: acme.app.test", "Content-Length: 10")+"short"); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		for range 5 {
			if answer := g.Get(t, "globex.app.test", target); answer.Status != 200 {
				t.Errorf("%s: another tenant gets status %d", target, answer.Status)
			}
		}
	}
}
