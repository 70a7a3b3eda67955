package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// diagnosis is what doctor prints as JSON, by check.
type diagnosis map[string]struct{ Level, Detail, Advice string }

// diagnose runs doctor in both forms and returns what it found and its exit code.
func diagnose(t *testing.T, env []string, args ...string) (diagnosis, int) {
	t.Helper()
	dir := t.TempDir()
	args = append([]string{"tenant", "doctor"}, args...)
	r := harness.Run(t, harness.Command{Args: append(args, "--json"), Dir: dir, Env: env})
	var report struct {
		Findings []struct{ Level, Check, Detail, Advice string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil {
		t.Fatalf("%v in %s", err, r.Output())
	}
	table := harness.Run(t, harness.Command{Args: args, Dir: dir, Env: env})
	if table.ExitCode != r.ExitCode || table.Stderr != "" {
		t.Errorf("exit codes %d and %d; standard error %q", r.ExitCode, table.ExitCode, table.Stderr)
	}
	d := diagnosis{}
	for _, f := range report.Findings {
		d[f.Check] = struct{ Level, Detail, Advice string }{f.Level, f.Detail, f.Advice}
		contains(t, table.Stdout, f.Level, f.Check, f.Advice)
		if f.Advice == "" && f.Level != "ok" {
			t.Errorf("%+v says not what to do", f)
		}
	}
	return d, r.ExitCode
}

// want fails the test where a check has not found what it should.
func (d diagnosis) want(t *testing.T, check, level string, details ...string) {
	t.Helper()
	f := d[check]
	if f.Level != level {
		t.Errorf("%s: %+v, want %s", check, f, level)
	}
	contains(t, f.Detail, details...)
}

// Promise: doctor finds nothing wrong with a registry and a configuration that fit; it finds each thing that is wrong,
// says what to do, tells by its exit code, and changes nothing.
func TestDoctor(t *testing.T) {
	onEachBackend(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		d := someTenants(u)
		d.Tenants[1].Environments[0].Upstreams = []string{"pool:blue"}
		b.load(t, d)
		dir := t.TempDir()
		config := func(rest string) string {
			return harness.WriteFile(t, dir, "Caddyfile", fmt.Sprintf("{\ntenants {\n%s%s\n}\n}\n", b.directive(""), rest))
		}
		good := config("pool blue " + u.globex.Address)
		found, exit := diagnose(t, b.env(), "--config", good)
		if exit != 0 {
			t.Errorf("exit code %d: %+v", exit, found)
		}
		for _, check := range []string{"config", "registry", "clock", "schema", "plans", "pools", "tenants", "domains", "upstreams"} {
			found.want(t, check, "ok")
		}

		d.Tenants[0].Environments[0].Upstreams = []string{harness.FreeAddress(t)}
		d.Tenants[0].Environments[1].Upstreams = []string{}
		d.Tenants = append(d.Tenants, tenant{Slug: "initech", Name: "I", Plan: "gold"})
		b.load(t, d)
		c := cliOn(t, b)
		c.ok(t, "domain", "add", "acme", "production", "claimed.test")
		was := stateOf(t, b)
		found, exit = diagnose(t, b.env(), "--config", config("pool green "+u.globex.Address))
		if exit != 6 {
			t.Errorf("exit code %d: %+v", exit, found)
		}
		found.want(t, "plans", "warning", "gold")
		found.want(t, "pools", "error", "blue of globex/production")
		found.want(t, "tenants", "warning", "initech/production")
		found.want(t, "domains", "note", "claimed.test")
		found.want(t, "upstreams", "error", d.Tenants[0].Environments[0].Upstreams[0], "acme/production")
		if found, exit = diagnose(t, b.env(), "--registry", b.url, "--no-connect"); exit != 0 || found["upstreams"].Level != "" {
			t.Errorf("--no-connect: exit code %d: %+v", exit, found)
		}
		if is := stateOf(t, b); is != was {
			t.Errorf("the registry has changed: %+v, before %+v", is, was)
		}

		db := harness.OpenSQL(t, b.url, b.token)
		harness.Exec(t, db, `INSERT INTO sys_migration (version, name, applied_at) VALUES (9999, 'future', '2090-01-01T00:00:00.000Z')`)
		if found, exit = diagnose(t, b.env(), "--registry", b.url); exit != 6 {
			t.Errorf("a newer schema: exit code %d", exit)
		}
		found.want(t, "schema", "error", "9999")
	})
}

// Promise: doctor says what is wrong where there is no registry, no configuration that can be read, or no Redis, and asks
// a Redis without a password.
func TestDoctorOutages(t *testing.T) {
	t.Parallel()
	nobody, dir := harness.FreeAddress(t), t.TempDir()
	found, exit := diagnose(t, nil, "--registry", "http://"+nobody, "--timeout", "2s")
	if found.want(t, "registry", "error", nobody); exit != 6 {
		t.Errorf("exit code %d", exit)
	}
	missing := "file:" + filepath.Join(dir, "none.db")
	found, _ = diagnose(t, nil, "--registry", missing)
	found.want(t, "registry", "error", "does not exist")
	found, exit = diagnose(t, nil, "--config", harness.WriteFile(t, dir, "bad.caddyfile", "{\ntenants {\ncolour red\n}\n}\n"))
	if found.want(t, "config", "error", "bad.caddyfile:3", "colour"); exit != 6 {
		t.Errorf("exit code %d", exit)
	}
	redis := func(address string) diagnosis {
		path := harness.WriteFile(t, dir, "caddy.json", fmt.Sprintf(
			`{"apps": {"tenants": {"registry": {"url": %q}, "quota": {"url": "redis://gate:very-secret@%s/0"}}}}`, missing, address))
		found, exit := diagnose(t, nil, "--config", path)
		if exit != 6 || strings.Contains(fmt.Sprint(found), "very-secret") {
			t.Errorf("exit code %d: %+v", exit, found)
		}
		return found
	}
	redis(nobody).want(t, "redis", "error", nobody)
	web := harness.StartUpstream(t, "web")
	redis(web.Address).want(t, "redis", "error", web.Address)

	t.Run("real", func(t *testing.T) {
		server, err := exec.LookPath("redis-server")
		if err != nil {
			harness.LeaveOut(t, "there is no redis-server")
		}
		address := harness.FreeAddress(t)
		host, port, _ := net.SplitHostPort(address)
		cmd := exec.CommandContext(t.Context(), server, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--requirepass", "x", "--dir", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		harness.Eventually(t, 20*time.Second, func() error {
			if f := redis(address)["redis"]; f.Level != "ok" {
				return errors.New(f.Detail)
			}
			return nil
		})
	})
}
