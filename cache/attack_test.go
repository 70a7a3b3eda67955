package cache

import (
	"fmt"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: nobody can choose names that collide in the cache. Names that fall together in one gateway are spread over all
// of another one's shards, because each hashes with a seed of its own that nobody knows.
func TestAttackCollidingNames(t *testing.T) {
	t.Parallel()
	one, other := newTable(1), newTable(1)
	const names = 1600
	together, found := make(map[*shard]int), 0
	for n := 0; found < names; n++ {
		ref := registry.Reference{Kind: registry.KindSlug, Key: fmt.Sprintf("t%d", n)}
		if one.shard(ref) == &one.shards[0] {
			together[other.shard(ref)]++
			found++
		}
	}
	if len(together) != shardCount {
		t.Errorf("they fall into %d shards of %d", len(together), shardCount)
	}
	for _, n := range together {
		if n > 3*names/shardCount {
			t.Errorf("%d of %d names collide again", n, names)
		}
	}
}
