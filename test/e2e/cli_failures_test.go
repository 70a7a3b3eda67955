package e2e_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: bad input gives one clear line with a stable code and a documented exit code, and changes nothing.
func TestCommandLineBadInput(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	b.load(t, someTenants(upstreams{
		production: &harness.Upstream{Address: "127.0.0.1:9001"}, dev: &harness.Upstream{Address: "127.0.0.1:9002"},
		globex: &harness.Upstream{Address: "127.0.0.1:9003"},
	}))
	was := stateOf(t, b)
	c := cliOn(t, b)
	for _, tt := range []struct {
		exit       int
		code, text string
		args       []string
	}{
		{2, "invalid", "slug", []string{"tenant", "create", "Acme"}},
		{2, "invalid", "slug", []string{"tenant", "create", "a.b"}},
		{2, "invalid", "slug", []string{"tenant", "create", "käse"}},
		{2, "invalid", "slug", []string{"tenant", "create", acmeID}},
		{2, "too_long", "slug", []string{"tenant", "create", strings.Repeat("a", 64)}},
		{2, "invalid", "slug", []string{"tenant", "create", ""}},
		{5, "duplicate", "slug", []string{"tenant", "create", "acme"}},
		{2, "invalid", "id", []string{"tenant", "create", "x", "--id", "17"}},
		{5, "duplicate", "id", []string{"tenant", "create", "x", "--id", acmeID}},
		{2, "unknown_plan", "plan", []string{"tenant", "create", "x", "--plan", "gold"}},
		{2, "too_long", "name", []string{"tenant", "create", "x", "--name", strings.Repeat("n", 256)}},
		{2, "invalid", "isolationLevel", []string{"tenant", "create", "x", "--isolation", "none"}},
		{2, "invalid", "status", []string{"tenant", "create", "x", "--status", "suspended"}},
		{2, "invalid", "--expires", []string{"tenant", "create", "x", "--expires", "soon"}},
		{2, "invalid", "--quota", []string{"tenant", "create", "x", "--quota", "apiRateLimit"}},
		{2, "invalid", "--quota", []string{"tenant", "create", "x", "--quota", "colour=1"}},
		{2, "invalid", "--quota", []string{"tenant", "create", "x", "--quota", "apiRateLimit=0"}},
		{2, "invalid", "--metadata", []string{"tenant", "create", "x", "--metadata", "=1"}},
		{2, "invalid", "upstreams", []string{"tenant", "create", "x", "--upstream", "ftp://x"}},
		{2, "invalid", "ipWhitelist", []string{"tenant", "create", "x", "--allow-ip", "10.0.0.0/99"}},
		{5, "duplicate", "app.acme.test", []string{"tenant", "create", "x", "--domain", "app.acme.test"}},
		{1, "usage", "exclude", []string{"tenant", "create", "x", "--upstream", "a:1", "--no-upstreams"}},
		{2, "too_long", "X-Actor", []string{"tenant", "suspend", "acme", "--actor", strings.Repeat("a", 300)}},
		{4, "not_found", "nobody", []string{"tenant", "suspend", "nobody"}},
		{4, "not_found", "nobody", []string{"tenant", "usage", "nobody"}},
		{4, "not_found", "nobody", []string{"tenant", "audit", "nobody"}},
		{4, "not_found", "none", []string{"environment", "show", "acme", "none"}},
		{5, "version_conflict", "", []string{"tenant", "suspend", "acme", "--version", "99"}},
		{5, "state_conflict", "", []string{"tenant", "restore", "acme"}},
		{5, "protected", "production", []string{"environment", "archive", "acme", "production"}},
		{2, "too_long", "reason", []string{"tenant", "suspend", "acme", "--reason", strings.Repeat("r", 1001)}},
		{2, "invalid", "status", []string{"tenant", "list", "--status", "asleep"}},
		{1, "usage", "--limit", []string{"tenant", "list", "--limit", "-1"}},
		{1, "usage", "--keep-alias", []string{"tenant", "update", "acme", "--keep-alias", "1h"}},
		{5, "duplicate", "slug", []string{"tenant", "update", "acme", "--slug", "globex"}},
		{2, "invalid", "role", []string{"member", "add", "acme", "production", "u", "--role", "king"}},
		{2, "invalid", "name", []string{"key", "create", "acme", "production"}},
		{2, "invalid", "--expires", []string{"key", "create", "acme", "production", "--name", "k", "--expires", "-1h"}},
		{2, "invalid", "name", []string{"plan", "create", "Gold Plan"}},
		{2, "invalid", "--force", []string{"plan", "delete", "pro", "--force", "free"}},
		{2, "invalid", "--since", []string{"tenant", "audit", "--since", "yesterday"}},
		{1, "usage", "--all", []string{"tenant", "purge"}},
		{1, "usage", "--address", []string{"tenant", "list", "--address", "localhost:1"}},
	} {
		t.Run(strings.Join(tt.args[:2], " ")+" "+tt.text, func(t *testing.T) { c.fails(t, tt.exit, tt.code, tt.text, tt.args...) })
	}
	if is := stateOf(t, b); is != was {
		t.Errorf("the registry has changed: %+v, before %+v", is, was)
	}
}

