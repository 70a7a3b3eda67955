package cache

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: a poll drops exactly what a change touches, so that the next request sees the change, and nothing else.
func TestPollDropsWhatChanged(t *testing.T) {
	f := newFakeRegistry()
	acme := f.create("acme", "production", "dev")
	globex := f.create("globex", "production")
	envs := func(id uuid.UUID) []fakeEnv { return f.tenants[id].envs }
	prod, dev := envs(acme)[0].id, envs(acme)[1].id
	f.setHost("app.test", fakeHost{acme, dev})
	f.change(func() { f.sessions["5e55"] = acme })
	f.update(globex, func(t *fakeTenant) { t.plan = "pro" })
	session := registry.Reference{Kind: registry.KindSession, Key: "5e55"}
	byEnv := registry.Reference{Kind: registry.KindEnvironmentID, Key: dev.String()}

	ofAcme := []registry.Reference{bySlug("acme"), byID(acme), byHost("app.test"), bySlug("acme", "dev"), bySlug("acme", "production"), session, byEnv}
	ofGlobex := []registry.Reference{bySlug("globex"), byID(globex)}
	all := slices.Concat(ofAcme, ofGlobex)

	for _, test := range []struct {
		name    string
		change  func()
		dropped []registry.Reference
	}{
		{"suspended", func() { f.setStatus(acme, registry.StatusSuspended) }, ofAcme},
		{"renamed", func() { f.update(acme, func(t *fakeTenant) { t.slug = "acme2" }) }, ofAcme},
		{
			"environment", func() { f.updateEnvs(acme, bump(1), dev) },
			[]registry.Reference{bySlug("acme"), byID(acme), byHost("app.test"), bySlug("acme", "dev"), session, byEnv},
		},
		{
			"other environment", func() { f.updateEnvs(acme, bump(0), prod) },
			[]registry.Reference{bySlug("acme"), byID(acme), byHost("app.test"), bySlug("acme", "production"), session, byEnv},
		},
		{"another environment takes the slug", func() {
			f.change(func() {}, registry.Change{Entity: "environment", Tenant: acme, Environment: uuid.New(), Key: "dev"})
		}, []registry.Reference{bySlug("acme"), byID(acme), byHost("app.test"), bySlug("acme", "dev"), session, byEnv}},
		{
			"environment without its tenant", func() { f.change(func() {}, registry.Change{Entity: "environment", Environment: dev}) },
			[]registry.Reference{byHost("app.test"), bySlug("acme", "dev"), byEnv},
		},
		{
			"moved host", func() { f.setHost("app.test", fakeHost{tenant: globex}) },
			[]registry.Reference{bySlug("acme"), byID(acme), byHost("app.test"), bySlug("acme", "dev"), session, byEnv, bySlug("globex"), byID(globex)},
		},
		{"session", func() { f.change(func() {}, registry.Change{Entity: "session", Tenant: acme, Key: "5e55"}) }, []registry.Reference{session}},
		{"session without a tenant", func() { f.change(func() {}, registry.Change{Entity: "session", Key: "5e55"}) }, []registry.Reference{session}},
		{"session without a key", func() { f.change(func() {}, registry.Change{Entity: "session", Tenant: acme}) }, ofAcme},
		{"another API key", func() { f.change(func() {}, registry.Change{Entity: "api_key", Tenant: acme, Key: "abc"}) }, nil},
		{"credential of a database", func() {
			f.change(func() {}, registry.Change{Entity: "database_credential", Tenant: acme, Environment: dev, Key: "c1"})
		}, nil},
		{"plan", func() { f.change(func() { f.plans["pro"]++ }, registry.Change{Entity: "plan", Key: "pro"}) }, ofGlobex},
		{"plan that nobody has", func() { f.change(func() {}, registry.Change{Entity: "plan", Key: "x"}) }, nil},
		{"key only", func() { f.change(func() {}, registry.Change{Entity: "domain", Key: "app.test"}) }, []registry.Reference{byHost("app.test")}},
		{"everything", func() { f.change(func() {}, registry.Change{Entity: "registry"}) }, all},
		{"a row that says nothing", func() { f.change(func() {}, registry.Change{Entity: "organization"}) }, all},
		{"unknown entity", func() { f.change(func() {}, registry.Change{Entity: "new", Tenant: globex}) }, ofGlobex},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := f.fakeState.clone()
			defer func() { f.fakeState = before }()
			c := New(f, Options{})
			for _, ref := range all {
				mustResolve(t, c, ref)
			}
			test.change()
			mustPoll(t, c)
			for _, ref := range all {
				if kept := c.entries.get(ref) != nil; kept == slices.Contains(test.dropped, ref) {
					t.Errorf("%v: kept %v", ref, kept)
				}
				r, err := c.Resolve(t.Context(), ref, time.Now())
				want, wantErr := f.resolve(ref)
				if !equal(r, want) || (err == nil) != (wantErr == nil) {
					t.Errorf("%v: %v, %v, not %v, %v", ref, r, err, want, wantErr)
				}
			}
			if n := c.Stats().Invalidations; int(n) != len(test.dropped) {
				t.Errorf("%d invalidations", n)
			}
			checkTable(t, c.entries)
		})
	}
}

