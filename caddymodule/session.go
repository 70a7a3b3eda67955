package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/router"
	"github.com/tenantgate/tenantgate/router/credential"
)

func init() {
	caddy.RegisterModule(&Session{})
}

// Session takes the user, and the environment in which the user is active, from a session cookie of better-auth: the
// cookie's signature is checked, and its token looked up in the registry. It is an authenticated source: it outranks
// whatever else a request says. A session that names no tenant says who the user is, and another source which tenant is
// meant; one that is not valid is refused with 401 credentials_invalid.
//
// The user has to be a member of the environment, unless AnyUser is set.
type Session struct {
	// Cookie is the cookie's name; the same name with "__Secure-" before it is accepted too. Default:
	// better-auth.session_token.
	Cookie string `json:"cookie,omitempty"`
	// Secrets are those that sign the cookie, 16 bytes at least: several while one is being rotated. Placeholders are
	// replaced: {env.NAME} or {file./PATH}. Required.
	Secrets []string `json:"secrets,omitempty"`
	// Table is a table of sessions that the application keeps in the registry's database, and which holds the tokens
	// themselves. Default: none; sessions are in the registry's own table sys_session, which holds their SHA-256.
	Table *SessionTable `json:"table,omitempty"`
	// AnyUser admits users who are not members of the environment. Default: false.
	AnyUser bool `json:"any_user,omitempty"`
	// Remove takes the cookie out of what goes upstream. Default: false.
	Remove bool `json:"remove,omitempty"`

	secrets []string // with placeholders replaced
}

// SessionTable names a table of sessions and its columns.
type SessionTable struct {
	// Name of the table. Required.
	Name string `json:"name"`
	// Token is the column of the token. Required.
	Token string `json:"token"`
	// User is the column of the user's id. Required.
	User string `json:"user"`
	// Expires is the column of the time until which the session is valid: ISO 8601 text in UTC, or a number of seconds or
	// milliseconds since 1970. Required.
	Expires string `json:"expires"`
	// Organization is the column of the active tenant's id, a UUID. Default: none.
	Organization string `json:"organization,omitempty"`
	// Environment is the column of the active environment's id, a UUID. Default: none.
	Environment string `json:"environment,omitempty"`
}

// table returns the registry's word for t.
func (t *SessionTable) table() *registry.SessionTable {
	if t == nil {
		return nil
	}
	return &registry.SessionTable{
		Name: t.Name, Token: t.Token, User: t.User, Expires: t.Expires, Organization: t.Organization, Environment: t.Environment,
	}
}

// CaddyModule returns the Caddy module information.
func (*Session) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: sourceNamespace + ".session", New: func() caddy.Module { return new(Session) }}
}

// String hides the secrets wherever the module is printed.
func (*Session) String() string { return "session" }

// GoString is String, for %#v.
func (s *Session) GoString() string { return s.String() }

// Provision implements caddy.Provisioner.
func (s *Session) Provision(ctx caddy.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	s.secrets = make([]string, len(s.Secrets))
	for i, secret := range s.Secrets {
		text, err := caddy.NewReplacer().ReplaceOrErr(secret, true, true)
		if err != nil {
			return errors.New("session: secret: a placeholder in it is unknown or empty")
		}
		s.secrets[i] = text
	}
	if s.Table == nil {
		return nil
	}
	app, err := ctx.App("tenants")
	if err != nil {
		return err
	}
	return app.(*App).useSessionTable(*s.Table.table())
}

// check finds what is wrong with the configuration as it is written.
func (s *Session) check() error {
	written := make([]string, len(s.Secrets))
	for i, secret := range s.Secrets {
		if written[i] = secret; strings.Contains(secret, "{") {
			written[i] = strings.Repeat("replaced at start", 4)
		}
	}
	if _, err := s.verifier(written); err != nil {
		return err
	}
	if s.Table != nil {
		return s.Table.table().Validate()
	}
	return nil
}

func (s *Session) verifier(secrets []string) (*credential.Session, error) {
	v, err := credential.NewSession(credential.SessionOptions{Cookie: s.Cookie, Secrets: secrets})
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	return v, nil
}

// source returns the router's source.
func (s *Session) source([]string) (router.Source, error) {
	v, err := s.verifier(s.secrets)
	if err != nil {
		return nil, err
	}
	return router.NewSession(router.SessionOptions{Session: v, Table: s.Table != nil, AnyUser: s.AnyUser, Remove: s.Remove})
}

// proves implements prover.
func (*Session) proves() bool { return true }

// Interface guards
var (
	_ caddy.Provisioner = (*Session)(nil)
	_ prover            = (*Session)(nil)
	_ fmt.Stringer      = (*Session)(nil)
	_ fmt.GoStringer    = (*Session)(nil)
)
