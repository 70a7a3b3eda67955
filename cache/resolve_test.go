package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

var errDown = fmt.Errorf("dial: %w", registry.ErrUnavailable)

// Promise: what was loaded is served from memory for its TTL, which jitter only shortens.
func TestFresh(t *testing.T) {
	for _, jitter := range []struct{ rand, ttl float64 }{{0, 1}, {0.5, 0.95}, {0.999, 0.9001}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeRegistry()
			f.create("acme", "production")
			c := New(f, Options{TTL: 100 * time.Second, Rand: func() float64 { return jitter.rand }})
			first := mustResolve(t, c, bySlug("acme"))
			time.Sleep(time.Duration(jitter.ttl*100*1e9) - 1) // the bubble's clock
			if mustResolve(t, c, bySlug("acme")) != first || f.questions() != 1 {
				t.Fatal("not served from memory before the end of its TTL")
			}
			time.Sleep(time.Nanosecond)
			mustResolve(t, c, bySlug("acme"))
			synctest.Wait()
			if f.questions() != 2 {
				t.Fatal("not refreshed at the end of its TTL")
			}
			if s := c.Stats(); s.Hits != 1 || s.StaleHits != 1 || s.Misses != 1 || s.Loads != 2 {
				t.Fatalf("%+v", s)
			}
		})
	}
}

// Promise: past its TTL an entry is served at once while exactly one refresh runs, whose answer is served next.
func TestStaleWhileRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		id := f.create("acme", "production")
		c := New(f, Options{})
		old := mustResolve(t, c, bySlug("acme"))
		f.setStatus(id, registry.StatusSuspended)
		time.Sleep(DefaultTTL)
		g := f.hold(bySlug("acme"))
		for range 1000 {
			if mustResolve(t, c, bySlug("acme")) != old {
				t.Fatal("not the stale entry")
			}
			time.Sleep(time.Millisecond)
		}
		<-g.reached
		if n := f.questions(); n != 2 {
			t.Fatalf("%d questions", n)
		}
		close(g.open)
		synctest.Wait()
		if r := mustResolve(t, c, bySlug("acme")); r.Tenant.Status != registry.StatusSuspended {
			t.Fatal("the refresh brought nothing")
		}
	})
}

// Promise: while the registry is unreachable an entry is served stale for StaleFor after its TTL, and refreshes are few;
// past that the error says unavailable; when the registry is back, so is the tenant.
func TestStaleWhileUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		f.create("acme", "production")
		c := New(f, Options{Jitter: -1, TTL: time.Minute, StaleFor: time.Hour})
		mustResolve(t, c, bySlug("acme"))
		f.setDown(errDown)
		time.Sleep(time.Minute)
		for range 3599 {
			mustResolve(t, c, bySlug("acme"))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := f.questions(); n > 260 { // an hour at one in 15 to 30 s
			t.Errorf("%d questions to a registry that is down", n)
		}
		time.Sleep(time.Second)
		if _, err := c.Resolve(t.Context(), bySlug("acme"), time.Now()); !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("served past StaleFor: %v", err)
		}
		f.setDown(nil)
		mustResolve(t, c, bySlug("acme"))
	})
}

// Promise: refreshes of many expired tenants are bounded: MaxLoads at once, and one while the registry does not answer.
func TestRefreshesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		c := New(f, Options{MaxLoads: 4})
		names := make([]registry.Reference, 100)
		for i := range names {
			names[i] = bySlug(fmt.Sprint("t", i))
			f.create(names[i].Key, "production")
			mustResolve(t, c, names[i])
		}
		time.Sleep(DefaultTTL)
		release := make(chan struct{})
		f.setHeld(func(context.Context, registry.Reference) { <-release })
		all := func() int {
			before := f.questions()
			for _, ref := range names {
				mustResolve(t, c, ref)
			}
			synctest.Wait()
			return f.questions() - before
		}
		if n := all(); n != 4 {
			t.Fatalf("%d refreshes at once", n)
		}
		if n := all(); n != 0 {
			t.Fatalf("%d more", n)
		}
		f.setDown(errDown)
		close(release)
		synctest.Wait()
		for i := range 10 {
			time.Sleep(6 * time.Second) // longer than all refreshes pause
			if n := all(); i > 0 && n > 1 {
				t.Fatalf("%d refreshes of a registry that is down", n)
			}
		}
		f.setDown(nil)
		mustPoll(t, c) // tells that the registry answers again
		for range 20 {
			time.Sleep(time.Second)
			all()
		}
		if s := c.Stats(); f.questionsAbout(names[99]) < 2 || s.LoadErrors > 15 {
			t.Fatalf("no recovery: %+v", s)
		}
	})
}

