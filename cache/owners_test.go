package cache

import (
	"slices"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: should two tenants, or two keys, have the same hash, a change of one still drops its own entries and no others, and
// none gets the snapshot of the other.
func TestOwnersOfTheSameHash(t *testing.T) {
	o := newOwners()
	var mine, others []*entry
	for i := range 6 {
		e := filled(slug(i%2), i%2)
		push(o.tenants, o.tenantHash(filled(slug(0), 0).tenant()), e, tenantLinks) // as if all had the first one's
		push(o.keys, o.keyHash(slug(0).Key), e, keyLinks)
		if i%2 == 0 {
			mine = append(mine, e)
		} else {
			others = append(others, e)
		}
	}
	same := func(got []*entry) bool {
		slices.Reverse(got) // the last one is at the head
		return slices.Equal(got, mine)
	}
	if !same(o.ofTenant(mine[0].tenant())) || !same(o.ofKey(mine[0].ref.Key)) {
		t.Error("what is another's was found")
	}
	if got := o.snapshotOf(mine[0].resolved); got != mine[2].resolved {
		t.Errorf("the snapshot is %+v", got)
	}
	stranger := &registry.Resolved{Environment: mine[0].resolved.Environment}
	stranger.Tenant.ID = others[0].tenant()
	o.tenants[o.tenantHash(stranger.Tenant.ID)] = o.tenants[o.tenantHash(mine[0].tenant())]
	if got := o.snapshotOf(stranger); got != nil {
		t.Errorf("another tenant's snapshot: %+v", got)
	}
}
