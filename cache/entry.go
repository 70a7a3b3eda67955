package cache

import (
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// entry is what is remembered of one reference: what it means, or (a negative entry) that it means nothing.
// All times are nanoseconds since the Unix epoch. What is not atomic never changes once the entry is in a table,
// except for the fields whose lock is named.
type entry struct {
	ref registry.Reference
	// resolved is nil in a negative entry, missing is nil in any other.
	resolved *registry.Resolved
	missing  *registry.NotFoundError

	// loaded is when the registry was asked; fresh is until when the answer is served without asking again. Only
	// SetOptions moves fresh, when the TTL became shorter.
	loaded int64
	fresh  atomic.Int64
	// used is when the entry last moved to the front of its shard.
	used atomic.Int64
	// attempts is nil until a refresh of the entry is tried.
	attempts atomic.Pointer[attempts]

	// order is greater the later the entry was used, across shards; 0 when the entry is in no table. Guarded by the shard's
	// lock.
	order uint64
	// tenantLinks and keyLinks chain the entries of one tenant and of one key. Guarded by the owners' lock.
	tenantLinks, keyLinks links
}

// attempts are those to refresh an entry. Most entries are dropped or replaced before there are any.
type attempts struct {
	// retry is before when no further one is made; failures counts those that failed in a row.
	retry    atomic.Int64
	failures atomic.Int32
}

// tried returns the attempts to refresh e.
func (e *entry) tried() *attempts {
	if a := e.attempts.Load(); a != nil {
		return a
	}
	e.attempts.CompareAndSwap(nil, new(attempts))
	return e.attempts.Load()
}

// kept says whether e is in its table. The caller holds the shard's lock.
func (e *entry) kept() bool { return e.order != 0 }

// newEntry returns an entry for a positive answer (missing == nil) or a negative one. The strings of ref must be copies,
// as cloneReference makes them.
func newEntry(ref registry.Reference, resolved *registry.Resolved, missing *registry.NotFoundError, loaded, fresh int64) *entry {
	e := &entry{ref: ref, resolved: resolved, missing: missing, loaded: loaded}
	e.fresh.Store(fresh)
	e.used.Store(loaded)
	return e
}

// cloneReference copies the strings of ref: they may point into a request's buffers, which would be kept whole and,
// worse, be used for another request.
func cloneReference(ref registry.Reference) registry.Reference {
	ref.Key, ref.Environment = strings.Clone(ref.Key), strings.Clone(ref.Environment)
	return ref
}

// tenant returns the tenant to which e belongs: zero in a negative entry of which not even the tenant is known.
func (e *entry) tenant() uuid.UUID {
	if e.resolved != nil {
		return e.resolved.Tenant.ID
	}
	return e.missing.Tenant
}
