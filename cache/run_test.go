package cache

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// running starts Run in the bubble and returns what ends it and waits for it.
func running(t *testing.T, c *Cache) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { c.Run(ctx) })
	synctest.Wait() // for the first poll
	return func() {
		cancel()
		run.Wait()
	}
}

// Promise: a change is in effect two poll intervals later, and Run polls at once when it begins.
func TestRunPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		id := f.create("acme", "production")
		c := New(f, Options{})
		stop := running(t, c)
		defer stop()
		synctest.Wait()
		if f.polls != 1 || !c.Stats().LastPoll.Equal(time.Now()) {
			t.Fatal("not polled at once")
		}
		mustResolve(t, c, bySlug("acme"))
		f.setStatus(id, registry.StatusSuspended)
		time.Sleep(2 * DefaultPollInterval)
		if mustResolve(t, c, bySlug("acme")).Tenant.Status != registry.StatusSuspended {
			t.Fatal("not seen")
		}
	})
}

// Promise: while polls fail they come less often, and the first that works comes within a few seconds.
func TestRunBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		c := New(f, Options{PollInterval: 100 * time.Millisecond})
		stop := running(t, c)
		defer stop()
		f.setDown(errDown)
		time.Sleep(time.Minute)
		synctest.Wait()
		f.mu.Lock()
		polls := f.polls
		f.mu.Unlock()
		if polls > 60 {
			t.Errorf("%d polls of a registry that is down", polls)
		}
		f.setDown(nil)
		back := time.Now()
		time.Sleep(pollBackoffMax + time.Millisecond)
		synctest.Wait()
		if last := c.Stats().LastPoll; last.Before(back) {
			t.Error("not polled again")
		}
	})
}

// Promise: the hot set is written when something changed, not more often than HotSetInterval, at least once in an hour,
// and a last time at the end.
func TestRunWritesTheHotSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		f.create("acme", "production")
		f.create("globex", "production")
		path := filepath.Join(t.TempDir(), "hot.json")
		c := New(f, Options{HotSet: path})
		stop := running(t, c)
		written := func() time.Time {
			synctest.Wait()
			c.hotSet.mu.Lock()
			defer c.hotSet.mu.Unlock()
			return c.hotSet.at
		}
		mustResolve(t, c, bySlug("acme"))
		time.Sleep(DefaultHotSetInterval + time.Second)
		first := written()
		mustLoad(t, New(f, Options{HotSet: path}), 1)
		time.Sleep(10 * time.Minute)
		if !written().Equal(first) {
			t.Fatal("written although nothing had changed")
		}
		time.Sleep(hotSetMaxAge)
		if written().Equal(first) {
			t.Fatal("not written for more than an hour")
		}
		mustResolve(t, c, bySlug("globex"))
		stop()
		mustLoad(t, New(f, Options{HotSet: path}), 2)
	})
}

// Promise: the cache serves after Run has ended: handlers of an old configuration may still ask.
func TestUseAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		f.create("acme", "production")
		f.create("globex", "production")
		c := New(f, Options{})
		stop := running(t, c)
		mustResolve(t, c, bySlug("acme"))
		stop()
		mustResolve(t, c, bySlug("acme"))
		mustResolve(t, c, bySlug("globex"))
		time.Sleep(DefaultTTL)
		mustResolve(t, c, bySlug("acme"))
		synctest.Wait()
		c.Purge()
		mustPoll(t, c)
		c.SetOptions(Options{})
		if err := c.SaveHotSet(); err != nil {
			t.Fatal(err)
		}
	})
}

// Promise: SetOptions takes effect at once: sizes, times, the poll interval of a Run that goes on, the hot set's path.
func TestSetOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		c := New(f, Options{PollInterval: time.Hour, Jitter: -1})
		stop := running(t, c)
		defer stop()
		for i := range 20 {
			f.create(fmt.Sprint("t", i), "production")
		}
		mustPoll(t, c)
		for i := range 20 {
			mustResolve(t, c, bySlug(fmt.Sprint("t", i)))
			_, _ = c.Resolve(t.Context(), bySlug(fmt.Sprint("x", i)), time.Now())
		}
		synctest.Wait()
		f.polls = 0
		path := filepath.Join(t.TempDir(), "hot.json")
		c.SetOptions(Options{Size: 5, NegativeSize: 3, TTL: time.Minute, Jitter: -1, PollInterval: time.Minute, HotSet: path})
		if s := c.Stats(); s.Entries != 5 || s.NegativeEntries != 3 || s.Evictions != 15 {
			t.Fatalf("%+v", s)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.polls != 2 { // one at once, one after a minute
			t.Errorf("%d polls", f.polls)
		}
		mustLoad(t, New(f, Options{HotSet: path}), 5)
		mustResolve(t, c, bySlug("t19"))
		if s := c.Stats(); s.StaleHits != 1 {
			t.Errorf("the shorter TTL does not hold for what was cached: %+v", s)
		}
		synctest.Wait()
		c.SetOptions(Options{Size: 50})
		for i := range 20 {
			mustResolve(t, c, bySlug(fmt.Sprint("t", i)))
		}
		if s := c.Stats(); s.Entries != 20 {
			t.Errorf("%+v", s)
		}
	})
}

