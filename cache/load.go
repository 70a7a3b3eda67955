package cache

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

var (
	errTimeout   = errors.New("no answer in time")
	errAbandoned = errors.New("nobody waits for the answer")
	errNonsense  = errors.New("the answer does not fit the question")
)

// unavailable makes err one that wraps registry.ErrUnavailable.
func unavailable(err error) error {
	if errors.Is(err, registry.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
}

// await waits for the answer about ref, of which nothing usable is in memory: together with those who wait for it
// already, or as the first.
func (c *Cache) await(ctx context.Context, ref registry.Reference, now int64) (*registry.Resolved, error) {
	if ctx.Err() != nil {
		return nil, unavailable(context.Cause(ctx))
	}
	f := c.flight
	f.mu.Lock()
	l := f.loads[ref]
	if l == nil {
		// A load that has ended since the caller looked has stored its answer before it left f.loads.
		if resolved, err, ok := c.answer(ref, now); ok {
			f.mu.Unlock()
			return resolved, err
		}
		l = &load{ref: ref, class: classOf(ref)}
		f.add(l)
	}
	l.waiters++
	f.mu.Unlock()
	c.misses.Add(1)

	select {
	case <-l.done:
		return l.resolved, l.err
	case <-ctx.Done():
		f.leave(l)
		return nil, unavailable(context.Cause(ctx))
	}
}

// runLoad asks the registry, stores the answer and gives it to those who wait.
//
// It must not store, nor hand out, what the registry said before a change that the cache has applied since, or the old
// answer would stay until its TTL: the change is in the log only once. This is how the two meet:
//
//   - A load is among flight.running before it asks, until after it has stored.
//   - Poll, when it has read changes, first marks every running load with them, and then drops the entries they touch.
//   - A load looks at its marks and stores in one critical section of flight.mu, under which Poll marks too.
//
// So a load that stores before the mark stores before the drop, which then finds its entry; and one that looks after
// the mark sees it, and asks again if a change touches its answer. A load that begins after the mark asks after Poll has
// read the change, so after its commit, and is answered with it. This takes for granted that no answer of the registry
// is older than a change it has already reported: see [Source].
//
// The same holds for changes from before the first poll: the position in the change log is read before the first
// question whose answer is stored (storable), so every change that this answer may lack comes after the position and
// is found by the first poll. If the position cannot be read, the answer is handed out and not kept.
func (c *Cache) runLoad(l *load) {
	s := c.settings.Load()
	defer c.flight.giveBack(l)
	ctx, cancel := context.WithTimeout(context.Background(), s.LoadTimeout)
	defer cancel()
	for {
		storable := c.place.initialise(ctx, c)
		asked := s.Now().UnixNano()
		e, err := c.ask(ctx, l.ref, asked)
		if c.settle(l, e, err, storable) {
			return
		}
	}
}

// settle ends l with its answer, unless the answer may be out of date and the registry must be asked again.
func (c *Cache) settle(l *load, e *entry, err error, storable bool) bool {
	f := c.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case l.finished:
	case err != nil:
		c.loadErrors.Add(1)
		f.fail(l, err)
	case touchedSince(l, e):
		l.since = nil
		return false
	default:
		c.breaker.succeeded()
		if storable {
			c.store(e)
		}
		if e.resolved == nil {
			f.finish(l, nil, e.missing)
		} else {
			f.finish(l, e.resolved, nil)
		}
	}
	return true
}

func touchedSince(l *load, e *entry) bool {
	for _, changes := range l.since {
		if touchesAny(changes, e) {
			return true
		}
	}
	return false
}

// ask puts the question to the registry. The answer is an entry that is not stored yet; the error always wraps
// registry.ErrUnavailable.
func (c *Cache) ask(ctx context.Context, ref registry.Reference, asked int64) (*entry, error) {
	c.loads.Add(1)
	s := c.settings.Load()
	resolved, err := c.query(ctx, ref)
	var missing *registry.NotFoundError
	switch {
	case err == nil && fits(ref, resolved):
		return newEntry(ref, c.shared(ref, resolved), nil, asked, asked+s.lifetime()), nil
	case err == nil:
		return nil, unavailable(errNonsense)
	case errors.As(err, &missing), errors.Is(err, registry.ErrNotFound):
		return newEntry(ref, nil, notFound(missing), asked, asked+int64(s.NegativeTTL)), nil
	}
	return nil, unavailable(err)
}

