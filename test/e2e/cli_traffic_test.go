package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// served waits until a gateway answers with the status, for at most two polls.
func served(t *testing.T, g *harness.Gateway, ask harness.Ask, want int) {
	t.Helper()
	harness.Eventually(t, 2*cliPoll+time.Second, func() error {
		a, err := harness.Send(t.Context(), g.Client, g.Address, ask)
		if err == nil && a.Status != want {
			err = fmt.Errorf("%s: status %d, want %d; body %s", ask.Host, a.Status, want, a.Body)
		}
		return err
	})
}

// Promise: what a command changes, on the registry as well as through a gateway, holds for traffic within two polls:
// a tenant that is created is served, suspended refused, restored served again; a key is shown once, admits, and when it
// is revoked admits no more.
func TestCommandLineAndTraffic(t *testing.T) {
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		u := harness.StartUpstream(t, "acme")
		g := cliGateway(t, b)
		for name, c := range map[string]*cli{"gateway": cliThrough(t, g), "registry": cliOn(t, b)} {
			slug := "by-" + name
			host := harness.Ask{Host: slug + ".app.test"}
			served(t, g, host, 404)
			c.ok(t, "plan", "create", slug)
			c.ok(t, "tenant", "create", slug, "--plan", slug, "--upstream", u.Address)
			served(t, g, host, 200)

			key := strings.TrimSpace(c.ok(t, "key", "create", slug, "production", "--name", "ci"))
			byKey := harness.Ask{Host: "api.test", Header: map[string]string{"X-Api-Key": key}}
			served(t, g, byKey, 200)
			var keys []struct{ ID string }
			c.into(t, &keys, "key", "list", slug, "production")
			c.ok(t, "key", "revoke", slug, "production", keys[0].ID)
			served(t, g, byKey, 401)

			c.ok(t, "tenant", "suspend", slug, "--reason", "unpaid")
			served(t, g, host, 403)
			explained := harness.Run(t, harness.Command{Args: []string{
				"tenant", "resolve", "http://" + host.Host + "/", "-H", "X-API-Key: " + key, "--address", g.Admin,
			}, Dir: c.dir})
			if explained.ExitCode != 6 || strings.Contains(explained.Output(), key) {
				t.Errorf("resolve of a suspended tenant: exit code %d\n%s", explained.ExitCode, explained.Output())
			}
			contains(t, explained.Stdout, "subdomain: yields slug "+slug, "api_key:", "refused: 40")
			c.ok(t, "tenant", "restore", slug)
			served(t, g, host, 200)
			c.ok(t, "domain", "add", slug, "production", slug+".example.test", "--verified")
			served(t, g, harness.Ask{Host: slug + ".example.test"}, 200)
			c.ok(t, "tenant", "archive", slug)
			served(t, g, host, 410)
			c.ok(t, "tenant", "delete", slug, "--force", slug)
			served(t, g, host, 404)
		}
	})
}

// Promise: the address of the admin endpoint comes from --address, from the configuration file, or from CADDY_ADMIN, and
// may be a unix socket. The actor is --actor, else $USER.
func TestCommandLineAddress(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	g := cliGateway(t, b)
	run := func(env []string, args ...string) harness.Result {
		return harness.Run(t, harness.Command{Args: args, Dir: g.Dir, Env: env})
	}
	if r := run([]string{"CADDY_ADMIN=" + g.Admin, "USER=bob"}, "tenant", "create", "one"); r.ExitCode != 0 {
		t.Errorf("CADDY_ADMIN: %d\n%s", r.ExitCode, r.Output())
	}
	config := harness.WriteFile(t, g.Dir, "other.caddyfile", "{\nadmin "+g.Admin+"\n}\n")
	if r := run(nil, "tenant", "create", "two", "--config", config, "--actor", "carol"); r.ExitCode != 0 || r.Stderr != "" {
		t.Errorf("--config: %d\n%s", r.ExitCode, r.Output())
	}
	audit := run(nil, "tenant", "audit", "--address", g.Admin).Stdout
	contains(t, audit, "bob ", "carol ")

	dir, err := os.MkdirTemp("", "tg") // a path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := "unix/" + dir + "/admin.sock"
	configured := fmt.Sprintf("{\nadmin %s\ntenants {\n%s}\n}\nhttp://%s {\ntenant {\nidentify domain\n}\n}\n", socket, b.directive(""), harness.FreeAddress(t))
	if r := g.Reload(t, harness.Options{Caddyfile: configured}); r.ExitCode != 0 {
		t.Fatalf("reload: %d\n%s", r.ExitCode, r.Output())
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if r := run(nil, "tenant", "show", "two", "--address", socket); r.ExitCode != 0 {
			return errors.New(r.Output())
		}
		return nil
	})
}
