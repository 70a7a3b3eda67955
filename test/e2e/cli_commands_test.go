package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

func planCommands(t *testing.T, c *cli) {
	contains(t, c.ok(t, "plan", "create", "pro", "--quota", "apiRateLimit=6000", "--quota", "burst=50"), "created the plan pro")
	c.ok(t, "plan", "create", "old")
	contains(t, c.ok(t, "plan", "update", "pro", "--quota", "burst=", "--upstream", "127.0.0.1:9001"), "version 2")
	contains(t, c.ok(t, "plan", "show", "pro"), "apiRateLimit=6000\n", "127.0.0.1:9001")
	contains(t, c.ok(t, "plan", "list"), "PLAN", "old", "pro")
	contains(t, c.ok(t, "plan", "delete", "old"), "removed the plan old")
	c.fails(t, 4, "not_found", "old", "plan", "show", "old")
	c.fails(t, 4, "not_found", "old", "plan", "update", "old")
	c.fails(t, 5, "duplicate", "pro", "plan", "create", "pro")
}

func tenantCommands(t *testing.T, c *cli) {
	var made struct {
		ID, Slug string
		Version  int
	}
	c.into(t, &made, "tenant", "create", "acme", "--name", "Acme Corp", "--plan", "pro", "--metadata", "canary=true", "--metadata", "tier=1",
		"--region", "eu-west-1", "--quota", "apiRateLimit=60", "--upstream", "127.0.0.1:9002", "--idempotency-key", "k1")
	var again struct{ ID string }
	if c.into(t, &again, "tenant", "create", "acme", "--name", "Acme Corp", "--plan", "pro", "--metadata", "canary=true", "--metadata", "tier=1",
		"--region", "eu-west-1", "--quota", "apiRateLimit=60", "--upstream", "127.0.0.1:9002", "--idempotency-key", "k1"); again.ID != made.ID || made.ID == "" {
		t.Errorf("the same creation again gives %s, not %s", again.ID, made.ID)
	}
	c.fails(t, 5, "idempotency_key_reused", "Idempotency-Key", "tenant", "create", "other", "--idempotency-key", "k1")
	contains(t, c.ok(t, "tenant", "update", "acme", "--quota", "burst=7", "--metadata", "tier=", "--allow-ip", "10.0.0.0/8", "--allow-ip", "127.0.0.0/8",
		"--expires", "2090-01-31", "--require-mfa"), "version 2")
	contains(t, c.ok(t, "tenant", "show", "acme"), "apiRateLimit=60 burst=7", "canary=true\n", "only from 10.0.0.0/8 127.0.0.0/8, MFA", "2090-01-31T00:00:00Z",
		"production", "eu-west-1", made.ID)
	c.ok(t, "tenant", "update", made.ID, "--no-policy", "--expires", "never", "--no-upstreams", "--version", "2")
	var shown struct {
		Upstreams      []string
		SecurityPolicy any
		Version        int
		Environments   []struct{ Slug string }
	}
	if c.into(t, &shown, "tenant", "show", "acme"); len(shown.Upstreams) > 0 || shown.SecurityPolicy != nil || shown.Version != 3 || len(shown.Environments) != 1 {
		t.Errorf("%+v", shown)
	}
	c.fails(t, 5, "version_conflict", "", "tenant", "update", "acme", "--name", "Lost", "--version", "2")
	contains(t, c.ok(t, "tenant", "update", "acme", "--slug", "acme-corp", "--keep-alias", "24h"), "acme-corp")
	contains(t, c.ok(t, "tenant", "aliases", "acme-corp"), "acme ")
	contains(t, c.ok(t, "tenant", "show", "acme"), "acme-corp", "acme until")
	contains(t, c.ok(t, "tenant", "unalias", "acme-corp", "acme"), "no more")
	c.fails(t, 4, "not_found", "acme", "tenant", "show", "acme")
	c.ok(t, "tenant", "update", "acme-corp", "--slug", "acme")
	contains(t, c.ok(t, "tenant", "list"), "SLUG", "Acme Corp")
	contains(t, c.ok(t, "tenant", "usage", "acme"), "apiRateLimit", "60", "7")
}

