// Package fleet makes quotas hold across gateways that share one Redis 7 or Valkey: single or cluster, with TLS and ACL
// users.
//
// A [Store] is a [quota.Store]. Every limit is one key in Redis, changed by one script that lives by Redis's own clock: a
// bucket (GCRA) for a rate, a counter for an allowance, a count of slots for concurrency. In [ModeLease] the script hands
// out leases: some of what is left, ahead of need, to be spent by one gateway without another question.
//
//	address, err := fleet.ParseURL("rediss://gate:secret@redis.example.com:6380")
//	store, err := fleet.New(fleet.Options{Address: address})
//	defer store.Close()
//	allowed := store.Take(now, 1, limits, statuses)
//
// # What is promised
//
// What is on lease still counts as part of the bucket: bucket and leases together never hold more than one burst. So over
// any stretch of Redis's time the fleet admits at most the burst plus the rate times the stretch, however late a lease is
// spent. Leases are half of the burst at most, sized by what a tenant has spent here in the last half second, down to
// none; what nobody spends for a second goes back, and what a gateway holds that dies counts as spent.
//
// A lease that cores keep racing for is spent from in stripes: each core takes some of its tokens ahead of need. They
// stay on lease, and count as on lease in all that is told to Redis.
//
// A request that finds nothing on lease asks, for at most [Options.Timeout], for itself and for all that wait with it.
// Where a limit is used up, no gateway asks again before there can be more, and a busy one only once in a hundred
// requests. A burst that is refilled in less than about 50 ms is too small for that: then some of the rate is lost, or
// most requests make a round trip.
//
// # Without Redis
//
// The first call that fails, or takes longer than the timeout, ends all waiting; heartbeats in the background find out
// when Redis is back. Until then [Options.OnLoss] decides. The local way divides rates and slots by the number of gateways
// last known, lets each bucket begin as empty as it was last known to be, and tells Redis afterwards what was admitted.
// Allowances are then counted by the local store, against what all have recorded. When Redis comes back empty, each
// gateway tells it what it knows; only of limits that it has not heard of for a while can there be one burst too many. For as
// long as some gateways use Redis while others have not found it again, a second or two, the shares of the others come on top of
// the limit.
package fleet
