package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/adminapi/client"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
)

// adminPoll is the poll interval of the gateways of these tests.
const adminPoll = time.Second

// adminSite serves tenants by their subdomain and by API key.
const adminSite = `tenant {
	identify subdomain {tenant}.app.test {tenant}--{environment}.app.test
	identify domain
	identify api_key X-API-Key
	exempt /healthz
}
reverse_proxy {
	dynamic tenant
}`

func startAdmin(t *testing.T, b backend) *harness.Gateway {
	t.Helper()
	return harness.Start(t, harness.Options{
		Tenants: b.directive("poll_interval 1s") + "cache {\nttl 1h\nnegative_ttl 1h\n}\n" + secretsBlock, Site: adminSite, Env: append(b.env(), secretsEnv...),
	})
}

func adminClient(t *testing.T, g *harness.Gateway) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Address: "http://" + g.Admin, Actor: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// must fails the test at an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// status returns what a gateway answers.
func status(t *testing.T, g *harness.Gateway, host string, headers ...string) int {
	t.Helper()
	h := map[string]string{}
	for i := 0; i < len(headers); i += 2 {
		h[headers[i]] = headers[i+1]
	}
	return g.Send(t, harness.Ask{Host: host, Path: "/", Header: h}).Status
}

// holds waits until a gateway answers with a status, for at most two polls and what a loaded machine takes on top.
func holds(t *testing.T, g *harness.Gateway, host string, want int) {
	t.Helper()
	took := harness.Eventually(t, 10*time.Second, func() error {
		if got := status(t, g, host); got != want {
			return fmt.Errorf("%s: %d, want %d", host, got, want)
		}
		return nil
	})
	if took > 2*adminPoll+2*time.Second {
		t.Errorf("%s answers %d only after %s", host, want, took)
	}
}

// Promise: what the admin API of one gateway changes holds on that gateway when the answer comes, and on another one on the
// same registry within two polls: create, suspend, restore, archive, rename, remove.
func TestAdminChangesHoldOnEveryGateway(t *testing.T) {
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		up := harness.StartUpstream(t, "up")
		one, two := startAdmin(t, b), startAdmin(t, b)
		c := adminClient(t, one)
		tenants := must[*registry.Tenant](t)
		ctx := t.Context()
		const host = "acme.app.test"
		if got := [2]int{status(t, one, host), status(t, two, host)}; got != [2]int{404, 404} {
			t.Fatalf("before: %v", got)
		}
		step := func(name string, want int) {
			t.Helper()
			if got := status(t, one, host); got != want {
				t.Errorf("%s: %d on the gateway that made it, want %d", name, got, want)
			}
			holds(t, two, host, want)
		}
		acme := tenants(c.CreateTenant(ctx, adminapi.TenantRequest{Slug: "acme", Upstreams: []string{up.Address}}, "once"))
		if again := tenants(c.CreateTenant(ctx, adminapi.TenantRequest{Slug: "acme", Upstreams: []string{up.Address}}, "once")); again.ID != acme.ID {
			t.Errorf("created twice: %s and %s", acme.ID, again.ID)
		}
		step("create", 200)
		for _, s := range []struct {
			action registry.Action
			want   int
		}{
			{registry.ActionSuspend, 403}, {registry.ActionRestore, 200}, {registry.ActionArchive, 410}, {registry.ActionRestore, 200},
		} {
			acme = tenants(c.TransitionTenant(ctx, "acme", s.action, acme.Version, adminapi.TransitionRequest{Reason: "a test"}))
			step(string(s.action), s.want)
		}
		if _, err := c.TransitionTenant(ctx, "acme", registry.ActionSuspend, 1, adminapi.TransitionRequest{}); client.Code(err) != registry.CodeVersionConflict {
			t.Errorf("a stale version: %v", err)
		}
		tenants(c.UpdateTenant(ctx, "acme", acme.Version, adminapi.TenantRequest{Slug: "acme-inc", KeepAlias: true}))
		step("an alias", 200)
		environments := must[*registry.Environment](t)
		environments(c.CreateEnvironment(ctx, "acme-inc", adminapi.EnvironmentRequest{Slug: "dev"}, ""))
		holds(t, two, "acme-inc--dev.app.test", 200)
		environments(c.TransitionEnvironment(ctx, "acme-inc", "dev", registry.ActionSuspend, 0, adminapi.TransitionRequest{}))
		holds(t, two, "acme-inc--dev.app.test", 403)
		must[*adminapi.Domain](t)(c.AddDomain(ctx, "acme-inc", "production", adminapi.DomainRequest{Hostname: "www.acme.test", Verified: true}))
		holds(t, two, "www.acme.test", 200)

		key := must[*adminapi.NewKey](t)(c.CreateKey(ctx, "acme-inc", "production", adminapi.KeyRequest{Name: "ci"}, ""))
		if got := status(t, two, "any.test", "X-API-Key", key.Key); got != 200 {
			t.Errorf("with the new key: %d", got)
		}
		must[*registry.APIKey](t)(c.RevokeKey(ctx, "acme-inc", "production", key.ID.String(), 0))
		if got := status(t, one, "any.test", "X-API-Key", key.Key); got != 401 {
			t.Errorf("with the revoked key on the gateway that revoked it: %d", got)
		}
		harness.Eventually(t, 10*time.Second, func() error {
			if got := status(t, two, "any.test", "X-API-Key", key.Key); got != 401 {
				return fmt.Errorf("with the revoked key: %d", got)
			}
			return nil
		})
		tenants(c.TransitionTenant(ctx, "acme-inc", registry.ActionArchive, 0, adminapi.TransitionRequest{}))
		if err := c.DeleteTenant(ctx, "acme-inc", 0, "acme-inc"); err != nil {
			t.Fatal(err)
		}
		step("remove", 404)
		audit := must[*adminapi.List[registry.AuditEntry]](t)(c.ListAudit(ctx, client.AuditFilter{Tenant: acme.ID.String(), Actor: "alice"}))
		if len(audit.Items) != 13 || audit.Items[0].Action != "organization.delete" || audit.Items[0].RemoteAddr != "127.0.0.1" {
			t.Errorf("%d rows in the audit log: %+v", len(audit.Items), audit.Items)
		}
		for _, log := range []string{one.Log(t), two.Log(t)} {
			if strings.Contains(log, key.Key) {
				t.Error("a log has the key")
			}
		}
	})
}

