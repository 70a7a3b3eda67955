package registry

import (
	"github.com/tenantgate/tenantgate/test/sqld"
	"sort"
	"sync"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	srv := sqld.Start(t, sqld.Options{})
	for _, u := range []string{srv.URL(), srv.WSURL()} {
		s := migrated(t, Options{URL: u, AuthToken: srv.Token(nil)})
		_ = try(t, s, "INSERT INTO sys_organization (id, slug, name) VALUES ('0190a000-0000-7000-8000-000000000001','acme','Acme')")
		_ = try(t, s, "INSERT INTO sys_environment (id, organization_id, slug, name) VALUES ('0190a000-0000-7000-8000-000000000011','0190a000-0000-7000-8000-000000000001','production','P')")
		for _, w := range []int{1, 16} {
			var wg sync.WaitGroup
			var mu sync.Mutex
			var d []time.Duration
			b := time.Now()
			for i := 0; i < w; i++ {
				wg.Go(func() {
					for time.Since(b) < 2*time.Second {
						x := time.Now()
						if _, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); err != nil {
							t.Error(err)
						}
						mu.Lock()
						d = append(d, time.Since(x))
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
			t.Log(u, w, len(d)/2, "per s p50", d[len(d)/2], "p99", d[len(d)*99/100])
		}
		srv.Restart(t)
		for i := 0; i < 20; i++ {
			if _, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); err != nil {
				t.Error(err)
			}
		}
		srv.Restart(t)
		for i := 0; i < 20; i++ {
			run(t, s, "UPDATE sys_organization SET name=name||'x'")
		}
		time.Sleep(11 * time.Second)
		for i := 0; i < 20; i++ {
			if _, err := s.Resolve(t.Context(), Reference{Kind: KindSlug, Key: "acme"}); err != nil {
				t.Error(err)
			}
		}
	}
}
