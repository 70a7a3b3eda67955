//go:build !race

package registry

import (
	"fmt"
	"reflect"
	"runtime"
	"strconv"
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
		if q := p.quotas(Quotas{Burst: int64(i + 1)}); *q != (Quotas{Burst: int64(i + 1)}) {
			t.Fatal(q)
		}
		if m, err := p.metadata(fmt.Sprintf(`{"n": %d}`, i)); err != nil || len(m) != 1 || m["n"] != strconv.Itoa(i) {
			t.Fatal(m, err)
		}
	}
	if len(p.text) > maxShared || len(p.lists) > maxShared || len(p.few) > maxShared || len(p.maps) > maxShared {
		t.Errorf("%d strings, %d lists, %d quotas, %d maps", len(p.text), len(p.lists), len(p.few), len(p.maps))
	}
	long := `{"n": "` + strings.Repeat("x", maxSharedMetadata) + `"}`
	before := len(p.maps)
	if m, err := p.metadata(long); err != nil || len(m["n"]) != maxSharedMetadata || len(p.maps) != before {
		t.Errorf("metadata that is too long to be shared: %d bytes, %v", len(m["n"]), err)
	}
}

// Promise: tenants with the same metadata and environments with the same quotas share them; those with none have none, and
// what cannot be read is never shared.
func TestSharedParts(t *testing.T) {
	var p parsedValues
	one, again, other := p.quotas(Quotas{Burst: 1}), p.quotas(Quotas{Burst: 1}), p.quotas(Quotas{Burst: 2})
	if p.quotas(Quotas{}) != nil || one != again || one == other {
		t.Error("quotas")
	}
	read := func(text string) map[string]string {
		t.Helper()
		m, err := p.metadata(text)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	same := func(a, b map[string]string) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
	if read("") != nil || read("{}") != nil || !same(read(`{"a": "b"}`), read(`{"a": "b"}`)) || same(read(`{"a": "b"}`), read(`{"a": "c"}`)) {
		t.Error("metadata")
	}
	for range 2 {
		if m, err := p.metadata(`{"a"`); err == nil {
			t.Errorf("read %v", m)
		}
	}
}
