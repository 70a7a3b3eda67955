package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

type errCount int64

func (e errCount) Error() string { return fmt.Sprintf("%d are under way", int64(e)) }

// An upstream that dies in the middle of a response is not taken for one that has finished, and one that nobody listens for
// gives 502, with all of them.
func testTransportUpstreamDies(t *testing.T, g *harness.Gateway) {
	for _, by := range transports {
		if got := sendBy(t, g, "GET", by+"/die", nil, nil); got.err == nil {
			t.Errorf("%s: half a response is taken for a whole one: %q", by, got.body)
		}
		if got := sendBy(t, g, "GET", by+"/header", nil, ofInitech); got.err != nil || got.status != http.StatusBadGateway {
			t.Errorf("%s: %+v", by, got)
		}
	}
}

// ambiguous are responses that can be understood in two ways, or are none.
var ambiguous = map[string]string{
	"/both":    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"/lengths": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	"/fold":    "HTTP/1.1 200 OK\r\nX-A: b\r\n Content-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
	"/lf":      "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
	"/name":    "HTTP/1.1 200 OK\r\nContent-Length : 3\r\nContent-Length: 5\r\n\r\nhello",
	"/nothing": "",
	"/garbage": "\x16\x03\x01 no HTTP at all\r\n\r\n",
}

// rawAnswers are what the second upstream says.
var rawAnswers = func() map[string]string {
	answers := maps.Clone(ambiguous)
	answers["/long"] = "HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 70<<10) + "\r\nContent-Length: 0\r\n\r\n"
	return answers
}()

// Responses that can be understood in two ways are an error of the upstream with transport tenant, and never reach a client.
func testTransportAmbiguous(t *testing.T, g *harness.Gateway) {
	for path := range ambiguous {
		if got := sendBy(t, g, "GET", "/lean"+path, nil, ofGlobex); got.err != nil || got.status != http.StatusBadGateway || got.body != "" {
			t.Errorf("%s: %+v", path, got)
		}
		if got := sendBy(t, g, "GET", "/own"+path, nil, ofGlobex); got.err != nil || got.status != http.StatusBadGateway || got.body != "" {
			t.Errorf("tenant_proxy, %s: %+v", path, got)
		}
	}
}

// The limits of transport tenant are those of the configuration, and what takes too long is 504.
func testTransportLimits(t *testing.T, g *harness.Gateway) {
	if got := sendBy(t, g, "GET", "/hurried/hang/header", nil, nil); got.err != nil || got.status != http.StatusGatewayTimeout {
		t.Errorf("slow header: %+v", got)
	}
	if got := sendBy(t, g, "GET", "/lean/long", nil, ofGlobex); got.err != nil || got.status != http.StatusBadGateway {
		t.Errorf("long header: status %d, %v", got.status, got.err)
	}
}

// Promise: reverse_proxy tries the next upstream, and leaves the dead one alone from then on, as with the standard transport.
func TestTransportRetries(t *testing.T) {
	t.Parallel()
	u := harness.StartUpstream(t, "alive")
	dead := harness.FreeAddress(t)
	g := harness.Start(t, harness.Options{
		Tenants: fileBackend(t).directive(""),
		Site: "reverse_proxy " + dead + " " + u.Address + ` {
		lb_policy first
		lb_retries 1
		fail_duration 1h
		transport tenant
	}`,
	})
	for _, method := range []string{"POST", "GET", "POST"} { // nothing was sent, so that any method may go on
		answer := g.Send(t, harness.Ask{Method: method, Body: "body"})
		if e := answer.Echo(t); e.Upstream != "alive" || e.Body != "body" {
			t.Errorf("%s: %+v", method, e)
		}
	}
	answer, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: "/reverse_proxy/upstreams"})
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Address string
		Fails   int
	}
	if err := json.Unmarshal([]byte(answer.Body), &list); err != nil {
		t.Fatal(err)
	}
	for _, up := range list {
		if want := map[string]int{dead: 1, u.Address: 0}[up.Address]; up.Fails != want {
			t.Errorf("%s has failed %d times, want %d", up.Address, up.Fails, want)
		}
	}
	if len(list) != 2 {
		t.Errorf("upstreams: %s", answer.Body)
	}
}

// Promise: requests for hosts that HTTP_PROXY is for go through that proxy.
func TestTransportForwardProxy(t *testing.T) {
	t.Parallel()
	u := startLeanUpstream(t)
	g := harness.Start(t, harness.Options{
		Tenants: fileBackend(t).directive(""),
		Env:     []string{"HTTP_PROXY=http://" + u.address},
		Site:    "reverse_proxy upstream.invalid:80 {\ntransport tenant\n}",
	})
	if answer := g.Get(t, "a.test", "/header"); answer.Status != http.StatusOK || answer.Header.Get("Got-Host") != "a.test" {
		t.Errorf("%+v", answer)
	}
}

// Promise: a reload closes the idle connections of the old configuration, and no request notices.
func TestTransportReload(t *testing.T) {
	t.Parallel()
	u := startLeanUpstream(t)
	site := "reverse_proxy " + u.address + " {\ntransport tenant\n}"
	o := harness.Options{Tenants: fileBackend(t).directive(""), Site: site}
	g := harness.Start(t, o)
	load := g.StartLoad(t, harness.Load{Reloads: true, Workers: 4, Ask: func(int) harness.Ask { return harness.Ask{Path: "/header"} }, Check: func(_ int, a harness.Answer) error {
		if a.Status != http.StatusOK {
			return fmt.Errorf("status %d", a.Status)
		}
		return nil
	}})
	harness.Eventually(t, transportLimit, func() error {
		if load.Done() < 20 {
			return errCount(load.Done())
		}
		return nil
	})
	before := u.conns.Load()
	if r := g.Reload(t, o); r.ExitCode != 0 {
		t.Fatal(r.Output())
	}
	harness.Eventually(t, transportLimit, func() error {
		if u.conns.Load() == before {
			return errCount(before)
		}
		return nil
	})
	if r := load.Stop(); r.Failures > 0 {
		t.Error(r)
	}
}
