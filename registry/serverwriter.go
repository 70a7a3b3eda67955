package registry

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

const (
	// stageSize is from how many bytes on operations are sent to the server.
	stageSize = 1 << 20
	// stageAttempts is how often a staging request is made when the connection breaks; it can be repeated safely.
	stageAttempts = 3
	// applyPerRecord is how much longer than one call the last step may take for each record.
	applyPerRecord = time.Millisecond
	// staleImport is how old what an aborted import left behind has to be until another one removes it.
	staleImport = 24 * time.Hour
	// unstageAtOnce is how many chunks are removed by one statement, so that other writers get their turn.
	unstageAtOnce = 20
)

// serverWriter writes an import to a server. A transaction over several requests would be of no use: the server takes
// it away when it lasts more than 5 s and another writer waits. So operations are staged in a table, request by
// request, and a single statement, whose trigger does it all, applies them. Should the answer to that statement be
// lost, the stage says whether it was done.
type serverWriter struct {
	s       *Store
	actor   string
	id      string
	seq     int64 // of the last chunk
	pending []*operations
	size    int  // of what is pending, in bytes
	count   int  // of all records
	hung    bool // a call got no answer in time: no further ones are made than necessary
}

func (w *serverWriter) begin(ctx context.Context) (reader, error) {
	if err := w.removeStale(ctx); err != nil {
		return nil, err
	}
	w.id = NewID().String()
	if err := w.repeat(ctx, `INSERT OR IGNORE INTO sys_import (id, actor) VALUES (?1, ?2)`, w.id, w.actor); err != nil {
		return nil, err
	}
	return w.s.query, nil
}

// repeat runs a statement that does no harm when it runs twice, again when the connection breaks.
func (w *serverWriter) repeat(ctx context.Context, query string, args ...any) (err error) {
	for range stageAttempts {
		_, err = w.s.exec(ctx, query, args...)
		w.hung = errors.Is(err, context.DeadlineExceeded)
		if !errors.Is(err, ErrUnavailable) || w.hung || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (w *serverWriter) add(ctx context.Context, ops *operations) error {
	w.count += ops.count
	w.pending = append(w.pending, ops)
	w.size += ops.size
	if w.size < stageSize {
		return nil
	}
	return w.stage(ctx)
}

// stage sends what is pending, small batches together.
func (w *serverWriter) stage(ctx context.Context) error {
	var all operations
	for _, ops := range w.pending {
		all.merge(ops)
	}
	w.pending, w.size = w.pending[:0], 0
	return all.chunks(func(kind, records string) error {
		w.seq++
		return w.repeat(ctx, insertImportChunk, w.id, kind, w.seq, records)
	})
}

func (w *serverWriter) commit(ctx context.Context) error {
	if err := w.stage(ctx); err != nil {
		return err
	}
	if w.count >= w.s.quietAfter {
		if err := w.repeat(ctx, `UPDATE sys_import SET quiet = 1 WHERE id = ?1`, w.id); err != nil {
			return err
		}
	}
	limit := w.s.timeout + time.Duration(w.count)*applyPerRecord
	err := w.apply(ctx, limit)
	w.hung = errors.Is(err, context.DeadlineExceeded)
	if errors.Is(err, ErrUnavailable) && !w.hung && w.wasApplied(ctx) {
		return nil
	}
	return err
}

// apply runs the one statement that writes everything, with a longer timeout than others.
func (w *serverWriter) apply(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := w.s.write.ExecContext(ctx, applyImport, w.id, 0)
	return w.s.classify(err)
}

// wasApplied looks whether the statement was done although its answer was lost.
func (w *serverWriter) wasApplied(ctx context.Context) bool {
	var applied int64
	err := w.s.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&applied) }, `SELECT applied FROM sys_import WHERE id = ?1`, w.id)
	return err == nil && applied == 1
}

// abort removes the stage, whether it was applied or not. What fails here is removed by a later import.
func (w *serverWriter) abort() {
	if w.id == "" || w.hung {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.s.timeout+time.Duration(w.count)*applyPerRecord)
	defer cancel()
	if err := w.remove(ctx, w.id); err != nil {
		w.s.log.Warn("what an import had staged was not removed; a later import removes it", "registry", w.s.target.shown, "error", err)
	}
}

func (w *serverWriter) remove(ctx context.Context, id string) error {
	for {
		result, err := w.s.exec(ctx, `DELETE FROM sys_import_chunk WHERE rowid IN
  (SELECT rowid FROM sys_import_chunk WHERE import_id = ?1 LIMIT ?2)`, id, unstageAtOnce)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			break
		}
	}
	_, err := w.s.exec(ctx, deleteImport, id)
	return err
}

// removeStale removes what imports left that were aborted long ago.
func (w *serverWriter) removeStale(ctx context.Context) error {
	var stale []string
	err := w.s.query(ctx, func(rows *sql.Rows) error {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		stale = append(stale, id)
		return nil
	}, `SELECT id FROM sys_import WHERE julianday(started_at) < julianday(?1)`, formatTime(w.s.now().Add(-staleImport)))
	if err != nil {
		return err
	}
	for _, id := range stale {
		if err := w.remove(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
