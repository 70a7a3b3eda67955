package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: a clock that jumps, ahead or back, costs nobody an answer, also while the registry has just failed; and
// however far it jumps, changes are served from the next poll on, and what was unknown is found when it is created.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{
		time.Second, time.Minute, time.Hour, 30 * time.Hour, 10 * 365 * 24 * time.Hour,
		-time.Second, -time.Minute, -time.Hour, -30 * time.Hour, -10 * 365 * 24 * time.Hour,
	} {
		for _, failing := range []bool{false, true} {
			name := jump.String()
			if failing {
				name += " after a failure"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { clockJumps(t, jump, failing) })
			})
		}
	}
}

func clockJumps(t *testing.T, jump time.Duration, failing bool) {
	f := newFakeRegistry()
	id := f.create("acme", "production")
	offset := time.Duration(0)
	now := func() time.Time { return time.Now().Add(offset) }
	c := New(f, Options{Now: now, Jitter: -1})
	served := func(want registry.Status) {
		t.Helper()
		r, err := c.Resolve(t.Context(), bySlug("acme"), now())
		synctest.Wait() // a refresh, if there is one
		if err != nil || r.Tenant.Status != want {
			t.Fatalf("%+v, %v; want status %s", r, err, want)
		}
	}
	mustPoll(t, c)
	served(registry.StatusActive)
	if _, err := c.Resolve(t.Context(), bySlug("globex"), now()); err == nil {
		t.Fatal("an unknown tenant was found")
	}
	if failing {
		f.setDown(errDown)
		offset += DefaultTTL
		for range 10 { // refreshes pause after each failure
			served(registry.StatusActive)
			time.Sleep(10 * time.Second)
		}
		f.setDown(nil)
	}
	for _, by := range []time.Duration{jump, -jump} {
		offset += by
		served(registry.StatusActive)
		f.setStatus(id, registry.StatusSuspended)
		mustPoll(t, c)
		served(registry.StatusSuspended)
		f.setStatus(id, registry.StatusActive)
		mustPoll(t, c)
		served(registry.StatusActive)
	}
	f.create("globex", "production")
	mustPoll(t, c)
	if _, err := c.Resolve(t.Context(), bySlug("globex"), now()); err != nil {
		t.Fatalf("a tenant that was created is unknown: %v", err)
	}
}