// Promise: one tenant whose own row cannot be read does not keep the others from being refreshed.
func TestOneBadRowDoesNotStopRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		bad := f.create("bad", "production")
		good := f.create("good", "production")
		c := New(f, Options{})
		mustResolve(t, c, bySlug("bad"))
		mustResolve(t, c, bySlug("good"))
		f.update(good, func(t *fakeTenant) { t.status = registry.StatusSuspended })
		f.update(bad, func(t *fakeTenant) { t.envs[0].id = uuid.Nil }) // an answer that does not fit
		time.Sleep(DefaultTTL)
		for range 100 {
			mustResolve(t, c, bySlug("bad")) // always first
			mustResolve(t, c, bySlug("good"))
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if mustResolve(t, c, bySlug("good")).Tenant.Status != registry.StatusSuspended {
			t.Fatal("not refreshed for 10 s")
		}
	})
}

// Promise: a refresh that finds nothing ends the entry and remembers "unknown".
func TestRefreshFindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		id := f.create("acme", "production")
		c := New(f, Options{})
		mustResolve(t, c, bySlug("acme"))
		f.change(func() { delete(f.tenants, id) })
		time.Sleep(DefaultTTL)
		mustResolve(t, c, bySlug("acme"))
		synctest.Wait()
		_, err := c.Resolve(t.Context(), bySlug("acme"), time.Now())
		if s := c.Stats(); !errors.Is(err, registry.ErrNotFound) || s.Entries != 0 || s.NegativeEntries != 1 || s.NegativeHits != 1 {
			t.Fatalf("%v, %+v", err, s)
		}
	})
}

// Promise: "unknown" is remembered for NegativeTTL, with the tenant that lacks the environment, and not at all when
// NegativeTTL is negative.
func TestNegative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		id := f.create("acme", "production")
		c := New(f, Options{})
		never := New(f, Options{NegativeTTL: -1})
		for _, test := range []struct {
			ref   registry.Reference
			owner uuid.UUID
		}{{bySlug("nobody"), uuid.Nil}, {bySlug("acme", "dev"), id}} {
			for i, want := range []int{1, 1, 2} {
				_, err := c.Resolve(t.Context(), test.ref, time.Now())
				var missing *registry.NotFoundError
				if !errors.As(err, &missing) || missing.Tenant != test.owner {
					t.Fatalf("%v: %v", test.ref, err)
				}
				if f.questionsAbout(test.ref) != want {
					t.Fatalf("%v: asked %d times at %d", test.ref, f.questionsAbout(test.ref), i)
				}
				time.Sleep(DefaultNegativeTTL / 2)
			}
			before := f.questions()
			for range 3 {
				_, _ = never.Resolve(t.Context(), test.ref, time.Now())
			}
			if f.questions() != before+3 {
				t.Fatal("remembered although NegativeTTL is negative")
			}
		}
		if _, err := c.Resolve(t.Context(), registry.Reference{Environment: "dev"}, time.Now()); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("an environment of no tenant: %v", err)
		}
	})
}

// Promise: what was unknown is served stale while the registry cannot be reached, for StaleFor, and asks once it can. Once
// polls fail, too, nobody waits for the registry to find out.
func TestUnknownWhileUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		f.create("acme", "production")
		c := New(f, Options{StaleFor: time.Hour})
		unknown := func(when string) {
			t.Helper()
			if _, err := c.Resolve(t.Context(), bySlug("nobody"), time.Now()); !errors.Is(err, registry.ErrNotFound) {
				t.Fatalf("%s: %v", when, err)
			}
		}
		unknown("first")
		f.setDown(errDown)
		time.Sleep(DefaultNegativeTTL)
		unknown("registry down")
		if err := c.Poll(t.Context()); err == nil {
			t.Fatal("the poll got an answer")
		}
		asked := f.questions()
		unknown("polls fail")
		if f.questions() != asked {
			t.Error("asked although polls fail")
		}
		if _, err := c.Resolve(t.Context(), bySlug("other"), time.Now()); !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("never asked for before: %v", err)
		}
		time.Sleep(time.Hour)
		if _, err := c.Resolve(t.Context(), bySlug("nobody"), time.Now()); !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("served past StaleFor: %v", err)
		}
		f.setDown(nil)
		f.create("nobody", "production")
		if err := c.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustResolve(t, c, bySlug("nobody"))
	})
}

// Promise: what was unknown and is found leaves nothing of "unknown" behind, which could be found again when the tenant
// is evicted.
func TestFoundEndsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		c := New(f, Options{})
		_, _ = c.Resolve(t.Context(), bySlug("acme"), time.Now())
		f.create("acme", "production")
		time.Sleep(DefaultNegativeTTL)
		mustResolve(t, c, bySlug("acme"))
		if s := c.Stats(); s.Entries != 1 || s.NegativeEntries != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// Promise: a reader that looked at an entry before it was replaced or dropped begins no refresh of it.
func TestNoRefreshOfWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		f.create("acme", "production")
		c := New(f, Options{})
		mustResolve(t, c, bySlug("acme"))
		e := c.entries.get(bySlug("acme"))
		c.Purge()
		c.refresh(e, time.Now().UnixNano())
		synctest.Wait()
		if f.questions() != 1 || c.Stats().Entries != 0 {
			t.Fatal("refreshed")
		}
	})
}

