package caddymodule

import (
	"errors"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// followInterval is how often the table of sessions is looked at: an application that makes it anew, as a migration may,
// loses the triggers on it, and sessions that end are then noticed no sooner than that.
const followInterval = 15 * time.Second

// useSessionTable makes sessions be looked up in a table of the application's. A registry has one such table.
func (a *App) useSessionTable(t registry.SessionTable) error {
	if a.sessionTable != nil && *a.sessionTable != t {
		return errors.New("session: two different tables are named; a registry can have only one")
	}
	a.sessionTable = &t
	return nil
}

// applySessionTable makes the table of a configuration the one that is read.
func (rt *runtime) applySessionTable(a *activation) {
	if err := a.store.store.UseSessionTable(a.sessionTable); err != nil { // it was validated before
		a.logger.Error("the table of sessions cannot be used", "error", err)
	}
	before := rt.sessionTable
	rt.sessionTable = a.sessionTable
	if before != nil && (a.sessionTable == nil || *before != *a.sessionTable) {
		rt.cache.Purge() // sessions of the other table
	}
	select {
	case rt.followNow <- struct{}{}:
	default:
	}
}

// followSessions keeps the triggers in place by which a change of the application's table is noticed.
func (rt *runtime) followSessions() {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	failing := false
	for {
		st := rt.source.acquire()
		if st != nil {
			err := st.store.FollowSessionTable(rt.ctx)
			st.release()
			if err != nil && !failing && rt.ctx.Err() == nil {
				rt.logger.Error("the application's table of sessions cannot be followed: until it can, a session that ends is noticed only when its cache entry expires; trying again",
					"error", err)
			} else if err == nil && failing {
				rt.logger.Info("the application's table of sessions is followed")
			}
			failing = err != nil
		}
		select {
		case <-rt.ctx.Done():
			return
		case <-rt.followNow:
		case <-ticker.C:
		}
	}
}
