package cache

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/registry"
)

// pollBatch is how many rows of the change log are asked for at once.
const pollBatch = 1000

// place is where the cache stands in the change log of which registry.
type place struct {
	// turn holds one token: whoever has taken it may ask for changes and move the place.
	turn chan struct{}

	mu       sync.Mutex
	known    bool
	registry uuid.UUID
	position int64
	// lastPoll is when the log was last read; failures counts the polls that failed since.
	lastPoll time.Time
	failures int
}

func newPlace() *place {
	p := &place{turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p
}

func (p *place) take(ctx context.Context) error {
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
		return unavailable(context.Cause(ctx))
	}
}

func (p *place) release() { p.turn <- struct{}{} }

func (p *place) get() (id uuid.UUID, position int64, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.registry, p.position, p.known
}

func (p *place) set(id uuid.UUID, position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.registry, p.position, p.known = id, position, true
}

// initialise sees to it that the place is known, and reports whether it is. See runLoad for why every load calls it.
func (p *place) initialise(ctx context.Context, c *Cache) bool {
	if _, _, known := p.get(); known {
		return true
	}
	if p.take(ctx) != nil {
		return false
	}
	defer p.release()
	if _, _, known := p.get(); known {
		return true
	}
	_, _, err := c.advance(ctx)
	return err == nil
}

// Poll reads the change log up to its end and drops what it touches, so that what changed before the call is not
// served after it. Run calls it; others may, to see a change at once. The error wraps [registry.ErrUnavailable].
func (c *Cache) Poll(ctx context.Context) error {
	for {
		if err := c.place.take(ctx); err != nil {
			return err
		}
		changes, more, err := c.advance(ctx)
		c.place.release()
		if ctx.Err() == nil {
			c.polled(err)
		}
		if err != nil {
			return err
		}
		if f := c.settings.Load().OnChanges; f != nil && len(changes) > 0 {
			f(changes)
		}
		if !more {
			return nil
		}
	}
}

// advance asks once for what comes after the place, drops what that touches, and then moves the place: in this order,
// because the hot set takes the place as a promise that everything up to it has been dropped. The caller has the turn.
func (c *Cache) advance(ctx context.Context) (changes []registry.Change, more bool, err error) {
	s := c.settings.Load()
	id, position, known := c.place.get()
	limit := pollBatch
	if !known {
		limit = 1 // only the end of the log is of interest
	}
	ctx, cancel := context.WithTimeout(ctx, s.LoadTimeout)
	defer cancel()
	log, err := c.changes(ctx, position, limit)
	if err != nil {
		return nil, false, unavailable(fmt.Errorf("reading the change log: %w", err))
	}
	if !known {
		c.place.set(log.Registry, log.Newest)
		return nil, false, nil
	}
	if why := lost(id, position, log); why != "" {
		s.Logger.Info("every cached tenant is dropped: "+why, "registry", log.Registry, "position", position,
			"oldest", log.Oldest, "newest", log.Newest)
		c.drop(everything)
		c.place.set(log.Registry, log.Newest)
		return everything, false, nil
	}
	full := len(log.List) >= limit
	for len(log.List) > 0 && log.List[0].Seq <= position {
		log.List = log.List[1:]
	}
	if len(log.List) == 0 {
		return nil, false, nil
	}
	c.drop(log.List)
	c.place.set(id, log.List[len(log.List)-1].Seq)
	return log.List, full, nil
}

// changes is source.Changes, with a panic turned into an error.
func (c *Cache) changes(ctx context.Context, after int64, limit int) (log registry.Changes, err error) {
	defer c.recovered(&err)
	return c.source.Changes(ctx, after, limit)
}

// lost says why the log does not continue where the cache stands, or "" when it does.
func lost(id uuid.UUID, position int64, log registry.Changes) string {
	switch {
	case log.Registry != id:
		return "this is another registry"
	case log.Replaced:
		return "the registry's file was replaced"
	case log.Newest < position:
		return "the registry was set back to an earlier state"
	case log.Oldest > position+1:
		return "the change log no longer reaches back to the last poll"
	}
	return ""
}

// drop makes sure that nothing is served any more that one of the changes touches. See runLoad for the order.
func (c *Cache) drop(changes []registry.Change) {
	c.flight.mark(changes)
	n := c.entries.dropTouched(changes) + c.negatives.dropTouched(changes)
	c.invalidations.Add(int64(n))
}

// polled takes note of how a poll went. What an operator wants to read is when it begins to fail and when it is over.
func (c *Cache) polled(err error) {
	s, p := c.settings.Load(), c.place
	p.mu.Lock()
	failures := p.failures
	if err != nil {
		p.failures++
	} else {
		p.failures, p.lastPoll = 0, s.Now()
	}
	p.mu.Unlock()
	switch {
	case err != nil && failures == 0:
		s.Logger.Error("changes in the registry are not seen: polling fails", "error", err)
	case err == nil && failures > 0:
		s.Logger.Info("changes in the registry are seen again", "failed_polls", failures)
	}
	if err == nil {
		c.breaker.until.Store(0) // the registry answers: refreshes need not wait any longer
	}
}
