package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(&TenantKeys{})
	httpcaddyfile.RegisterHandlerDirective("tenant_keys", parseTenantKeys)
	httpcaddyfile.RegisterDirectiveOrder("tenant_keys", httpcaddyfile.Before, "respond")
}

// TenantKeys answers with the public keys of the token that `inject context` sends, as a JSON Web Key Set (RFC 7517).
// Upstreams may keep the answer for five minutes. A secret (HS256) is never in it, so that with one there is nothing to
// answer, which is an error of the configuration.
type TenantKeys struct {
	signing *signing
}

// keysMaxAge is for how long upstreams may keep the keys, in seconds.
const keysMaxAge = 300

// CaddyModule returns the Caddy module information.
func (*TenantKeys) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.tenant_keys", New: func() caddy.Module { return new(TenantKeys) }}
}

// Provision implements caddy.Provisioner.
func (k *TenantKeys) Provision(ctx caddy.Context) error {
	app, err := ctx.App("tenants")
	if err != nil {
		return err
	}
	return k.provision(app.(*App))
}

func (k *TenantKeys) provision(app *App) (err error) {
	if app.Context != nil && app.Context.Secret != "" {
		return errors.New("tenant_keys: the tenant context is signed with a secret, so that there is no public key to publish")
	}
	if k.signing, err = app.contextSigner(); err != nil {
		return fmt.Errorf("tenant_keys: %w", err)
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (k *TenantKeys) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	header := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("the keys can only be read"))
	}
	keys, err := k.signing.signer.KeySet(time.Now())
	if err != nil {
		header.Set("Retry-After", "10")
		return caddyhttp.Error(http.StatusServiceUnavailable, errors.New("there are no keys yet"))
	}
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(keysMaxAge))
	header.Set("ETag", keys.ETag())
	if tags := r.Header["If-None-Match"]; len(tags) > 0 && sameTag(strings.Join(tags, ","), keys.ETag()) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Type", "application/jwk-set+json")
	header.Set("Content-Length", strconv.Itoa(len(keys.JWKS())))
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, err = w.Write(keys.JWKS())
	}
	return err
}

// sameTag reports whether a list of entity tags (RFC 9110 §13.1.2) holds this one; the comparison is the weak one.
func sameTag(list, tag string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if part = trimOWS(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

// parseTenantKeys parses the directive tenant_keys. Syntax:
//
//	tenant_keys [<matcher>]
//
// It answers every request that reaches it: put it into a site of its own, or into a handle, whose path the tenant
// directive has to exempt.
func parseTenantKeys(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	k := new(TenantKeys)
	return k, k.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler; see parseTenantKeys for the syntax.
func (*TenantKeys) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("tenant_keys has no option %q: how the context is signed stands in the global option tenants", d.Val())
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*TenantKeys)(nil)
	_ caddyhttp.MiddlewareHandler = (*TenantKeys)(nil)
	_ caddyfile.Unmarshaler       = (*TenantKeys)(nil)
)
