package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// model is the cache as it could be written without a thought for speed: it keeps every state that the registry has had
// since the last poll, and of each reference only when it was answered last. From that it says what the cache may answer.
type model struct {
	t *testing.T
	r *rand.Rand
	f *fakeRegistry
	c *Cache
	o Options

	// states are those that an answer may come from: that of the last poll and all since.
	states []fakeState
	// known is since when each reference must be in memory, unless a change may have dropped it since.
	known map[registry.Reference]time.Time
	down  bool
	names []string
}

// Promise: whatever happens to the registry, in whatever order, an answer is what the registry said at the last poll or
// later, for that very reference; "unavailable" is said only while the registry is down, and not about what must be in
// memory; nothing is stale for longer than StaleFor; there are never more entries than Size.
func TestModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				m := &model{
					t: t, r: r, f: newFakeRegistry(), known: map[registry.Reference]time.Time{},
					o: Options{
						Size: []int{3, 1000}[seed%2], TTL: time.Minute, StaleFor: 10 * time.Minute, NegativeSize: 5,
						HotSet: filepath.Join(t.TempDir(), "hot.json"), Rand: r.Float64,
					},
				}
				for i := range 8 {
					m.names = append(m.names, fmt.Sprint("n", i))
				}
				m.c = New(m.f, m.o)
				m.states = []fakeState{m.f.clone()}
				for range 1000 {
					m.step()
					synctest.Wait()
					if s := m.c.Stats(); s.Entries > m.o.Size || s.NegativeEntries > m.o.NegativeSize {
						t.Fatalf("%+v", s)
					}
				}
				checkTable(t, m.c.entries)
				checkTable(t, m.c.negatives)
			})
		})
	}
}

func (m *model) step() {
	switch n := m.r.IntN(100); {
	case n < 55:
		m.resolve(m.reference())
	case n < 75:
		m.mutate()
		m.states = append(m.states, m.f.clone())
	case n < 87:
		m.poll()
	case n < 92:
		time.Sleep(time.Duration(m.r.IntN(90)) * time.Second)
	case n < 95:
		m.down = !m.down
		if m.down {
			m.f.setDown(errDown)
		} else {
			m.f.setDown(nil)
		}
	case n < 97:
		m.restart()
	case n == 97:
		m.c.Purge()
		clear(m.known)
	case n == 98:
		id, _ := m.tenant()
		m.c.PurgeTenant(id)
		clear(m.known)
	default:
		m.f.trim(m.r.IntN(5))
	}
}

