package cache

import "time"

// Stats is a reading of a cache's counters. Counters grow from [New] on.
type Stats struct {
	// Hits were answered by a fresh entry, StaleHits by one past its TTL, NegativeHits by a remembered "unknown", and
	// Misses had to wait for the registry.
	Hits, StaleHits, NegativeHits, Misses int64
	// Loads are queries for one reference, refreshes included; LoadErrors are those that the registry could not answer.
	Loads, LoadErrors int64
	// Evictions are entries that gave way to others; Invalidations those dropped because of a change or a purge,
	// negative ones included.
	Evictions, Invalidations int64
	// Entries and NegativeEntries are in memory now.
	Entries, NegativeEntries int
	// LastPoll is when the change log was last read; zero when it never was.
	LastPoll time.Time
}