// Promise: a flood of made-up names evicts no tenant.
func TestFloodOfUnknownNames(t *testing.T) {
	f := newFakeRegistry()
	f.create("acme", "production")
	c := New(f, Options{Size: 1, NegativeSize: 50})
	mustResolve(t, c, bySlug("acme"))
	for i := range 1000 {
		_, _ = c.Resolve(t.Context(), bySlug(fmt.Sprint("x", i)), time.Now())
	}
	before := f.questions()
	mustResolve(t, c, bySlug("acme"))
	if s := c.Stats(); f.questions() != before || s.Entries != 1 || s.NegativeEntries != 50 || s.Evictions != 0 {
		t.Fatalf("%+v", s)
	}
	checkTable(t, c.negatives)
}

// Promise: an error of the registry, of whatever form, is handed out as unavailable and never remembered as unknown.
func TestErrorsAreNotStored(t *testing.T) {
	acme := &registry.Resolved{Tenant: registry.ResolvedTenant{ID: uuid.New()}, Environment: registry.ResolvedEnvironment{ID: uuid.New()}}
	for name, answer := range map[string]func() (*registry.Resolved, error){
		"unavailable":    func() (*registry.Resolved, error) { return nil, errDown },
		"other error":    func() (*registry.Resolved, error) { return nil, errors.New("disk I/O error") },
		"no answer":      func() (*registry.Resolved, error) { return nil, nil },
		"empty answer":   func() (*registry.Resolved, error) { return &registry.Resolved{}, nil },
		"another tenant": func() (*registry.Resolved, error) { return acme, nil },
		"panic":          func() (*registry.Resolved, error) { panic("driver") },
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{answer: answer}
			c := New(s, Options{})
			ref := byID(uuid.New())
			if _, err := c.Resolve(t.Context(), ref, time.Now()); !errors.Is(err, registry.ErrUnavailable) || errors.Is(err, registry.ErrNotFound) {
				t.Fatalf("error %v", err)
			}
			s.answer = func() (*registry.Resolved, error) {
				return &registry.Resolved{Tenant: registry.ResolvedTenant{ID: uuid.MustParse(ref.Key)}, Environment: acme.Environment}, nil
			}
			if _, err := c.Resolve(t.Context(), ref, time.Now()); err != nil {
				t.Fatalf("the error was remembered: %v", err)
			}
			if st := c.Stats(); st.LoadErrors != 1 || st.NegativeEntries != 0 || st.Entries != 1 {
				t.Fatalf("%+v", st)
			}
		})
	}
}

// scripted is a source that answers every question alike.
type scripted struct {
	answer func() (*registry.Resolved, error)
}

func (s *scripted) Resolve(context.Context, registry.Reference) (*registry.Resolved, error) {
	return s.answer()
}

func (s *scripted) Changes(context.Context, int64, int) (registry.Changes, error) {
	return registry.Changes{Oldest: 1}, nil
}

// Promise: the strings of a reference are copied before they are kept; the request's buffer may be used for another.
func TestReferencesAreCopied(t *testing.T) {
	f := newFakeRegistry()
	f.create("acme", "dev")
	c := New(f, Options{})
	buffer := []byte("acme dev none")
	text := unsafe.String(&buffer[0], len(buffer))
	found := registry.Reference{Kind: registry.KindSlug, Key: text[:4], Environment: text[5:8]}
	missing := registry.Reference{Kind: registry.KindSlug, Key: text[9:]}
	mustResolve(t, c, found)
	if _, err := c.Resolve(t.Context(), missing, time.Now()); !errors.Is(err, registry.ErrNotFound) {
		t.Fatal(err)
	}
	copy(buffer, strings.Repeat("x", len(buffer)))
	before := f.questions()
	mustResolve(t, c, bySlug("acme", "dev"))
	_, _ = c.Resolve(t.Context(), bySlug("none"), time.Now())
	if f.questions() != before {
		t.Fatal("entries were lost with the buffer")
	}
	checkTable(t, c.entries)
	checkTable(t, c.negatives)
}

// Promise: the names of one tenant share one snapshot in memory, as long as it is current.
func TestNamesShareASnapshot(t *testing.T) {
	f := newFakeRegistry()
	id := f.create("acme", "production", "dev")
	f.setHost("app.acme.test", fakeHost{tenant: id})
	c := New(f, Options{})
	first := mustResolve(t, c, bySlug("acme"))
	for _, ref := range []registry.Reference{byHost("app.acme.test"), byID(id), bySlug("acme", "production")} {
		if mustResolve(t, c, ref) != first {
			t.Errorf("%v has a snapshot of its own", ref)
		}
	}
	if mustResolve(t, c, bySlug("acme", "dev")) == first {
		t.Error("two environments share a snapshot")
	}
	f.setStatus(id, registry.StatusSuspended) // not polled yet
	if r := mustResolve(t, c, byHost("app.acme.test")); r != first {
		t.Error("changed without a poll")
	}
	if r := mustResolve(t, c, bySlug("acme", first.Environment.ID.String())); r == first || r.Tenant.Status != registry.StatusSuspended {
		t.Error("a newer answer was replaced by an older snapshot")
	}
}
