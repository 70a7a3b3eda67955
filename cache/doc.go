// Package cache keeps resolved tenants in memory in front of the registry, with the same face as the registry itself:
// [Cache.Resolve]. It wraps a [Source], which a *registry.Store is, and is ruled by [Options].
//
// # What is served
//
// An entry is fresh for Options.TTL and then served stale, at once, while one background refresh runs; for up to
// Options.StaleFor when the registry cannot be reached. What the registry does not know is remembered for
// Options.NegativeTTL in a space of its own, so that a flood of made-up names evicts no tenant, and likewise served stale
// when the registry cannot be reached. That the registry gave no answer is never remembered. However many requests want the same unknown thing, the registry is asked once, in a
// goroutine of its own that outlives the request that came first; no more than Options.MaxLoads questions are asked at
// once, and nobody waits longer for one than twice Options.LoadTimeout: once for its turn, once for its answer.
//
// # What changes
//
// The TTL is only the second line. [Cache.Poll] reads the registry's change log, by default each second, and drops the
// entries that a change touches, known and unknown: found by tenant and by key, without looking at the rest (a changed
// plan looks at all). What is known to have changed is not served stale, also when the registry is gone a moment later: a
// suspended tenant stays out. An answer that was under way while a change was applied is asked for again. When the log
// does not continue where the last poll ended, everything is dropped.
//
// Times are compared by the wall clock. When it is set back, entries live longer by as much; changes are still seen.
//
// # How it is built, and what that costs
//
// Two tables, one for what is known and one for what is not, each a lock-free hash index
// (github.com/puzpuzpuz/xsync) beside LRUs in shards (github.com/hashicorp/golang-lru), with a reverse index by tenant
// and key. Keys are hashed with a random seed. golang-lru moves an entry when it is read, under a lock; on one hot tenant
// that gets slower with each core. So readers use the index alone, and an entry is moved to the front of its LRU by the
// first reader who comes a second or more after it was last moved, if the shard's lock is free then. The price: order of
// use is known to about a second, so an entry that was read a moment ago can be evicted before one that was read up to a
// second earlier. BenchmarkHit compares this with a plain sharded LRU.
//
// The bound is one for the whole table: adding to a full one first evicts, of all shards, the entry that was used longest
// ago. That looks at each shard's oldest entry, which is nothing beside the question to the registry that came before.
// The cache's own share of memory is about 390 bytes for each reference; the names of one environment share a snapshot.
//
// # On disk
//
// [Cache.SaveHotSet] writes what is cached to a file and [Cache.LoadHotSet] reads it, so that a gateway that starts
// without its registry serves the tenants it knew. The file names tenants, their addresses and upstreams, and SHA-256
// hashes of API keys and session tokens; it is readable by its owner only.
//
// # Use
//
//	c := cache.New(store, cache.Options{HotSet: "/var/lib/tenantgate/hot.json"})
//	if _, err := c.LoadHotSet(); err != nil {
//		log.Print(err) // the cache begins empty
//	}
//	_ = c.Poll(ctx) // what changed while the gateway was down
//	go c.Run(ctx)   // from now on
//	resolved, err := c.Resolve(r.Context(), ref, now)
package cache
