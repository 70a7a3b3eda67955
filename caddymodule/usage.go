package caddymodule

import (
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/registry"
)

const (
	// lastFlush bounds how long the end of the process waits for what was counted last to be saved.
	lastFlush = 10 * time.Second
	// usageDays is how long usage is kept by day, at least; months that are over are then put together. usageMonths is how
	// long months are kept.
	usageDays   = 92 * 24 * time.Hour
	usageMonths = 5 * 366 * 24 * time.Hour
)

// usageBook is the registry as the quotas see it: where what was used is read and written, under this gateway's name.
type usageBook struct {
	source *storeSwitch
	// node is set before the first use.
	node string
}

var errNoNode = errors.New("the gateway has not started yet")

// Load implements quota.UsageSource.
func (b *usageBook) Load(ctx context.Context, accounts []quota.Account) ([]quota.Usage, error) {
	if b.node == "" {
		return nil, errNoNode
	}
	asked := make([]registry.UsageAccount, len(accounts))
	for i := range accounts {
		asked[i] = usageAccount(&accounts[i])
	}
	totals, err := b.source.LoadUsage(ctx, b.node, asked)
	if err != nil {
		return nil, err
	}
	list := make([]quota.Usage, len(totals))
	for i, t := range totals {
		list[i] = quota.Usage{Own: t.Own, Others: t.Others, Rest: t.Rest}
	}
	return list, nil
}

// Save implements quota.UsageSink.
func (b *usageBook) Save(ctx context.Context, records []quota.Record) error {
	if b.node == "" {
		return errNoNode
	}
	list := make([]registry.UsageRecord, len(records))
	for i := range records {
		list[i] = registry.UsageRecord{UsageAccount: usageAccount(&records[i].Account), Used: records[i].Used, Was: records[i].Was}
	}
	return b.source.SaveUsage(ctx, b.node, list)
}

// usageAccount translates the name of an account.
func usageAccount(a *quota.Account) registry.UsageAccount {
	u := registry.UsageAccount{Tenant: a.Tenant, Day: a.Day}
	switch a.Key.Scope {
	case quota.ScopeEnvironment:
		u.Environment = a.Key.ID
	case quota.ScopeKey:
		u.APIKey = a.Key.ID
	case quota.ScopeRoute:
		u.Metric = routeMetric + hex.EncodeToString(a.Key.ID[:])
	}
	return u
}

// routeMetric begins the metric of what tenant_quota counts.
const routeMetric = "route:"

// usageOptions are those of the runtime's quotas.
func (rt *runtime) usageOptions() quota.UsageOptions {
	return quota.UsageOptions{
		Source: rt.usage, Sink: rt.usage, Warn: rt.warn,
		Failed: func(ctx context.Context, err error) {
			if err != nil {
				rt.logger.WarnContext(ctx, "what was used of quotas cannot be read or saved; counting in memory until it can", "error", err)
			} else {
				rt.logger.InfoContext(ctx, "what was used of quotas is read and saved again")
			}
		},
	}
}

// in says which registry the runtime is for, and so where the gateway keeps its name; before the first activation.
func (rt *runtime) in(registry string) *runtime {
	rt.nodeDir = filepath.Join(caddy.AppDataDir(), "tenantgate", "usage-"+shortHash(registry))
	return rt
}

// startUsage gives the gateway its name and takes over what the last run could not save.
func (rt *runtime) startUsage() {
	file, err := claimNode(rt.nodeDir, rt.logger)
	if err != nil {
		rt.logger.Warn("the file with this gateway's name for usage cannot be read; using a new name", "error", err)
	}
	rt.usage.node = file.Node
	rt.quota.Restore(file.unsaved())
}

// stopUsage saves what is left, in the registry or, where that cannot be reached, in the file.
func (rt *runtime) stopUsage() {
	if rt.usage.node == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastFlush)
	defer cancel()
	if err := rt.quota.Flush(ctx); err != nil {
		rt.logger.Warn("what was used of quotas could not be saved in the registry; it is kept on disk for the next start", "error", err)
	}
	if err := releaseNode(rt.nodeDir, newNodeFile(rt.usage.node, rt.quota.Unsaved())); err != nil {
		rt.logger.Error("what was used of quotas could not be saved", "error", err)
	}
}

// LoadUsage reads what was used.
func (s *storeSwitch) LoadUsage(ctx context.Context, node string, accounts []registry.UsageAccount) ([]registry.UsageTotals, error) {
	st := s.acquire()
	if st == nil {
		return nil, registry.ErrUnavailable
	}
	defer st.release()
	return st.store.LoadUsage(ctx, node, accounts)
}

// SaveUsage records what is used.
func (s *storeSwitch) SaveUsage(ctx context.Context, node string, records []registry.UsageRecord) error {
	st := s.acquire()
	if st == nil {
		return registry.ErrUnavailable
	}
	defer st.release()
	return st.store.SaveUsage(ctx, node, records)
}

// newNodeName returns a name that no gateway has had.
func newNodeName() string { return uuid.Must(uuid.NewRandom()).String() }

// Interface guards
var (
	_ quota.UsageSource = (*usageBook)(nil)
	_ quota.UsageSink   = (*usageBook)(nil)
)
