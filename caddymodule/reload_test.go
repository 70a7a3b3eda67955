package caddymodule

import (
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/registry"
)

// TestReload keeps the promise that a reload keeps the cache and what was spent from quotas, and applies new options.
func TestReload(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.fileRegistry(twoTenants), gate)
	for range 3 {
		if res, _ := s.get("globex.app.test", "/"); res.StatusCode != 200 {
			t.Fatalf("before: %d", res.StatusCode)
		}
	}
	before := theRuntime(t)
	loads := before.cache.Stats().Loads

	s.mustLoad(s.fileRegistry(twoTenants, "cache {\nttl 1h\nsize 500\n}"), gate+"header X-Reloaded yes\n")
	res, _ := s.get("globex.app.test", "/")
	if res.StatusCode != 429 {
		t.Errorf("after the reload: %d; what was spent is forgotten", res.StatusCode)
	}
	if res, _ := s.get("acme.app.test", "/"); res.Header.Get("X-Reloaded") != "yes" {
		t.Error("the new configuration does not serve")
	}
	after := theRuntime(t)
	if after != before || after.cache.Stats().Loads != loads+1 {
		t.Errorf("same runtime: %v; %d loads after %d", after == before, after.cache.Stats().Loads, loads)
	}
	if n := references(); n != 2 {
		t.Errorf("%d runtimes and stores after the reload, not one of each", n)
	}

	// Another timeout needs another store, and still the same runtime.
	tenants := strings.Replace(s.fileRegistry(twoTenants), "poll_interval", "timeout 3s\npoll_interval", 1)
	s.mustLoad(tenants, gate)
	if res, _ := s.get("globex.app.test", "/"); res.StatusCode != 429 || theRuntime(t) != before {
		t.Errorf("after a reload with another timeout: %d", res.StatusCode)
	}
	eventually(t, "the old store is closed", func() bool { return references() == 2 })
}

// theRuntime returns the one runtime.
func theRuntime(t *testing.T) *runtime {
	t.Helper()
	var found *runtime
	runtimes.Range(func(_, val any) bool {
		if found != nil {
			t.Fatal("more than one runtime")
		}
		found = val.(*runtime)
		return true
	})
	if found == nil {
		t.Fatal("no runtime")
	}
	return found
}

// TestFailedReload keeps the promise that a reload that fails, at whatever stage, leaves the running configuration as
// it was.
func TestFailedReload(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, takenPort, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	s := newServer(t)
	tenants := s.fileRegistry(twoTenants)
	s.mustLoad(tenants, gate)
	for range 3 {
		s.get("globex.app.test", "/")
	}
	rt := theRuntime(t)
	active := rt.active[0]
	other := "registry file:" + filepath.Join(s.dir, "other.db") + "\n"
	broken := s.file("broken.json", `{"tenants": [{"slug": "Not A Slug"}]}`)
	for name, config := range map[string][]byte{
		"another app does not start":         s.config(strings.Replace(tenants, "poll_interval", "timeout 3s\npoll_interval", 1)+"cache {\nttl 1h\n}\n", gate+"}\nhttp://:"+takenPort+" {\nbind 127.0.0.1\n"),
		"another app, with another registry": s.config(other, gate+"}\nhttp://:"+takenPort+" {\nbind 127.0.0.1\n"),
		"a broken import":                    s.config(strings.Replace(tenants, "import_file ", "import_file "+broken+" ", 1), gate),
		"an import that is not there":        s.config(strings.Replace(tenants, "import_file ", "import_file missing.json ", 1), gate),
	} {
		t.Run(name, func(t *testing.T) {
			for range 8 { // apps start in any order
				if err := caddy.Load(config, true); err == nil {
					t.Fatal("the reload did not fail")
				}
			}
			if res, _ := s.get("globex.app.test", "/"); res.StatusCode != 429 {
				t.Errorf("globex: %d; what was spent is forgotten", res.StatusCode)
			}
			if res, body := s.get("acme.app.test", "/"); res.StatusCode != 200 || body != "acme/production" {
				t.Errorf("acme: %d %s", res.StatusCode, body)
			}
			rt.mu.Lock()
			defer rt.mu.Unlock()
			if len(rt.active) != 1 || rt.active[0] != active || rt.source.current.Load() != active.store || rt.ctx.Err() != nil {
				t.Error("the failed configuration still decides")
			}
			if n := references(); n != 2 {
				t.Errorf("%d runtimes and stores", n)
			}
		})
	}
}

