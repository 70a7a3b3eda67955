package fleet

import (
	"sync"
	"time"
)

// fetching asks for more of what runs low, and tells Redis what it has to know, until the store is closed.
func (s *Store) fetching() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case c := <-s.fetch:
			s.tend(c)
		}
	}
}

// tend makes one call for one cell: with nothing needed at once, and more on lease where that is spent.
func (s *Store) tend(c *cell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued.Store(false)
	if c.dead() || c.most == 0 || !s.link.up.Load() || s.clock() < c.barred.Load() {
		return
	}
	spare := c.spare.Swap(false)
	leased := s.leased(c.id.kind)
	at := s.clock()
	if leased && !spare && at < c.closed.Load() && c.owed.Load() == 0 && !c.lossy.Load() && c.id.kind != kindConcurrent {
		return // there is nothing to fetch, and nothing to say
	}
	p := s.describe(c, c.rate, c.most)
	if leased {
		s.lease(c, &p)
		if spare {
			s.giveUp(c, &p)
		}
		if s.exact || s.closing.Load() {
			p.want = 0
		}
	}
	parts := []part{p}
	sent := s.clock()
	if err := s.send(parts); err != nil {
		s.unsent(&parts[0], err)
		return
	}
	s.apply(c, &parts[0], sent, leased)
}

// giveUp takes what is on lease out of reach of requests, to be given back.
func (s *Store) giveUp(c *cell, p *part) {
	n := c.empty()
	if c.id.kind == kindConcurrent {
		c.owned -= n
		p.held = c.owned
	} else {
		p.held, p.back = 0, n
	}
	p.want, c.target = 0, 0
	c.low.Store(-1)
	c.crowded.Store(false)
}

// sweeping looks at every cell now and then: gives back leases that nobody spends from, keeps slots that are taken from
// ending, and forgets limits that nobody uses.
func (s *Store) sweeping() {
	ticker := time.NewTicker(max(min(s.o.Idle, s.o.Lease/4)/shards, 100*time.Microsecond))
	defer ticker.Stop()
	for i := 0; ; i = (i + 1) % shards {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.sweepShard(i)
		}
	}
}

func (s *Store) sweepShard(i int) {
	at := s.clock()
	sh := &s.shards[i]
	dead := false
	table := *sh.table.Load()
	for j := range table {
		c := table[j].cell.Load()
		if c == nil {
			continue
		}
		switch {
		case c.dead():
			dead = true
		case s.idle(c, at):
			dead = c.kill() || dead
		}
	}
	if dead {
		sh.clean()
	}
}

// idle sees to one cell and reports whether it can be forgotten: what it knows, Redis knows too.
func (s *Store) idle(c *cell, at int64) bool {
	tokens, used := c.gather(), c.slots()
	up := s.link.up.Load()
	if tokens != c.seen || c.since == 0 {
		c.seen, c.since = tokens, max(at, 1)
	}
	unchanged := at-c.since >= int64(s.o.Idle)
	owes := c.lossy.Load() || c.owed.Load() != 0
	switch {
	case tokens > 0 && at >= c.expires.Load() && used == 0 && c.id.kind != kindConcurrent:
		c.tokens.CompareAndSwap(tokens, 0) // Redis counts it as spent
		return false
	case up && owes:
		s.enqueue(c)
		return false
	case tokens > 0 && unchanged:
		if up {
			c.spare.Store(true)
			s.enqueue(c)
		}
		return false
	case up && (tokens > 0 || used > 0) && c.expires.Load()-at < s.life/2:
		s.enqueue(c) // renews
		return false
	}
	if tokens != 0 || used != 0 || owes || !unchanged || at < c.closed.Load() || c.waiting.Load() > 0 {
		return false
	}
	// What the bucket was last known to be is of use if Redis loses it.
	return c.id.kind != kindRate || c.level.Load() <= at
}

// closeLimit bounds how long Close gives back what is on lease.
const closeLimit = 2 * time.Second

// Close gives back all leases, takes this node out of the count, and ends what runs in the background. Requests that are
// still under way are decided without Redis.
func (s *Store) Close() {
	s.once.Do(func() {
		s.closing.Store(true)
		s.returnLeases(time.Now().Add(closeLimit))
		s.cancel()
		s.loops.Wait()
	})
}

func (s *Store) returnLeases(deadline time.Time) {
	work := make(chan *cell)
	var workers sync.WaitGroup
	for range 4 * fetchers {
		workers.Go(func() {
			for c := range work {
				if s.link.up.Load() && time.Now().Before(deadline) {
					c.spare.Store(true)
					s.tend(c)
				}
			}
		})
	}
	for i := range s.shards {
		table := *s.shards[i].table.Load()
		for j := range table {
			if c := table[j].cell.Load(); c != nil && !c.dead() && (c.gather() > 0 || c.slots() > 0 || c.asking()) {
				work <- c
			}
		}
	}
	close(work)
	workers.Wait()
}

// asking reports whether a call about this limit is under way, which may bring more.
func (c *cell) asking() bool {
	if !c.mu.TryLock() {
		return true
	}
	c.mu.Unlock()
	return false
}
