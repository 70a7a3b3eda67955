package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: importing the same file again changes nothing, and writes nothing that gateways would have to look at.
// An export, imported, changes nothing either.
func TestImportIsIdempotent(t *testing.T) {
	onEachBackend(t, func(t *testing.T, b backend) {
		d := someTenants(upstreams{
			production: &harness.Upstream{Address: "127.0.0.1:9001"}, dev: &harness.Upstream{Address: "127.0.0.1:9002"},
			globex: &harness.Upstream{Address: "127.0.0.1:9003"},
		})
		d.Tenants = append(d.Tenants, tenant{Slug: "without-ids", Name: "No ids", Plan: "free"})
		b.load(t, d)
		was := stateOf(t, b)
		if was.tenants != 3 || was.environments != 4 || was.domains != 2 {
			t.Errorf("after the import there are %+v", was)
		}
		b.load(t, d)
		if is := stateOf(t, b); is != was {
			t.Errorf("after the same import again %+v, before %+v", is, was)
		}

		dir := t.TempDir()
		exported := harness.Run(t, b.command(dir, "tenant", "export"))
		if exported.ExitCode != 0 {
			t.Fatalf("export: exit code %d\n%s", exported.ExitCode, exported.Output())
		}
		file := harness.WriteFile(t, dir, "exported.json", exported.Stdout)
		if r := harness.Run(t, b.command(dir, "tenant", "import", file)); r.ExitCode != 0 {
			t.Fatalf("import of the export: exit code %d\n%s", r.ExitCode, r.Output())
		}
		if is := stateOf(t, b); is != was {
			t.Errorf("after the import of the export %+v, before %+v", is, was)
		}
		if again := harness.Run(t, b.command(dir, "tenant", "export")); again.Stdout != exported.Stdout {
			t.Errorf("a second export differs:\n%s\nthe first:\n%s", again.Stdout, exported.Stdout)
		}

		// Into an empty registry it brings everything over, ids included.
		other := fileBackend(t)
		if r := harness.Run(t, other.command(dir, "tenant", "import", file)); r.ExitCode != 0 {
			t.Fatalf("import into an empty registry: exit code %d\n%s", r.ExitCode, r.Output())
		}
		if copied := harness.Run(t, other.command(dir, "tenant", "export")); copied.Stdout != exported.Stdout {
			t.Errorf("the copy's export differs:\n%s\nthe original's:\n%s", copied.Stdout, exported.Stdout)
		}
	})
}

// Promise: one bad record refuses the whole file, with its place, and the registry is as it was.
func TestBrokenImport(t *testing.T) {
	onEachBackend(t, func(t *testing.T, b backend) {
		b.load(t, document{Plans: []plan{{Name: "free"}}, Tenants: []tenant{{Slug: "acme", Name: "Acme", Plan: "free"}}})
		was := stateOf(t, b)
		good := `{"slug": "good%d", "name": "Good", "plan": "free"}`
		for name, tt := range map[string]struct{ json, place string }{
			"bad slug of an environment": {
				`{"tenants": [` + fmt.Sprintf(good, 1) + `, {"slug": "bad", "name": "B", "plan": "free", "environments": [{"slug": "Not A Slug", "name": "x", "type": "production"}]}]}`,
				"tenants[1].environments[0].slug",
			},
			"unknown field":       {`{"tenants": [` + fmt.Sprintf(good, 1) + `, {"slug": "bad", "name": "B", "plan": "free", "colour": "red"}]}`, "tenants[1]"},
			"quota of zero":       {`{"tenants": [{"slug": "bad", "name": "B", "plan": "free", "quotas": {"apiRateLimit": 0}}]}`, "tenants[0].quotas.apiRateLimit"},
			"same slug twice":     {`{"tenants": [` + fmt.Sprintf(good, 1) + `, ` + fmt.Sprintf(good, 1) + `]}`, "tenants[1].slug"},
			"bad upstream":        {`{"tenants": [{"slug": "bad", "name": "B", "plan": "free", "environments": [{"slug": "p", "name": "P", "type": "production", "upstreams": ["ftp://x"]}]}]}`, "tenants[0].environments[0].upstreams[0]"},
			"no JSON at the end":  {`{"tenants": [` + fmt.Sprintf(good, 1) + `]`, ""},
			"something behind it": {`{"tenants": []} {"tenants": []}`, ""},
		} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				file := harness.WriteFile(t, dir, "broken.json", tt.json)
				r := harness.Run(t, b.command(dir, "tenant", "import", file))
				if r.ExitCode == 0 || !strings.Contains(r.Output(), tt.place) {
					t.Errorf("exit code %d; the output does not say %q:\n%s", r.ExitCode, tt.place, r.Output())
				}
				if is := stateOf(t, b); is != was {
					t.Errorf("the registry has changed: %+v, before %+v", is, was)
				}
				// In a Caddyfile it is refused before anything starts.
				caddyfile := harness.WriteFile(t, dir, "Caddyfile", fmt.Sprintf("{\ntenants {\n%s}\n}\n", b.directive("import_file broken.json")))
				r = harness.Run(t, harness.Command{Args: []string{"validate", "--config", caddyfile}, Dir: dir, Env: b.env()})
				if r.ExitCode == 0 || !strings.Contains(r.Output(), tt.place) || !strings.Contains(r.Output(), "broken.json") {
					t.Errorf("validate: exit code %d; the output does not say %q and the file:\n%s", r.ExitCode, tt.place, r.Output())
				}
				if is := stateOf(t, b); is != was {
					t.Errorf("validate has changed the registry: %+v, before %+v", is, was)
				}
			})
		}
	})
}