func bump(i int) func([]fakeEnv) []fakeEnv {
	return func(list []fakeEnv) []fakeEnv {
		list[i].version++
		return list
	}
}

// Promise: "unknown" ends with the poll that sees the thing created, for all its names, and for nothing else.
func TestCreationClearsUnknown(t *testing.T) {
	f := newFakeRegistry()
	acme := f.create("acme", "production")
	id, env := uuid.New(), uuid.New()
	byEnv := registry.Reference{Kind: registry.KindEnvironmentID, Key: env.String()}
	all := []registry.Reference{bySlug("new"), bySlug("new", "dev"), byID(id), byEnv, byHost("new.test"), bySlug("acme", "dev"), bySlug("other")}
	for _, test := range []struct {
		name    string
		row     registry.Change
		cleared []registry.Reference
	}{
		{"tenant", registry.Change{Entity: "organization", Tenant: id, Key: "new"}, []registry.Reference{bySlug("new"), bySlug("new", "dev"), byID(id)}},
		{"environment", registry.Change{Entity: "environment", Tenant: acme, Environment: env}, []registry.Reference{bySlug("acme", "dev"), byEnv}},
		{"domain", registry.Change{Entity: "domain", Tenant: acme, Key: "new.test"}, []registry.Reference{byHost("new.test"), bySlug("acme", "dev")}},
		{"domain of nobody", registry.Change{Entity: "domain", Key: "new.test"}, []registry.Reference{byHost("new.test")}},
		{"plan", registry.Change{Entity: "plan", Key: "new"}, nil},
		{"everything", registry.Change{Entity: "registry"}, all},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := New(f, Options{})
			for _, ref := range all {
				if _, err := c.Resolve(t.Context(), ref, time.Now()); !errors.Is(err, registry.ErrNotFound) {
					t.Fatal(err)
				}
			}
			f.change(func() {}, test.row)
			mustPoll(t, c)
			for _, ref := range all {
				if kept := c.negatives.get(ref) != nil; kept == slices.Contains(test.cleared, ref) {
					t.Errorf("%v: kept %v", ref, kept)
				}
			}
			checkTable(t, c.negatives)
		})
	}
}

// Promise: when the place in the log is lost, everything is dropped, whatever the reason, and polling goes on from there.
func TestLostPlace(t *testing.T) {
	for name, lose := range map[string]func(*fakeRegistry){
		"trimmed":          func(f *fakeRegistry) { f.create("x", "y"); f.trim(1) },
		"trimmed empty":    func(f *fakeRegistry) { f.create("x", "y"); f.trim(0) },
		"set back":         func(f *fakeRegistry) { f.newest--; f.log = f.log[:len(f.log)-1] },
		"another registry": func(f *fakeRegistry) { f.id = uuid.New() },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			var seen []registry.Change
			f := newFakeRegistry()
			id := f.create("acme", "production")
			c := New(f, Options{
				Logger:    slog.New(slog.NewTextHandler(&log, nil)),
				OnChanges: func(changes []registry.Change) { seen = append(seen, changes...) },
			})
			mustResolve(t, c, bySlug("acme"))
			_, _ = c.Resolve(t.Context(), bySlug("nobody"), time.Now())
			lose(f)
			mustPoll(t, c)
			if s := c.Stats(); s.Entries != 0 || s.NegativeEntries != 0 || s.Invalidations != 2 {
				t.Fatalf("%+v", s)
			}
			if len(seen) != 1 || seen[0].Entity != "registry" || strings.Count(log.String(), "\n") != 1 {
				t.Fatalf("%v\n%s", seen, log.String())
			}
			mustResolve(t, c, bySlug("acme"))
			mustPoll(t, c)
			if c.Stats().Entries != 1 {
				t.Fatal("dropped a second time")
			}
			f.setStatus(id, registry.StatusSuspended)
			mustPoll(t, c)
			if mustResolve(t, c, bySlug("acme")).Tenant.Status != registry.StatusSuspended {
				t.Fatal("changes after that are not seen")
			}
		})
	}
}

