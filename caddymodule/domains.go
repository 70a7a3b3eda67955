package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/domains"
	"github.com/tenantgate/tenantgate/registry"
)

// Domains says how the ownership of tenants' own host names is verified, before they are served. A claimed name has a
// token, which its owner shows in a TXT record at _tenantgate.NAME, or on the web server that the name leads to at
// /.well-known/tenantgate/TOKEN; either says "tenantgate-verification=TOKEN".
type Domains struct {
	// Verify are the methods, tried in this order: "dns", "http". Default: both, dns first.
	Verify []string `json:"verify,omitempty"`
	// Resolver is the recursive name server that is asked, "IP" or "IP:port". Default: the system's.
	Resolver string `json:"resolver,omitempty"`
	// Interval is the pause between two looks at which claims are due, and the first one between two checks of a claim,
	// which doubles each time up to an hour; after seven days a claim is given up. Default: 1m.
	Interval caddy.Duration `json:"interval,omitempty"`
	// HTTPPort is the port of the web servers that are asked. Default: 80.
	HTTPPort int `json:"http_port,omitempty"`
	// AllowPrivate lets web servers be asked at addresses that are not public, where the customers are in a private
	// network of the operator's. Whoever may claim a name can then make the gateway send a GET to any of them.
	// Default: false.
	AllowPrivate bool `json:"allow_private,omitempty"`
	// Off leaves verification to other gateways, or to the operator. Default: false.
	Off bool `json:"off,omitempty"`
}

// The methods as they are configured.
var domainMethods = map[string]registry.DomainMethod{"dns": registry.DomainDNS, "http": registry.DomainHTTP}

// verifier returns what looks for proofs.
func (c *Domains) verifier() (*domains.Verifier, error) {
	if c == nil {
		return domains.NewVerifier(domains.Options{})
	}
	o := domains.Options{HTTPPort: c.HTTPPort, AllowPrivate: c.AllowPrivate}
	if c.Verify != nil {
		o.Methods = []registry.DomainMethod{} // an empty list is no default
	}
	for i, name := range c.Verify {
		m, ok := domainMethods[name]
		if !ok || slices.Contains(c.Verify[:i], name) {
			return nil, fmt.Errorf("domains: verify takes dns and http, each at most once, not %q", name)
		}
		o.Methods = append(o.Methods, m)
	}
	var err error
	if o.Resolver, err = domains.NewResolver(c.Resolver); err != nil {
		return nil, fmt.Errorf("domains: %w", err)
	}
	return domains.NewVerifier(o)
}

// check refuses values that nothing can mean.
func (c *Domains) check() error {
	if c == nil {
		return nil
	}
	switch {
	case c.Off && (c.Verify != nil || c.Resolver != "" || c.Interval != 0 || c.HTTPPort != 0 || c.AllowPrivate):
		return errors.New("domains: off goes with no other option")
	case c.Interval < 0:
		return errors.New("domains: interval must be positive")
	case c.HTTPPort < 0 || c.HTTPPort > 65535:
		return errors.New("domains: http_port must be from 1 to 65535")
	case c.HTTPPort != 0 && !slices.Contains(c.Verify, "http") && c.Verify != nil:
		return errors.New("domains: http_port means nothing without verify http")
	}
	_, err := c.verifier()
	return err
}

// verification is the loop that checks claims, from a configuration's Start to its Stop.
type verification struct {
	cancel context.CancelFunc
	loop   sync.WaitGroup
}

// start begins to check claims; nil when that is off. The options were checked before.
func (c *Domains) start(a *App) *verification {
	if c != nil && c.Off {
		return nil
	}
	v, err := c.verifier()
	if err != nil {
		a.logger.Error("claimed domains are not checked", "error", err)
		return nil
	}
	o := domains.LoopOptions{Logger: a.logger, Checked: countDomainCheck}
	if c != nil {
		o.Interval = time.Duration(c.Interval)
	}
	loop := domains.NewLoop(domainStore{a.runtime.source}, v, o)
	ctx, cancel := context.WithCancel(context.Background())
	w := &verification{cancel: cancel}
	w.loop.Go(func() { loop.Run(ctx) })
	return w
}

// stop ends the loop; a check that is under way is broken off and due again soon.
func (w *verification) stop() {
	if w != nil {
		w.cancel()
		w.loop.Wait()
	}
}

// verifyActor is the name that the audit log shows for what the gateway has verified.
const verifyActor = "gateway"

// domainStore is the registry as the loop sees it: whichever store the newest configuration has.
type domainStore struct{ source *storeSwitch }

// TakeDueDomains implements domains.Store.
func (s domainStore) TakeDueDomains(ctx context.Context, limit int, lease time.Duration) (list []registry.Domain, err error) {
	err = s.on(func(store *registry.Store) error {
		list, err = store.TakeDueDomains(ctx, limit, lease)
		return err
	})
	return list, err
}

// VerifyDomain implements domains.Store.
func (s domainStore) VerifyDomain(ctx context.Context, d registry.Domain, method registry.DomainMethod) error {
	return s.on(func(store *registry.Store) error {
		_, err := store.VerifyDomain(ctx, d.Environment, d.Hostname, d.Token, method, verifyActor, "system")
		return err
	})
}

// DomainCheckFailed implements domains.Store.
func (s domainStore) DomainCheckFailed(ctx context.Context, d registry.Domain, next time.Time, reason string) error {
	return s.on(func(store *registry.Store) error { return store.DomainCheckFailed(ctx, d, next, reason) })
}

func (s domainStore) on(f func(*registry.Store) error) error {
	st := s.source.acquire()
	if st == nil {
		return registry.ErrUnavailable
	}
	defer st.release()
	return f(st.store)
}

// Interface guards
var _ domains.Store = domainStore{}
