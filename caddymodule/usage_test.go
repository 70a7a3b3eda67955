package caddymodule

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

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
