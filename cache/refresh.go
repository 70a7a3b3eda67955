package cache

import (
	"sync/atomic"
	"time"
)

const (
	// refreshPause is how long after one attempt to begin a refresh of an entry its next readers do not try.
	refreshPause = int64(100 * time.Millisecond)
	// An entry whose refresh fails is left alone for 1 s, then longer, up to 30 s: if the fault lies in its own row,
	// it must not take all attempts from the others.
	entryBackoff, entryBackoffMax = time.Second, 30 * time.Second
	// All refreshes together pause for 250 ms after a failure, then longer, up to 5 s.
	breakerBackoff, breakerBackoffMax = 250 * time.Millisecond, 5 * time.Second
)

// breaker keeps refreshes from a registry that does not answer. Loads that somebody waits for do not ask it.
type breaker struct {
	failures atomic.Int32 // in a row
	until    atomic.Int64 // no refresh before; Unix nanoseconds
}

func (b *breaker) succeeded() {
	if b.failures.Load() != 0 {
		b.failures.Store(0)
		b.until.Store(0)
	}
}

// refresh begins a background refresh of the stale entry e, unless one is under way, or it is too early for another,
// or enough refreshes are under way: then a later reader will try again. It never waits for the registry.
func (c *Cache) refresh(e *entry, now int64) {
	if now < c.breaker.until.Load() {
		return
	}
	tried := e.tried()
	if retry := tried.retry.Load(); now < retry || !tried.retry.CompareAndSwap(retry, now+refreshPause) {
		return
	}
	f := c.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	limit := f.limit
	if c.breaker.failures.Load() > 0 {
		limit = 1 // one finds out whether the registry is back
	}
	if now < c.breaker.until.Load() { // one that failed meanwhile
		return
	}
	if f.refreshes >= limit || f.loads[e.ref] != nil || c.entries.get(e.ref) != e {
		return
	}
	f.add(&load{ref: e.ref, class: classRefresh, stale: e})
}

// refreshFailed notes that the registry gave no answer about e.
func (c *Cache) refreshFailed(e *entry, err error) {
	s := c.settings.Load()
	now := s.Now().UnixNano()
	tried := e.tried()
	tried.retry.Store(now + s.backoff(int(tried.failures.Add(1)), entryBackoff, entryBackoffMax))
	n := int(c.breaker.failures.Add(1))
	c.breaker.until.Store(now + s.backoff(n, breakerBackoff, breakerBackoffMax))
	if n == 1 {
		s.Logger.Warn("refreshing tenants fails; what is cached is served stale", "error", err)
	}
}
