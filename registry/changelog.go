package registry

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
)

const (
	// defaultChanges is how many changes one call brings when its limit is none.
	defaultChanges = 1000
	// maxChanges is the most, so that they fit into an answer of sqld.
	maxChanges = 10000
)

// trimBatch is how many rows of the change log are removed at a time, so that other writers get their turn.
const trimBatch = 5000

// selectChanges brings identity, position and changes in one statement, so from one moment, and in one round trip. The
// first three columns are the same in every row; an idle poll gets one row with nothing else.
const selectChanges = `SELECT r.id, (SELECT seq FROM sqlite_sequence WHERE name = 'sys_change'), (SELECT min(seq) FROM sys_change),
  c.seq, c.entity, c.organization_id, c.environment_id, c.lookup_key
 FROM sys_registry r
 LEFT JOIN (SELECT * FROM sys_change WHERE seq > ?1 ORDER BY seq LIMIT ?2) c
 ORDER BY c.seq`

// Changes reads the change log after a position, the lowest numbers first, at most limit of them (default 1000, at most 10000). Its
// cost does not depend on how much was changed before. Errors wrap [ErrUnavailable].
func (s *Store) Changes(ctx context.Context, after int64, limit int) (Changes, error) {
	if err := s.migrated(); err != nil {
		return Changes{}, err
	}
	if limit <= 0 {
		limit = defaultChanges
	}
	after, limit = max(after, 0), min(limit, maxChanges)
	if err := s.look(); err != nil {
		return Changes{}, err
	}
	files := 0
	if s.file != nil {
		files = s.file.found()
	}
	var c Changes
	seen := false
	scan := func(rows *sql.Rows) error {
		var identity string
		var newest, oldest, seq sql.NullInt64
		var entity, tenant, environment, key sql.NullString
		if err := rows.Scan(&identity, &newest, &oldest, &seq, &entity, &tenant, &environment, &key); err != nil {
			return err
		}
		if !seen {
			id, err := uuid.Parse(identity)
			if err != nil {
				return s.unavailable("its identity is no UUID")
			}
			c = Changes{Registry: id, Newest: newest.Int64, Oldest: newest.Int64 + 1}
			if oldest.Valid {
				c.Oldest = oldest.Int64
			}
			seen = true
		}
		if !seq.Valid {
			return nil
		}
		// An id that is none, from a writer with checks switched off, touches nothing that was ever resolved.
		change := Change{Seq: seq.Int64, Entity: s.parsed.shared(entity.String), Key: key.String}
		change.Tenant, _ = uuid.Parse(tenant.String)
		change.Environment, _ = uuid.Parse(environment.String)
		c.List = append(c.List, change)
		return nil
	}
	if err := s.query(ctx, scan, selectChanges, after, int64(limit)); err != nil {
		return Changes{}, err
	}
	if !seen {
		return Changes{}, s.unavailable("its identity is missing")
	}
	c.Replaced = files > 0 && s.file.report(files)
	return c, nil
}

// TrimChanges removes the change log's rows from before a time, and returns how many. A gateway that has not polled
// since then notices and starts afresh. The rows are removed in batches, oldest first; an error leaves the rest.
func (s *Store) TrimChanges(ctx context.Context, before time.Time) (int64, error) {
	if err := s.migrated(); err != nil {
		return 0, err
	}
	// Numbers and times grow together, so there is nothing to remove behind the first batch that is too young, and
	// changed_at needs no index.
	const remove = `DELETE FROM sys_change WHERE seq IN (SELECT seq FROM sys_change ORDER BY seq LIMIT ?1) AND changed_at < ?2`
	var total int64
	for {
		result, err := s.exec(ctx, remove, int64(trimBatch), formatTime(before))
		if err != nil {
			return total, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return total, s.classify(err)
		}
		total += n
		if n < trimBatch {
			return total, nil
		}
	}
}
