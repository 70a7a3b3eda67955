package caddymodule

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/router/credential"
)

// issuers holds the issuers whose keys are followed, by all of their options. A configuration owns one reference for
// each of its sources, from Provision to Cleanup, so that a reload while an issuer is down goes on with the keys that
// are known.
var issuers = caddy.NewUsagePool()

// issuer is one that publishes its keys. Several configurations share it during a reload.
type issuer struct {
	keys *credential.JWKS
	log  *logSwitch

	ctx    context.Context
	cancel context.CancelFunc
	begin  sync.Once
	loop   sync.WaitGroup

	// mu guards the configurations that were started and not stopped, the newest last: that one's log is used.
	mu     sync.Mutex
	active []attachment
}

// attachment is a configuration that uses an issuer.
type attachment struct {
	app *App
	log slog.Handler
}

// acquireIssuer takes the issuer from the pool, or adds it. Nothing is fetched before attach or the first token.
func acquireIssuer(o credential.JWKSOptions) (*issuer, error) {
	val, _, err := issuers.LoadOrNew(o.Identity(), func() (caddy.Destructor, error) {
		is := &issuer{log: newLogSwitch()}
		o.Logger = slog.New(is.log)
		var err error
		if is.keys, err = credential.NewJWKS(o); err != nil {
			return nil, err
		}
		is.ctx, is.cancel = context.WithCancel(context.Background())
		return is, nil
	})
	if err != nil {
		return nil, err
	}
	return val.(*issuer), nil
}

// attach is the start of a configuration; the first one starts to fetch keys in the background.
func (is *issuer) attach(app *App, log slog.Handler) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.active = append(is.active, attachment{app, log})
	is.log.set(log)
	is.begin.Do(func() { is.loop.Go(func() { is.keys.Run(is.ctx) }) })
}

// detach is the end of a configuration. When it was the newest, as after a reload that failed in another app, the log
// of the one before it is used again.
func (is *issuer) detach(app *App) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.active = slices.DeleteFunc(is.active, func(a attachment) bool { return a.app == app })
	if n := len(is.active); n > 0 {
		is.log.set(is.active[n-1].log)
	}
}

// Destruct implements caddy.Destructor: it ends the fetching. Requests that are still under way can use the keys.
func (is *issuer) Destruct() error {
	is.cancel()
	is.loop.Wait()
	return nil
}

// Interface guards
var _ caddy.Destructor = (*issuer)(nil)
