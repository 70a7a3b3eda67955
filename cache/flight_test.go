package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: 10,000 requests at once for one cold tenant make one query, and all get its answer.
func TestOneQueryForManyWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		f.create("acme", "production")
		c := New(f, Options{})
		for _, name := range []string{"acme", "nobody"} {
			ref := bySlug(name)
			g := f.hold(ref)
			answers := make([]*registry.Resolved, 10_000)
			errs := make([]error, len(answers))
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() { answers[i], errs[i] = c.Resolve(t.Context(), ref, time.Now()) })
			}
			synctest.Wait() // all of them wait
			close(g.open)
			all.Wait()
			for i := range answers {
				if answers[i] != answers[0] || (errs[i] == nil) != (name == "acme") {
					t.Fatalf("%s: %v, %v", name, answers[i], errs[i])
				}
			}
			if n := f.questionsAbout(ref); n != 1 {
				t.Fatalf("%s: %d queries", name, n)
			}
		}
	})
}

// Promise: the same without any arranged order: late ones find the answer stored, and never ask again.
func TestOneQueryForManyWaitersUnarranged(t *testing.T) {
	f := newFakeRegistry()
	c := New(f, Options{})
	for round := range 50 {
		ref := bySlug(fmt.Sprint("t", round))
		f.create(ref.Key, "production")
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { mustResolve(t, c, ref) })
		}
		all.Wait()
		if n := f.questionsAbout(ref); n != 1 {
			t.Fatalf("%d queries", n)
		}
	}
}

// Promise: one that found nothing in memory, and comes to wait when the load has just ended, gets the stored answer.
func TestLateWaiterFindsTheAnswer(t *testing.T) {
	f := newFakeRegistry()
	f.create("acme", "production")
	c := New(f, Options{})
	want := mustResolve(t, c, bySlug("acme"))
	if r, err := c.await(t.Context(), bySlug("acme"), time.Now().UnixNano()); r != want || err != nil || f.questions() != 1 {
		t.Fatalf("%v, %v, %d questions", r, err, f.questions())
	}
	_, _ = c.Resolve(t.Context(), bySlug("nobody"), time.Now())
	if _, err := c.await(t.Context(), bySlug("nobody"), time.Now().UnixNano()); !errors.Is(err, registry.ErrNotFound) || f.questions() != 2 {
		t.Fatalf("%v, %d questions", err, f.questions())
	}
}

// Promise: a waiter leaves when its own context ends, the first one too; the query goes on for the others.
func TestWaitersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		f.create("acme", "production")
		c := New(f, Options{})
		g := f.hold(bySlug("acme"))
		first, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := c.Resolve(first, bySlug("acme"), time.Now()); !errors.Is(err, context.Canceled) || !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("the first: %v", err)
			}
		})
		<-g.reached
		all.Go(func() { mustResolve(t, c, bySlug("acme")) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(g.open)
		all.Wait()
		if _, err := c.Resolve(first, bySlug("other"), time.Now()); !errors.Is(err, context.Canceled) || f.questions() != 1 {
			t.Errorf("asked for somebody who has left already: %v, %d questions", err, f.questions())
		}
	})
}

// Promise: at most MaxLoads ask at once. A flood of distinct names of one kind neither keeps other kinds and refreshes
// from being asked about, nor does a standing queue keep out who comes last; nobody waits for longer than LoadTimeout.
func TestFloodOfLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		id := f.create("acme", "production")
		f.create("late", "production")
		f.setHost("app.acme.test", fakeHost{tenant: id})
		c := New(f, Options{MaxLoads: 8})
		mustResolve(t, c, bySlug("acme"))
		time.Sleep(DefaultTTL)

		running, most := 0, 0
		var mu sync.Mutex
		f.setHeld(func(ctx context.Context, _ registry.Reference) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			running--
			mu.Unlock()
		})
		began := time.Now()
		failed := 0
		var flood sync.WaitGroup
		for i := range 1000 {
			flood.Go(func() {
				_, err := c.Resolve(t.Context(), bySlug(fmt.Sprint("x", i)), time.Now())
				if waited := time.Since(began); waited > DefaultLoadTimeout+100*time.Millisecond {
					t.Errorf("waited for %v", waited)
				}
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, registry.ErrUnavailable) {
					failed++
				} else if !errors.Is(err, registry.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		time.Sleep(time.Second) // the queue is full
		for _, ref := range []registry.Reference{byHost("app.acme.test"), bySlug("late")} {
			began := time.Now()
			mustResolve(t, c, ref)
			if waited := time.Since(began); waited > 300*time.Millisecond {
				t.Errorf("%v waited for %v", ref, waited)
			}
		}
		mustResolve(t, c, bySlug("acme")) // stale
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		if f.questionsAbout(bySlug("acme")) != 2 {
			t.Error("the refresh was not begun")
		}
		flood.Wait()
		time.Sleep(time.Second)
		synctest.Wait() // the loads that began last have returned
		// 8 at once, 0.1 s each, 5 s long, and those that began just before.
		if answered := 1000 - failed; answered < 380 || answered > 408 || most != 8 {
			t.Errorf("%d answered, %d at once", answered, most)
		}
	})
}

// Promise: a load that nobody waits for any more does not bother the registry.
func TestAbandonedLoadsAreNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		c := New(f, Options{MaxLoads: 1})
		g := f.hold(bySlug("first"))
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = c.Resolve(t.Context(), bySlug("first"), time.Now()) })
		<-g.reached
		for i := range 100 {
			all.Go(func() { _, _ = c.Resolve(ctx, bySlug(fmt.Sprint("x", i)), time.Now()) })
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(g.open)
		all.Wait()
		synctest.Wait()
		if n := f.questions(); n != 1 {
			t.Fatalf("%d questions", n)
		}
	})
}

// Promise: a registry that hangs, even one that ignores its context, holds nobody for longer than LoadTimeout, is not
// asked more than MaxLoads questions meanwhile, and what is cached is served.
func TestRegistryHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		f.create("acme", "production")
		c := New(f, Options{MaxLoads: 2})
		mustResolve(t, c, bySlug("acme"))
		time.Sleep(DefaultTTL)
		release := make(chan struct{})
		f.setHeld(func(context.Context, registry.Reference) { <-release })
		for i := range 5 {
			mustResolve(t, c, bySlug("acme"))
			began := time.Now()
			_, err := c.Resolve(t.Context(), bySlug(fmt.Sprint("x", i)), time.Now())
			if waited := time.Since(began); waited != DefaultLoadTimeout || !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("waited for %v: %v", waited, err)
			}
		}
		if n := f.questions(); n != 3 {
			t.Errorf("%d questions", n)
		}
		f.setHeld(nil)
		close(release)
		synctest.Wait()
		time.Sleep(time.Minute)
		mustResolve(t, c, bySlug("acme"))
		synctest.Wait()
		if time.Now().UnixNano() >= c.entries.get(bySlug("acme")).fresh.Load() {
			t.Error("not refreshed when the registry answered again")
		}
	})
}