// Promise: an import is atomic. Killed with kill -9 in its middle, nothing of it is there, and the next one succeeds.
func TestImportKilled(t *testing.T) {
	t.Parallel()
	const tenants = 40_000
	large := document{}
	for n := range tenants {
		large.Tenants = append(large.Tenants, tenant{Slug: fmt.Sprintf("t%d", n), Name: "T", Plan: "free"})
	}
	small := document{Plans: []plan{{Name: "free"}}, Tenants: []tenant{{Slug: "acme", Name: "Acme", Plan: "free"}}}

	// attempt kills an import in its middle, and reports false when it was too late for that.
	attempt := func(t *testing.T, b, direct backend, written func() int64) bool {
		direct.load(t, small)
		was := stateOf(t, direct)
		dir := t.TempDir()
		file := large.write(t, dir)
		before := written()
		p := harness.Begin(t, b.command(dir, "tenant", "import", file))
		harness.Eventually(t, 60*time.Second, func() error {
			if n := written() - before; p.Running() && n < 512<<10 {
				return fmt.Errorf("it has written only %d bytes", n)
			}
			return nil
		})
		killed := p.Kill()
		if is := stateOf(t, direct); !killed || is.tenants == was.tenants+tenants && is.environments == was.environments+tenants {
			return false
		} else if is != was {
			t.Errorf("after the kill there are %+v, before %+v", is, was)
		}
		r := harness.Run(t, direct.command(dir, "tenant", "import", file))
		if r.ExitCode != 0 {
			t.Fatalf("the next import: exit code %d\n%s", r.ExitCode, r.Output())
		}
		t.Logf("%d tenants imported in %s", tenants, r.Took)
		if is := stateOf(t, direct); is.tenants != was.tenants+tenants || is.environments != was.environments+tenants {
			t.Errorf("after the next import there are %+v", is)
		}
		return true
	}
	untilKilled := func(t *testing.T, attempt func() bool) {
		for range 5 {
			if attempt() {
				return
			}
		}
		t.Error("no import could be killed in its middle")
	}
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		untilKilled(t, func() bool {
			b := fileBackend(t)
			path := strings.TrimPrefix(b.url, "file:")
			return attempt(t, b, b, func() (size int64) {
				for _, suffix := range []string{"", "-wal", "-journal"} {
					if info, err := os.Stat(path + suffix); err == nil {
						size += info.Size()
					}
				}
				return size
			})
		})
	})
	t.Run("sqld", func(t *testing.T) {
		t.Parallel()
		untilKilled(t, func() bool {
			s := sqldBackend(t)
			return attempt(t, s.backend, s.direct, s.proxy.BytesIn)
		})
	})
}

