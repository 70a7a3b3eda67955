package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// faultKilled kills a gateway under load and starts it again, while the registry is away too. What clients see in between
// is a connection that is refused or cut; never a response that says that something of ours is broken.
func faultKilled(t *testing.T) {
	f := faultNamed(t, "gateway killed and started again, without the registry")
	b := faultServer(t)
	b.load(t, faultTenants(startUpstreams(t)))
	s := newStage(t, b.backend, b.direct, "timeout 20s", nil)
	s.g.Stop(t) // it writes its hot set, as it does every half a minute
	s.again(t)
	s.settle(t)
	warm := s.warm(t)
	served := func(more int) {
		t.Helper()
		_, before, _ := warm.of()
		harness.Eventually(t, healWithin, func() error {
			if _, ok, _ := warm.of(); ok < before+more {
				return fmt.Errorf("%d requests were served, before %d", ok, before)
			}
			return nil
		})
	}
	served(100)
	s.g.Kill()
	s.again(t)
	served(100)
	b.proxy.Down()
	s.g.Kill()
	s.again(t)
	served(200)
	if err := s.g.Expect(t.Context(), s.stranger(), f.others[0], "")(); err != nil {
		t.Error(err)
	}
	s.hears(t, 0, f.begins)
	b.proxy.Up(t)
	healed := time.Now()
	harness.Eventually(t, healWithin, s.g.Expect(t.Context(), s.stranger(), 200, "globex"))
	harness.Eventually(t, healWithin, s.rename(t))
	s.hears(t, 0, f.ends)
	s.settle(t)
	took := time.Since(healed)
	warm.end()
	all, ok, failed := warm.of()
	t.Logf("cached tenants: %d requests, %d × 2xx, %d × 5xx, %d without an answer; healed after %s", all, ok, failed, len(warm.lost), took.Round(time.Millisecond))
	if failed > 0 || ok+len(warm.lost) != all {
		t.Errorf("cached tenants: %v", warm.statuses)
	}
	lines, _ := s.lines(t, 0)
	s.says(t, f, lines)
}

// faultReloads loads a configuration a hundred times, one after another, each another one.
func faultReloads(t *testing.T) {
	f := faultNamed(t, "100 reloads under load")
	b := fileBackend(t)
	b.load(t, faultTenants(startUpstreams(t)))
	s := newStage(t, b, b, "timeout 20s", func(o *harness.Options) {
		// Caddy itself leaves connections to upstreams behind that were in use when the configuration went, for two minutes.
		o.Site = "header Round round-0\n" + strings.Replace(o.Site, "dynamic tenant", "dynamic tenant\ntransport http {\nkeepalive 1s\n}", 1)
	})
	// A connection that is opened in the very moment in which Caddy hands over from one listening socket to the next can be
	// closed without an answer. That is Caddy's, with or without our modules; clients open another.
	s.tries = 4
	s.settle(t)
	goroutines, files := s.size(t)
	before := len(s.g.Log(t))
	config, err := harness.Send(t.Context(), s.g.Client, s.g.Admin, harness.Ask{Path: "/config/"})
	if err != nil || strings.Count(config.Body, "round-0") != 1 {
		t.Fatalf("the configuration is %s, %v", config.Body, err)
	}
	warm, cold := s.warm(t), s.cold(t)
	const rounds = 100
	began := time.Now()
	for n := 1; n <= rounds; n++ {
		ask := harness.Ask{
			Method: http.MethodPost, Path: "/load", Body: strings.Replace(config.Body, "round-0", fmt.Sprintf("round-%d", n), 1),
			Header: map[string]string{"Content-Type": "application/json"},
		}
		answer, err := harness.Send(t.Context(), s.g.Client, s.g.Admin, ask)
		for try := 1; err != nil && try < s.tries; try++ { // the admin endpoint's connections are handed over as well
			answer, err = harness.Send(t.Context(), s.g.Client, s.g.Admin, ask)
		}
		if err != nil || answer.Status != http.StatusOK {
			t.Fatalf("reload %d: %v, status %d: %s", n, err, answer.Status, answer.Body)
		}
	}
	took := time.Since(began)
	harness.Eventually(t, healWithin, func() error {
		answer, err := harness.Send(t.Context(), s.g.Client, s.g.Address, harness.Ask{Host: warmHosts[0]})
		if got := answer.Header.Get("Round"); err != nil || got != fmt.Sprintf("round-%d", rounds) {
			return fmt.Errorf("%q serves, %w", got, err)
		}
		return nil
	})
	harness.Eventually(t, healWithin, s.rename(t))
	cold.end()
	warm.end()
	all, ok, failed := warm.of()
	others, served, refused := cold.of()
	t.Logf("%d reloads in %s; cached tenants: %d requests, %d × 2xx, %d × 5xx; others: %d requests, %d × 2xx, %d × 5xx; sent again: %d and %d",
		rounds, took.Round(time.Millisecond), all, ok, failed, others, served, refused, warm.again.Load(), cold.again.Load())
	if ok != all || served != others {
		t.Errorf("cached tenants: %v, %q, others: %v, %q", warm.statuses, warm.lost, cold.statuses, cold.lost)
	}
	lines, _ := s.lines(t, before)
	s.says(t, f, lines)
	s.returnsTo(t, goroutines, files)
}
