package caddymodule

import (
	"context"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The names of log fields and span attributes.
const (
	fieldTenant      = "tenant"
	fieldEnvironment = "environment"
	fieldSource      = "tenant_source"
	fieldRefusal     = "tenant_refusal"
	fieldAPIKey      = "tenant_api_key" // the id of the record, never the key
)

// MarshalLogObject implements zapcore.ObjectMarshaler. It runs when a log line is written, after the response.
func (st *state) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	st = st.last()
	if res := st.decision.Resolved; res != nil {
		enc.AddString(fieldTenant, res.Tenant.Slug)
		enc.AddString(fieldEnvironment, res.Environment.Slug)
		enc.AddString(fieldSource, st.decision.Source)
		if key := st.apiKey(); key != nil {
			enc.AddString(fieldAPIKey, key.ID)
		}
	}
	if st.refusal != nil {
		enc.AddString(fieldRefusal, st.refusal.Code)
	}
	return nil
}

// logFields adds the request's fields to its access log line. Where the server writes no access log it does nothing:
// keeping a field costs three allocations.
func (st *state) logFields(ctx context.Context) {
	if st.logged || !st.handler.logs(ctx) {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(st))
		st.logged = true
	}
}

// What a handler knows of its server's access log.
const (
	logsUnknown = iota
	logsNever
	logsMaybe
)

// logs reports whether the server may write an access log. A handler belongs to one server, which is looked up once.
func (h *Handler) logs(ctx context.Context) bool {
	switch h.accessLog.Load() {
	case logsNever:
		return false
	case logsMaybe:
		return true
	}
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil {
		return true
	}
	if server.Logs == nil {
		h.accessLog.Store(logsNever)
		return false
	}
	h.accessLog.Store(logsMaybe)
	return true
}

// spanAttributes tells the request's span, if Caddy's tracing handler has begun one.
func (st *state) spanAttributes(ctx context.Context) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	if st.refusal != nil {
		span.SetAttributes(attribute.String("tenant.refusal", st.refusal.Code))
		return
	}
	res := st.decision.Resolved
	span.SetAttributes(
		attribute.String("tenant.id", st.tenantID()),
		attribute.String("tenant.slug", res.Tenant.Slug),
		attribute.String("tenant.environment", res.Environment.Slug),
		attribute.String("tenant.source", st.decision.Source),
	)
}

// Interface guards
var _ zapcore.ObjectMarshaler = (*state)(nil)
