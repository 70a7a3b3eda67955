package caddymodule

import (
	"slices"
	"sync"

	"github.com/tenantgate/tenantgate/registry"
)

// changeListeners are told what changes in the registry. The zero value has none.
type changeListeners struct {
	mu   sync.Mutex
	list []*func([]registry.Change) // replaced as a whole
}

// onChanges calls f, from the goroutine that polls, after each poll that brought changes and once the cache no longer
// serves what they touch, until remove is called. One change with entity "registry" stands for everything. f must not
// block, and must not modify the slice.
func (rt *runtime) onChanges(f func([]registry.Change)) (remove func()) {
	l := &rt.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(slices.Clone(l.list), &f)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.list = slices.DeleteFunc(slices.Clone(l.list), func(other *func([]registry.Change)) bool { return other == &f })
	}
}

// changed is the cache's OnChanges.
func (rt *runtime) changed(changes []registry.Change) {
	rt.listeners.mu.Lock()
	list := rt.listeners.list
	rt.listeners.mu.Unlock()
	for _, f := range list {
		(*f)(changes)
	}
}
