package quota

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"
)

const (
	// saveSize is how many accounts one call of the sink saves.
	saveSize = 1000
	// pauseFactor is how many times as long as a call took it pauses before the next one of the same pass: then writing
	// takes a sixteenth of the time of one core.
	pauseFactor = 15
	// leastPause is left of a pause when a pass is late, so that other writers of a registry get their turn.
	leastPause = time.Millisecond
)

// pace holds the accounts that nobody's limit waits for. They are saved in passes: what has come together is put in the
// order of the tenants, which is that of the registry's index, and saved batch by batch with pauses in between. While a pass
// is under way, what comes is kept for the next one; so one that is asked for again meanwhile is written once.
// The ledger's mu guards it.
type pace struct {
	// waiting is for the next pass, pass what is left of the one under way, which is to end by end, and saving how many
	// accounts are being saved and on no list.
	waiting, pass []*account
	end           time.Time
	saving        int
	// For these, and for what is dirty: since when there may have been requests that are not recorded.
	waitingSince, passSince, savingSince, dirtySince time.Time
}

// Backlog returns how many accounts have been counted for and are not recorded yet, and for how long the oldest of them has
// waited, to a FlushInterval. Both are 0 when all is recorded.
func (l *Local) Backlog() (accounts int, age time.Duration) {
	g := l.ledger
	g.mu.Lock()
	defer g.mu.Unlock()
	p := &g.pace
	for _, list := range [...]struct {
		n     int
		since time.Time
	}{{len(g.dirty), p.dirtySince}, {len(p.waiting), p.waitingSince}, {len(p.pass), p.passSince}, {p.saving, p.savingSince}} {
		if accounts += list.n; list.n > 0 && !list.since.IsZero() { // zero: Run has not begun
			age = max(age, time.Since(list.since))
		}
	}
	return accounts, age
}

// take says that accounts are being saved that have waited since then. The caller holds mu, and is the one who saves.
func (p *pace) take(n int, since time.Time) { p.saving, p.savingSince = n, since }

// giveBack says that accounts that were being saved are dirty again. The caller holds mu.
func (p *pace) giveBack() { p.dirtySince = earlier(p.dirtySince, p.savingSince) }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// takeAll takes all that is to be saved off the lists, in order. The caller is the one who saves.
func (g *ledger) takeAll() []*account {
	g.mu.Lock()
	p := &g.pace
	list := slices.Concat(p.pass, p.waiting, g.dirty)
	since := p.dirtySince
	if len(p.waiting) > 0 {
		since = earlier(since, p.waitingSince)
	}
	if len(p.pass) > 0 {
		since = earlier(since, p.passSince)
	}
	p.pass, p.waiting, g.dirty = nil, nil, nil
	p.take(len(list), since)
	g.mu.Unlock()
	inOrder(list)
	return list
}

// takeLimited takes the accounts with a limit off the list of what was spent since the last time, in order; the others wait
// for the next pass. The caller is the one who saves.
func (g *ledger) takeLimited(now time.Time) (list []*account) {
	g.mu.Lock()
	p := &g.pace
	fresh, since := g.dirty, p.dirtySince
	g.dirty, p.dirtySince = nil, now
	p.take(len(fresh), since)
	g.mu.Unlock()
	others := fresh[:0]
	for _, a := range fresh {
		if a.limited.Load() {
			list = append(list, a)
		} else {
			others = append(others, a)
		}
	}
	g.mu.Lock()
	if len(p.waiting) == 0 {
		p.waitingSince = since
	}
	p.waitingSince = earlier(p.waitingSince, since)
	p.waiting = append(p.waiting, others...)
	p.saving = len(list)
	g.mu.Unlock()
	inOrder(list)
	return list
}

