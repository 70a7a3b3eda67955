package registry

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// maxPendingDomains bounds what one call brings.
const maxPendingDomains = 1000

// PendingDomains returns claims to host names that are still looked after, those that are due first. limit is at most
// 1000, and that many when it is none. Errors wrap [ErrUnavailable].
func (s *Store) PendingDomains(ctx context.Context, limit int) ([]Domain, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	return s.selectDomains(ctx, `SELECT `+claimColumns+` WHERE c.next_check_at IS NOT NULL ORDER BY c.next_check_at LIMIT ?1`,
		int64(boundedLimit(limit, maxPendingDomains)))
}

// TakeDueDomains returns up to limit claims that are due for a check, and puts off their next check by lease, so that of
// several gateways only one checks them; should that one end in between, the claims are due again when the lease is over.
// Tenants take turns, so that one with many claims does not hold up another's; of each, new claims come first. Errors
// wrap [ErrUnavailable].
func (s *Store) TakeDueDomains(ctx context.Context, limit int, lease time.Duration) ([]Domain, error) {
	if err := s.migrated(); err != nil {
		return nil, err
	}
	now := s.now()
	due := formatTime(now)
	// Mostly nothing is due, and then nothing is written: a reader disturbs nobody.
	var any bool
	err := s.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&any) },
		`SELECT EXISTS (SELECT 1 FROM sys_domain_claim WHERE next_check_at <= ?1)`, due)
	if err != nil || !any {
		return nil, err
	}
	var list []Domain
	until := formatTime(now.Add(lease))
	err = s.transact(ctx, func(tx *sql.Tx) error {
		list = list[:0]
		t := &domainTx{s: s, ctx: ctx, tx: tx}
		err := t.query(func(rows *sql.Rows) error {
			d, err := scanDomain(rows)
			list = append(list, d)
			return err
		}, `SELECT `+claimColumns+` JOIN (SELECT d.hostname, d.environment_id,
  row_number() OVER (PARTITION BY o.organization_id ORDER BY d.checks, d.next_check_at) AS turn
  FROM sys_domain_claim d JOIN sys_environment o ON o.id = d.environment_id WHERE d.next_check_at <= ?1) due
  ON due.hostname = c.hostname AND due.environment_id = c.environment_id
 ORDER BY due.turn, c.checks, c.next_check_at LIMIT ?2`,
			due, int64(boundedLimit(limit, maxPendingDomains)))
		if err != nil {
			return err
		}
		keys := make([][2]string, len(list))
		for i := range list {
			keys[i] = [2]string{list[i].Hostname, list[i].Environment.String()}
		}
		return t.exec(`UPDATE sys_domain_claim SET next_check_at = ?1
 WHERE (hostname, environment_id) IN (SELECT value->>0, value->>1 FROM json_each(?2))`, until, mustJSON(keys))
	})
	if err != nil {
		return nil, err
	}
	return slices.Clip(list), nil
}

// DomainCheckFailed notes that the proof of a claim was looked for and not found. The next check is due at next; a
// claim that expires before is given up. reason is for the people who made the claim; it is cut to 300 bytes. A claim
// that is not there any more, or was made anew, is left alone. The audit log has no row of it: nobody has changed
// anything. Errors wrap [ErrUnavailable].
func (s *Store) DomainCheckFailed(ctx context.Context, d Domain, next time.Time, reason string) error {
	if err := s.migrated(); err != nil {
		return err
	}
	var due any
	if next.Before(d.ExpiresAt) {
		due = formatTime(next)
	}
	_, err := s.exec(ctx, `UPDATE sys_domain_claim SET checked_at = ?4, checks = ?5, failure = ?6, next_check_at = ?7
 WHERE hostname = ?1 AND environment_id = ?2 AND token = ?3`,
		d.Hostname, d.Environment.String(), d.Token, formatTime(s.now()), int64(d.Checks)+1,
		nullText(strings.TrimSpace(cutText(reason, maxFailureText))), due)
	return err
}

// boundedLimit is limit where it is sensible, and else most.
func boundedLimit(limit, most int) int {
	if limit <= 0 || limit > most {
		return most
	}
	return limit
}
