package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/puzpuzpuz/xsync/v4"

	"github.com/tenantgate/tenantgate/registry"
)

// Cache answers what a reference means, from memory where it can. Make one with [New]. All methods are safe for
// concurrent use, also after Run has ended.
type Cache struct {
	// What readers of a fresh entry need stands first and never changes.
	entries      *table
	negatives    *table
	hits         *xsync.Counter // striped: one word would be fought over by all cores
	negativeHits *xsync.Counter
	source       Source
	flight       *flight
	place        *place
	settings     atomic.Pointer[settings]

	_       [64]byte // what is written often begins on another cache line
	breaker breaker
	hotSet  hotSet

	staleHits, misses, loads, loadErrors, invalidations atomic.Int64
}

// settings are the options in force. They are replaced as a whole.
type settings struct {
	Options
	superseded chan struct{} // closed when others are in force
}

// New returns an empty cache in front of src. Nothing is asked before the first Resolve, Poll or Run.
func New(src Source, o Options) *Cache {
	o = o.withDefaults()
	c := &Cache{
		source:       src,
		entries:      newTable(o.Size),
		negatives:    newTable(o.NegativeSize),
		hits:         xsync.NewCounter(),
		negativeHits: xsync.NewCounter(),
		place:        newPlace(),
	}
	c.flight = newFlight(c.runLoad, c.refreshFailed)
	c.settings.Store(&settings{Options: o, superseded: make(chan struct{})})
	c.flight.bound(o.MaxLoads, o.LoadTimeout)
	return c
}

// Resolve answers what ref means at now, the time of the request. The error is a [registry.NotFoundError], or wraps
// [registry.ErrUnavailable]: the registry gave no answer in time, ctx ended first, or too much was asked at once.
// The snapshot is shared and must not be modified. With a fresh entry Resolve takes no lock and allocates nothing.
func (c *Cache) Resolve(ctx context.Context, ref registry.Reference, now time.Time) (*registry.Resolved, error) {
	t := now.UnixNano()
	e := c.entries.get(ref)
	if e == nil || t >= e.fresh.Load() {
		return c.resolveSlow(ctx, ref, t, e)
	}
	c.entries.touch(e, t)
	c.hits.Inc()
	return e.resolved, nil
}

// resolveSlow is Resolve where the entry e is not fresh, or nil.
func (c *Cache) resolveSlow(ctx context.Context, ref registry.Reference, t int64, e *entry) (*registry.Resolved, error) {
	if ref.Kind == registry.KindNone {
		return nil, unknownTenant // an environment of no tenant
	}
	if e != nil && t < c.servedUntil(e) {
		c.entries.touch(e, t)
		c.staleHits.Add(1)
		c.refresh(e, t)
		return e.resolved, nil
	}
	n := c.negatives.get(ref)
	if n != nil && (t < n.fresh.Load() || c.silent() && t < c.servedUntil(n)) {
		c.negativeHits.Inc()
		return nil, n.missing
	}
	resolved, err := c.await(ctx, ref, t)
	if n != nil && errors.Is(err, registry.ErrUnavailable) && t < c.servedUntil(n) && c.negatives.get(ref) == n {
		return nil, n.missing // what was unknown is, as far as anybody can tell
	}
	return resolved, err
}

// silent reports whether the last poll got no answer. What was unknown is then served stale, like what was known,
// without asking each time: a host name that is nobody's must not fail a request whose header names a cached tenant.
// What a change may have created is dropped, and so never served stale.
func (c *Cache) silent() bool {
	c.place.mu.Lock()
	defer c.place.mu.Unlock()
	return c.place.failures > 0
}

// answer returns what memory has to say about ref, if anything.
func (c *Cache) answer(ref registry.Reference, t int64) (*registry.Resolved, error, bool) {
	if e := c.entries.get(ref); e != nil && t < c.servedUntil(e) {
		return e.resolved, nil, true
	}
	if n := c.negatives.get(ref); n != nil && t < n.fresh.Load() {
		return nil, n.missing, true
	}
	return nil, nil, false
}

// servedUntil returns the end of stale service of e, in Unix nanoseconds.
func (c *Cache) servedUntil(e *entry) int64 {
	return e.fresh.Load() + int64(c.settings.Load().StaleFor)
}

// Purge drops everything, also what is being loaded.
func (c *Cache) Purge() { c.drop(everything) }

// PurgeTenant drops everything of one tenant, also what is being loaded.
func (c *Cache) PurgeTenant(tenant uuid.UUID) {
	if tenant != uuid.Nil {
		c.drop([]registry.Change{{Entity: "organization", Tenant: tenant}})
	}
}

// Stats returns a reading of the counters. They are read one by one, so sums over them can be off by what happens
// meanwhile.
func (c *Cache) Stats() Stats {
	c.place.mu.Lock()
	lastPoll := c.place.lastPoll
	c.place.mu.Unlock()
	return Stats{
		Hits: c.hits.Value(), StaleHits: c.staleHits.Load(), NegativeHits: c.negativeHits.Value(), Misses: c.misses.Load(),
		Loads: c.loads.Load(), LoadErrors: c.loadErrors.Load(),
		Evictions: c.entries.evictions.Load(), Invalidations: c.invalidations.Load(),
		Entries: c.entries.len(), NegativeEntries: c.negatives.len(),
		LastPoll: lastPoll,
	}
}
