package cache

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// fakeRegistry is a small registry in memory, with a change log as the real one's triggers write it. It can be down, can
// be replaced, and can be stopped between reading an answer and giving it.
type fakeRegistry struct {
	mu sync.Mutex
	fakeState
	id     uuid.UUID
	oldest int64
	log    []registry.Change
	newest int64

	down     error // what every question gets, when set
	downLog  error // what Changes gets, when set
	replaced bool  // the next poll says so
	resolves int   // questions answered or refused
	asked    map[registry.Reference]int
	polls    int

	// held, when set, is called after an answer was read and before it is given, without the lock.
	held func(ctx context.Context, ref registry.Reference)
}

// fakeState is what the registry says; a copy of it is the registry at one moment.
type fakeState struct {
	tenants  map[uuid.UUID]fakeTenant
	hosts    map[string]fakeHost
	sessions map[string]uuid.UUID
	plans    map[string]int64 // name -> version
}

type fakeTenant struct {
	slug, plan string
	status     registry.Status
	version    int64
	envs       []fakeEnv // the first is the default
}

type fakeEnv struct {
	id      uuid.UUID
	slug    string
	version int64
}

type fakeHost struct{ tenant, env uuid.UUID }

func newFakeRegistry() *fakeRegistry {
	return &fakeRegistry{
		id: uuid.New(), oldest: 1, asked: map[registry.Reference]int{},
		fakeState: fakeState{
			tenants: map[uuid.UUID]fakeTenant{}, hosts: map[string]fakeHost{},
			sessions: map[string]uuid.UUID{}, plans: map[string]int64{},
		},
	}
}

func (s fakeState) clone() fakeState {
	tenants := make(map[uuid.UUID]fakeTenant, len(s.tenants))
	for id, t := range s.tenants {
		t.envs = slices.Clone(t.envs)
		tenants[id] = t
	}
	return fakeState{tenants, maps.Clone(s.hosts), maps.Clone(s.sessions), maps.Clone(s.plans)}
}

// resolve says what ref means: a snapshot made anew, or an error.
func (s fakeState) resolve(ref registry.Reference) (*registry.Resolved, error) {
	var tenant, env uuid.UUID
	switch ref.Kind {
	case registry.KindSlug:
		for id, t := range s.tenants {
			if t.slug == ref.Key {
				tenant = id
			}
		}
	case registry.KindTenantID:
		tenant = uuid.MustParse(ref.Key)
	case registry.KindHost:
		tenant, env = s.hosts[ref.Key].tenant, s.hosts[ref.Key].env
	case registry.KindSession:
		tenant = s.sessions[ref.Key]
	case registry.KindEnvironmentID:
		for id, t := range s.tenants {
			for _, e := range t.envs {
				if e.id.String() == ref.Key {
					tenant, env = id, e.id
				}
			}
		}
	}
	t, ok := s.tenants[tenant]
	if !ok {
		return nil, &registry.NotFoundError{}
	}
	for i, e := range t.envs {
		if ref.Environment == e.slug || ref.Environment == e.id.String() ||
			ref.Environment == "" && (e.id == env || env == uuid.Nil && i == 0) {
			var credential *registry.Credential
			if ref.Kind == registry.KindSession {
				credential = &registry.Credential{User: "u1", NamesTenant: true}
			}
			r := &registry.Resolved{
				Credential: credential,
				Tenant: registry.ResolvedTenant{
					ID: tenant, Slug: t.slug, Name: fmt.Sprint(t.version), Plan: t.plan, Status: t.status,
					Quotas: registry.Quotas{MaxUsers: s.plans[t.plan]},
				},
				Environment: registry.ResolvedEnvironment{ID: e.id, Slug: e.slug, Name: fmt.Sprint(e.version), Default: i == 0},
			}
			r.Seal()
			return r, nil
		}
	}
	return nil, &registry.NotFoundError{Tenant: tenant}
}

