package caddymodule

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/assertion"
)

// signers holds those who sign the tenant context, by their keys and all of their options. A configuration owns one
// reference, from the first that asks for it to its Cleanup, so that a reload keeps what has been signed.
var signers = caddy.NewUsagePool()

// signing is a signer that several configurations share during a reload.
type signing struct {
	signer   *assertion.Signer
	log      *logSwitch
	failures *throttle

	ctx    context.Context
	cancel context.CancelFunc
	begin  sync.Once
	loop   sync.WaitGroup

	// mu guards the configurations that were started and not stopped, the newest last: that one's log is used.
	mu     sync.Mutex
	active []attachment
}

// contextSigner returns the signer of this configuration. The first call takes it from the pool; all of them come while
// the configuration is provisioned. Nothing is written yet, so that `caddy validate` can run it.
func (a *App) contextSigner() (*signing, error) {
	if a.signing != nil {
		return a.signing, nil
	}
	c := a.Context
	if c == nil {
		c = new(Context)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	o := c.options()
	keys, err := c.keys(&o)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s\x00%s\x00%q\x00%s\x00%d", keys, o.Issuer, o.Audience, o.Lifetime, o.Size)
	val, _, err := signers.LoadOrNew(key, func() (caddy.Destructor, error) { return newSigning(o) })
	if err != nil {
		return nil, err
	}
	a.signing, a.signingKey = val.(*signing), key
	return a.signing, nil
}

// releaseSigner gives back what contextSigner acquired, and only that. Requests that are still inside a handler can use
// the signer.
func (a *App) releaseSigner() error {
	if a.signingKey == "" {
		return nil
	}
	a.signing.detach(a)
	_, err := signers.Delete(a.signingKey)
	a.signing, a.signingKey = nil, ""
	return err
}

func newSigning(o assertion.Options) (*signing, error) {
	s := &signing{log: newLogSwitch(), failures: newThrottle(failureInterval)}
	o.Logger = slog.New(s.log)
	var err error
	if s.signer, err = assertion.NewSigner(o); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// attach is the start of a configuration; the first one starts the work in the background. It is an error when there is
// no key and none can be made. A nil signing is one that nobody asked for.
func (s *signing) attach(app *App) error {
	if s == nil {
		return nil
	}
	if _, err := s.signer.KeySet(time.Now()); err != nil {
		return fmt.Errorf("the keys that sign the tenant context: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = append(s.active, attachment{app, app.logger.Handler()})
	s.log.set(app.logger.Handler())
	s.begin.Do(func() { s.loop.Go(func() { s.signer.Run(s.ctx) }) })
	return nil
}

// detach is the end of a configuration. When it was the newest, as after a reload that failed in another app, the log
// of the one before it is used again.
func (s *signing) detach(app *App) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = slices.DeleteFunc(s.active, func(a attachment) bool { return a.app == app })
	if n := len(s.active); n > 0 {
		s.log.set(s.active[n-1].log)
	}
}

// Destruct implements caddy.Destructor: it ends the renewal.
func (s *signing) Destruct() error {
	s.cancel()
	s.loop.Wait()
	return nil
}

// Interface guards
var _ caddy.Destructor = (*signing)(nil)
