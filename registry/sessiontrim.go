package registry

import (
	"context"
	"time"
)

const (
	// sessionsAtOnce is how many sessions one statement removes: other writers get their turn in between, and a gateway
	// that follows the changes has read those of one statement before the next comes.
	sessionsAtOnce = 500
	// sessionsPause is the pause between two statements.
	sessionsPause = 200 * time.Millisecond
	// sessionsPerTrim bounds one call. What is left is for the next one.
	sessionsPerTrim = 50_000
)

const deleteSessions = `DELETE FROM sys_session WHERE id IN (SELECT id FROM sys_session WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)`

// TrimSessions removes sessions that expired before a time, the oldest first and at most 50,000 of them, and returns how many.
// Several gateways may call it at once. Errors: [ErrUnavailable].
func (s *Store) TrimSessions(ctx context.Context, before time.Time) (removed int64, err error) {
	if err := s.migrated(); err != nil {
		return 0, err
	}
	for removed < sessionsPerTrim {
		r, err := s.exec(ctx, deleteSessions, formatTime(before), sessionsAtOnce)
		if err != nil {
			return removed, err
		}
		n, err := r.RowsAffected()
		if removed += n; err != nil || n < sessionsAtOnce {
			return removed, s.classify(err)
		}
		if err := pause(ctx, sessionsPause); err != nil {
			return removed, s.classify(err)
		}
	}
	return removed, nil
}