func environmentCommands(t *testing.T, c *cli) {
	contains(t, c.ok(t, "environment", "create", "acme", "staging", "--type", "staging", "--upstream", "127.0.0.1:9003", "--quota", "apiRateLimit=5"), "created the environment staging")
	contains(t, c.ok(t, "environment", "update", "acme", "staging", "--region", "eu-central-1", "--metadata", "a=b", "--quota", "burst=2"), "version 2")
	contains(t, c.ok(t, "environment", "show", "acme", "staging"), "eu-central-1", "apiRateLimit=5 burst=2", "a=b", "127.0.0.1:9003")
	if out := c.ok(t, "environment", "list", "acme", "--region", "eu-central-1"); !strings.Contains(out, "staging") || strings.Contains(out, "production") {
		t.Errorf("list of a region:\n%s", out)
	}
	contains(t, c.ok(t, "environment", "suspend", "acme", "staging", "--reason", "too loud"), "suspended")
	contains(t, c.ok(t, "environment", "show", "acme", "staging"), "suspended (too loud)")
	c.ok(t, "environment", "restore", "acme", "staging")
	contains(t, c.ok(t, "environment", "default", "acme", "staging"), "is the default")
	c.fails(t, 5, "protected", "staging", "environment", "archive", "acme", "staging")
	c.ok(t, "environment", "default", "acme", "production")
	c.ok(t, "environment", "update", "acme", "staging", "--slug", "stage", "--keep-alias", "forever")
	contains(t, c.ok(t, "environment", "aliases", "acme", "stage"), "staging")
	c.ok(t, "environment", "unalias", "acme", "stage", "staging")
	c.fails(t, 5, "state_conflict", "", "environment", "delete", "acme", "stage")
	c.ok(t, "environment", "archive", "acme", "stage")
	contains(t, c.ok(t, "environment", "delete", "acme", "stage"), "removed")
	c.fails(t, 4, "not_found", "stage", "environment", "show", "acme", "stage")

	c.ok(t, "environment", "create", "acme", "dev", "--status", "provisioning")
	c.ok(t, "environment", "fail", "acme", "dev")
	c.ok(t, "environment", "provision", "acme", "dev")
	contains(t, c.ok(t, "environment", "activate", "acme", "dev"), "activated")
}

func domainCommands(t *testing.T, c *cli) {
	contains(t, c.ok(t, "domain", "add", "acme", "production", "App.Acme.test"), "app.acme.test", "claimed", "TXT record", "http://app.acme.test/")
	contains(t, c.ok(t, "domain", "show", "acme", "production", "app.acme.test"), "claimed")
	contains(t, c.ok(t, "domain", "verify", "acme", "production", "app.acme.test"), "is verified")
	contains(t, c.ok(t, "domain", "add", "acme", "production", "www.acme.test", "--verified"), "verified", "operator")
	contains(t, c.ok(t, "domain", "move", "acme", "production", "www.acme.test", "--to", "dev"), "verified")
	contains(t, c.ok(t, "domain", "list", "acme", "dev"), "www.acme.test", "verified")
	contains(t, c.ok(t, "domain", "remove", "acme", "dev", "www.acme.test"), "no more")
	c.fails(t, 4, "not_found", "", "domain", "remove", "acme", "dev", "www.acme.test")
	c.fails(t, 5, "duplicate", "", "domain", "add", "acme", "dev", "app.acme.test")
	c.fails(t, 2, "invalid", "hostname", "domain", "add", "acme", "dev", "no host")
	c.fails(t, 1, "usage", "--to", "domain", "move", "acme", "production", "app.acme.test")
}

func memberCommands(t *testing.T, c *cli) {
	contains(t, c.ok(t, "member", "add", "acme", "production", "u1"), "u1 is env_user")
	contains(t, c.ok(t, "member", "update", "acme", "production", "u1", "--role", "env_admin"), "u1 is env_admin")
	contains(t, c.ok(t, "member", "show", "acme", "production", "u1"), "env_admin")
	contains(t, c.ok(t, "member", "list", "acme", "production", "--role", "env_admin"), "u1")
	contains(t, c.ok(t, "member", "list", "acme", "production", "--csv"), "u1,env_admin")
	c.fails(t, 5, "duplicate", "u1", "member", "add", "acme", "production", "u1")
	contains(t, c.ok(t, "member", "remove", "acme", "production", "u1"), "no member")
	c.fails(t, 4, "not_found", "u1", "member", "show", "acme", "production", "u1")
}