// Promise: a trimmed log alone is no loss, as long as it reaches back to the place.
func TestTrimmedLogIsNoLoss(t *testing.T) {
	f := newFakeRegistry()
	f.create("acme", "production")
	c := New(f, Options{})
	mustResolve(t, c, bySlug("acme"))
	f.trim(0)
	mustPoll(t, c)
	f.create("globex", "production")
	mustPoll(t, c)
	if c.Stats().Entries != 1 {
		t.Fatal("dropped")
	}
}

// Promise: one poll applies all that there is, however many rows; OnChanges gets each row once, in order.
func TestPollReadsToTheEnd(t *testing.T) {
	f := newFakeRegistry()
	var seen []registry.Change
	c := New(f, Options{OnChanges: func(changes []registry.Change) { seen = append(seen, changes...) }})
	for i := range 50 {
		f.create(fmt.Sprint("t", i), "production")
		mustResolve(t, c, bySlug(fmt.Sprint("t", i)))
	}
	mustPoll(t, c)
	seen = nil
	for i := range 50 {
		for id, tenant := range f.tenants {
			if tenant.slug == fmt.Sprint("t", i) {
				for range 50 {
					f.setStatus(id, registry.StatusSuspended)
				}
			}
		}
	}
	f.polls = 0
	mustPoll(t, c)
	if c.Stats().Entries != 0 || f.polls != 3 || len(seen) != 2500 {
		t.Fatalf("%d entries left, %d polls, %d changes", c.Stats().Entries, f.polls, len(seen))
	}
	for i, ch := range seen[1:] {
		if ch.Seq != seen[i].Seq+1 {
			t.Fatal("out of order")
		}
	}
	mustPoll(t, c)
	if len(seen) != 2500 {
		t.Fatal("rows came twice")
	}
}

// Promise: a tenant known to have changed is not served stale when the registry has gone: a suspended tenant stays out.
func TestChangedIsNotServedStale(t *testing.T) {
	f := newFakeRegistry()
	id := f.create("acme", "production")
	f.create("globex", "production")
	c := New(f, Options{})
	mustResolve(t, c, bySlug("acme"))
	mustResolve(t, c, bySlug("globex"))
	f.setStatus(id, registry.StatusSuspended)
	mustPoll(t, c)
	f.setDown(errDown)
	if r, err := c.Resolve(t.Context(), bySlug("acme"), time.Now()); !errors.Is(err, registry.ErrUnavailable) {
		t.Fatalf("%v, %v", r, err)
	}
	mustResolve(t, c, bySlug("globex"))
}

