package caddymodule

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	// namesPage is how many names are read at a time.
	namesPage = 10_000
	// namesRefresh is how often the index is made anew, which is when names that are gone leave it.
	namesRefresh = 24 * time.Hour
	// firstNamesRetry and lastNamesRetry bound the pause between two attempts to make it.
	firstNamesRetry, lastNamesRetry = time.Second, 30 * time.Second
)

// The kinds of names in the index.
const (
	nameHost        = 'h' // a verified host name
	nameTenant      = 't' // a tenant's slug
	nameTenantID    = 'i' // a tenant's id, with an empty name
	nameEnvironment = 'e' // an environment's slug, with its tenant
)

// nameKey is a name in the index.
type nameKey struct {
	kind   byte
	tenant uuid.UUID
	name   string
}

// nameIndex knows for each name whether it may be in the registry, so that a flood of others costs the registry nothing.
// It is made by a scan in the background and kept current from the change log. It errs on one side only: a name that is
// gone stays in it for a while, and is then asked for; of those that were never there, one in 2^64 for each name does.
//
// The zero value is not complete, and so says of every name that it may be there.
type nameIndex struct {
	begin sync.Once
	seed  maphash.Seed // random, so that nobody can choose names that collide

	mu       sync.RWMutex
	set      *nameSet // nil before begin
	complete bool     // since the last time when anything may have changed
	next     *nameSet // while it is made anew
	slugs    bool     // the names of tenants and environments are wanted
	has      bool     // and were read into set
	again    chan struct{}
}

// startNames begins to make the index, unless that was done before. Nothing is asked before the runtime has started.
func (rt *runtime) startNames(slugs bool) {
	x := &rt.names
	x.begin.Do(func() {
		x.seed, x.set, x.again = maphash.MakeSeed(), new(nameSet), make(chan struct{}, 1)
		rt.onChanges(x.changed)
		rt.loops.Go(func() { x.run(rt) })
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	if slugs && !x.slugs {
		x.slugs = true
		x.makeAgain()
	}
}

// mayHave reports whether a name may be in the registry.
func (x *nameIndex) mayHave(key nameKey) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.complete || key.kind != nameHost && !x.has {
		return true
	}
	return x.set.has(maphash.Comparable(x.seed, key))
}

// size returns how many names are in the index, and whether it is complete.
func (x *nameIndex) size() (int, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.set == nil {
		return 0, false
	}
	return x.set.used, x.complete
}

// makeAgain asks for a new index. The caller holds the lock.
func (x *nameIndex) makeAgain() {
	select {
	case x.again <- struct{}{}:
	default:
	}
}

// changed takes over what the change log says. A row does not say whether its name came or went, so it is added.
func (x *nameIndex) changed(changes []registry.Change) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, ch := range changes {
		switch ch.Entity {
		case "registry":
			x.complete = false
			x.makeAgain()
		case "domain":
			x.add(nameKey{kind: nameHost, name: ch.Key})
		case "organization", "organization_alias":
			x.add(nameKey{kind: nameTenant, name: ch.Key})
			x.add(nameKey{kind: nameTenantID, tenant: ch.Tenant})
		case "environment", "environment_alias":
			x.add(nameKey{kind: nameEnvironment, tenant: ch.Tenant, name: ch.Key})
		}
	}
}

// add adds a name to the index, and to the one that is being made. The caller holds the lock.
func (x *nameIndex) add(key nameKey) {
	if key.kind != nameHost && !x.slugs {
		return
	}
	hash := maphash.Comparable(x.seed, key)
	x.set.add(hash)
	if x.next != nil {
		x.next.add(hash)
	}
}

// run makes the index, and makes it anew when it has to, until the runtime ends.
func (x *nameIndex) run(rt *runtime) {
	select {
	case <-rt.ctx.Done():
		return
	case <-rt.readyC:
	}
	for {
		pause := firstNamesRetry
		for err := x.make(rt); err != nil; err = x.make(rt) {
			if rt.ctx.Err() != nil {
				return
			}
			if pause == firstNamesRetry {
				rt.logger.Warn("the names in the registry could not be read; until they are, unknown names ask it one by one", "error", err)
			}
			if !rt.pause(pause) {
				return
			}
			pause = min(2*pause, lastNamesRetry)
		}
		timer := time.NewTimer(namesRefresh)
		select {
		case <-rt.ctx.Done():
		case <-x.again:
		case <-timer.C:
		}
		timer.Stop()
		if rt.ctx.Err() != nil {
			return
		}
	}
}

// pause waits; it returns false when the runtime has ended.
func (rt *runtime) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-rt.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// make reads all names. What changes meanwhile comes by the change log, before or after its row is read.
func (x *nameIndex) make(rt *runtime) error {
	select {
	case <-x.again: // what was asked for until now is done by this
	default:
	}
	x.mu.Lock()
	next := new(nameSet)
	x.next = next
	slugs := x.slugs
	x.mu.Unlock()
	keep := func(keys []nameKey) {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, key := range keys {
			next.add(maphash.Comparable(x.seed, key))
		}
	}
	err := x.scan(rt, slugs, keep)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.next = nil
	if err != nil {
		return err
	}
	next.fit()
	x.set, x.has = next, slugs
	// When all may have changed once more in between, the next one is complete.
	x.complete = len(x.again) == 0 || x.complete
	return nil
}

// scan hands all names to keep, page by page.
func (x *nameIndex) scan(rt *runtime, slugs bool, keep func([]nameKey)) error {
	pages := []func(*registry.Store, nameKey) ([]nameKey, error){namesOf(rt.ctx, nameHost, (*registry.Store).VerifiedHosts)}
	if slugs {
		pages = append(pages, namesOf(rt.ctx, nameTenant, (*registry.Store).TenantSlugs), environmentNames(rt.ctx))
	}
	for _, page := range pages {
		var after nameKey
		for {
			st := rt.source.acquire()
			if st == nil {
				return registry.ErrUnavailable
			}
			keys, err := page(st.store, after)
			st.release()
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				break
			}
			keep(keys)
			after = keys[len(keys)-1]
		}
	}
	return nil
}

// namesOf makes keys of the pages of names.
func namesOf(ctx context.Context, kind byte, page func(*registry.Store, context.Context, string, int) ([]string, error),
) func(*registry.Store, nameKey) ([]nameKey, error) {
	return func(s *registry.Store, after nameKey) ([]nameKey, error) {
		names, err := page(s, ctx, after.name, namesPage)
		keys := make([]nameKey, len(names))
		for i, name := range names {
			keys[i] = nameKey{kind: kind, name: name}
		}
		return keys, err
	}
}

// environmentNames makes keys of the pages of environments, and of the tenants that they belong to.
func environmentNames(ctx context.Context) func(*registry.Store, nameKey) ([]nameKey, error) {
	return func(s *registry.Store, after nameKey) ([]nameKey, error) {
		names, err := s.EnvironmentNames(ctx, registry.EnvironmentName{Tenant: after.tenant, Slug: after.name}, namesPage)
		keys := make([]nameKey, 0, 2*len(names))
		for _, n := range names { // the environment last: the next page begins after it
			keys = append(keys, nameKey{kind: nameTenantID, tenant: n.Tenant}, nameKey{kind: nameEnvironment, tenant: n.Tenant, name: n.Slug})
		}
		return keys, err
	}
}