// Promise: the explanation says for each case of refusal what a request would get, and spends nothing; without one it names
// the upstreams.
func TestAdminExplains(t *testing.T) {
	up := harness.StartUpstream(t, "up")
	b := fileBackend(t)
	g := startAdmin(t, b)
	c := adminClient(t, g)
	ctx := t.Context()
	tenants := must[*registry.Tenant](t)
	tenants(c.CreateTenant(ctx, adminapi.TenantRequest{Slug: "acme", Upstreams: []string{up.Address}, Quotas: &registry.Quotas{APIRateLimit: 5, MaxAPICallsPerDay: 100, MaxConcurrentRequests: 7}}, ""))
	tenants(c.CreateTenant(ctx, adminapi.TenantRequest{Slug: "globex"}, ""))
	tenants(c.TransitionTenant(ctx, "globex", registry.ActionSuspend, 0, adminapi.TransitionRequest{}))
	key := must[*adminapi.NewKey](t)(c.CreateKey(ctx, "acme", "production", adminapi.KeyRequest{Name: "k"}, "")).Key

	for _, tt := range []struct {
		url     string
		headers []string
		code    string
		exempt  bool
	}{
		{url: "http://acme.app.test/"},
		{url: "http://acme.app.test/", headers: []string{"X-API-Key: " + key}},
		{url: "http://acme.app.test/healthz", exempt: true},
		{url: "http://globex.app.test/", code: "tenant_suspended"},
		{url: "http://globex.app.test/", headers: []string{"X-API-Key: " + key}, code: "tenant_conflict"},
		{url: "http://nobody.app.test/", code: "tenant_not_found"},
		{url: "http://acme--nope.app.test/", code: "environment_not_found"},
		{url: "http://other.test/", code: "tenant_not_found"},
		{url: "http://acme.app.test/", headers: []string{"X-API-Key: tg_production_nonsense"}, code: "credentials_invalid"},
	} {
		for range 12 { // more than the rate limit allows
			e := must[*adminapi.Explanation](t)(c.Explain(ctx, adminapi.ExplainRequest{URL: tt.url, Headers: tt.headers}))
			code := ""
			if e.Refusal != nil {
				code = e.Refusal.Code
			}
			if code != tt.code || e.Exempt != tt.exempt || e.Handlers != 1 {
				t.Fatalf("%s %d headers: %q, want %q: %+v", tt.url, len(tt.headers), code, tt.code, e)
			}
			if code == "" && !tt.exempt && (len(e.Upstreams) != 1 || e.Upstreams[0] != up.Address || e.Tenant.Slug != "acme") {
				t.Fatalf("%s: %+v", tt.url, e)
			}
		}
		// The gateway says the same.
		r := harness.Ask{Host: strings.Split(tt.url, "/")[2], Path: "/" + strings.Join(strings.Split(tt.url, "/")[3:], "/"), Header: map[string]string{}}
		for _, h := range tt.headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header[name] = value
		}
		answer := g.Send(t, r)
		switch {
		case tt.code != "" && answer.Problem(t).Code != tt.code:
			t.Errorf("%s: the gateway says %s", tt.url, answer.Body)
		case tt.code == "" && !tt.exempt && answer.Status != 200:
			t.Errorf("%s: the gateway answers %d", tt.url, answer.Status)
		}
	}
	conflict := must[*adminapi.Explanation](t)(c.Explain(ctx, adminapi.ExplainRequest{URL: "http://globex.app.test/", Headers: []string{"X-API-Key: " + key}}))
	sub, api := conflict.Sources[0], conflict.Sources[2]
	if sub.Agrees == nil || *sub.Agrees || !api.Decides || !api.Authenticated || api.Key != "" || sub.Key != "globex" {
		t.Errorf("the conflict: %+v", conflict.Sources)
	}
	if _, err := c.Explain(ctx, adminapi.ExplainRequest{URL: "http://acme.app.test/", Handler: new(int64(7))}); client.Code(err) != adminapi.CodeNoHandler {
		t.Errorf("handler 7: %v", err)
	}

	// Two requests of acme were let through.
	usage := must[*adminapi.Usage](t)(c.Usage(ctx, "acme"))
	for i, want := range []struct {
		name                   string
		limit, used, remaining int64
	}{{"apiRateLimit", 5, 2, 3}, {"maxApiCallsPerDay", 100, 2, 98}, {"maxConcurrentRequests", 7, 0, 7}} {
		l := usage.Limits[i]
		if l.Name != want.name || l.Limit != want.limit || l.Used == nil || *l.Used != want.used || *l.Remaining != want.remaining {
			t.Errorf("usage: %+v, want %+v", l, want)
		}
	}
	before := must[*adminapi.CacheStats](t)(c.Cache(ctx))
	if before.Entries == 0 || before.Size != 100_000 || before.LastPoll.IsZero() {
		t.Errorf("cache: %+v", before)
	}
	if err := c.Purge(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if after := must[*adminapi.CacheStats](t)(c.Cache(ctx)); after.Entries >= before.Entries {
		t.Errorf("after the purge of acme: %d entries of %d", after.Entries, before.Entries)
	}
	if err := c.Purge(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if after := must[*adminapi.CacheStats](t)(c.Cache(ctx)); after.Entries != 0 || after.NegativeEntries != 0 {
		t.Errorf("after the purge: %+v", after)
	}
}

// Promise: the API works on whichever configuration is active: after a reload, after one that failed, and with other
// origins it is as closed as the rest of the admin endpoint.
func TestAdminOutlivesReloads(t *testing.T) {
	b := fileBackend(t)
	g := startAdmin(t, b)
	c := adminClient(t, g)
	must[*registry.Tenant](t)(c.CreateTenant(t.Context(), adminapi.TenantRequest{Slug: "acme"}, ""))
	o := harness.Options{Tenants: b.directive("poll_interval 1s"), Site: adminSite, Env: b.env()}
	if r := g.Reload(t, o); r.ExitCode != 0 {
		t.Fatal(r.Output())
	}
	must[*registry.Tenant](t)(c.GetTenant(t.Context(), "acme"))
	o.Tenants = "registry file:" + harness.WriteFile(t, t.TempDir(), "file", "no directory") + "/tenants.db"
	if r := g.Reload(t, o); r.ExitCode == 0 {
		t.Fatal("a registry below a file was taken")
	}
	must[*registry.Tenant](t)(c.GetTenant(t.Context(), "acme"))
	foreign, err := client.New(client.Options{Address: "http://" + g.Admin, Origin: "https://evil.test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.GetTenant(t.Context(), "acme"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("another origin: %v", err)
	}
}

// Promise: while the registry is down the API answers 503 at once or after its timeout, and serves the tenants that are
// cached; afterwards it works again.
func TestAdminWithoutRegistry(t *testing.T) {
	b := sqldBackend(t)
	up := harness.StartUpstream(t, "up")
	g := startAdmin(t, b.backend)
	c := adminClient(t, g)
	ctx := t.Context()
	must[*registry.Tenant](t)(c.CreateTenant(ctx, adminapi.TenantRequest{Slug: "acme", Upstreams: []string{up.Address}}, ""))
	holds(t, g, "acme.app.test", 200)
	b.proxy.Down()
	_, err := c.TransitionTenant(ctx, "acme", registry.ActionSuspend, 0, adminapi.TransitionRequest{})
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != 503 || refused.RetryAfter == 0 {
		t.Errorf("down: %v", err)
	}
	if got := status(t, g, "acme.app.test"); got != 200 {
		t.Errorf("meanwhile acme gets %d", got)
	}
	b.proxy.Up(t)
	harness.Eventually(t, 30*time.Second, func() error {
		_, err := c.TransitionTenant(ctx, "acme", registry.ActionSuspend, 0, adminapi.TransitionRequest{})
		return err
	})
	holds(t, g, "acme.app.test", 403)
}