// Promise: an answer that was read before a change is neither stored nor handed out after the poll that saw the change.
// The interleaving is the one that would break it: read, change, poll, then the answer arrives.
func TestLoadMeetsChange(t *testing.T) {
	acmeSuspended := func(f *fakeRegistry, id uuid.UUID) { f.setStatus(id, registry.StatusSuspended) }
	for name, test := range map[string]struct {
		ref       registry.Reference
		change    func(*fakeRegistry, uuid.UUID)
		questions int
	}{
		"suspended": {bySlug("acme"), acmeSuspended, 2},
		"of a host": {byHost("app.test"), acmeSuspended, 2},
		"created":   {bySlug("new"), func(f *fakeRegistry, _ uuid.UUID) { f.create("new", "production") }, 2},
		"deleted":   {bySlug("acme"), func(f *fakeRegistry, id uuid.UUID) { f.update(id, func(t *fakeTenant) { t.slug = "gone" }) }, 2},
		"plan": {bySlug("acme"), func(f *fakeRegistry, _ uuid.UUID) {
			f.change(func() { f.plans["free"]++ }, registry.Change{Entity: "plan", Key: "free"})
		}, 2},
		"place lost":      {bySlug("acme"), func(f *fakeRegistry, id uuid.UUID) { acmeSuspended(f, id); f.trim(0) }, 2},
		"something else":  {bySlug("acme"), func(f *fakeRegistry, _ uuid.UUID) { f.create("new", "production") }, 1},
		"still not there": {bySlug("nobody"), func(f *fakeRegistry, _ uuid.UUID) { f.create("new", "production") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeRegistry()
				id := f.create("acme", "production")
				f.setHost("app.test", fakeHost{tenant: id})
				c := New(f, Options{})
				mustPoll(t, c)
				g := f.hold(test.ref)
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() {
						r, err := c.Resolve(t.Context(), test.ref, time.Now())
						want, wantErr := f.resolve(test.ref)
						if !equal(r, want) || (err == nil) != (wantErr == nil) {
							t.Errorf("%v, %v, not %v, %v", r, err, want, wantErr)
						}
					})
				}
				<-g.reached
				test.change(f, id)
				mustPoll(t, c)
				close(g.open)
				all.Wait()
				if n := f.questionsAbout(test.ref); n != test.questions {
					t.Errorf("%d questions", n)
				}
				r, _ := c.Resolve(t.Context(), test.ref, time.Now())
				if want, _ := f.resolve(test.ref); !equal(r, want) || f.questionsAbout(test.ref) != test.questions {
					t.Errorf("stored %v", r)
				}
			})
		})
	}
}

// Promise: the same for a background refresh and for Purge; and when the registry is gone by the time of the second
// question, there is no answer rather than the old one.
func TestLoadMeetsChangeThenRegistryGoes(t *testing.T) {
	for name, drop := range map[string]func(*testing.T, *Cache, uuid.UUID){
		"poll":         func(t *testing.T, c *Cache, _ uuid.UUID) { mustPoll(t, c) },
		"purge":        func(_ *testing.T, c *Cache, _ uuid.UUID) { c.Purge() },
		"purge tenant": func(_ *testing.T, c *Cache, id uuid.UUID) { c.PurgeTenant(id) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeRegistry()
				id := f.create("acme", "production")
				c := New(f, Options{})
				mustResolve(t, c, bySlug("acme"))
				time.Sleep(DefaultTTL)
				g := f.hold(bySlug("acme"))
				mustResolve(t, c, bySlug("acme")) // begins the refresh
				<-g.reached
				f.setStatus(id, registry.StatusSuspended)
				drop(t, c, id)
				f.setDown(errDown)
				close(g.open)
				synctest.Wait()
				if r, err := c.Resolve(t.Context(), bySlug("acme"), time.Now()); !errors.Is(err, registry.ErrUnavailable) {
					t.Errorf("%v, %v", r, err)
				}
			})
		})
	}
}

// Promise: nothing is missed between the start and the first poll: what the first load reads is dropped if it changes
// afterwards. If the place in the log cannot be read, answers are handed out and not kept.
func TestFirstLoadBeforeFirstPoll(t *testing.T) {
	f := newFakeRegistry()
	id := f.create("acme", "production")
	c := New(f, Options{})
	f.downLog = errDown
	mustResolve(t, c, bySlug("acme"))
	if c.Stats().Entries != 0 {
		t.Fatal("kept without a place in the log")
	}
	f.downLog = nil
	mustResolve(t, c, bySlug("acme"))
	if c.Stats().Entries != 1 {
		t.Fatal("not kept")
	}
	f.setStatus(id, registry.StatusSuspended)
	mustPoll(t, c)
	if mustResolve(t, c, bySlug("acme")).Tenant.Status != registry.StatusSuspended {
		t.Fatal("a change before the first poll was missed")
	}
}

// Promise: the log says once that polling fails and once that it works again, not each second.
func TestPollLogsOnce(t *testing.T) {
	var log bytes.Buffer
	f := newFakeRegistry()
	c := New(f, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustPoll(t, c)
	for range 2 {
		f.setDown(errDown)
		for range 10 {
			if err := c.Poll(t.Context()); !errors.Is(err, registry.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		f.setDown(nil)
		for range 10 {
			mustPoll(t, c)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 4 {
		t.Fatalf("%d lines\n%s", n, log.String())
	}
}
