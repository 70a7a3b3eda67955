package cache

import (
	"sync"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// links chains an entry with others that share a tenant or a key.
type links struct{ prev, next *entry }

// owners finds entries by tenant and by key, so that a change drops what it touches without looking at all the rest.
// Its lock is the innermost: nothing else is locked while it is held.
type owners struct {
	mu      sync.Mutex
	tenants map[uuid.UUID]*entry
	keys    map[string]*entry
}

func newOwners() *owners {
	return &owners{tenants: make(map[uuid.UUID]*entry), keys: make(map[string]*entry)}
}

func tenantLinks(e *entry) *links { return &e.tenantLinks }
func keyLinks(e *entry) *links    { return &e.keyLinks }

// add makes e findable.
func (o *owners) add(e *entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := e.tenant(); t != uuid.Nil {
		push(o.tenants, t, e, tenantLinks)
	}
	push(o.keys, e.ref.Key, e, keyLinks)
}

// remove undoes add.
func (o *owners) remove(e *entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := e.tenant(); t != uuid.Nil {
		unlink(o.tenants, t, e, tenantLinks)
	}
	unlink(o.keys, e.ref.Key, e, keyLinks)
}

// ofTenant returns the entries of a tenant.
func (o *owners) ofTenant(t uuid.UUID) []*entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return collect(o.tenants[t], tenantLinks)
}

// ofKey returns the entries whose reference has this key, of whatever kind.
func (o *owners) ofKey(key string) []*entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return collect(o.keys[key], keyLinks)
}

// snapshotSearch is how many entries of a tenant snapshotOf looks at: enough for the few names that a tenant's
// environments have, and an end for a tenant with ten thousand sessions.
const snapshotSearch = 16

// snapshotOf returns a snapshot of the same tenant and environment as r that is in use already, or nil.
func (o *owners) snapshotOf(r *registry.Resolved) *registry.Resolved {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.tenants[r.Tenant.ID]
	for range snapshotSearch {
		if e == nil {
			return nil
		}
		if e.resolved != nil && e.resolved.Environment.ID == r.Environment.ID {
			return e.resolved
		}
		e = e.tenantLinks.next
	}
	return nil
}

// push puts e at the head of the chain of key.
func push[K comparable](heads map[K]*entry, key K, e *entry, of func(*entry) *links) {
	head := heads[key]
	*of(e) = links{next: head}
	if head != nil {
		of(head).prev = e
	}
	heads[key] = e
}

// unlink takes e out of the chain of key, and forgets the chain when e was the last.
func unlink[K comparable](heads map[K]*entry, key K, e *entry, of func(*entry) *links) {
	l := of(e)
	if l.next != nil {
		of(l.next).prev = l.prev
	}
	switch {
	case l.prev != nil:
		of(l.prev).next = l.next
	case l.next != nil:
		heads[key] = l.next
	default:
		delete(heads, key)
	}
	*l = links{}
}

func collect(e *entry, of func(*entry) *links) []*entry {
	var list []*entry
	for ; e != nil; e = of(e).next {
		list = append(list, e)
	}
	return list
}
