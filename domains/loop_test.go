package domains_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/domains"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
)

var environment = uuid.MustParse("0190a000-0000-7000-8000-0000000000a1")

// clock is a clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// realRegistry is a registry in a file with one environment.
func realRegistry(t testing.TB, c *clock) *registry.Store {
	t.Helper()
	s, err := registry.Open(registry.Options{URL: "file:" + filepath.Join(t.TempDir(), "r.db"), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(t.Context(), strings.NewReader(fmt.Sprintf(`{"tenants": [{"slug": "acme", "environments": [{"id": %q, "slug": "production"}]}]}`, environment)),
		registry.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// store adds to a registry who the loop is.
type store struct{ *registry.Store }

func (s store) VerifyDomain(ctx context.Context, d registry.Domain, m registry.DomainMethod) error {
	_, err := s.Store.VerifyDomain(ctx, d.Environment, d.Hostname, d.Token, m, "gateway", "system")
	return err
}

func add(t testing.TB, s *registry.Store, host string) registry.Domain {
	t.Helper()
	d, err := s.AddDomain(t.Context(), environment, host, "u1", "user")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// only returns the one domain of the environment.
func only(t testing.TB, s *registry.Store) registry.Domain {
	t.Helper()
	list, err := s.Domains(t.Context(), environment)
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}

// Promise: a claim is checked at once, then after growing pauses, and given up after seven days; one that is proved in
// between is verified.
func TestLoopBackoff(t *testing.T) {
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s := realRegistry(t, c)
	ns := harness.StartDNS(t)
	v := verifier(t, ns, domains.Options{Methods: []registry.DomainMethod{registry.DomainDNS}})
	l := domains.NewLoop(store{s}, v, domains.LoopOptions{Now: c.Now})
	began := c.Now()
	add(t, s, host)
	var pauses []time.Duration
	for {
		if err := l.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := only(t, s)
		if d.Verified() || d.Checks != len(pauses)+1 || d.Failure != "DNS: there is no such record" {
			t.Fatalf("%+v after %d checks", d, len(pauses))
		}
		if d.NextCheckAt.IsZero() {
			break
		}
		pauses = append(pauses, d.NextCheckAt.Sub(c.Now()))
		c.add(pauses[len(pauses)-1] - time.Millisecond)
		asked := ns.Asked()
		if err := l.Pass(t.Context()); err != nil || ns.Asked() != asked {
			t.Fatalf("checked too early (%v)", err)
		}
		c.add(time.Millisecond)
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	for i, w := range want {
		if pauses[i] != w*time.Minute {
			t.Errorf("pause %d is %s, want %d minutes", i, pauses[i], w)
		}
	}
	if took := c.Now().Sub(began); took > registry.DomainClaimLifetime || took < registry.DomainClaimLifetime-2*time.Hour {
		t.Errorf("given up after %s", took)
	}
	// Given up for good, until it is claimed anew.
	c.add(30 * 24 * time.Hour)
	asked := ns.Asked()
	if err := l.Pass(t.Context()); err != nil || ns.Asked() != asked {
		t.Fatalf("checked after it was given up (%v)", err)
	}
	ns.SetTXT(domains.RecordName(host), domains.Proof(add(t, s, host).Token))
	if err := l.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := only(t, s); !d.Verified() || d.Method != registry.DomainDNS {
		t.Errorf("got %+v", d)
	}
}

// Promise: several gateways together check each claim once, whatever number of claims there is.
func TestLoopsTogether(t *testing.T) {
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s := realRegistry(t, c)
	ns := harness.StartDNS(t)
	v := verifier(t, ns, domains.Options{Methods: []registry.DomainMethod{registry.DomainDNS}})
	const claims = 50
	for i := range claims {
		d := add(t, s, fmt.Sprintf("d%d.acme.test", i))
		ns.SetTXT(domains.RecordName(d.Hostname), domains.Proof(d.Token))
	}
	var mu sync.Mutex
	checked := 0
	var wg sync.WaitGroup
	for range 3 {
		l := domains.NewLoop(store{s}, v, domains.LoopOptions{Now: c.Now, Checked: func(ok bool) {
			mu.Lock()
			defer mu.Unlock()
			if ok {
				checked++
			}
		}})
		wg.Go(func() {
			if err := l.Pass(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := s.VerifiedHosts(t.Context(), "", 0)
	if err != nil || len(list) != claims || checked != claims {
		t.Errorf("%d verified, %d checks, %v", len(list), checked, err)
	}
}

// broken is a registry that fails for a while.
type broken struct {
	store
	mu   sync.Mutex
	down bool
}

func (b *broken) TakeDueDomains(ctx context.Context, limit int, lease time.Duration) ([]registry.Domain, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, errors.New("down")
	}
	return b.store.TakeDueDomains(ctx, limit, lease)
}

// Promise: Run checks within its interval, outlives a registry that is down, and ends with its context.
func TestLoopRun(t *testing.T) {
	c := &clock{now: time.Now()}
	s := realRegistry(t, c)
	ns := harness.StartDNS(t)
	v := verifier(t, ns, domains.Options{})
	b := &broken{store: store{s}, down: true}
	l := domains.NewLoop(b, v, domains.LoopOptions{Now: c.Now, Interval: 20 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		l.Run(ctx)
		close(ended)
	}()
	d := add(t, s, host)
	ns.SetTXT(domains.RecordName(host), domains.Proof(d.Token))
	harness.Throughout(t, 100*time.Millisecond, func() error {
		if d := only(t, s); d.Verified() {
			return errors.New("verified without the registry")
		}
		return nil
	})
	b.mu.Lock()
	b.down = false
	b.mu.Unlock()
	harness.Eventually(t, 10*time.Second, func() error {
		if d := only(t, s); !d.Verified() {
			return fmt.Errorf("still %+v", d)
		}
		return nil
	})
	cancel()
	<-ended
}