// beginPass begins a pass with what waits, and reports whether there is one to go on with. A pass that is under way goes on.
// The caller is the one who saves.
func (g *ledger) beginPass(now time.Time) bool {
	g.mu.Lock()
	p := &g.pace
	if len(p.pass) > 0 || len(p.waiting) == 0 {
		g.mu.Unlock()
		return false
	}
	p.pass, p.passSince, p.end = p.waiting, p.waitingSince, now.Add(g.usage.MaxFlush)
	p.waiting = nil
	list := slices.Clone(p.pass)
	g.mu.Unlock()
	inOrder(list) // while requests go on
	g.mu.Lock()
	p.pass = list
	g.mu.Unlock()
	return true
}

// savePart saves the next accounts of the pass, and returns how long to pause before the ones after that; 0 when there are
// none.
func (g *ledger) savePart(ctx context.Context) (time.Duration, error) {
	if err := g.enterFlush(ctx); err != nil {
		return 0, err
	}
	defer g.leaveFlush()
	g.mu.Lock()
	p := &g.pace
	n := min(saveSize, len(p.pass))
	list := p.pass[:n]
	p.pass = p.pass[n:]
	p.take(n, p.passSince)
	g.mu.Unlock()
	if n == 0 { // somebody has flushed all
		return 0, nil
	}
	began := time.Now()
	err := g.save(ctx, list)
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil { // one call that fails is enough
		p.waiting, p.waitingSince = append(p.pass, p.waiting...), p.passSince
		p.pass = nil
		return 0, err
	}
	if len(p.pass) == 0 {
		p.pass = nil
		return 0, nil
	}
	calls := (len(p.pass) + saveSize - 1) / saveSize
	return max(leastPause, min(pauseFactor*now.Sub(began), p.end.Sub(now)/time.Duration(calls))), nil
}

// inOrder sorts accounts by tenant, as the registry's index does.
func inOrder(list []*account) {
	if len(list) < 2 {
		return
	}
	type place struct {
		high, low uint64
		scope     Scope
		a         *account
	}
	places := make([]place, len(list))
	for i, a := range list {
		places[i] = place{binary.BigEndian.Uint64(a.tenant[:8]), binary.BigEndian.Uint64(a.tenant[8:]), a.scope, a}
	}
	slices.SortFunc(places, func(x, y place) int {
		return cmp.Or(cmp.Compare(x.high, y.high), cmp.Compare(x.low, y.low), cmp.Compare(x.scope, y.scope))
	})
	for i := range places {
		list[i] = places[i].a
	}
}

// flushLoop saves, until ctx ends: each FlushInterval the accounts that have a limit, and what others wait for in passes.
func (g *ledger) flushLoop(ctx context.Context) {
	tick := time.Now().Add(g.usage.FlushInterval)
	var part time.Time // when a pass goes on; zero when none is under way
	g.mu.Lock()
	g.pace.dirtySince = time.Now()
	g.mu.Unlock()
	for {
		next := tick
		if !part.IsZero() {
			next = earlier(tick, part)
		}
		if !sleepUntil(ctx, next) {
			return
		}
		var err error
		if now := time.Now(); !now.Before(tick) {
			var begun bool
			if begun, err = g.flushLimited(ctx, now); begun {
				part = now
			}
			if tick = tick.Add(g.usage.FlushInterval); tick.Before(now) {
				tick = now // those that were missed are one
			}
		}
		if now := time.Now(); err == nil && !part.IsZero() && !now.Before(part) {
			var pause time.Duration
			part = time.Time{}
			if pause, err = g.savePart(ctx); pause > 0 {
				part = time.Now().Add(pause)
			}
		}
		if ctx.Err() != nil {
			return
		}
		g.note(ctx, loopFlush, err)
	}
}

// sleepUntil reports whether ctx has not ended by then.
func sleepUntil(ctx context.Context, then time.Time) bool {
	pause := time.Until(then)
	if pause <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// flushLimited saves the accounts with a limit that were spent from, and learns what others have used of them. Then it
// begins a pass for the others, unless one is under way.
func (g *ledger) flushLimited(ctx context.Context, now time.Time) (begun bool, err error) {
	if err := g.enterFlush(ctx); err != nil {
		return false, err
	}
	defer g.leaveFlush()
	if err := g.saveAll(ctx, g.takeLimited(now)); err != nil {
		return false, err
	}
	return g.beginPass(now), nil
}