func keyCommands(t *testing.T, c *cli) {
	made := c.run(t, "key", "create", "acme", "production", "--name", "ci", "--role", "env_user", "--scope", "read", "--quota", "apiRateLimit=9", "--expires", "720h")
	key := strings.TrimSpace(made.Stdout)
	if made.ExitCode != 0 || !strings.HasPrefix(key, "tg_") || strings.Contains(key, "\n") || strings.Contains(made.Stderr, key) {
		t.Fatalf("exit code %d, standard output %q, standard error %q", made.ExitCode, made.Stdout, made.Stderr)
	}
	var keys []struct{ ID, Last4 string }
	if c.into(t, &keys, "key", "list", "acme", "production"); len(keys) != 1 || !strings.HasSuffix(key, keys[0].Last4) {
		t.Fatalf("%+v for %s", keys, key)
	}
	id := keys[0].ID
	shown := c.ok(t, "key", "show", "acme", "production", id)
	contains(t, shown, "ci", "valid", "read", "apiRateLimit=9", keys[0].Last4)
	var rotated struct{ Key, ID string }
	if c.into(t, &rotated, "key", "rotate", "acme", "production", id, "--grace", "1h"); !strings.HasPrefix(rotated.Key, "tg_") || rotated.Key == key {
		t.Errorf("%+v", rotated)
	}
	contains(t, c.ok(t, "key", "revoke", "acme", "production", id), "revoked")
	list := c.ok(t, "key", "list", "acme", "production")
	contains(t, list, "revoked", "valid")
	for name, text := range map[string]string{"list": list, "show": shown, "audit": c.ok(t, "tenant", "audit", "acme", "--json")} {
		if strings.Contains(text, key) || strings.Contains(text, rotated.Key) {
			t.Errorf("%s shows a key", name)
		}
	}
	c.fails(t, 5, "state_conflict", "", "key", "rotate", "acme", "production", id)
	c.fails(t, 2, "invalid", "--grace", "key", "rotate", "acme", "production", id, "--grace", "100ms")
	c.fails(t, 4, "not_found", "", "key", "show", "acme", "production", "0190a000-0000-7000-8000-00000000dead")
}

// statusCommands leads a tenant through every status.
func statusCommands(t *testing.T, c *cli) {
	status := func(want string) {
		t.Helper()
		var shown struct{ Status string }
		if c.into(t, &shown, "tenant", "show", "initech"); shown.Status != want {
			t.Errorf("status %s, want %s", shown.Status, want)
		}
	}
	c.ok(t, "tenant", "create", "initech", "--plan", "pro", "--status", "provisioning", "--environment", "main", "--domain", "initech.test")
	c.fails(t, 5, "state_conflict", "provisioning", "tenant", "suspend", "initech")
	c.ok(t, "tenant", "fail", "initech", "--reason", "no space")
	status("failed")
	c.ok(t, "tenant", "provision", "initech")
	status("provisioning")
	c.ok(t, "tenant", "activate", "initech")
	status("active")
	contains(t, c.ok(t, "tenant", "suspend", "initech", "--reason", "unpaid"), "suspended the tenant initech")
	contains(t, c.ok(t, "tenant", "list", "--status", "suspended"), "initech")
	contains(t, c.ok(t, "tenant", "restore", "initech"), "restored")
	c.ok(t, "tenant", "archive", "initech")
	status("archived")
	c.fails(t, 5, "protected", "initech", "tenant", "destroy", "initech")
	c.fails(t, 5, "protected", "initech", "tenant", "delete", "initech")
	c.fails(t, 5, "protected", "initech", "tenant", "delete", "initech", "--force", "acme")
	c.ok(t, "tenant", "destroy", "initech", "--force", "initech")
	status("destroying")
	c.ok(t, "tenant", "delete", "initech", "--force", "initech")
	c.fails(t, 4, "not_found", "initech", "tenant", "show", "initech")
	c.fails(t, 5, "state_conflict", "", "plan", "delete", "pro")
}

