package caddymodule

import (
	"context"
	"sync"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/quota/fleet"
	"github.com/tenantgate/tenantgate/registry"
)

// changeHints lets the gateways that share a Redis and a registry (by the same URL) tell each other that the registry has
// changed: the first that sees a change in its poll tells the others, and they poll at once. The poll stays the truth.
type changeHints struct {
	hints  *fleet.Hints
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// hinted marks the context of a poll that a hint has caused: what it finds need not be told again.
type hinted struct{}

func newChangeHints(o fleet.Options, runtimeKey string, c *cache.Cache) (*changeHints, error) {
	wake := make(chan struct{}, 1)
	hints, err := fleet.NewHints(o, shortHash(runtimeKey), func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	h := &changeHints{hints: hints}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), hinted{}, true))
	h.cancel = cancel
	h.loops.Go(func() { hints.Run(ctx) })
	h.loops.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-wake:
				// What goes wrong, the poll that comes anyway reports.
				_ = c.Poll(ctx)
			}
		}
	})
	return h, nil
}

// saw tells the others of what a poll has found.
func (h *changeHints) saw(ctx context.Context, changes *registry.Changes, err error) {
	if h != nil && err == nil && len(changes.List) > 0 && ctx.Value(hinted{}) == nil {
		h.hints.Publish()
	}
}

func (h *changeHints) stop() {
	h.cancel()
	h.loops.Wait()
}
