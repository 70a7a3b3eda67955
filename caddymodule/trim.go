package caddymodule

import (
	"context"
	"errors"
	"time"
)

const (
	// trimInterval is how often what has served its time is removed from the registry.
	trimInterval = time.Hour
	// changesKept is how long the change log is kept. A gateway that was away for longer drops its whole cache.
	changesKept = 24 * time.Hour
	// sessionsKept is how long sessions are kept after they have expired.
	sessionsKept = 7 * 24 * time.Hour
)

// trim keeps the registry small: the change log, former slugs that have expired, old usage, sessions that have expired
// a week ago, and the audit log of tenants
// that say how long theirs is to be kept (metadata compliance.auditRetentionDays); that of others is kept for ever.
func (rt *runtime) trim() {
	ticker := time.NewTicker(trimInterval)
	defer ticker.Stop()
	for {
		select {
		case <-rt.ctx.Done():
			return
		case now := <-ticker.C:
			if err := rt.source.trim(rt.ctx, now); err != nil && rt.ctx.Err() == nil {
				rt.logger.Debug("the registry was not trimmed", "error", err)
			}
		}
	}
}

// trim removes what has served its time at now.
func (s *storeSwitch) trim(ctx context.Context, now time.Time) error {
	st := s.acquire()
	if st == nil {
		return nil
	}
	defer st.release()
	_, changes := st.store.TrimChanges(ctx, now.Add(-changesKept))
	_, aliases := st.store.TrimAliases(ctx, now)
	_, audit := st.store.TrimAudit(ctx, now, 0)
	usage := st.store.TrimUsage(ctx, now.Add(-usageDays), now.Add(-usageMonths))
	_, sessions := st.store.TrimSessions(ctx, now.Add(-sessionsKept))
	return errors.Join(changes, aliases, audit, usage, sessions)
}