// Promise: a dry run of an import shows what would be created and what would change in what, as text and as JSON, and
// changes nothing.
func TestImportDryRun(t *testing.T) {
	onEachBackend(t, func(t *testing.T, b backend) {
		d := someTenants(upstreams{
			production: &harness.Upstream{Address: "127.0.0.1:9001"}, dev: &harness.Upstream{Address: "127.0.0.1:9002"},
			globex: &harness.Upstream{Address: "127.0.0.1:9003"},
		})
		b.load(t, d)
		was := stateOf(t, b)
		d.Tenants[0].Name = "Acme\u202e Inc"
		d.Tenants[0].Environments[1].Domains = []string{"dev.acme.test", "dev2.acme.test"}
		d.Tenants[1].Environments[0].Upstreams = []string{"127.0.0.1:9004"}
		d.Tenants = append(d.Tenants, tenant{Slug: "umbrella", Name: "U", Plan: "free"})
		c := cliOn(t, b)
		file := d.write(t, c.dir)
		out := c.ok(t, "tenant", "import", file, "--dry-run")
		contains(t, out, "~ tenant acme\n    name: Acme Corp → Acme\uFFFD Inc\n", "+ domain acme/dev/dev2.acme.test\n",
			"~ environment globex/production\n    upstreams: [\"127.0.0.1:9003\"] → [\"127.0.0.1:9004\"]\n",
			"+ tenant umbrella\n", "+ environment umbrella/production\n", "would import")
		if strings.Count(out, "\n+ ")+strings.Count("\n"+out, "\n~ ") != 5 {
			t.Errorf("not just these five:\n%s", out)
		}
		var summary struct {
			Differences []struct {
				Action, Kind, Name string
				Fields             []struct{ Name, Before, After string }
			}
			MoreDifferences int
		}
		if c.into(t, &summary, "tenant", "import", file, "--dry-run"); len(summary.Differences) != 5 || summary.MoreDifferences != 0 ||
			summary.Differences[0].Action != "update" || summary.Differences[0].Fields[0].Before != "Acme Corp" {
			t.Errorf("%+v", summary)
		}
		for n := range 1200 {
			d.Tenants = append(d.Tenants, tenant{Slug: fmt.Sprintf("t%d", n), Name: "T", Plan: "free"})
		}
		if c.into(t, &summary, "tenant", "import", d.write(t, c.dir), "--dry-run"); len(summary.Differences) != 1000 || summary.MoreDifferences != 2*1200+5-1000 {
			t.Errorf("%d differences and %d more", len(summary.Differences), summary.MoreDifferences)
		}
		if is := stateOf(t, b); is != was {
			t.Errorf("the registry has changed: %+v, before %+v", is, was)
		}
	})
}

func usageCommands(t *testing.T, c *cli) {
	c.ok(t, "tenant", "update", "acme", "--quota", "maxUsers=5")
	contains(t, c.ok(t, "usage", "report", "acme", "maxUsers", "4", "--environment", "production"), "allowed        yes", "current usage  4", "limit          5")
	contains(t, c.ok(t, "usage", "check", "acme", "maxUsers", "1", "--environment", "production"), "yes")
	contains(t, c.ok(t, "usage", "check", "acme", "maxObjects", "1"), "limit          none")
	for _, args := range [][]string{{"check", "acme", "maxUsers", "2"}, {"report", "acme", "maxUsers", "6"}} {
		r := c.run(t, append([]string{"usage"}, args...)...)
		if r.ExitCode != 6 || r.Stderr != "" {
			t.Errorf("%q: exit code %d, want 6\n%s", args, r.ExitCode, r.Output())
		}
		contains(t, r.Stdout, "no: ", "exceeded quota  maxUsers", "limit           5")
	}
	var result struct{ CurrentUsage, Limit int }
	// Reported for the tenant as a whole, it comes on top of what the environment uses.
	if c.into(t, &result, "usage", "report", "acme", "maxUsers", "1"); result.CurrentUsage != 5 || result.Limit != 5 {
		t.Errorf("%+v", result)
	}
	c.ok(t, "usage", "list", "acme", "--period", "day", "--since", "24h")
	if out := c.ok(t, "usage", "list", "--csv"); out != "tenant_id,tenant,environment_id,environment,api_key_id,metric,period,start,used\r\n" {
		t.Errorf("CSV of nothing: %q", out)
	}
	c.fails(t, 1, "usage", "whole number", "usage", "report", "acme", "maxUsers", "many")
	c.fails(t, 2, "invalid", "metric", "usage", "report", "acme", "maxMoons", "1")
	c.fails(t, 2, "invalid", "period", "usage", "list", "--period", "year")
	c.fails(t, 2, "invalid", "--since", "usage", "list", "--since", "yesterday")
	c.fails(t, 4, "not_found", "nobody", "usage", "check", "nobody", "maxUsers", "1")
	c.fails(t, 4, "not_found", "", "usage", "list", "nobody")
}