// Promise: on a terminal an import shows how far it is; into a file or a pipe it writes no such thing.
func TestImportProgress(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("script"); err != nil {
		harness.LeaveOut(t, "there is no script(1), which gives a command a terminal")
	}
	b := fileBackend(t)
	dir := t.TempDir()
	d := document{}
	for n := range 20_000 {
		d.Tenants = append(d.Tenants, tenant{Slug: fmt.Sprintf("t%d", n), Name: "T", Plan: "free"})
	}
	file := d.write(t, dir)
	cmd := exec.CommandContext(t.Context(), "script", "--quiet", "--return", "--flush", "--command",
		fmt.Sprintf("'%s' tenant import '%s' --registry '%s'", harness.Binary(t), file, b.url), "/dev/null")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if progress := regexp.MustCompile(`\r[^\n]*[0-9]`); !progress.Match(out) {
		t.Errorf("a terminal sees no progress: %q", out)
	}
	quiet := harness.Run(t, fileBackend(t).command(dir, "tenant", "import", file))
	if quiet.ExitCode != 0 || strings.Contains(quiet.Output(), "\r") {
		t.Errorf("a pipe sees %q (exit code %d)", quiet.Output(), quiet.ExitCode)
	}
}

// Promise: what an import writes, however large, is served by running gateways within two poll intervals, also where
// they remember a tenant as unknown or have an older state in their cache.
func TestImportBesideGateway(t *testing.T) {
	const poll = time.Second
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		b.load(t, someTenants(u))
		g := harness.Start(t, harness.Options{
			Tenants: b.directive("poll_interval 1s") + "cache {\nttl 1h\nnegative_ttl 1h\n}",
			Site:    fmt.Sprintf(refusingSite, ""),
			Env:     b.env(),
			Plain:   true,
		})
		for host, want := range map[string]int{"acme.app.test": 200, "globex.app.test": 200, "t4999.app.test": 404} {
			if err := g.Expect(t.Context(), host, want, "")(); err != nil {
				t.Fatal(err)
			}
		}
		d := someTenants(u)
		d.Tenants[0].Status = "suspended"
		d.Tenants[1].Environments[0].Upstreams = []string{u.dev.Address}
		for n := range 5000 {
			d.Tenants = append(d.Tenants, tenant{Slug: fmt.Sprintf("t%d", n), Name: "T", Plan: "free", Environments: []environment{{
				Slug: "production", Name: "P", Type: "production", Upstreams: []string{u.globex.Address},
			}}})
		}
		b.load(t, d)
		committed := time.Now()
		for _, condition := range []func() error{
			g.Expect(t.Context(), "acme.app.test", 403, ""),
			g.Expect(t.Context(), "globex.app.test", 200, "acme-dev"),
			g.Expect(t.Context(), "t4999.app.test", 200, "globex"),
		} {
			harness.Eventually(t, 2*poll-time.Since(committed), condition)
		}
	})
}

// state is what a registry holds, as far as an import may change it.
type state struct {
	tenants, environments, domains, plans int
	// changes is the newest number of the change log.
	changes int
	// versions is the sum of all rows' versions, which every write raises.
	versions int
}

func stateOf(t *testing.T, b backend) state {
	t.Helper()
	var s state
	err := harness.OpenSQL(t, b.url, b.token).QueryRowContext(t.Context(), `SELECT
		(SELECT count(*) FROM sys_organization), (SELECT count(*) FROM sys_environment),
		(SELECT count(*) FROM sys_domain), (SELECT count(*) FROM sys_plan),
		(SELECT coalesce(max(seq), 0) FROM sys_change),
		(SELECT coalesce(sum(version), 0) FROM sys_organization) + (SELECT coalesce(sum(version), 0) FROM sys_environment)
		+ (SELECT coalesce(sum(version), 0) FROM sys_domain) + (SELECT coalesce(sum(version), 0) FROM sys_plan)`).
		Scan(&s.tenants, &s.environments, &s.domains, &s.plans, &s.changes, &s.versions)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