// TestFailedReloadOfPlans keeps the promise that a plan which a failed reload has changed is what it was.
func TestFailedReloadOfPlans(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newServer(t)
	plan := func(rate string) string {
		return s.fileRegistry(`{"tenants": [{"slug": "acme", "plan": "tiny"}]}`, "plan tiny {\nrequests "+rate+"\n}")
	}
	policy := func() string {
		res, _ := s.get("acme.app.test", "/")
		return res.Header.Get("RateLimit-Policy")
	}
	s.mustLoad(plan("6000/m"), gate)
	_, takenPort, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // apps start in any order
		if err := s.load(plan("9000/m"), gate+"}\nhttp://:"+takenPort+" {\nbind 127.0.0.1\n"); err == nil {
			t.Fatal("the reload did not fail")
		}
	}
	eventually(t, "the plan is what it was", func() bool { return policy() == `"requests";q=6000;w=60` })
	res, err := theRuntime(t).source.Resolve(t.Context(), registry.Reference{Kind: registry.KindSlug, Key: "acme"})
	if err != nil || res.Tenant.Quotas.APIRateLimit != 6000 {
		t.Errorf("in the registry: %+v, %v", res, err)
	}
}

// TestReloadOfImports keeps the promise that a reload applies an import file if it has changed, and otherwise leaves
// alone what somebody has changed in the registry since.
func TestReloadOfImports(t *testing.T) {
	s := newServer(t)
	site := "tenant {\nidentify subdomain {tenant}.app.test\n}\nrespond {tenant.name}\n"
	s.mustLoad(s.fileRegistry(twoTenants), site)
	rename := func(name string) *registry.Document {
		doc, err := registry.ParseDocument(strings.NewReader(`{"tenants": [{"slug": "acme", "name": "` + name + `"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	name := func() string {
		_, body := s.get("acme.app.test", "/")
		return body
	}
	_, err := theRuntime(t).active[0].store.store.ImportDocument(t.Context(), rename("Renamed"), registry.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the change", func() bool { return name() == "Renamed" })
	s.mustLoad(s.fileRegistry(twoTenants), site+"header X-Reloaded yes\n")
	res, err := theRuntime(t).source.Resolve(t.Context(), registry.Reference{Kind: registry.KindSlug, Key: "acme"})
	if err != nil || res.Tenant.Name != "Renamed" {
		t.Errorf("after a reload with the same file: %+v, %v", res, err)
	}
	s.mustLoad(s.fileRegistry(strings.Replace(twoTenants, "Acme Corp", "Acme Inc", 1)), site)
	eventually(t, "the changed file", func() bool { return name() == "Acme Inc" })
}

// TestReloadMovesTheLog keeps the same promise for a real reload.
func TestReloadMovesTheLog(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.fileRegistry(twoTenants), gate)
	s.log = filepath.Join(s.dir, "second.json")
	s.mustLoad(s.fileRegistry(twoTenants), gate)
	theRuntime(t).logger.Warn("from the runtime")
	if lines := s.logged("from the runtime"); len(lines) != 1 || !strings.Contains(lines[0], `"logger":"tenants"`) {
		t.Errorf("lines: %q", lines)
	}
}

// TestLateUse keeps the promise that a request which is still inside the old configuration when that is cleaned up
// ends well.
func TestLateUse(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	slow := newSlow(t, entered, release)
	s := newServer(t)
	site := "tenant {\nidentify subdomain {tenant}.app.test\n}\nreverse_proxy " + slow + "\n"
	s.mustLoad(s.fileRegistry(twoTenants), site)
	done := make(chan int, 1)
	go func() {
		res, err := client.Do(s.request(http.MethodGet, "acme.app.test", "/", nil))
		if err != nil {
			t.Error(err)
			done <- 0
			return
		}
		res.Body.Close()
		done <- res.StatusCode
	}()
	<-entered
	old := theRuntime(t)
	s.mustLoad("registry file:"+filepath.Join(s.dir, "other.db")+" {\nimport_file "+s.file("other.json", twoTenants)+"\n}", gate)
	if old.ctx.Err() == nil {
		t.Error("the old runtime still runs")
	}
	// Late lookups find what is cached, and are told that the rest cannot be had.
	if _, err := old.cache.Resolve(t.Context(), registry.Reference{Kind: registry.KindSlug, Key: "acme"}, time.Now()); err != nil {
		t.Errorf("late lookup of what is cached: %v", err)
	}
	if _, err := old.cache.Resolve(t.Context(), registry.Reference{Kind: registry.KindSlug, Key: "globex"}, time.Now()); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("late lookup: %v", err)
	}
	close(release)
	if status := <-done; status != http.StatusOK {
		t.Errorf("the request that was inside got %d", status)
	}
}
