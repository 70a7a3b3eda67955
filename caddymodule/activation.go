package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/registry"
)

// activation is one configuration as the runtime sees it: from its Start to its Stop.
type activation struct {
	store   *pooledStore
	options cache.Options
	seed    *seed
	// sessionTable is the application's table of sessions; nil if there is none.
	sessionTable *registry.SessionTable
	logger       *slog.Logger
	// emitter tells those who have subscribed to events.
	emitter *emitter
	fleet   *pooledFleet // nil: quotas are counted in this process
}

const (
	// probeLimit bounds how long a reload waits for a registry that does not answer: the running configuration has its
	// cache, so there is no reason to keep the operator waiting.
	probeLimit = 2 * time.Second
	// firstRetry and lastRetry bound the pause between two attempts to reach a registry that was down at start.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// activate makes a the configuration that decides. When it returns an error nothing has changed for the others.
func (rt *runtime) activate(a *activation) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if !rt.ready.Load() {
		return rt.start(a)
	}
	return rt.reload(a)
}

// start is the first activation of a runtime: without the registry it needs a hot set on disk.
func (rt *runtime) start(a *activation) error {
	rt.apply(a)
	err := a.seed.write(rt.ctx, a.store.store, rt.imported, a.logger)
	if err != nil && !errors.Is(err, registry.ErrUnavailable) {
		rt.unapply()
		return err
	}
	entries, hotErr := rt.cache.LoadHotSet()
	if err != nil {
		if entries == 0 {
			rt.unapply()
			return fmt.Errorf("%w, and there is no hot set on disk to start from", err)
		}
		a.logger.Warn("the registry cannot be used; serving the tenants of the hot set until it can",
			"registry", a.store.store.RedactedURL(), "error", err, "entries", entries)
		rt.active = append(rt.active, a)
		rt.postpone(a)
		rt.run()
		return nil
	}
	if hotErr != nil {
		a.logger.Warn("the hot set on disk was not used", "error", hotErr)
	}
	if err := rt.cache.Poll(rt.ctx); err != nil {
		a.logger.Warn("the change log could not be read; trying again", "error", err)
	}
	rt.active = append(rt.active, a)
	rt.run()
	return nil
}

// reload is an activation beside a configuration that is serving. A registry that is down does not stop it; one that
// refuses a new token does, because the running configuration is better off with the old one.
func (rt *runtime) reload(a *activation) error {
	fresh := a.store != rt.source.current.Load()
	err := rt.probe(a)
	if err == nil {
		err = a.seed.write(rt.ctx, a.store.store, rt.imported, a.logger)
	}
	switch {
	case err == nil:
		rt.pending = nil // what an older configuration still wanted to write is out of date
	case !errors.Is(err, registry.ErrUnavailable):
		return err
	case fresh && (errors.Is(err, registry.ErrUnauthorized) || errors.Is(err, registry.ErrSchemaTooNew)):
		return err
	default:
		a.logger.Warn("the registry cannot be used; serving from the cache until it can",
			"registry", a.store.store.RedactedURL(), "error", err)
		rt.postpone(a)
	}
	rt.active = append(rt.active, a)
	rt.apply(a)
	return nil
}

// probe sees whether the registry answers, within probeLimit.
func (rt *runtime) probe(a *activation) error {
	ctx, cancel := context.WithTimeout(rt.ctx, probeLimit)
	defer cancel()
	return migrate(ctx, a.store.store)
}

// deactivate ends a configuration. If it was the newest, as after a reload that failed in another app, the one before
// it decides again, and its plans are written again.
func (rt *runtime) deactivate(a *activation) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	i := slices.Index(rt.active, a)
	if i < 0 {
		return
	}
	newest := i == len(rt.active)-1
	rt.active = slices.Delete(rt.active, i, i+1)
	if rt.pending == a {
		rt.pending = nil
	}
	if newest && len(rt.active) > 0 {
		before := rt.active[len(rt.active)-1]
		rt.apply(before)
		if err := before.seed.writePlans(rt.ctx, before.store.store, rt.imported); err != nil {
			before.logger.Warn("the plans could not be written again; trying again", "error", err)
			rt.postpone(before)
		}
	}
}

// apply makes the options of a those of the runtime.
func (rt *runtime) apply(a *activation) {
	rt.log.set(a.logger.Handler())
	rt.source.current.Store(a.store)
	rt.share(a.fleet)
	o := a.options
	o.Logger, o.OnChanges = rt.logger, rt.changed
	rt.cache.SetOptions(o)
	rt.applySessionTable(a)
}

// unapply undoes apply after a first activation that failed.
func (rt *runtime) unapply() {
	rt.source.current.Store(nil)
	rt.share(nil)
}

// postpone leaves the writing of a's seed to retryPending.
func (rt *runtime) postpone(a *activation) {
	rt.pending = a
	select {
	case rt.retry <- struct{}{}:
	default:
	}
}

// retryPending writes the seed of a configuration that started without the registry, as soon as the registry answers.
func (rt *runtime) retryPending() {
	pause := firstRetry
	for {
		select {
		case <-rt.ctx.Done():
			return
		case <-rt.retry:
			pause = firstRetry
		}
		for rt.attempt() {
			select {
			case <-rt.ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, lastRetry)
		}
	}
}

// attempt tries once and reports whether to try again.
func (rt *runtime) attempt() (again bool) {
	rt.mu.Lock()
	a := rt.pending
	usable := a != nil && a.store.use()
	rt.mu.Unlock()
	if !usable {
		return false
	}
	defer a.store.release()
	// This runs without the lock, so that a hung registry does not hold up a reload, and with the registry's own timeout,
	// so that one that is only slow is found to be back.
	if err := migrate(rt.ctx, a.store.store); err != nil {
		return true
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.pending != a {
		return rt.pending != nil
	}
	err := a.seed.write(rt.ctx, a.store.store, rt.imported, a.logger)
	if errors.Is(err, registry.ErrUnavailable) {
		return true
	}
	rt.pending = nil
	if err != nil {
		a.logger.Error("the registry is back, but the configuration's plans and imports were refused", "error", err)
		return false
	}
	a.logger.Info("the registry is back", "registry", a.store.store.RedactedURL())
	return false
}
