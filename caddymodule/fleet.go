package caddymodule

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/quota/fleet"
)

// Quota makes quotas hold across all gateways that share one Redis (7 or later) or Valkey.
type Quota struct {
	// URL of Redis: "redis://host:port", or "rediss://" for TLS; several hosts, separated by commas, are nodes of one
	// cluster. "/2" at the end is a database. Placeholders such as {env.NAME} are replaced. Required.
	URL string `json:"url"`
	// Username and Password are those of an ACL user; a password alone is the default user's. They may stand in the URL
	// instead, percent-encoded. Placeholders are replaced, so that the password itself need not stand in the
	// configuration, which Caddy's admin endpoint shows: {env.NAME} or {file.PATH}. Default: none.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// CAFile holds the certificates of the authority that signed Redis's, in PEM. Default: the system's authorities.
	CAFile string `json:"ca_file,omitempty"`
	// Mode is "lease", where busy tenants are decided in memory from what was taken ahead of need, or "exact", where
	// Redis is asked for each request. Default: lease.
	Mode string `json:"mode,omitempty"`
	// OnLoss says what happens while Redis cannot be asked: "local" decides with this gateway's share of each limit,
	// "allow" admits everything, "deny" refuses everything that has a limit. Default: local.
	OnLoss string `json:"on_loss,omitempty"`
	// Timeout is how long a request waits for Redis at most. Default: 50ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// Prefix begins the names of all keys, so that several fleets can share one Redis. Default: "tenantgate:".
	Prefix string `json:"prefix,omitempty"`
}

// check refuses values that nothing can mean.
func (q *Quota) check() error {
	if q == nil {
		return nil
	}
	switch {
	case q.URL == "":
		return errors.New("quota: the URL of Redis is missing")
	case q.Mode != "" && q.Mode != string(fleet.ModeLease) && q.Mode != string(fleet.ModeExact):
		return fmt.Errorf("quota: mode must be lease or exact, not %q", q.Mode)
	case q.OnLoss != "" && q.OnLoss != string(fleet.LossLocal) && q.OnLoss != string(fleet.LossAllow) && q.OnLoss != string(fleet.LossDeny):
		return fmt.Errorf("quota: on_loss must be local, allow or deny, not %q", q.OnLoss)
	case q.Timeout < 0:
		return errors.New("quota: timeout must be positive")
	case q.Username != "" && q.Password == "":
		return errors.New("quota: a username needs a password")
	}
	if err := fleet.CheckPrefix(q.Prefix); err != nil {
		return fmt.Errorf("quota: %w", err)
	}
	return nil
}

