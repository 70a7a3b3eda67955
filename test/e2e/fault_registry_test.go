package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

const (
	pollFails    = "changes in the registry are not seen: polling fails"
	pollIsBack   = "changes in the registry are seen again"
	refreshFails = "refreshing tenants fails; what is cached is served stale"
	usageFails   = "what was used of quotas cannot be read or saved; counting in memory until it can"
	usageIsBack  = "what was used of quotas is read and saved again"
)

func TestFaultsOfTheRegistry(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			b := sqldBackend(t)
			b.load(t, faultTenants(startUpstreams(t)))
			b.url = strings.Replace(b.url, "http", scheme, 1)
			s := newStage(t, b.backend, b.direct, "timeout 2s", nil)
			fault := func(f harness.Fault) func(*testing.T) { return func(*testing.T) { b.proxy.Inject(f) } }
			cure := func(*testing.T) { b.proxy.Cure() }
			for name, f := range map[string]trial{
				"slow":     {begin: fault(harness.Fault{Latency: 100 * time.Millisecond}), end: cure, strangers: []int{200}},
				"hung":     {begin: func(*testing.T) { b.proxy.Hang() }, end: func(*testing.T) { b.proxy.Resume() }, strangers: []int{503}},
				"cut":      {begin: func(*testing.T) { b.proxy.Down() }, end: func(t *testing.T) { b.proxy.Up(t) }, strangers: []int{503}},
				"reset":    {begin: fault(harness.Fault{Reset: true, ResetAfter: 20}), end: cure, strangers: []int{503}},
				"rubbish":  {begin: fault(harness.Fault{Answer: "SSH-2.0-OpenSSH_9.2p1\r\n"}), end: cure, strangers: []int{503}},
				"html":     {begin: fault(harness.Fault{Answer: "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<h1>Hello!</h1>"}), end: cure, strangers: []int{503}},
				"halfjson": {begin: fault(harness.Fault{Answer: "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 300\r\n\r\n{\"baton\":null,\"results\":[{\"type\":"}), end: cure, strangers: []int{503}},
				"narrow":   {begin: fault(harness.Fault{Rate: 20000}), end: cure, strangers: []int{200}},
			} {
				f.lasts = 2500 * time.Millisecond
				t.Run(name, func(t *testing.T) { s.undergo(t, f) })
			}
		})
	}
}
