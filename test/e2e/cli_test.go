package e2e_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// cli runs commands of the binary on one registry, through a gateway or straight.
type cli struct {
	where, env []string
	dir        string
	// used are the commands that were run, as "tenant list".
	used map[string]bool
}

func cliOn(t *testing.T, b backend) *cli {
	return &cli{where: []string{"--registry", b.url}, env: append(append(b.env(), "USER=alice"), secretsEnv...), dir: t.TempDir(), used: map[string]bool{}}
}

func cliThrough(t *testing.T, g *harness.Gateway) *cli {
	return &cli{where: []string{"--address", g.Admin}, env: []string{"USER=alice"}, dir: t.TempDir(), used: map[string]bool{}}
}

// run runs a command to its end.
func (c *cli) run(t *testing.T, args ...string) harness.Result {
	t.Helper()
	c.used[strings.Join(args[:2], " ")] = true
	return harness.Run(t, harness.Command{Args: append(args, c.where...), Dir: c.dir, Env: c.env})
}

// ok runs a command that has to succeed, and returns its output.
func (c *cli) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := c.run(t, args...)
	if r.ExitCode != 0 {
		t.Fatalf("%q: exit code %d\n%s", args, r.ExitCode, r.Output())
	}
	return r.Stdout
}

// into runs a command with --json and decodes what it prints.
func (c *cli) into(t *testing.T, v any, args ...string) {
	t.Helper()
	out := c.ok(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("%q: %v in %s", args, err, out)
	}
}

var errorLine = regexp.MustCompile(`\AError \(([a-z_]+)\): [^\n]+\n\z`)

// fails runs a command that has to end with the exit code and one line of error with the code, in both forms.
func (c *cli) fails(t *testing.T, exit int, code, text string, args ...string) {
	t.Helper()
	r := c.run(t, args...)
	m := errorLine.FindStringSubmatch(r.Stderr)
	if r.ExitCode != exit || m == nil || m[1] != code || !strings.Contains(r.Stderr, text) || r.Stdout != "" {
		t.Errorf("%q: exit code %d, want %d; code %s and %q in one line; standard output %q, standard error:\n%s", args, r.ExitCode, exit, code, text, r.Stdout, r.Stderr)
	}
	r = c.run(t, append(args, "--json")...)
	var e struct {
		Error struct {
			Code, Detail string
			ExitCode     int
		}
	}
	if err := json.Unmarshal([]byte(r.Stderr), &e); err != nil || e.Error.Code != code || e.Error.ExitCode != exit || r.ExitCode != exit {
		t.Errorf("%q --json: exit code %d, %v in %s", args, r.ExitCode, err, r.Stderr)
	}
}

// contains fails the test where a text lacks one of the parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in\n%s", p, text)
		}
	}
}

// cliSite serves tenants by subdomain, domain and API key.
const cliSite = `tenant {
	identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
	identify domain
	identify api_key X-API-Key
}
reverse_proxy {
	dynamic tenant
}`

// cliPoll is the poll interval of the gateways of these tests.
const cliPoll = time.Second

func cliGateway(t *testing.T, b backend) *harness.Gateway {
	t.Helper()
	return harness.Start(t, harness.Options{
		Tenants: b.directive("poll_interval 1s") + "cache {\nttl 1h\nnegative_ttl 1h\n}\n" + secretsBlock, Site: cliSite, Env: append(b.env(), secretsEnv...),
	})
}

// Promise: each command does what its help says, through the admin endpoint of a running gateway and straight on a
// registry, and the two do the same.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	t.Run("gateway", func(t *testing.T) {
		t.Parallel()
		b := fileBackend(t)
		c := cliThrough(t, cliGateway(t, b))
		everyCommand(t, c)
		c.ok(t, "tenant", "cache")
		contains(t, c.ok(t, "tenant", "purge", "acme"), "acme")
		c.ok(t, "tenant", "purge", "--all")
		contains(t, c.ok(t, "tenant", "resolve", "http://acme.app.test/"), "1. subdomain: yields slug acme", "decides", "passes")
		allUsed(t, c, "import", "export", "doctor") // which have tests of their own
	})
	t.Run("registry", func(t *testing.T) {
		onEachBackend(t, func(t *testing.T, b backend) {
			c := cliOn(t, b)
			everyCommand(t, c)
			for _, args := range [][]string{{"tenant", "cache"}, {"tenant", "purge", "--all"}, {"tenant", "resolve", "http://acme.app.test/"}} {
				c.fails(t, 1, "gateway_required", "running gateway", args...)
			}
		})
	})
}

func everyCommand(t *testing.T, c *cli) {
	t.Helper()
	t.Run("plan", func(t *testing.T) { planCommands(t, c) })
	t.Run("tenant", func(t *testing.T) { tenantCommands(t, c) })
	t.Run("environment", func(t *testing.T) { environmentCommands(t, c) })
	t.Run("domain", func(t *testing.T) { domainCommands(t, c) })
	t.Run("member", func(t *testing.T) { memberCommands(t, c) })
	t.Run("key", func(t *testing.T) { keyCommands(t, c) })
	t.Run("credential", func(t *testing.T) { credentialCommands(t, c) })
	t.Run("usage", func(t *testing.T) { usageCommands(t, c) })
	t.Run("status", func(t *testing.T) { statusCommands(t, c) })
	t.Run("audit", func(t *testing.T) {
		out := c.ok(t, "tenant", "audit", "acme", "--action", "organization.", "--by", "alice", "--since", "1h", "--csv")
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil || len(rows) < 4 || rows[len(rows)-1][2] != "organization.create" || rows[1][1] != "alice" {
			t.Errorf("%v in\n%s", err, out)
		}
		var entries []struct{ Action string }
		c.into(t, &entries, "tenant", "audit", "--limit", "3")
		if len(entries) != 3 {
			t.Errorf("--limit 3 gives %v", entries)
		}
	})
}

