package domains

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	// DefaultInterval is the pause between two looks at what is due, and after the first check of a claim that failed.
	DefaultInterval = time.Minute
	// DefaultMaxInterval is the longest pause between two checks of a claim.
	DefaultMaxInterval = time.Hour
	// DefaultConcurrency is how many claims are checked at once.
	DefaultConcurrency = 8
	// leaseRoom is how much longer than its longest check a claim is kept from other gateways.
	leaseRoom = 30 * time.Second
)

// Store is what the loop needs of the registry: a *registry.Store fits.
type Store interface {
	// TakeDueDomains returns up to limit claims that are due, and keeps them from others for the time of lease.
	TakeDueDomains(ctx context.Context, limit int, lease time.Duration) ([]registry.Domain, error)
	// VerifyDomain makes a claim that was proved a name that is served.
	VerifyDomain(ctx context.Context, d registry.Domain, method registry.DomainMethod) error
	// DomainCheckFailed notes that no proof was found, and when to look again.
	DomainCheckFailed(ctx context.Context, d registry.Domain, next time.Time, reason string) error
}

// LoopOptions are the options of a [Loop].
type LoopOptions struct {
	// Interval is the pause between two looks at what is due, and the first pause between two checks of a claim, which
	// doubles each time. Default: 1m.
	Interval time.Duration
	// MaxInterval is the longest pause between two checks of a claim. Default: 1h, or Interval if that is longer.
	MaxInterval time.Duration
	// Concurrency is how many claims are checked at once. Default: 8.
	Concurrency int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
	// Checked, when set, is told of each check: whether the proof was found.
	Checked func(verified bool)
}

// Loop checks the claims of a registry. Several can run on one registry at once, on one gateway or on many.
type Loop struct {
	store    Store
	verifier *Verifier
	o        LoopOptions
}

// NewLoop returns a loop that does nothing before [Loop.Run].
func NewLoop(store Store, v *Verifier, o LoopOptions) *Loop {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.MaxInterval <= 0 {
		o.MaxInterval = DefaultMaxInterval
	}
	o.MaxInterval = max(o.MaxInterval, o.Interval)
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Checked == nil {
		o.Checked = func(bool) {}
	}
	return &Loop{store: store, verifier: v, o: o}
}

// Run checks what is due, again and again, until ctx ends. A claim is checked as soon as a loop sees it, so within
// Interval, then after Interval, after twice that, and so on up to MaxInterval, until it expires. The first look comes
// after half an interval and a random part of the rest: gateways that start together do not look together, and who
// has just started has better things to do.
func (l *Loop) Run(ctx context.Context) {
	timer := time.NewTimer(l.o.Interval/2 + rand.N(l.o.Interval/2+1))
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := l.Pass(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			l.o.Logger.Warn("claimed domains cannot be checked: the registry cannot be used; trying again", "error", err)
		}
		failing = err != nil
		timer.Reset(l.o.Interval)
	}
}

// Pass checks everything that is due now, and returns an error when the registry gave none.
func (l *Loop) Pass(ctx context.Context) error {
	for {
		due, err := l.store.TakeDueDomains(ctx, l.o.Concurrency, l.verifier.longest()+leaseRoom)
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		for _, d := range due {
			wg.Go(func() { l.check(ctx, d) })
		}
		wg.Wait()
		if len(due) < l.o.Concurrency || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// check checks one claim and writes down what came of it. What cannot be written is due again when its lease is over.
func (l *Loop) check(ctx context.Context, d registry.Domain) {
	log := l.o.Logger.With("domain", d.Hostname, "tenant", d.Tenant, "environment", d.Environment)
	method, err := l.verifier.Check(ctx, d.Hostname, d.Token)
	if ctx.Err() != nil {
		return
	}
	l.o.Checked(err == nil)
	if err != nil {
		next := l.o.Now().Add(l.pause(d.Checks))
		log.Debug("a claimed domain is not proved yet", "error", err, "checks", d.Checks+1)
		if !next.Before(d.ExpiresAt) {
			log.Info("a claimed domain was not proved in time and is given up", "error", err)
		}
		if err := l.store.DomainCheckFailed(ctx, d, next, err.Error()); err != nil && ctx.Err() == nil {
			log.Warn("the check of a domain could not be written down", "error", err)
		}
		return
	}
	err = l.store.VerifyDomain(ctx, d, method)
	var refused *registry.DomainError
	switch {
	case err == nil:
		log.Info("domain verified", "method", method)
	case errors.As(err, &refused):
		log.Info("a domain was proved too late", "error", err)
	case ctx.Err() == nil:
		log.Warn("a proved domain could not be written down; trying again", "error", err)
	}
}

// pause returns the time to the next check of a claim that was checked so often before.
func (l *Loop) pause(before int) time.Duration {
	d := l.o.Interval
	for range min(before, 30) {
		if d *= 2; d >= l.o.MaxInterval {
			return l.o.MaxInterval
		}
	}
	return d
}
