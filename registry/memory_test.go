//go:build !race

package registry

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Promise: a snapshot takes at most 1.1 KB, so that with the cache's own 400 B a cached tenant stays within the design's
// 1.5 KB.
func TestResolvedMemory(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	const n = 4000
	var b strings.Builder
	for i := range n {
		// More than most tenants have: names of their own, own upstreams, a database, quotas, metadata.
		fmt.Fprintf(&b, `{"slug": "customer-%d", "name": "Customer Number %d Inc", "plan": "pro", "quotas": {"apiRateLimit": 600}, "environments": [
 {"slug": "production", "region": "eu-west-1", "upstreams": ["10.0.%d.%d:8080"], "database": {"driver": "turso", "url": "libsql://x.example"}, "domains": ["c%d.example.com"]}]},`,
			i, i, i>>8, i&255, i)
	}
	importText(t, s, `{"tenants": [`+strings.TrimSuffix(b.String(), ",")+`]}`)
	b.Reset()
	kept := make([]*Resolved, n)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	refs := make([]Reference, n)
	for i := range refs {
		refs[i] = Reference{Kind: KindSlug, Key: fmt.Sprintf("customer-%d", i)}
	}
	if _, err := s.Resolve(t.Context(), refs[0]); err != nil {
		t.Fatal(err)
	}
	before := heap()
	for i := range kept {
		r, err := s.Resolve(t.Context(), refs[i])
		if err != nil {
			t.Fatal(err)
		}
		kept[i] = r
	}
	each := (heap() - before) / n
	runtime.KeepAlive(kept)
	t.Logf("%d bytes for each snapshot", each)
	if each > 1100 {
		t.Errorf("a snapshot takes %d bytes", each)
	}
	if &kept[1].Upstreams[0] == &kept[2].Upstreams[0] {
		t.Error("different upstreams are shared")
	}
	if r := kept[7]; r.Tenant.Metadata != nil || r.Environment.Metadata != nil || r.Tenant.SecurityPolicy != nil {
		t.Errorf("empty parts take memory: %+v", r)
	}
}

// Promise: the sharing of common strings is bounded, however many different ones there are.
func TestSharedIsBounded(t *testing.T) {
	var p parsedValues
	for i := range 3 * maxShared {
		text := fmt.Sprintf("region-%d", i)
		if got := p.shared(text); got != text {
			t.Fatal(got)
		}
		if list, err := p.upstreams(fmt.Sprintf(`["h%d:80"]`, i)); err != nil || list[0].Address != fmt.Sprintf("h%d:80", i) {
			t.Fatal(list, err)
		}
	}
	if len(p.text) > maxShared || len(p.lists) > maxShared {
		t.Errorf("%d strings, %d lists", len(p.text), len(p.lists))
	}
}
