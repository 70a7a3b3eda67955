package quota

import (
	"context"
	"fmt"
	"time"
)

const (
	// batchSize is how many accounts are loaded or saved at once.
	batchSize = 500
	// loadRetry is the pause after a load that failed.
	loadRetry = time.Second
	// usageCall bounds one call of a source or a sink, whatever bound it has itself.
	usageCall = 30 * time.Second
)

// batch is a load of several accounts.
type batch struct {
	done     chan struct{} // closed when the first attempt has ended
	tried    bool          // no accounts are added any more
	accounts []*account
}

// await waits for the first attempt to load an account, for at most LoadTimeout.
func (g *ledger) await(a *account) {
	if g.down.Load() {
		return
	}
	g.mu.Lock()
	b := g.waits[a]
	g.mu.Unlock()
	if b == nil {
		return
	}
	timer := time.NewTimer(g.usage.LoadTimeout)
	defer timer.Stop()
	select {
	case <-b.done:
	case <-timer.C:
		g.down.Store(true) // until the next load that succeeds
	}
}

// loadAll loads what there is to load. It returns the error of the first attempt that fails; what is not loaded then
// stays on the list.
func (g *ledger) loadAll(ctx context.Context) error {
	g.loading.Lock()
	defer g.loading.Unlock()
	for {
		g.mu.Lock()
		if len(g.batches) == 0 {
			g.mu.Unlock()
			return nil
		}
		b := g.batches[0]
		first := !b.tried
		b.tried = true // closed for others
		g.mu.Unlock()

		usage, err := g.ask(ctx, b.accounts)
		g.mu.Lock()
		if err == nil {
			for i, a := range b.accounts {
				a.begin(usage[i])
				delete(g.waits, a)
			}
			if len(g.waits) == 0 {
				g.waits = nil // a map does not shrink
			}
			g.batches[0] = nil
			g.batches = g.batches[1:]
		}
		g.mu.Unlock()
		g.down.Store(err != nil)
		if first {
			close(b.done)
		}
		if err != nil {
			return err
		}
	}
}

// ask calls the source.
func (g *ledger) ask(ctx context.Context, accounts []*account) ([]Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, usageCall)
	defer cancel()
	names := make([]Account, len(accounts))
	for i, a := range accounts {
		names[i] = a.names()
	}
	usage, err := g.usage.Source.Load(ctx, names)
	if err == nil && len(usage) != len(accounts) {
		err = fmt.Errorf("asked for the usage of %d accounts, got %d", len(accounts), len(usage))
	}
	return usage, err
}

// begin takes over what was used before the account came into memory. The caller holds the ledger's mu.
func (a *account) begin(u Usage) {
	a.loaded = true
	if !a.absolute {
		a.own, a.saved = u.Own, u.Own
	}
	a.learn(u)
	if a.limited.loading() { // not carried over from yesterday: what was passed before is not told again
		a.limited.clear(stateLoading)
		a.told[PeriodDay-1].Store(0)
		a.told[PeriodMonth-1].Store(0)
	}
}

// learn takes over what others have used, and all in the other days of the month. The caller holds the ledger's mu.
func (a *account) learn(u Usage) {
	a.base.Store(a.own + u.Others)
	a.rest.Store(u.Rest)
}

// loadLoop loads until ctx ends.
func (g *ledger) loadLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.kick:
		}
		for {
			err := g.loadAll(ctx)
			if ctx.Err() != nil {
				return
			}
			g.note(ctx, loopLoad, err)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(loadRetry):
			}
		}
	}
}