// query is source.Resolve, with a panic turned into an error.
func (c *Cache) query(ctx context.Context, ref registry.Reference) (resolved *registry.Resolved, err error) {
	defer c.recovered(&err)
	return c.source.Resolve(ctx, ref)
}

// recovered is deferred around questions to the registry: nothing above their goroutines would catch a panic, and a bug
// in a database driver must not end the gateway.
func (c *Cache) recovered(err *error) {
	if p := recover(); p != nil {
		c.settings.Load().Logger.Error("asking the registry panicked", "panic", p, "stack", string(debug.Stack()))
		*err = fmt.Errorf("%w: panic: %v", registry.ErrUnavailable, p)
	}
}

// fits is the last line of defence against serving one tenant as another: an answer must name a tenant and an
// environment, to a question by id that id, and to one about a member that user and environment. A credential belongs to
// the question by it, and to no other.
func fits(ref registry.Reference, r *registry.Resolved) bool {
	if r == nil || r.Tenant.ID == uuid.Nil || r.Environment.ID == uuid.Nil {
		return false
	}
	switch ref.Kind {
	case registry.KindTenantID:
		return ref.Key == r.Tenant.ID.String() && r.Credential == nil
	case registry.KindEnvironmentID:
		return ref.Key == r.Environment.ID.String() && r.Credential == nil
	case registry.KindMember:
		return r.Credential != nil && r.Credential.User == ref.Key && ref.Environment == r.Environment.ID.String()
	case registry.KindAPIKey, registry.KindSession, registry.KindSessionToken:
		return r.Credential != nil
	}
	return r.Credential == nil
}

var unknownTenant = &registry.NotFoundError{}

// notFound returns the error that a negative entry hands out: one for all unknown tenants.
func notFound(err *registry.NotFoundError) *registry.NotFoundError {
	if err == nil || err.Tenant == uuid.Nil && err.Credential == nil {
		return unknownTenant
	}
	return &registry.NotFoundError{Tenant: err.Tenant, Credential: err.Credential}
}

// shared returns the snapshot that is in memory already if one says the same as r: the names of a tenant share one. That
// of a credential is its own, but shares all that the other has beside it.
func (c *Cache) shared(ref registry.Reference, r *registry.Resolved) *registry.Resolved {
	if e := c.entries.get(ref); e != nil && equal(e.resolved, r) {
		return e.resolved
	}
	other := c.entries.owners.snapshotOf(r)
	switch {
	case other == nil:
		return r
	case equal(other, r):
		return other
	case r.Credential == nil && other.Credential == nil:
		return r
	}
	merged := *other
	merged.Credential = r.Credential
	if !equal(&merged, r) {
		return r
	}
	return &merged
}

func equal(a, b *registry.Resolved) bool { return reflect.DeepEqual(a, b) }

// store keeps an answer, in place of what was kept about its reference, known or unknown.
func (c *Cache) store(e *entry) {
	// In this order a reader finds the new answer or the old one, never none.
	if e.resolved != nil {
		c.entries.put(e)
		if n := c.negatives.get(e.ref); n != nil {
			c.negatives.remove(n)
		}
		return
	}
	if e.fresh.Load() > e.loaded {
		c.negatives.put(e)
	}
	if old := c.entries.get(e.ref); old != nil {
		c.entries.remove(old)
	}
}

// lifetime returns the time from loading to expiry, in nanoseconds: the TTL, shortened by up to Jitter of it.
func (s *settings) lifetime() int64 {
	return int64(float64(s.TTL) * (1 - s.Jitter*s.Rand()))
}

// backoff returns the pause after the n-th failure in a row (1 is the first): it doubles from first up to longest, and
// half of it is random.
func (s *settings) backoff(n int, first, longest time.Duration) int64 {
	d := longest
	if n < 16 && first<<(n-1) < longest {
		d = first << (n - 1)
	}
	return int64(float64(d) * (0.5 + 0.5*s.Rand()))
}
