package quota

import (
	"context"
	"slices"
)

// Flush records what was counted since the last flush, and reads what other nodes have counted of the same accounts. It
// returns the first error; what was not recorded then is recorded by the next one. [Local.Run] does it by itself, at the pace
// that [UsageOptions] describe; a last call, when no request is under way any more, leaves nothing behind.
func (l *Local) Flush(ctx context.Context) error {
	if l.ledger.usage.Source == nil {
		return nil
	}
	// What could not be loaded yet cannot be recorded either.
	if err := l.ledger.loadAll(ctx); err != nil {
		return err
	}
	return l.ledger.flush(ctx)
}

// Unsaved is what a process that stops has counted and could not record.
type Unsaved struct {
	Account
	// Count is what it has counted: with Absolute all that this node has counted for the account, otherwise what comes
	// on top of what this node has recorded, which could not be read.
	Count    int64
	Absolute bool
}

// Unsaved returns what no flush has recorded.
func (l *Local) Unsaved() []Unsaved {
	g := l.ledger
	var list []Unsaved
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range slices.Concat(g.pace.pass, g.pace.waiting, g.dirty) {
		switch count := a.count.Load(); {
		case count == deadCount || count == 0:
		case a.loaded || a.absolute:
			if a.own+count != a.saved {
				list = append(list, Unsaved{Account: a.names(), Count: a.own + count, Absolute: true})
			}
		default:
			list = append(list, Unsaved{Account: a.names(), Count: count})
		}
	}
	return list
}

// Restore takes over what an earlier process of the same node could not record. It must be called before the first Take.
func (l *Local) Restore(list []Unsaved) {
	g := l.ledger
	for _, u := range list {
		a := g.create(accountKey{u.Key, dayOf(u.Day)}, u.Tenant)
		g.mu.Lock()
		a.absolute = u.Absolute
		g.mu.Unlock()
		a.count.Store(min(max(u.Count, 0), MaxRequests))
		g.mark(a)
	}
}

// flush saves all that is dirty.
func (g *ledger) flush(ctx context.Context) error {
	if err := g.enterFlush(ctx); err != nil {
		return err
	}
	defer g.leaveFlush()
	return g.saveAll(ctx, g.takeAll())
}

// enterFlush waits until nobody else saves.
func (g *ledger) enterFlush(ctx context.Context) error {
	select {
	case g.flushing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *ledger) leaveFlush() {
	g.mu.Lock()
	g.pace.saving = 0
	g.mu.Unlock()
	<-g.flushing
}

// saveAll saves accounts, batch by batch.
func (g *ledger) saveAll(ctx context.Context, list []*account) error {
	for len(list) > 0 {
		n := min(len(list), saveSize)
		err := g.save(ctx, list[:n])
		list = list[n:]
		if err != nil {
			g.later(list) // one call that fails is enough
			return err
		}
	}
	return nil
}

// later puts accounts back on the list.
func (g *ledger) later(list []*account) {
	if len(list) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pace.giveBack()
	for _, a := range list {
		a.dirty.Store(true)
	}
	g.dirty = append(g.dirty, list...)
}

// save records some accounts and learns what others have used of them.
func (g *ledger) save(ctx context.Context, list []*account) error {
	var later, shared []*account
	records := make([]Record, 0, len(list))
	saved := make([]*account, 0, len(list))
	g.mu.Lock()
	for _, a := range list {
		if !a.loaded {
			later = append(later, a)
			continue
		}
		a.dirty.Store(false) // before the count is read: who spends from now on marks it again
		if a.limited.Load() {
			shared = append(shared, a)
		}
		if count := a.count.Load(); count != deadCount && a.own+count != a.saved {
			records = append(records, Record{Account: a.names(), Used: a.own + count, Was: a.saved})
			saved = append(saved, a)
		}
	}
	g.mu.Unlock()
	g.later(later)
	if len(records) > 0 {
		if err := g.record(ctx, records); err != nil {
			g.relist(saved)
			return err
		}
		g.mu.Lock()
		for i, a := range saved {
			a.saved = records[i].Used
		}
		g.mu.Unlock()
	}
	return g.refresh(ctx, shared)
}

// relist puts accounts on the list that are not on it.
func (g *ledger) relist(list []*account) {
	g.mu.Lock()
	g.pace.giveBack()
	g.mu.Unlock()
	for _, a := range list {
		g.mark(a)
	}
}

func (g *ledger) record(ctx context.Context, records []Record) error {
	ctx, cancel := context.WithTimeout(ctx, usageCall)
	defer cancel()
	return g.usage.Sink.Save(ctx, records)
}

// refresh learns what others have used.
func (g *ledger) refresh(ctx context.Context, list []*account) error {
	if len(list) == 0 {
		return nil
	}
	usage, err := g.ask(ctx, list)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, a := range list {
		a.learn(usage[i])
	}
	return nil
}
