package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/quota"
)

// eventQuota is the event that says that an allowance has come to 80 % or to 100 %.
const eventQuota = "tenant_quota_reached"

// emitter tells Caddy's events app of a configuration.
type emitter struct {
	ctx    caddy.Context
	events *caddyevents.App
}

func newEmitter(ctx caddy.Context) (*emitter, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	return &emitter{ctx, app.(*caddyevents.App)}, nil
}

// warn hands a warning to whoever has subscribed to it in the newest configuration.
func (rt *runtime) warn(w quota.Warning) {
	rt.mu.Lock()
	var e *emitter
	if n := len(rt.active); n > 0 {
		e = rt.active[n-1].emitter
	}
	rt.mu.Unlock()
	if e == nil || !e.events.ShouldEmit(eventQuota) {
		return
	}
	data := map[string]any{
		"tenant_id": uuid.UUID(w.Tenant).String(), "percent": w.Percent, "used": w.Used, "limit": w.Allowance.Max,
		"period": w.Allowance.Period.String(), "scope": w.Key.Scope.String(),
	}
	if w.Key.Scope == quota.ScopeEnvironment {
		data["environment_id"] = uuid.UUID(w.Key.ID).String()
	}
	if w.Key.Scope == quota.ScopeKey {
		data["api_key_id"] = uuid.UUID(w.Key.ID).String()
	}
	e.events.Emit(e.ctx, eventQuota, data)
}
