package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/google/uuid"
	dto "github.com/prometheus/client_model/go"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/registry"
)

// The tenants of the permission tests: active, suspended, with a suspended environment, and expired.
const permissionTenants = `{"tenants": [
{"slug": "acme", "id": "0190a000-0000-7000-8000-000000000001", "environments": [
 {"slug": "production", "isDefault": true, "domains": ["app.acme.test", "xn--bcher-kva.test"]},
 {"slug": "dev", "domains": ["dev.acme.test"]}, {"slug": "old", "status": "suspended", "domains": ["old.acme.test"]}]},
{"slug": "globex", "status": "suspended", "environments": [{"slug": "production", "domains": ["globex.test"]}]},
{"slug": "late", "subscriptionExpiresAt": "2020-01-01T00:00:00Z", "environments": [{"slug": "production", "domains": ["late.test"]}]}]}`

// realRuntime is a started runtime on a registry in a file.
func realRuntime(tb testing.TB) (*runtime, *registry.Store) {
	tb.Helper()
	s, err := registry.Open(registry.Options{URL: "file:" + filepath.Join(tb.TempDir(), "r.db")})
	if err != nil {
		tb.Fatal(err)
	}
	ctx := context.Background()
	if err := s.Migrate(ctx); err != nil {
		tb.Fatal(err)
	}
	if _, err := s.Import(ctx, strings.NewReader(permissionTenants), registry.ImportOptions{}); err != nil {
		tb.Fatal(err)
	}
	rt := newRuntime(cache.Options{})
	rt.source.current.Store(&pooledStore{store: s})
	if err := rt.cache.Poll(ctx); err != nil {
		tb.Fatal(err)
	}
	rt.ready.Store(true)
	close(rt.readyC)
	tb.Cleanup(func() {
		rt.cancel()
		rt.loops.Wait()
		s.Close()
	})
	return rt, s
}

func newPermission(tb testing.TB, rt *runtime, patterns ...string) *TLSPermission {
	tb.Helper()
	p := &TLSPermission{Subdomains: patterns, runtime: rt}
	if err := p.build(); err != nil {
		tb.Fatal(err)
	}
	return p
}

// permissions returns how often permission was asked with this result.
func permissions(tb testing.TB, result string) float64 {
	tb.Helper()
	var m dto.Metric
	if err := metricPermissions.WithLabelValues(result).Write(&m); err != nil {
		tb.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// waitFor waits until the index is complete.
func waitFor(tb testing.TB, rt *runtime, condition func() bool) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			n, complete := rt.names.size()
			tb.Fatalf("not within 10 s; %d names, complete: %t", n, complete)
		}
	}
}

func complete(rt *runtime) func() bool {
	return func() bool {
		rt.names.mu.RLock()
		defer rt.names.mu.RUnlock()
		return rt.names.complete && rt.names.has == rt.names.slugs
	}
}

