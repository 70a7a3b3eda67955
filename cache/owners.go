package cache

import (
	"hash/maphash"
	"sync"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// links chains an entry with others that share a tenant or a key.
type links struct{ prev, next *entry }

// owners finds entries by tenant and by key, so that a change drops what it touches without looking at all the rest.
// Its lock is the innermost: nothing else is locked while it is held.
//
// The heads of the chains are kept by hash, which takes less memory than the ids and keys themselves, one for each entry
// mostly. Should two of these have the same hash, they share a chain: who reads it looks at what each entry is.
type owners struct {
	mu            sync.Mutex
	seed          maphash.Seed
	tenants, keys map[uint64]*entry
}

func newOwners() *owners {
	return &owners{seed: maphash.MakeSeed(), tenants: make(map[uint64]*entry), keys: make(map[uint64]*entry)}
}

func (o *owners) tenantHash(t uuid.UUID) uint64 { return maphash.Bytes(o.seed, t[:]) }
func (o *owners) keyHash(key string) uint64     { return maphash.String(o.seed, key) }

func tenantLinks(e *entry) *links { return &e.tenantLinks }
func keyLinks(e *entry) *links    { return &e.keyLinks }

// add makes e findable.
func (o *owners) add(e *entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := e.tenant(); t != uuid.Nil {
		push(o.tenants, o.tenantHash(t), e, tenantLinks)
	}
	push(o.keys, o.keyHash(e.ref.Key), e, keyLinks)
}

// remove undoes add.
func (o *owners) remove(e *entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := e.tenant(); t != uuid.Nil {
		unlink(o.tenants, o.tenantHash(t), e, tenantLinks)
	}
	unlink(o.keys, o.keyHash(e.ref.Key), e, keyLinks)
}

// ofTenant returns the entries of a tenant.
func (o *owners) ofTenant(t uuid.UUID) []*entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return collect(o.tenants[o.tenantHash(t)], tenantLinks, func(e *entry) bool { return e.tenant() == t })
}

// ofKey returns the entries whose reference has this key, of whatever kind.
func (o *owners) ofKey(key string) []*entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return collect(o.keys[o.keyHash(key)], keyLinks, func(e *entry) bool { return e.ref.Key == key })
}

// snapshotSearch is how many entries of a tenant snapshotOf looks at: enough for the few names that a tenant's
// environments have, and an end for a tenant with ten thousand sessions.
const snapshotSearch = 16

// snapshotOf returns a snapshot of the same tenant and environment as r that is in use already, or nil.
func (o *owners) snapshotOf(r *registry.Resolved) *registry.Resolved {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.tenants[o.tenantHash(r.Tenant.ID)]
	for range snapshotSearch {
		if e == nil {
			return nil
		}
		if e.resolved != nil && e.tenant() == r.Tenant.ID && e.resolved.Environment.ID == r.Environment.ID {
			return e.resolved
		}
		e = e.tenantLinks.next
	}
	return nil
}

// push puts e at the head of the chain of a hash.
func push(heads map[uint64]*entry, hash uint64, e *entry, of func(*entry) *links) {
	head := heads[hash]
	*of(e) = links{next: head}
	if head != nil {
		of(head).prev = e
	}
	heads[hash] = e
}

// unlink takes e out of the chain of a hash, and forgets the chain when e was the last.
func unlink(heads map[uint64]*entry, hash uint64, e *entry, of func(*entry) *links) {
	l := of(e)
	if l.next != nil {
		of(l.next).prev = l.prev
	}
	switch {
	case l.prev != nil:
		of(l.prev).next = l.next
	case l.next != nil:
		heads[hash] = l.next
	default:
		delete(heads, hash)
	}
	*l = links{}
}

// collect returns the entries of a chain that are meant.
func collect(e *entry, of func(*entry) *links, meant func(*entry) bool) []*entry {
	var list []*entry
	for ; e != nil; e = of(e).next {
		if meant(e) {
			list = append(list, e)
		}
	}
	return list
}
