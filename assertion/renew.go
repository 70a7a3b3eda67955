package assertion

import (
	"context"
	"time"
)

// The steps of a token's life. A token is renewed between 1/2 and 1/2 + 1/8 of its life plus one round of Run, 1/20, so
// that it is never as old as 3/4, when a request would sign.
const (
	renewSpread = 8
	renewSteps  = 20
	// useSteps is how exactly the last use of a token is known.
	useSteps = 16
	// loadEvery is how often a directory of keys is looked at.
	loadEvery = time.Minute
)

// Run renews tokens and keys in the background until the context ends.
func (s *Signer) Run(ctx context.Context) {
	ticker := time.NewTicker(s.lifetime / renewSteps)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.round(ctx, time.Now())
		}
	}
}

// Renew is one round of [Signer.Run]: it renews the tokens that are past half of their life and were used since they
// were signed, forgets those that are past three quarters, and looks after the keys.
func (s *Signer) Renew(now time.Time) { s.round(context.Background(), now) }

func (s *Signer) round(ctx context.Context, now time.Time) {
	if _, err := s.load(now); err != nil {
		return // told in the log; without any key there is no token either
	}
	n := now.UnixNano()
	s.table.entries.Range(func(_ entryKey, e *entry) bool {
		if t := e.token.Load(); t == nil || n >= t.from && n < t.renew || n >= t.renew && n < t.until && e.used.Load() <= t.signed {
			return true
		}
		// An entry that is being signed is not in need of it.
		if e.mu.TryLock() {
			s.renewEntry(e, now)
			e.mu.Unlock()
		}
		return ctx.Err() == nil
	})
}

// renewEntry renews or removes an entry that is locked.
func (s *Signer) renewEntry(e *entry, now time.Time) {
	t, n := e.token.Load(), now.UnixNano()
	switch {
	case t == nil || n >= t.from && n < t.renew:
	case n < t.from || n >= t.until:
		s.table.remove(e)
	default:
		f := Facts{Resolved: t.resolved.Load(), User: e.key.user, Roles: e.roles, Database: e.key.database}
		if renewed, err := s.make(f, now); err == nil {
			s.renewed.Add(1)
			s.table.put(e, renewed)
		}
	}
}

// KeySet returns the keys as of now.
func (s *Signer) KeySet(now time.Time) (*KeySet, error) {
	if keys := s.keys.Load(); keys != nil {
		return keys, nil
	}
	return s.load(now)
}

// load reads the directory of keys, if there is one and it is due. An error means that there is no key at all.
func (s *Signer) load(now time.Time) (*KeySet, error) {
	if s.dir == nil {
		return s.keys.Load(), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.keys.Load()
	if age := now.Sub(s.loadedAt); known != nil && age >= 0 && age < loadEvery {
		return known, nil
	}
	keys, err := s.dir.Load(now)
	s.loadedAt = now
	if err != nil && !s.failing {
		s.logger.Warn("the keys that sign the tenant context could not be looked after", "error", err)
	}
	s.failing = err != nil
	switch {
	case keys == nil && known == nil:
		return nil, err
	case keys == nil || sameOrder(keys, known):
		return known, nil
	}
	s.keys.Store(keys)
	if known != nil {
		s.logger.Info("the keys that sign the tenant context have changed", "signs", keys.Signing().ID(), "published", len(keys.keys))
	}
	return keys, nil
}
