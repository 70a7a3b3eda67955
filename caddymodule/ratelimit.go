package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenantgate/tenantgate/quota"
)

// limitWriter puts the gateway's rate limit headers into the response, in place of those that an upstream sends: a
// proxy adds the upstream's to what is there, and a client could not tell them apart.
type limitWriter struct {
	caddyhttp.ResponseWriterWrapper
	// values are those of limitKeys; empty means that the header is not sent. The response's header map points here.
	values [len(limitKeys)]string
}

// limitKeys are the rate limit headers, as keys of a header map.
var limitKeys = [...]string{
	http.CanonicalHeaderKey(quota.HeaderPolicy),
	http.CanonicalHeaderKey(quota.HeaderRateLimit),
	http.CanonicalHeaderKey(quota.HeaderXLimit),
	http.CanonicalHeaderKey(quota.HeaderXRemaining),
	http.CanonicalHeaderKey(quota.HeaderXReset),
}

// set writes the headers.
func (w *limitWriter) set() {
	h := w.ResponseWriter.Header()
	for i, key := range limitKeys {
		if w.values[i] != "" {
			h[key] = w.values[i : i+1 : i+1]
		}
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *limitWriter) WriteHeader(status int) {
	h := w.ResponseWriter.Header()
	for i, key := range limitKeys {
		if w.values[i] != "" && len(h[key]) > 1 {
			h[key] = w.values[i : i+1 : i+1]
		}
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Interface guards
var _ http.ResponseWriter = (*limitWriter)(nil)