// allUsed fails the test where a command that the help names was not run.
func allUsed(t *testing.T, c *cli, except ...string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^  ([a-z]+) +[A-Z]`)
	for parent, least := range map[string]int{"tenant": 20, "environment": 13, "domain": 6, "member": 5, "key": 5, "credential": 7, "plan": 5, "usage": 3} {
		help := harness.Run(t, harness.Command{Args: []string{parent, "--help"}, Dir: c.dir})
		_, list, _ := strings.Cut(help.Stdout, "Available Commands:")
		names := line.FindAllStringSubmatch(list, -1)
		if len(names) < least {
			t.Errorf("%s --help names %d commands:\n%s", parent, len(names), help.Stdout)
		}
		for _, m := range names {
			if !c.used[parent+" "+m[1]] && !slices.Contains(except, m[1]) {
				t.Errorf("%s %s is in no test", parent, m[1])
			}
		}
	}
}

// Promise: lists have all records, however many there are, as JSON, CSV and a table; filters and --limit hold.
func TestCommandLineLists(t *testing.T) {
	t.Parallel()
	const count = 1200
	b := fileBackend(t)
	d := document{Plans: []plan{{Name: "free"}, {Name: "pro"}}}
	for n := range count {
		d.Tenants = append(d.Tenants, tenant{Slug: fmt.Sprintf("t%04d", n), Name: "=1+1", Plan: []string{"free", "pro"}[n%2]})
	}
	b.load(t, d)
	c := cliOn(t, b)
	var list []struct{ Slug string }
	if c.into(t, &list, "tenant", "list"); len(list) != count || list[0].Slug != "t0000" || list[count-1].Slug != "t1199" {
		t.Errorf("%d tenants", len(list))
	}
	if c.into(t, &list, "tenant", "list", "--plan", "pro", "--prefix", "t00"); len(list) != 50 {
		t.Errorf("%d tenants of plan pro that begin with t00", len(list))
	}
	if c.into(t, &list, "tenant", "list", "--limit", "507"); len(list) != 507 {
		t.Errorf("%d tenants with --limit 507", len(list))
	}
	rows, err := csv.NewReader(strings.NewReader(c.ok(t, "tenant", "list", "--csv"))).ReadAll()
	if err != nil || len(rows) != count+1 || rows[0][0] != "SLUG" || rows[1][1] != "'=1+1" {
		t.Errorf("%d rows of CSV, the first two %q (%v)", len(rows), rows[:2], err)
	}
	if lines := strings.Count(c.ok(t, "tenant", "list"), "\n"); lines != count+1 {
		t.Errorf("%d lines of a table", lines)
	}
}

// Promise: a shell completes commands, and the slugs of tenants, environments and plans.
func TestCommandLineCompletion(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	b.load(t, someTenants(upstreams{
		production: &harness.Upstream{Address: "127.0.0.1:9001"}, dev: &harness.Upstream{Address: "127.0.0.1:9002"},
		globex: &harness.Upstream{Address: "127.0.0.1:9003"},
	}))
	dir := t.TempDir()
	complete := func(args ...string) string {
		t.Helper()
		r := harness.Run(t, harness.Command{Args: append([]string{"__complete"}, args...), Dir: dir})
		if r.ExitCode != 0 {
			t.Fatalf("%q: %d\n%s", args, r.ExitCode, r.Output())
		}
		return r.Stdout
	}
	where := "--registry=" + b.url
	c := cliOn(t, b)
	var made struct{ ID string }
	if r := c.piped(t, "private", "credential", "create", "acme", "dev", "--scope", "admin", "--json"); json.Unmarshal([]byte(r.Stdout), &made) != nil {
		t.Fatal(r.Output())
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"ten"}, "tenant\tWorks on tenants\n"},
		{[]string{"tenant", "susp"}, "suspend\t"},
		{[]string{"tenant", "show", where, ""}, "acme\nglobex\n:4\n"},
		{[]string{"tenant", "show", where, "gl"}, "globex\n:4\n"},
		{[]string{"environment", "show", where, "acme", ""}, "dev\nproduction\n:4\n"},
		{[]string{"plan", "show", where, ""}, "free\npro\n:4\n"},
		{[]string{"credential", "rev"}, "reveal\t"},
		{[]string{"credential", "show", where, "acme", "dev", ""}, made.ID + "\tadmin, active\n:4\n"},
		{[]string{"tenant", "show", "--registry=file:none.db", ""}, ":4\n"},
	} {
		if got := complete(tt.args...); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
	r := harness.Run(t, harness.Command{Args: []string{"completion", "bash"}, Dir: dir})
	if r.ExitCode != 0 || !strings.Contains(r.Stdout, "__start_tenantgate") {
		t.Errorf("completion bash: %d\n%s", r.ExitCode, r.Stderr)
	}
}

// begin starts a command that a test means to disturb; wait ends it and gives exit code and standard error.
func (c *cli) begin(t *testing.T, args ...string) (cmd *exec.Cmd, wait func() (int, string)) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), harness.Binary(t), append(args, c.where...)...)
	cmd.Dir = c.dir
	cmd.Env = append([]string{"HOME=" + c.dir, "XDG_DATA_HOME=" + c.dir, "XDG_CONFIG_HOME=" + c.dir}, c.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, func() (int, string) {
		t.Helper()
		if exit := (*exec.ExitError)(nil); !errors.As(cmd.Wait(), &exit) && cmd.ProcessState.ExitCode() != 0 {
			t.Fatalf("%q: %s", args, cmd.ProcessState)
		}
		return cmd.ProcessState.ExitCode(), stderr.String()
	}
}
