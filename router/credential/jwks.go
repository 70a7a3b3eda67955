package credential

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// firstRetry is how long after a failed fetch the issuer is asked again; it doubles up to MinInterval.
const firstRetry = time.Second

// JWKS follows the keys that an issuer publishes. It fetches them when a token first asks for them, and in the
// background once [JWKS.Run] runs; it keeps those it has while the issuer does not answer.
type JWKS struct {
	options JWKSOptions
	client  *http.Client
	log     *slog.Logger
	set     atomic.Pointer[KeySet]

	mu     sync.Mutex
	flight *flight
	status JWKSStatus
	// next is when tokens may cause the next fetch.
	next time.Time
}

// flight is one fetch, for which any number of tokens may wait.
type flight struct {
	done chan struct{}
	set  *KeySet // set before done is closed, as err is
	err  error
}

// JWKSStatus tells how following the issuer goes.
type JWKSStatus struct {
	// Keys is how many keys are known.
	Keys int
	// Fetched is when the issuer last answered; zero when it never did.
	Fetched time.Time
	// Fetches and Failures count the attempts, and those that brought nothing.
	Fetches, Failures int64
	// Failing is how many attempts have failed since the issuer last answered, and Err is why the last one did.
	Failing int
	Err     error
}

// Keys implements [KeySource].
func (j *JWKS) Keys() *KeySet { return j.set.Load() }

// Status returns how it goes.
func (j *JWKS) Status() JWKSStatus {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.status
	s.Keys = j.set.Load().Len()
	return s
}

// Newer implements [KeySource]. However many tokens ask at once, the issuer is asked once, and not again for
// MinInterval; after a failure not for a second, then two, and so on up to MinInterval.
func (j *JWKS) Newer(ctx context.Context, old *KeySet) (*KeySet, error) {
	j.mu.Lock()
	if set := j.set.Load(); set != old {
		j.mu.Unlock()
		return set, nil
	}
	f := j.flight
	if f == nil {
		if j.options.Now().Before(j.next) {
			err := j.status.Err
			j.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return old, nil
		}
		f = j.start()
	}
	j.mu.Unlock()
	return f.wait(ctx)
}

// Refresh fetches the keys now, or joins a fetch that is under way.
func (j *JWKS) Refresh(ctx context.Context) error {
	j.mu.Lock()
	f := j.flight
	if f == nil {
		f = j.start()
	}
	j.mu.Unlock()
	_, err := f.wait(ctx)
	return err
}

// Run keeps the keys fresh until ctx ends.
func (j *JWKS) Run(ctx context.Context) {
	defer j.client.CloseIdleConnections()
	// A token may have been quicker: the issuer is not asked again for what it has just said.
	_, err := j.Newer(ctx, nil)
	for {
		wait := j.options.Interval
		if err != nil {
			wait = j.retryAfter(j.Status().Failing)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err = j.Refresh(ctx)
	}
}

// retryAfter is how long to wait after that many failures in a row.
func (j *JWKS) retryAfter(failures int) time.Duration {
	wait := firstRetry
	for range failures - 1 {
		if wait *= 2; wait >= j.options.MinInterval {
			break
		}
	}
	return min(wait, j.options.MinInterval)
}

// wait returns what the fetch brings.
func (f *flight) wait(ctx context.Context) (*KeySet, error) {
	select {
	case <-f.done:
		return f.set, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start begins a fetch. It belongs to nobody's request: whoever asked first may leave while others wait. The caller
// holds mu.
func (j *JWKS) start() *flight {
	f := &flight{done: make(chan struct{})}
	j.flight = f
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), j.options.Timeout)
		defer cancel()
		document, err := j.fetch(ctx)
		var fresh *KeySet
		var skipped []error
		if err == nil {
			fresh, skipped, err = parseJWKS(document)
		}
		j.land(f, fresh, skipped, err)
	}()
	return f
}

// land takes in what a fetch brought.
func (j *JWKS) land(f *flight, fresh *KeySet, skipped []error, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.options.Now()
	j.status.Fetches++
	if err != nil {
		j.fail(now, err)
		f.err = j.status.Err
	} else {
		j.succeed(now, fresh, skipped)
		f.set = j.set.Load()
	}
	j.flight = nil
	close(f.done)
}

// fail keeps the keys that are known, unless that has gone on for too long.
func (j *JWKS) fail(now time.Time, err error) {
	s := &j.status
	s.Failures++
	s.Failing++
	s.Err = fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	j.next = now.Add(j.retryAfter(s.Failing))
	level := slog.LevelDebug
	if s.Failing == 1 {
		level = slog.LevelWarn
	}
	old := j.set.Load()
	j.log.Log(context.Background(), level, "the issuer's keys cannot be fetched", "error", err, "keys_kept", old.Len(), "attempt", s.Failing)
	if keep := j.options.KeepFor; keep > 0 && old != nil && now.Sub(s.Fetched) > keep {
		j.set.Store(nil)
		for _, k := range old.keys {
			k.gone.Store(true)
		}
		j.log.Error("the issuer has not answered for too long: its keys are no longer honoured", "since", s.Fetched)
	}
}

// succeed takes over the keys that the issuer lists, and drops those that it lists no more.
func (j *JWKS) succeed(now time.Time, fresh *KeySet, skipped []error) {
	s := &j.status
	if s.Failing > 0 {
		j.log.Info("the issuer answers again", "after_failures", s.Failing)
	}
	s.Failing, s.Err, s.Fetched = 0, nil, now
	j.next = now.Add(j.options.MinInterval)
	old := j.set.Load()
	next, dropped := old.succeed(fresh)
	if next == old {
		return
	}
	j.set.Store(next)
	for _, k := range dropped {
		k.gone.Store(true)
	}
	j.log.Info("the issuer's keys have changed", "keys", next.Len(), "dropped", len(dropped))
	for _, reason := range skipped {
		j.log.Info("a key of the issuer is not used", "reason", reason)
	}
	if next.Len() == 0 {
		j.log.Warn("the issuer lists no key that can verify a token")
	}
}
