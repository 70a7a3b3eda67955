package caddymodule

import (
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/registry"
)

// stores holds the open registries, keyed by everything that a store is made from: URL, token and keys (as
// hashes) and timeout.
var stores = caddy.NewUsagePool()

// pooledStore is a registry that is closed when the last configuration has let it go and the last call in flight has
// returned: Caddy cleans a configuration up while requests are still inside it.
type pooledStore struct {
	store *registry.Store

	mu     sync.Mutex
	users  int
	closed bool
}

// use counts a call; it returns false when the store is closed.
func (p *pooledStore) use() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.users++
	return true
}

// release ends a call that use has counted.
func (p *pooledStore) release() {
	p.mu.Lock()
	p.users--
	last := p.closed && p.users == 0
	p.mu.Unlock()
	if last {
		_ = p.store.Close()
	}
}

// Destruct implements caddy.Destructor.
func (p *pooledStore) Destruct() error {
	p.mu.Lock()
	p.closed = true
	idle := p.users == 0
	p.mu.Unlock()
	if idle {
		return p.store.Close()
	}
	return nil
}

// Interface guards
var _ caddy.Destructor = (*pooledStore)(nil)
