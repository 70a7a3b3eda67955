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
	// older are those of olderLimitKeys; nil means that they are not sent.
	older *[len(olderLimitKeys)]string
}

// The rate limit headers, as keys of a header map: the ones that are always sent where there is a limit, and those of the
// family X-RateLimit.
var (
	limitKeys = [...]string{
		http.CanonicalHeaderKey(quota.HeaderPolicy),
		http.CanonicalHeaderKey(quota.HeaderRateLimit),
	}
	olderLimitKeys = [...]string{
		http.CanonicalHeaderKey(quota.HeaderXLimit),
		http.CanonicalHeaderKey(quota.HeaderXRemaining),
		http.CanonicalHeaderKey(quota.HeaderXReset),
	}
)

// set writes the headers.
func (w *limitWriter) set() {
	h := w.ResponseWriter.Header()
	for i, key := range limitKeys {
		if w.values[i] != "" {
			h[key] = w.values[i : i+1 : i+1]
		}
	}
	if w.older != nil {
		for i, key := range olderLimitKeys {
			h[key] = w.older[i : i+1 : i+1]
		}
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *limitWriter) WriteHeader(status int) {
	if w.values[0] != "" {
		w.guard()
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// guard takes out what an upstream has added to the headers.
func (w *limitWriter) guard() {
	h := w.ResponseWriter.Header()
	for i, key := range limitKeys {
		if len(h[key]) > 1 && w.values[i] != "" {
			h[key] = w.values[i : i+1 : i+1]
		}
	}
	if w.older != nil {
		for i, key := range olderLimitKeys {
			if len(h[key]) > 1 {
				h[key] = w.older[i : i+1 : i+1]
			}
		}
	}
}

// Interface guards
var _ http.ResponseWriter = (*limitWriter)(nil)