func (f *fakeRegistry) Resolve(ctx context.Context, ref registry.Reference) (*registry.Resolved, error) {
	f.mu.Lock()
	f.resolves++
	f.asked[cloneReference(ref)]++
	resolved, err := f.resolve(ref)
	if f.down != nil {
		resolved, err = nil, f.down
	}
	held := f.held
	f.mu.Unlock()
	if held != nil {
		held(ctx, ref)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return resolved, err
}

func (f *fakeRegistry) Changes(ctx context.Context, after int64, limit int) (registry.Changes, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls++
	if f.down != nil || f.downLog != nil {
		return registry.Changes{}, cmp.Or(f.down, f.downLog)
	}
	ch := registry.Changes{Registry: f.id, Oldest: f.oldest, Newest: f.newest, Replaced: f.replaced}
	f.replaced = false
	for _, row := range f.log {
		if row.Seq > after && len(ch.List) < limit {
			ch.List = append(ch.List, row)
		}
	}
	return ch, ctx.Err()
}

// change makes a change and its rows in the log in one.
func (f *fakeRegistry) change(f2 func(), rows ...registry.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f2()
	for _, row := range rows {
		f.newest++
		row.Seq = f.newest
		f.log = append(f.log, row)
	}
}

// trim forgets all rows but the last n.
func (f *fakeRegistry) trim(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = f.log[max(0, len(f.log)-n):]
	f.oldest = f.newest - int64(len(f.log)) + 1
}

// create makes a tenant with one environment for each name; the first is the default.
func (f *fakeRegistry) create(slug string, envs ...string) uuid.UUID {
	id := uuid.New()
	t := fakeTenant{slug: slug, plan: "free", status: registry.StatusActive}
	rows := []registry.Change{{Entity: "organization", Tenant: id, Key: slug}}
	for _, e := range envs {
		env := fakeEnv{id: uuid.New(), slug: e}
		t.envs = append(t.envs, env)
		rows = append(rows, registry.Change{Entity: "environment", Tenant: id, Environment: env.id})
	}
	f.change(func() { f.tenants[id] = t }, rows...)
	return id
}

// update changes a tenant's own row.
func (f *fakeRegistry) update(id uuid.UUID, update func(*fakeTenant)) {
	f.mu.Lock()
	t := f.tenants[id]
	f.mu.Unlock()
	old := t.slug
	update(&t)
	t.version++
	rows := []registry.Change{{Entity: "organization", Tenant: id, Key: old}}
	if t.slug != old {
		rows = append(rows, registry.Change{Entity: "organization", Tenant: id, Key: t.slug})
	}
	f.change(func() { f.tenants[id] = t }, rows...)
}

func (f *fakeRegistry) setStatus(id uuid.UUID, status registry.Status) {
	f.update(id, func(t *fakeTenant) { t.status = status })
}

// updateEnvs replaces a tenant's environments; rows are made for those that are named.
func (f *fakeRegistry) updateEnvs(id uuid.UUID, update func([]fakeEnv) []fakeEnv, touched ...uuid.UUID) {
	rows := make([]registry.Change, len(touched))
	for i, env := range touched {
		rows[i] = registry.Change{Entity: "environment", Tenant: id, Environment: env}
	}
	f.change(func() {
		t := f.tenants[id]
		t.envs = update(slices.Clone(t.envs))
		f.tenants[id] = t
	}, rows...)
}

// setHost attaches a host name to an environment, or detaches it (zero host), wherever it was before.
func (f *fakeRegistry) setHost(name string, h fakeHost) {
	f.mu.Lock()
	old, had := f.hosts[name]
	f.mu.Unlock()
	var rows []registry.Change
	if had {
		rows = append(rows, registry.Change{Entity: "domain", Tenant: old.tenant, Environment: old.env, Key: name})
	}
	if h != (fakeHost{}) {
		rows = append(rows, registry.Change{Entity: "domain", Tenant: h.tenant, Environment: h.env, Key: name})
	}
	f.change(func() {
		delete(f.hosts, name)
		if h != (fakeHost{}) {
			f.hosts[name] = h
		}
	}, rows...)
}

func (f *fakeRegistry) setDown(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
}

func (f *fakeRegistry) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resolves
}

func (f *fakeRegistry) questionsAbout(ref registry.Reference) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[ref]
}

// setHeld sets what is called between reading an answer and giving it.
func (f *fakeRegistry) setHeld(held func(context.Context, registry.Reference)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = held
}

// gate stops answers about a reference between reading and giving.
type gate struct {
	reached, open chan struct{}
}

// hold makes the next answer about ref stop in the gate that is returned; the answers after it pass.
func (f *fakeRegistry) hold(ref registry.Reference) *gate {
	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	var once sync.Once
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = func(ctx context.Context, r registry.Reference) {
		if r != ref {
			return
		}
		once.Do(func() {
			close(g.reached)
			select {
			case <-g.open:
			case <-ctx.Done():
			}
		})
	}
	return g
}

// bySlug, byHost and byID are references as sources make them.
func bySlug(s string, env ...string) registry.Reference {
	ref := registry.Reference{Kind: registry.KindSlug, Key: s}
	if len(env) > 0 {
		ref.Environment = env[0]
	}
	return ref
}

func byHost(h string) registry.Reference { return registry.Reference{Kind: registry.KindHost, Key: h} }

func byID(id uuid.UUID) registry.Reference {
	return registry.Reference{Kind: registry.KindTenantID, Key: id.String()}
}

// mustResolve resolves at the clock's time and ends the test on an error.
func mustResolve(t *testing.T, c *Cache, ref registry.Reference) *registry.Resolved {
	t.Helper()
	r, err := c.Resolve(t.Context(), ref, time.Now())
	if err != nil {
		t.Fatalf("Resolve(%v): %v", ref, err)
	}
	return r
}

func mustPoll(t *testing.T, c *Cache) {
	t.Helper()
	if err := c.Poll(t.Context()); err != nil {
		t.Fatalf("Poll: %v", err)
	}
}

// checkTable ends the test when index, LRUs, owners and count of a table do not agree.
func checkTable(t *testing.T, tab *table) {
	t.Helper()
	n, byTenant, byKey := 0, map[*entry]bool{}, map[*entry]bool{}
	tab.owners.mu.Lock()
	for hash, e := range tab.owners.tenants {
		for ; e != nil; e = e.tenantLinks.next {
			byTenant[e] = tab.owners.tenantHash(e.tenant()) == hash
		}
	}
	for hash, e := range tab.owners.keys {
		for ; e != nil; e = e.keyLinks.next {
			byKey[e] = tab.owners.keyHash(e.ref.Key) == hash
		}
	}
	tab.owners.mu.Unlock()
	for i := range tab.shards {
		for _, e := range tab.shards[i].lru.Keys() {
			n++
			if !e.kept() || tab.get(e.ref) != e || tab.shard(e.ref) != &tab.shards[i] || !byKey[e] || byTenant[e] != (e.tenant() != uuid.Nil) {
				t.Fatalf("table: %v is not kept whole", e.ref)
			}
		}
	}
	if n != tab.len() || n != tab.index.Size() || n != len(byKey) || n > int(tab.size.Load()) {
		t.Fatalf("table: %d in LRUs, %d counted, %d indexed, %d by key, bound %d", n, tab.len(), tab.index.Size(), len(byKey), tab.size.Load())
	}
}

func (f *fakeRegistry) version(id uuid.UUID) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tenants[id].version
}
