package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tenantgate/tenantgate/router"
	"github.com/tenantgate/tenantgate/router/credential"
)

func init() {
	caddy.RegisterModule(&APIKey{})
}

// APIKey takes the environment from an API key (tg_…), in a header of its own or in Authorization: Bearer. It is an
// authenticated source: it outranks whatever else a request says. A key that is malformed, unknown, expired or revoked is
// refused with 401 credentials_invalid; one that acts as a user is good only while that user is a member of the
// environment.
type APIKey struct {
	// Header is the name of the header for keys. Default: X-API-Key.
	Header string `json:"header,omitempty"`
	// Remove takes the key out of what goes upstream. Default: false.
	Remove bool `json:"remove,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*APIKey) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".api_key", New: func() caddy.Module { return new(APIKey) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify api_key [<header>] {
//		remove
//	}
func (s *APIKey) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	d.Args(&s.Header)
	return finish(d, s, switchOption{"remove", &s.Remove})
}

// source returns the router's source.
func (s *APIKey) source([]string) (router.Source, error) {
	x, err := credential.NewKeyExtractor(s.Header)
	if err != nil {
		return nil, fmt.Errorf("api_key: %w", err)
	}
	return router.NewAPIKey(router.APIKeyOptions{Extractor: x, Remove: s.Remove})
}

// proves implements prover.
func (*APIKey) proves() bool { return true }

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*APIKey)(nil)
	_ prover                = (*APIKey)(nil)
)
