// Package cache keeps resolved tenants in memory in front of the registry, with the same face as the registry
// itself: [Cache.Resolve].
package cache
