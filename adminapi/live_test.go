package adminapi_test

import (
	"context"
	"net/http"
	"sync"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
)

// gateway is a gateway that counts what it is told.
type gateway struct {
	mu        sync.Mutex
	changes   int
	purged    int
	purges    []uuid.UUID
	explained []*http.Request
}

func (g *gateway) Changed(context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes++
}

func (*gateway) Cache() adminapi.CacheStats {
	return adminapi.CacheStats{Hits: 3, Misses: 1, HitRate: 0.75, Entries: 1, Size: 100}
}

func (g *gateway) Purge() { g.purged++ }

func (g *gateway) PurgeTenant(id uuid.UUID) { g.purges = append(g.purges, id) }

func (*gateway) Limits(_, _ uuid.UUID, q registry.Quotas) []adminapi.LimitUsage {
	list := adminapi.Limits(q)
	for i := range list {
		used, remaining := int64(1), list[i].Limit-1
		list[i].Used, list[i].Remaining = &used, &remaining
	}
	return list
}

func (g *gateway) Explain(r *http.Request, handler int) (*adminapi.Explanation, error) {
	if handler > 0 {
		return nil, adminapi.ErrNoHandler
	}
	g.explained = append(g.explained, r)
	return &adminapi.Explanation{
		Explanation: router.Explanation{Host: r.Host, Agreement: "required", Sources: []router.ExplainedSource{}}, Handlers: 1,
	}, nil
}