// Promise: where nobody answers, or the token is refused, a command says so in one line with exit code 3, and shows no
// secret. What cannot be parsed at all ends with 1.
func TestCommandLineUnreachable(t *testing.T) {
	t.Parallel()
	const secret = "very-secret-token"
	nobody := harness.FreeAddress(t)
	for _, tt := range []struct {
		where []string
		exit  int
		code  string
		text  string
	}{
		{[]string{"--address", nobody}, 3, "gateway_unavailable", nobody},
		{[]string{"--registry", "http://" + nobody, "--timeout", "2s"}, 3, "registry_unavailable", nobody},
		{[]string{"--registry", "postgres://" + nobody}, 1, "usage", "scheme"},
		{[]string{"--registry", "file:none.db"}, 1, "usage", "does not exist"},
		{[]string{"--address", "no:such:address"}, 1, "usage", "address"},
		{[]string{"--config", "none.caddyfile"}, 1, "file", "none.caddyfile"},
	} {
		c := &cli{where: tt.where, env: []string{"TENANT_REGISTRY_TOKEN=" + secret}, dir: t.TempDir(), used: map[string]bool{}}
		if strings.Contains(tt.text, "exist") {
			c.env = nil // a file takes no token
		}
		c.fails(t, tt.exit, tt.code, tt.text, "tenant", "show", "acme")
		if r := c.run(t, "tenant", "show", "acme"); strings.Contains(r.Output(), secret) {
			t.Errorf("%q shows the token", tt.where)
		}
	}
	// A server that is no gateway.
	u := harness.StartUpstream(t, "other")
	c := &cli{where: []string{"--address", u.Address}, dir: t.TempDir(), used: map[string]bool{}}
	c.fails(t, 3, "gateway_unavailable", "no gateway", "tenant", "show", "acme")
	c.fails(t, 3, "gateway_unavailable", "no gateway", "tenant", "list")

	t.Run("token", func(t *testing.T) {
		s := sqldBackend(t)
		c := &cli{where: []string{"--registry", s.url}, env: []string{"TENANT_REGISTRY_TOKEN=" + s.sqld.ForeignToken()}, dir: t.TempDir(), used: map[string]bool{}}
		c.fails(t, 3, "registry_unavailable", "", "tenant", "list")
	})
}

// Promise: a connection to the registry that is cut in the middle of tenant create gives one clear error, and the tenant
// with all that belongs to it is there, or nothing of it.
func TestCommandLineCut(t *testing.T) {
	t.Parallel()
	s := sqldBackend(t)
	through, direct := cliOn(t, s.backend), cliOn(t, s.direct)
	direct.ok(t, "plan", "create", "pro")
	create := func(slug string) []string {
		return []string{"tenant", "create", slug, "--plan", "pro", "--upstream", "127.0.0.1:9001", "--domain", slug + ".test", "--timeout", "3s"}
	}
	before := s.proxy.BytesIn()
	through.ok(t, create("whole")...)
	size := s.proxy.BytesIn() - before

	whole, nothing, failed := 0, 0, 0
	for n := range 25 {
		slug := fmt.Sprintf("cut%d", n)
		limit := s.proxy.BytesIn() + 1 + rand.Int64N(size-1)
		cmd, wait := through.begin(t, create(slug)...)
		harness.Eventually(t, 30*time.Second, func() error {
			if s.proxy.BytesIn() < limit && processRuns(cmd.Process.Pid) {
				return errors.New("it has not come to that point")
			}
			return nil
		})
		s.proxy.Down()
		exit, text := wait()
		s.proxy.Up(t)
		switch {
		case exit == 0:
		case exit == 3 && errorLine.MatchString(text) && strings.Contains(text, "registry_unavailable"):
			failed++
		default:
			t.Errorf("exit code %d\n%s", exit, text)
		}
		r := direct.run(t, "tenant", "show", slug)
		switch r.ExitCode {
		case 0:
			whole++
			contains(t, r.Stdout, "production", "127.0.0.1:9001")
			contains(t, direct.ok(t, "domain", "list", slug, "production"), slug+".test")
			contains(t, direct.ok(t, "tenant", "audit", slug), "organization.create")
		case 4:
			nothing++
			if exit == 0 {
				t.Errorf("%s: created, and not there", slug)
			}
			direct.ok(t, create(slug)...) // its host name is free as well
		default:
			t.Errorf("show: %d\n%s", r.ExitCode, r.Output())
		}
	}
	t.Logf("%d are there as a whole, %d not at all; %d commands failed", whole, nothing, failed)
	if failed == 0 {
		t.Error("no command was cut in its middle")
	}
}

// Promise: an interrupt ends a command at once, with exit code 130 and one line, and what it had begun is not there.
func TestCommandLineInterrupted(t *testing.T) {
	t.Parallel()
	s := sqldBackend(t)
	through, direct := cliOn(t, s.backend), cliOn(t, s.direct)
	direct.ok(t, "plan", "create", "free")
	d := document{}
	for n := range 2000 {
		d.Tenants = append(d.Tenants, tenant{Slug: fmt.Sprintf("t%d", n), Name: "T", Plan: "free"})
	}
	file := d.write(t, through.dir)
	s.proxy.Hang()
	for _, args := range [][]string{{"tenant", "create", "acme"}, {"tenant", "import", file}, {"tenant", "list"}} {
		connections := s.proxy.Connections()
		cmd, wait := through.begin(t, append(args, "--timeout", "60s")...)
		harness.Eventually(t, 30*time.Second, func() error {
			if s.proxy.Connections() == connections {
				return errors.New("no connection yet")
			}
			return nil
		})
		began := time.Now()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		exit, text := wait()
		if exit != 130 || !strings.HasPrefix(text, "Error (interrupted): ") || !errorLine.MatchString(text) || time.Since(began) > 10*time.Second {
			t.Errorf("%q: exit code %d after %s\n%s", args[:2], exit, time.Since(began), text)
		}
	}
	s.proxy.Resume()
	var list []struct{ Slug string }
	if direct.into(t, &list, "tenant", "list"); len(list) != 0 {
		t.Errorf("%d tenants are there", len(list))
	}
}

// processRuns reports whether a process that was started here has not ended; one that has ended and was not waited for
// is a zombie.
func processRuns(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}
