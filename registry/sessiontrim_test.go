package registry

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Promise: sessions that expired before a time are removed, however many there are, the oldest first; those that expired
// later or are still good stay; and a caller that gives up is obeyed.
func TestTrimSessions(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		newTenant(t, s, "acme")
		now := time.Now()
		add := func(n int, what string, expires time.Time) {
			t.Helper()
			run(t, s, `INSERT INTO sys_session (id, token_hash, user_id, expires_at)
 SELECT lower(printf('%08x-0000-7000-8000-%012x', value, value)), lower(printf('%064x', value)), ?2, ?3
 FROM json_each(?1)`, mustJSON(numbers(t, s, n)), what, formatTime(expires))
		}
		add(2*sessionsAtOnce+1, "old", now.Add(-8*24*time.Hour))
		add(2, "older", now.Add(-9*24*time.Hour))
		add(3, "recent", now.Add(-6*24*time.Hour))
		add(5, "good", now.Add(time.Hour))
		before := now.Add(-7 * 24 * time.Hour)

		given, cancel := context.WithCancel(t.Context())
		cancel()
		if n, err := s.TrimSessions(given, before); n != 0 || err == nil {
			t.Errorf("with a context that has ended %d were removed, %v", n, err)
		}
		if n, err := s.TrimSessions(t.Context(), before); n != 2*sessionsAtOnce+3 || err != nil {
			t.Errorf("%d were removed, %v", n, err)
		}
		if n, err := s.TrimSessions(t.Context(), before); n != 0 || err != nil {
			t.Errorf("the second time %d were removed, %v", n, err)
		}
		left := allText(t, s, `SELECT user_id || ' ' || count(*) FROM sys_session GROUP BY user_id ORDER BY 1`)
		if fmt.Sprint(left) != "[good 5 recent 3]" {
			t.Errorf("%q are left", left)
		}
	})
}

// numbers returns n numbers that no session has.
func numbers(t *testing.T, s *Store, n int) []int {
	t.Helper()
	have := one[int](t, s, `SELECT count(*) FROM sys_session`)
	list := make([]int, n)
	for i := range list {
		list[i] = have + i + 1
	}
	return list
}

// Promise: a registry that was never reached is not written to.
func TestTrimSessionsRefused(t *testing.T) {
	s := opened(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	if n, err := s.TrimSessions(t.Context(), time.Now()); n != 0 || !errors.Is(err, ErrUnavailable) {
		t.Errorf("%d, %v", n, err)
	}
}
