package cache

import (
	"context"
	"sync"
	"time"
)

// pollBackoffMax is the longest pause after failed polls, unless PollInterval is longer.
const pollBackoffMax = 3 * time.Second

// Run polls the change log, the first time at once, and writes the hot set now and then, until ctx ends; then it writes
// the hot set a last time and returns. The cache stays usable, but no longer notices changes.
func (c *Cache) Run(ctx context.Context) {
	var hotSets sync.WaitGroup
	hotSets.Go(func() { c.runHotSet(ctx) }) // apart, because writing a large one takes longer than a poll may wait
	c.runPolls(ctx)
	hotSets.Wait()
}

func (c *Cache) runPolls(ctx context.Context) {
	failures := 0
	for {
		s := c.settings.Load()
		pause := s.PollInterval
		if c.Poll(ctx) == nil {
			failures = 0
		} else {
			failures++
			pause = max(pause, time.Duration(s.backoff(failures, s.PollInterval, pollBackoffMax)))
		}
		if !wait(ctx, s, pause) {
			return
		}
	}
}

// wait waits for d, or until other options are in force. It returns false when ctx has ended.
func wait(ctx context.Context, s *settings, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.superseded:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// SetOptions changes sizes and times while the cache is in use; Run goes on with them. What is too much for a smaller
// size is evicted, and a shorter TTL holds for what is cached already.
func (c *Cache) SetOptions(o Options) {
	s := &settings{Options: o.withDefaults(), superseded: make(chan struct{})}
	close(c.settings.Swap(s).superseded)
	c.flight.bound(s.MaxLoads, s.LoadTimeout)
	c.entries.resize(s.Size)
	c.negatives.resize(s.NegativeSize)
	c.entries.expireBy(s.lifetime)
	c.negatives.expireBy(func() int64 { return int64(s.NegativeTTL) })
}
