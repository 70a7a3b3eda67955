package registry

import (
	"context"
	"database/sql"
	"time"
)

// Inspection says how a registry is, for an operator.
type Inspection struct {
	// Schema is the version of the registry's schema, 0 where it has none yet; Known is the one of this binary.
	Schema, Known int
	// RoundTrip is how long the registry took for one answer.
	RoundTrip time.Duration
	// Ahead is by how much the registry's clock is ahead of this machine's; below zero it is behind. It is as exact as half
	// of RoundTrip, and a millisecond.
	Ahead time.Duration
}

// Inspect looks at the registry and changes nothing: it needs no [Store.Migrate], and makes none. An embedded registry
// has to be there. Errors wrap [ErrUnavailable].
func (s *Store) Inspect(ctx context.Context) (Inspection, error) {
	version, err := s.schemaVersion(ctx)
	if err != nil {
		return Inspection{}, err
	}
	i := Inspection{Schema: version, Known: len(migrations())}
	ctx, cancel := s.call(ctx)
	defer cancel()
	var text string
	before := s.now()
	err = s.queryOn(ctx, s.read, func(rows *sql.Rows) error { return rows.Scan(&text) }, `SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')`)
	after := s.now()
	if err != nil {
		return Inspection{}, s.classify(err)
	}
	there, err := parseTime(text)
	if err != nil {
		return Inspection{}, s.unavailable(err.Error())
	}
	i.RoundTrip = after.Sub(before)
	i.Ahead = there.Sub(before.Add(i.RoundTrip / 2))
	return i, nil
}