// Promise: certificates are for verified domains, and names below the operator's own, of active tenants and
// environments, and for nothing else; a denial is caddytls.ErrPermissionDenied. It is the same with the index and
// without.
func TestPermission(t *testing.T) {
	rt, s := realRuntime(t)
	environments, err := s.EnvironmentNames(t.Context(), registry.EnvironmentName{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	acme := environments[0].Tenant
	r, err := s.Resolve(t.Context(), registry.Reference{Kind: registry.KindSlug, Key: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddDomain(t.Context(), r.Environment.ID, "claimed.test", "u1", ""); err != nil {
		t.Fatal(err)
	}
	p := newPermission(t, rt, "{tenant}.app.example.com", "{tenant}--{environment}.app.example.com")
	for _, indexed := range []bool{false, true} {
		if indexed {
			rt.startNames(true)
			waitFor(t, rt, complete(rt))
		}
		for name, want := range map[string]string{
			"app.acme.test": permissionAllowed, "APP.acme.TEST.": permissionAllowed, "bücher.test": permissionAllowed,
			"dev.acme.test": permissionAllowed, "late.test": permissionAllowed,
			"old.acme.test": permissionInactive, "globex.test": permissionInactive,
			"claimed.test": permissionUnknown, "nobody.test": permissionUnknown, "acme.test": permissionUnknown, "localhost": permissionUnknown,
			"x.app.acme.test": permissionUnknown, "127.0.0.1": permissionUnknown, "[::1]": permissionUnknown,
			"": permissionInvalid, "a_b.test": permissionInvalid, "*.acme.test": permissionInvalid, strings.Repeat("a.", 200) + "test": permissionInvalid,
			"acme.app.example.com": permissionAllowed, "acme--dev.app.example.com": permissionAllowed, acme.String() + ".app.example.com": permissionAllowed,
			"acme--old.app.example.com": permissionInactive, "globex.app.example.com": permissionInactive,
			"acme--none.app.example.com": permissionUnknown, "nobody.app.example.com": permissionUnknown, "nobody--dev.app.example.com": permissionUnknown,
			"app.example.com": permissionUnknown, "www.app.example.com": permissionUnknown, uuid.NewString() + ".app.example.com": permissionUnknown,
			"acme--" + uuid.NewString() + ".app.example.com": permissionUnknown, "a--b--c.app.example.com": permissionInvalid,
		} {
			before := permissions(t, want)
			err := p.CertificateAllowed(t.Context(), name)
			if counted := permissions(t, want) - before; counted != 1 {
				t.Errorf("%q (indexed: %t): not %s but %v", name, indexed, want, err)
			}
			if (err == nil) != (want == permissionAllowed) || err != nil && !errors.Is(err, caddytls.ErrPermissionDenied) {
				t.Errorf("%q (indexed: %t): %v", name, indexed, err)
			}
		}
	}
}

// Promise: a flood of made-up names asks the registry nothing and fills no memory, below the operator's own name, and
// with a known tenant's too; what is added or removed is known with the change log.
func TestPermissionFlood(t *testing.T) {
	rt, s := realRuntime(t)
	rt.startNames(true)
	waitFor(t, rt, complete(rt))
	p := newPermission(t, rt, "{tenant}.app.example.com", "{tenant}--{environment}.app.example.com")
	if err := p.CertificateAllowed(t.Context(), "acme.app.example.com"); err != nil {
		t.Fatal(err)
	}
	before, size := rt.cache.Stats(), rt.names.set.used
	for i := range 5000 {
		for _, format := range []string{"%d.test", "x%d.app.example.com", "acme--x%d.app.example.com", "x%d.x%[1]d.example"} {
			if err := p.CertificateAllowed(t.Context(), fmt.Sprintf(format, i)); !errors.Is(err, caddytls.ErrPermissionDenied) {
				t.Fatal(err)
			}
		}
	}
	if after := rt.cache.Stats(); after.Loads != before.Loads || after.NegativeEntries != before.NegativeEntries || rt.names.set.used != size {
		t.Errorf("the cache went from %+v to %+v, the index from %d to %d", before, after, size, rt.names.set.used)
	}
	allowed := func(name string) error { return p.CertificateAllowed(t.Context(), name) }
	poll := func() {
		t.Helper()
		if err := rt.cache.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Import(t.Context(), strings.NewReader(`{"tenants": [{"slug": "new", "environments": [
{"slug": "production", "isDefault": true, "domains": ["new.test"]}, {"slug": "dev"}]}]}`), registry.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	poll()
	for _, name := range []string{"new.test", "new.app.example.com", "new--dev.app.example.com"} {
		if err := allowed(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := s.Resolve(t.Context(), registry.Reference{Kind: registry.KindHost, Key: "new.test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveDomain(t.Context(), r.Environment.ID, "new.test", "u1", ""); err != nil {
		t.Fatal(err)
	}
	poll()
	if err := allowed("new.test"); !errors.Is(err, caddytls.ErrPermissionDenied) {
		t.Errorf("removed: %v", err)
	}
	// When anything may have changed, unknown names are asked for until the index was made anew.
	rt.names.changed([]registry.Change{{Entity: "registry"}})
	if err := allowed("app.acme.test"); err != nil {
		t.Error(err)
	}
	waitFor(t, rt, complete(rt))
	if rt.names.mayHave(nameKey{kind: nameHost, name: "new.test"}) || !rt.names.mayHave(nameKey{kind: nameHost, name: "app.acme.test"}) {
		t.Error("the index is not what the registry has")
	}
}

// Promise: while the registry cannot be reached, domains in the cache are allowed, and an unknown one is not denied for
// good: the error says that it cannot be told.
func TestPermissionWithoutRegistry(t *testing.T) {
	rt, _ := realRuntime(t)
	p := newPermission(t, rt)
	if err := p.CertificateAllowed(t.Context(), "app.acme.test"); err != nil {
		t.Fatal(err)
	}
	rt.source.current.Store(nil)
	rt.startNames(false) // can never be complete
	if err := p.CertificateAllowed(t.Context(), "app.acme.test"); err != nil {
		t.Error(err)
	}
	if err := p.CertificateAllowed(t.Context(), "dev.acme.test"); !errors.Is(err, registry.ErrUnavailable) || errors.Is(err, caddytls.ErrPermissionDenied) {
		t.Errorf("got %v", err)
	}
}

// BenchmarkPermission measures one answer.
func BenchmarkPermission(b *testing.B) {
	rt, _ := realRuntime(b)
	rt.startNames(false)
	waitFor(b, rt, complete(rt))
	p := newPermission(b, rt)
	for _, name := range []string{"app.acme.test", "nobody.test"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = p.CertificateAllowed(b.Context(), name)
			}
		})
	}
}

// BenchmarkNameIndex measures how long it takes to read the names of a registry in a file.
func BenchmarkNameIndex(b *testing.B) {
	const hosts = 100_000
	rt, s := realRuntime(b)
	var doc strings.Builder
	doc.WriteString(`{"tenants": [`)
	for i := range hosts / 1000 {
		if i > 0 {
			doc.WriteString(",")
		}
		fmt.Fprintf(&doc, `{"slug": "t%d", "environments": [{"slug": "production", "domains": [`, i)
		for j := range 1000 {
			if j > 0 {
				doc.WriteString(",")
			}
			fmt.Fprintf(&doc, `"d%d.t%d.example"`, j, i)
		}
		doc.WriteString("]}]}")
	}
	doc.WriteString("]}")
	if _, err := s.Import(b.Context(), strings.NewReader(doc.String()), registry.ImportOptions{}); err != nil {
		b.Fatal(err)
	}
	rt.startNames(false)
	waitFor(b, rt, complete(rt))
	for b.Loop() {
		if err := rt.names.make(rt); err != nil {
			b.Fatal(err)
		}
	}
	if n, _ := rt.names.size(); n < hosts {
		b.Fatalf("%d names", n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/hosts, "ns/name")
}