// poll polls, and takes note of what must have been dropped, or rather of more than that.
func (m *model) poll() {
	err := m.c.Poll(m.t.Context())
	if m.down {
		if !errors.Is(err, registry.ErrUnavailable) {
			m.t.Fatal(err)
		}
		return
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.states = m.states[len(m.states)-1:]
	clear(m.known)
}

// mutate changes one thing.
func (m *model) mutate() {
	id, t := m.tenant()
	f := m.f
	name := m.names[m.r.IntN(len(m.names))]
	switch m.r.IntN(9) {
	case 0, 1:
		for _, other := range f.tenants {
			if other.slug == name {
				return
			}
		}
		if id == uuid.Nil || m.r.IntN(2) == 0 {
			f.create(name, "e0", "e1")
		} else {
			f.update(id, func(t *fakeTenant) { t.slug = name })
		}
		return
	}
	if id == uuid.Nil {
		return
	}
	env := t.envs[m.r.IntN(len(t.envs))]
	switch m.r.IntN(8) {
	case 0:
		f.update(id, func(t *fakeTenant) { t.status = registry.StatusSuspended })
	case 1:
		f.update(id, func(t *fakeTenant) { t.plan = fmt.Sprint("p", m.r.IntN(2)) })
	case 2:
		plan := t.plan
		f.change(func() { f.plans[plan]++ }, registry.Change{Entity: "plan", Key: plan})
	case 3:
		var h fakeHost
		if m.r.IntN(3) > 0 {
			h = fakeHost{id, env.id}
		}
		f.setHost(name+".test", h)
	case 4: // another default
		f.updateEnvs(id, func(list []fakeEnv) []fakeEnv {
			list[0], list[len(list)-1] = list[len(list)-1], list[0]
			return list
		}, t.envs[0].id, t.envs[len(t.envs)-1].id)
	case 5: // an environment more, or one less
		if len(t.envs) < 3 {
			added := fakeEnv{id: uuid.New(), slug: fmt.Sprint("e", len(t.envs))}
			for _, e := range t.envs {
				if e.slug == added.slug {
					return
				}
			}
			f.updateEnvs(id, func(list []fakeEnv) []fakeEnv { return append(list, added) }, added.id)
		} else {
			f.updateEnvs(id, func(list []fakeEnv) []fakeEnv { return list[:len(list)-1] }, t.envs[len(t.envs)-1].id)
		}
	case 6:
		f.updateEnvs(id, func(list []fakeEnv) []fakeEnv { list[0].version++; return list }, t.envs[0].id)
	case 7:
		rows := []registry.Change{{Entity: "organization", Tenant: id, Key: t.slug}}
		f.change(func() { delete(f.tenants, id) }, rows...)
	}
}

// tenant returns one of the tenants, in an order that does not depend on the map's.
func (m *model) tenant() (uuid.UUID, fakeTenant) {
	name := m.names[m.r.IntN(len(m.names))]
	for id, t := range m.f.tenants {
		if t.slug == name {
			return id, t
		}
	}
	return uuid.Nil, fakeTenant{}
}

func (m *model) reference() registry.Reference {
	name := m.names[m.r.IntN(len(m.names))]
	ref := bySlug(name)
	id, t := m.tenant()
	switch m.r.IntN(5) {
	case 0:
		ref = byHost(name + ".test")
	case 1:
		if id != uuid.Nil {
			ref = byID(id)
		}
	case 2:
		if id != uuid.Nil {
			return registry.Reference{Kind: registry.KindEnvironmentID, Key: t.envs[0].id.String()}
		}
	}
	ref.Environment = []string{"", "", "e0", "e1", "e2"}[m.r.IntN(5)]
	return ref
}

// resolve asks the cache and judges its answer.
func (m *model) resolve(ref registry.Reference) {
	now := time.Now()
	got, err := m.c.Resolve(m.t.Context(), ref, now)
	if errors.Is(err, registry.ErrUnavailable) {
		if !m.down {
			m.t.Fatalf("%v: %v, but the registry is there", ref, err)
		}
		// An entry is fresh for at least nine tenths of the TTL.
		if since, ok := m.known[ref]; ok && m.o.Size > 100 && now.Sub(since) < m.o.TTL*9/10+m.o.StaleFor {
			m.t.Fatalf("%v: %v, but it was known %v ago", ref, err, now.Sub(since))
		}
		return
	}
	for i := len(m.states) - 1; i >= 0; i-- {
		want, wantErr := m.states[i].resolve(ref)
		if err == nil && wantErr == nil && equal(got, want) {
			if _, ok := m.known[ref]; !ok {
				m.known[ref] = m.loadedBy(ref, now)
			}
			return
		}
		var missing, wantMissing *registry.NotFoundError
		if errors.As(err, &missing) && errors.As(wantErr, &wantMissing) && *missing == *wantMissing {
			delete(m.known, ref)
			return
		}
	}
	m.t.Fatalf("%v: %+v, %v: the registry has not said so since the last poll", ref, got, err)
}

// loadedBy returns since when ref is in memory. It asks the cache itself: the model does not follow refreshes.
func (m *model) loadedBy(ref registry.Reference, now time.Time) time.Time {
	if e := m.c.entries.get(ref); e != nil {
		return time.Unix(0, min(e.loaded, now.UnixNano()))
	}
	return now
}

// restart stops the gateway and starts another from its hot set.
func (m *model) restart() {
	if err := m.c.SaveHotSet(); err != nil {
		m.t.Fatal(err)
	}
	m.c = New(m.f, m.o)
	if _, err := m.c.LoadHotSet(); err != nil {
		m.t.Fatal(err)
	}
	clear(m.known) // what was fresh until later counts from the restart on
}