// options returns what the fleet package wants to know. No error of it shows any part of a password.
func (q *Quota) options() (fleet.Options, error) {
	repl := caddy.NewReplacer()
	url, err := repl.ReplaceOrErr(q.URL, true, true)
	if err != nil {
		return fleet.Options{}, errors.New("quota: a placeholder in the URL is unknown or empty")
	}
	o := fleet.Options{
		Mode: fleet.Mode(q.Mode), OnLoss: fleet.OnLoss(q.OnLoss), Timeout: time.Duration(q.Timeout), Prefix: q.Prefix,
	}
	if o.Address, err = fleet.ParseURL(url); err != nil {
		return fleet.Options{}, fmt.Errorf("quota: %w", err)
	}
	for _, secret := range []struct {
		name, text string
		to         *string
	}{{"username", q.Username, &o.Address.User}, {"password", q.Password, &o.Address.Password}} {
		if secret.text == "" {
			continue
		}
		if *secret.to != "" {
			return fleet.Options{}, fmt.Errorf("quota: the %s stands in the URL as well", secret.name)
		}
		if *secret.to, err = repl.ReplaceOrErr(secret.text, true, true); err != nil {
			return fleet.Options{}, fmt.Errorf("quota: a placeholder in the %s is unknown or empty", secret.name)
		}
	}
	if q.CAFile != "" {
		if !o.Address.TLS {
			return fleet.Options{}, errors.New("quota: ca_file needs a URL that begins with rediss://")
		}
		text, err := os.ReadFile(q.CAFile)
		if err != nil {
			return fleet.Options{}, fmt.Errorf("quota: ca_file: %w", err)
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !o.TLS.RootCAs.AppendCertsFromPEM(text) {
			return fleet.Options{}, fmt.Errorf("quota: ca_file %s holds no certificate", q.CAFile)
		}
	}
	return o, nil
}

// fleets holds the connections to Redis, keyed by everything that they are made from. A configuration owns one reference
// from its Start to its Cleanup, so that leases survive a reload, and `caddy validate` connects to nothing.
var fleets = caddy.NewUsagePool()

// pooledFleet is a connection to Redis with what is on lease from it, and another for hints of changes.
type pooledFleet struct {
	store *fleet.Store
	hints *changeHints
}

// Destruct implements caddy.Destructor: it gives back what is on lease. Requests that are still under way are decided
// without Redis.
func (p *pooledFleet) Destruct() error {
	p.hints.stop()
	p.store.Close()
	retireFleet(p.store.Stats())
	return nil
}

// acquireFleet takes the connection from the pool, or adds it; nil where there is no Redis.
func (q *Quota) acquireFleet(rt *runtime, runtimeKey string) (*pooledFleet, string, error) {
	if q == nil {
		return nil, "", nil
	}
	o, err := q.options()
	if err != nil {
		return nil, "", err
	}
	o.Local, o.Logger = rt.quota.Local, rt.logger.With(slog.String("quota", "fleet"))
	key := fmt.Sprintf("%q %s %s %s %v %q %q", runtimeKey, o.Address.Identity(), o.Mode, o.OnLoss, o.Timeout, o.Prefix, q.CAFile)
	val, _, err := fleets.LoadOrNew(key, func() (caddy.Destructor, error) {
		hints, err := newChangeHints(o, runtimeKey, rt.cache)
		if err != nil {
			return nil, err
		}
		store, err := fleet.New(o)
		if err != nil {
			hints.stop()
			return nil, err
		}
		return &pooledFleet{store, hints}, nil
	})
	if err != nil {
		return nil, "", err
	}
	return val.(*pooledFleet), key, nil
}

// startFleet acquires the connection for a configuration that starts.
func (a *App) startFleet() (*pooledFleet, error) {
	p, key, err := a.Quota.acquireFleet(a.runtime, a.runtimeKey)
	a.fleetKey = key
	return p, err
}

// stopFleet gives the connection back.
func (a *App) stopFleet() error {
	if a.fleetKey == "" {
		return nil
	}
	key := a.fleetKey
	a.fleetKey = ""
	_, err := fleets.Delete(key)
	return err
}

// limiter decides quotas: in this process, or across the fleet where the newest configuration names a Redis. Its methods
// call the concrete stores, so that what they are given can stay on the stack.
type limiter struct {
	*quota.Local
	fleet atomic.Pointer[fleet.Store]
}

// share makes the connection of a configuration the one that decides quotas and carries hints; nil: none.
func (rt *runtime) share(p *pooledFleet) {
	if p == nil {
		rt.quota.fleet.Store(nil)
		rt.source.hints.Store(nil)
		return
	}
	rt.quota.fleet.Store(p.store)
	rt.source.hints.Store(p.hints)
}

// Take implements quota.Store.
func (l *limiter) Take(now time.Time, cost int64, limits []quota.Limit, out []quota.Status) bool {
	if f := l.fleet.Load(); f != nil {
		return f.Take(now, cost, limits, out)
	}
	return l.Local.Take(now, cost, limits, out)
}

// Refund implements quota.Store.
func (l *limiter) Refund(now time.Time, cost int64, limits []quota.Limit) {
	if f := l.fleet.Load(); f != nil {
		f.Refund(now, cost, limits)
		return
	}
	l.Local.Refund(now, cost, limits)
}

// Release implements quota.Store. After a reload that changed the store, a slot may go back to another one than it was
// taken from; each passes over what it has not given.
func (l *limiter) Release(limits []quota.Limit) {
	if f := l.fleet.Load(); f != nil {
		f.Release(limits)
		return
	}
	l.Local.Release(limits)
}

// Interface guards
var (
	_ caddy.Destructor = (*pooledFleet)(nil)
	_ quota.Store      = (*limiter)(nil)
)
