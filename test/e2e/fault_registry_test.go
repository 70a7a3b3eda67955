package e2e_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/sqld"
)

// garbage is what a server may answer that is no libSQL server, or a broken one.
var garbage = []string{
	"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
	"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 22\r\n\r\n<h1>Welcome here!</h1>",
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 300\r\n\r\n" + `{"baton":null,"base_url":null,"results":[{"type":"ok","resp`,
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + `{"status":"up"}`,
	"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
}

// faultServer is a registry on a libSQL server with connections to spare: it keeps each that was cut for ten seconds, and
// by default has 128 of them.
func faultServer(t *testing.T) server {
	t.Helper()
	if os.Getenv("TENANTGATE_SQLD") == "" {
		harness.LeaveOut(t, "there is no libSQL server (TENANTGATE_SQLD)")
	}
	s := sqld.Start(t, sqld.Options{Args: []string{"--max-concurrent-connections", "1024"}})
	proxy, token := harness.StartProxy(t, s.Addr()), s.Token(nil)
	return server{
		backend: backend{url: "http://" + proxy.Address, token: token},
		sqld:    s, proxy: proxy,
		direct: backend{url: s.URL(), token: token},
	}
}

// faultsOfAServer tries all that can happen between a gateway and its libSQL server, one after another.
func faultsOfAServer(t *testing.T, scheme string) {
	b := faultServer(t)
	b.load(t, faultTenants(startUpstreams(t)))
	b.url = strings.Replace(b.url, "http", scheme, 1)
	// One that is patient, so that what is slow is not taken for what is broken, however busy the machine is.
	calm := newStage(t, b.backend, b.direct, "timeout 20s", nil)
	s := newStage(t, b.backend, b.direct, "timeout 3s", nil)
	inject := func(f harness.Fault) func(*testing.T) { return func(*testing.T) { b.proxy.Inject(f) } }
	cure := func(*testing.T) { b.proxy.Cure() }
	for _, c := range []trial{
		{fault: faultNamed(t, "registry slow"), begin: inject(harness.Fault{Latency: 50 * time.Millisecond}), end: cure},
		{fault: faultNamed(t, "registry behind a narrow link"), begin: inject(harness.Fault{Rate: 64 << 10}), end: cure},
		{fault: faultNamed(t, "registry cut off"), begin: func(*testing.T) { b.proxy.Down() }, end: func(t *testing.T) { b.proxy.Up(t) }},
		{fault: faultNamed(t, "registry answers garbage"), begin: inject(harness.Fault{Answers: garbage}), end: cure},
		{fault: faultNamed(t, "registry resets connections"), begin: inject(harness.Fault{Reset: true, ResetAfter: 40}), end: cure},
		{fault: faultNamed(t, "registry hung"), begin: func(*testing.T) { b.proxy.Hang() }, end: func(*testing.T) { b.proxy.Resume() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.begins) == 0 {
				calm.undergo(t, c)
				return
			}
			s.undergo(t, c)
		})
	}
}

// faultCompacted cuts a gateway off for longer than the change log is kept, while tenants change. Its entries live long, so
// that nothing but the log could tell it.
func faultCompacted(t *testing.T) {
	b := faultServer(t)
	b.load(t, faultTenants(startUpstreams(t)))
	s := newStage(t, b.backend, b.direct, "timeout 20s", func(o *harness.Options) {
		o.Tenants = strings.Replace(o.Tenants, "ttl 300ms", "ttl 1h", 1)
	})
	const suspended, slug = "cold-0.app.test", "cold-0"
	s.g.Get(t, suspended, "/").Echo(t)
	s.undergo(t, trial{
		fault: faultNamed(t, "change log compacted while a gateway was away"),
		begin: func(t *testing.T) {
			b.proxy.Down()
			db := harness.OpenSQL(t, b.direct.url, b.direct.token)
			harness.Exec(t, db, "UPDATE sys_organization SET status = 'suspended' WHERE slug = ?", slug)
			harness.Exec(t, db, "UPDATE sys_organization SET name = 'Changed Meanwhile' WHERE slug = 'acme'")
			if _, err := db.ExecContext(t.Context(), "DELETE FROM sys_change"); err != nil {
				t.Fatal(err)
			}
		},
		end: func(t *testing.T) { b.proxy.Up(t) },
	})
	if err := s.g.Expect(t.Context(), suspended, 403, "")(); err != nil {
		t.Error(err)
	}
	if err := s.serves("acme.app.test", "Changed Meanwhile")(); err != nil {
		t.Error(err)
	}
}
