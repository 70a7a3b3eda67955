package caddymodule

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// noteSpan is a span that remembers its attributes.
type noteSpan struct {
	noop.Span
	attributes map[string]string
}

func (*noteSpan) IsRecording() bool { return true }

func (s *noteSpan) SetAttributes(attributes ...attribute.KeyValue) {
	for _, a := range attributes {
		s.attributes[string(a.Key)] = a.Value.AsString()
	}
}

// TestSpanAttributes keeps the promise that a request's span says whose request it was, or why it was refused.
func TestSpanAttributes(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{}, subdomains())
	for target, want := range map[string]map[string]string{
		"http://acme.app.test/": {
			"tenant.id": acmeID.String(), "tenant.slug": "acme", "tenant.environment": "production", "tenant.source": "subdomain",
		},
		"http://nobody.app.test/": {"tenant.refusal": "tenant_not_found"},
	} {
		span := &noteSpan{attributes: map[string]string{}}
		w, r := testRequest(http.MethodGet, target, nil)
		err := h.ServeHTTP(w, r.WithContext(trace.ContextWithSpan(r.Context(), span)),
			caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
		if err != nil || !equalMaps(span.attributes, want) {
			t.Errorf("%s: %v, %v", target, span.attributes, err)
		}
	}
}