// Promise: OnChanges is called with no lock held: it may use the cache, and sees it without what changed.
func TestOnChangesMayUseTheCache(t *testing.T) {
	f := newFakeRegistry()
	id := f.create("acme", "production")
	var c *Cache
	calls := 0
	c = New(f, Options{OnChanges: func([]registry.Change) {
		calls++
		if mustResolve(t, c, bySlug("acme")).Tenant.Status != registry.StatusSuspended {
			t.Error("the change is not in effect yet")
		}
		mustPoll(t, c)
		c.Stats()
		c.PurgeTenant(id)
	}})
	mustResolve(t, c, bySlug("acme"))
	f.setStatus(id, registry.StatusSuspended)
	mustPoll(t, c)
	if calls != 1 {
		t.Fatalf("%d calls", calls)
	}
}

// Promise: whatever runs at once, nobody gets another tenant's snapshot, nor one older than a poll that ended before
// the request began, and there are never more entries than Size.
func TestEverythingAtOnce(t *testing.T) {
	const tenants, size = 40, 30
	f := newFakeRegistry()
	ids := make([]uuid.UUID, tenants)
	for i := range ids {
		ids[i] = f.create(fmt.Sprint("t", i), "production", "dev")
		f.setHost(fmt.Sprint(i, ".test"), fakeHost{tenant: ids[i]})
	}
	path := filepath.Join(t.TempDir(), "hot.json")
	// On a machine that is busy with something else 5 s are not enough for all who wait for one place.
	options := Options{Size: size, TTL: time.Millisecond, MaxLoads: 4, HotSet: path, NegativeTTL: time.Millisecond, LoadTimeout: 5 * time.Minute}
	c := New(f, options)
	var floor [tenants]atomic.Int64 // the version that the last poll has seen for certain
	var stopped atomic.Bool
	var readers, others sync.WaitGroup
	for w := range 4 {
		readers.Go(func() {
			for i := range 3000 {
				n := (i*7 + w*13) % tenants
				ref := []registry.Reference{bySlug(fmt.Sprint("t", n)), byID(ids[n]), byHost(fmt.Sprint(n, ".test")), bySlug(fmt.Sprint("t", n), "dev")}[i%4]
				least := floor[n].Load()
				r, err := c.Resolve(t.Context(), ref, time.Now())
				if err != nil {
					t.Error(err)
					return
				}
				var version int64
				_, _ = fmt.Sscan(r.Tenant.Name, &version)
				if r.Tenant.ID != ids[n] || (r.Environment.Slug == "dev") != (i%4 == 3) || version < least {
					t.Errorf("%v: %+v, version %d, at least %d", ref, r, version, least)
					return
				}
				_, _ = c.Resolve(t.Context(), bySlug(fmt.Sprint("x", i)), time.Now())
				if s := c.Stats(); s.Entries > size {
					t.Errorf("%d entries", s.Entries)
					return
				}
			}
		})
	}
	others.Go(func() {
		for i := 0; !stopped.Load(); i++ {
			n := i % tenants
			f.update(ids[n], func(*fakeTenant) {})
			version := f.version(ids[n])
			mustPoll(t, c)
			floor[n].Store(version)
		}
	})
	others.Go(func() {
		for i := 0; !stopped.Load(); i++ {
			switch i % 4 {
			case 0:
				c.PurgeTenant(ids[i%tenants])
			case 1:
				options.MaxLoads = 1 + i%8
				c.SetOptions(options)
			case 2:
				if err := c.SaveHotSet(); err != nil {
					t.Error(err)
				}
			case 3:
				c.Purge()
			}
		}
	})
	readers.Wait()
	stopped.Store(true)
	others.Wait()
	checkTable(t, c.entries)
	checkTable(t, c.negatives)
}
