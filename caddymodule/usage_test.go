package caddymodule

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
)

// TestNodeFile keeps the promise that no two gateways ever count under the same name, that one that was stopped goes on under
// its own, and that what it could not save is there at the next start.
func TestNodeFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "usage")
	log := slog.New(slog.DiscardHandler)
	claim := func() *nodeFile {
		t.Helper()
		f, err := claimNode(dir, log)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first, second := claim(), claim()
	if first.Node == second.Node {
		t.Error("two gateways of one name")
	}
	unsaved := []quota.Unsaved{
		{Account: quota.Account{Tenant: acmeID, Key: quota.Key{Scope: quota.ScopeEnvironment, ID: acmeProd}, Day: time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC)}, Count: 7, Absolute: true},
		{Account: quota.Account{Tenant: acmeID, Key: quota.Key{Scope: quota.ScopeTenant, ID: acmeID}, Day: time.Date(2028, 3, 1, 0, 0, 0, 0, time.UTC)}, Count: 9},
	}
	if err := releaseNode(dir, newNodeFile(first.Node, unsaved)); err != nil {
		t.Fatal(err)
	}
	again, third := claim(), claim()
	if again.Node != first.Node || !reflect.DeepEqual(again.unsaved(), unsaved) || third.Node == first.Node || len(third.Unsaved) != 0 {
		t.Errorf("got %+v and %+v", again, third)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v are left, %v", left, err)
	}
	for _, text := range []string{"", "{", `{"node": "../x"}`, `{"node": ""}`} {
		if err := os.WriteFile(filepath.Join(dir, "usage-x.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := claimNode(dir, log); err == nil || f.Node == "" || len(f.Unsaved) != 0 {
			t.Errorf("%q: %+v, %v", text, f, err)
		}
		if f, err := claimNode(dir, log); err != nil || f.Node == "" {
			t.Errorf("after %q: %v", text, err) // it is not read a second time
		}
	}
}

// TestUsageAccount keeps the promise of where what is counted goes: no two Keys meet in one row.
func TestUsageAccount(t *testing.T) {
	seen := map[registry.UsageAccount]bool{}
	for scope := quota.ScopeTenant; scope <= quota.ScopeRoute; scope++ {
		a := usageAccount(&quota.Account{Tenant: acmeID, Key: quota.Key{Scope: scope, ID: acmeID}})
		if seen[a] || a.Tenant != acmeID {
			t.Errorf("%v: %+v", scope, a)
		}
		seen[a] = true
	}
}

// eventRecorder is a handler of events.
type eventRecorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *eventRecorder) Handle(_ context.Context, e caddy.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, fmt.Sprint(e.Data["percent"], " ", e.Data["scope"], " ", e.Data["tenant_id"], " ", e.Data["used"], "/", e.Data["limit"], " ", e.Data["period"]))
	return nil
}

// recorder is the handler that the module events.handlers.recorder hands to.
var recorder eventRecorder

type recorderModule struct{}

func (recorderModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.recorder", New: func() caddy.Module { return new(recorderModule) }}
}

func (recorderModule) Handle(ctx context.Context, e caddy.Event) error {
	return recorder.Handle(ctx, e)
}

var _ caddyevents.Handler = recorderModule{}

func init() { caddy.RegisterModule(recorderModule{}) }

// TestQuotaEvent keeps the promise that who subscribes to the event is told once of 80 % and once of 100 %.
func TestQuotaEvent(t *testing.T) {
	s := newServer(t)
	document := `{"tenants": [{"id": "0190a000-0000-7000-8000-000000000001", "slug": "acme", "name": "Acme", "plan": "free", "quotas": {"maxApiCallsPerMonth": 10}}]}`
	config := s.config(fmt.Sprintf("registry file:%s {\nimport_file %s\n}", s.dir+"/tenants.db", s.file("tenants.json", document)),
		"tenant {\nidentify subdomain {tenant}.app.test\n}\nrespond ok")
	events := `"apps":{"events":{"subscriptions":[{"events":["tenant_quota_reached"],"handlers":[{"handler":"recorder"}]}]},`
	config = append([]byte(nil), []byte(replaceOnce(t, string(config), `"apps":{`, events))...)
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	for range 13 {
		s.get("acme.app.test", "/")
	}
	const want = "[80 tenant 0190a000-0000-7000-8000-000000000001 8/10 month 100 tenant 0190a000-0000-7000-8000-000000000001 10/10 month]"
	eventually(t, "both events", func() bool {
		recorder.mu.Lock()
		defer recorder.mu.Unlock()
		return fmt.Sprint(recorder.seen) == want
	})
}

// TestUsageWithoutRegistry keeps the promise that a clean stop loses nothing while the registry is away: what was counted is in
// the registry after the next start with it.
func TestUsageWithoutRegistry(t *testing.T) {
	day := quota.PeriodDay.Start(time.Now())
	limits := []quota.Limit{{Key: quota.Key{Scope: quota.ScopeTenant, ID: acmeID}, Allowance: quota.Allowance{Period: quota.PeriodMonth}}}
	dir := t.TempDir()
	begin := func() *runtime {
		rt := newRuntime(cache.Options{})
		rt.nodeDir = dir
		rt.startUsage()
		return rt
	}
	away := begin() // no store at all
	for range 7 {
		away.quota.Take(time.Now(), 1, limits, make([]quota.Status, 1))
	}
	node := away.usage.node
	if err := away.Destruct(); err != nil {
		t.Fatal(err)
	}

	store, err := registry.Open(registry.Options{URL: "file:" + filepath.Join(t.TempDir(), "tenants.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	document := `{"tenants": [{"id": "` + acmeID.String() + `", "slug": "acme", "name": "Acme", "plan": "free"}]}`
	if _, err := store.Import(t.Context(), strings.NewReader(document), registry.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	account := registry.UsageAccount{Tenant: acmeID, Day: day}
	if err := store.SaveUsage(t.Context(), node, []registry.UsageRecord{{UsageAccount: account, Used: 5}}); err != nil {
		t.Fatal(err)
	}
	back := begin()
	back.source.current.Store(&pooledStore{store: store})
	back.quota.Take(time.Now(), 1, limits, make([]quota.Status, 1))
	if err := back.Destruct(); err != nil {
		t.Fatal(err)
	}
	totals, err := store.LoadUsage(t.Context(), node, []registry.UsageAccount{account})
	if err != nil || totals[0].Own != 5+7+1 || back.usage.node != node {
		t.Errorf("%+v under the name %s, %v; want 13 under %s", totals, back.usage.node, err, node)
	}
}
