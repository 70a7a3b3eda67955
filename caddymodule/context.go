package caddymodule

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/assertion"
)

// Context says how the token is signed that `inject context` sends as X-Tenant-Context: a JSON Web Token (RFC 7519) of
// the type tenant-context+jwt, with the claims iss, aud, iat, nbf, exp, tenant (id, slug, name, plan, isolation),
// environment (id, slug, type, region), with an authenticated user sub and roles, and with `inject database` database
// and schema. A token is signed once for each environment and user, and renewed in the background while it is used.
//
// Without KeyFiles and Secret the gateway makes Ed25519 keys of its own and rotates them: each one signs for 30 days, is
// published for a day before that, and until a day after its last token has expired. They are kept in
// tenantgate/context-keys in Caddy's data directory. Gateways that do not share that directory need KeyFiles, so that
// each of them publishes what any of them signs with.
type Context struct {
	// KeyFiles are files with Ed25519 private keys in PEM (PKCS #8), or directories of which the files *.pem are read in
	// the order of their names. The first key signs, all are published. To rotate, add the new key as the second, make it
	// the first once upstreams have fetched the keys again, and remove the old one when its tokens have expired. They are
	// read when the configuration is loaded. Placeholders are replaced. Default: keys that the gateway makes.
	KeyFiles []string `json:"key_files,omitempty"`
	// Secret signs with HS256 instead; whoever can check such a token can also make one. 32 bytes at least. Placeholders
	// are replaced, so that the secret itself need not stand in the configuration, which Caddy's admin endpoint shows:
	// {env.NAME} or {file./PATH}. Default: none.
	Secret string `json:"secret,omitempty"`
	// Issuer is the claim iss. Default: tenantgate.
	Issuer string `json:"issuer,omitempty"`
	// Audiences are the claim aud. Default: none.
	Audiences []string `json:"audiences,omitempty"`
	// Lifetime of a token, from 10s to 1h. One that goes upstream has at least a quarter of it left. Default: 5m.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`
	// Size bounds the tokens that are kept in memory. Default: 100000.
	Size int `json:"size,omitempty"`
}

// String hides the secret wherever the configuration is printed.
func (Context) String() string { return "context" }

// GoString is String, for %#v.
func (Context) GoString() string { return "context" }

// check finds what is wrong with the configuration as it is written, without a look at any key.
func (c *Context) check() error {
	if len(c.KeyFiles) > 0 && c.Secret != "" {
		return errors.New("context: key and secret exclude each other")
	}
	for i, path := range c.KeyFiles {
		if path == "" || slices.Contains(c.KeyFiles[:i], path) {
			return errors.New("context: key has to name different files")
		}
	}
	if c.Secret != "" && !strings.Contains(c.Secret, "{") { // placeholders are replaced at start
		if err := checkSecret(c.Secret); err != nil {
			return err
		}
	}
	o := c.options()
	if err := o.Check(); err != nil {
		return fmt.Errorf("context: %w", err)
	}
	return nil
}

func checkSecret(secret string) error {
	if strings.Contains(secret, "-----BEGIN ") {
		return errors.New("context: secret is not for keys in PEM: those come from a file, with key")
	}
	if _, err := assertion.NewSecret([]byte(secret)); err != nil {
		return fmt.Errorf("context: %w", err)
	}
	return nil
}

// options returns what the assertion package wants to know; the keys are left to the caller.
func (c *Context) options() assertion.Options {
	return assertion.Options{
		Issuer: c.Issuer, Audience: c.Audiences, Lifetime: time.Duration(c.Lifetime), Size: c.Size,
	}
}

// keys adds the keys to the options, and returns what tells them from other ones.
func (c *Context) keys(o *assertion.Options) (identity string, err error) {
	switch {
	case c.Secret != "":
		o.Keys, err = c.readSecret()
	case len(c.KeyFiles) > 0:
		o.Keys, err = c.readKeys()
	default:
		dir := filepath.Join(caddy.AppDataDir(), "tenantgate", "context-keys")
		lifetime := o.Lifetime
		if lifetime == 0 {
			lifetime = assertion.DefaultLifetime
		}
		o.KeyDir = assertion.NewKeyDir(dir, lifetime)
		return dir, nil
	}
	if err != nil {
		return "", fmt.Errorf("context: %w", err)
	}
	return o.Keys.Identity(), nil
}

func (c *Context) readSecret() (*assertion.KeySet, error) {
	secret, err := caddy.NewReplacer().ReplaceOrErr(c.Secret, true, true)
	if err != nil {
		return nil, errors.New("secret: a placeholder in it is unknown or empty")
	}
	key, err := assertion.NewSecret([]byte(secret))
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return assertion.NewKeySet(key)
}

func (c *Context) readKeys() (*assertion.KeySet, error) {
	paths := make([]string, len(c.KeyFiles))
	for i, path := range c.KeyFiles {
		var err error
		if paths[i], err = caddy.NewReplacer().ReplaceOrErr(path, true, true); err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
	}
	keys, err := assertion.ReadKeys(paths...)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return keys, nil
}

// contextToken returns the token for an admitted request; empty if there is none, because an upstream that checks it is
// better off with nothing.
func (h *Handler) contextToken(st *state) string {
	text, err := h.signing.signer.Token(assertion.Facts{
		Resolved: st.decision.Resolved, User: st.decision.User, Roles: st.decision.Roles, Database: h.Inject.Database,
	}, st.request.Now)
	if err != nil {
		if n, ok := h.signing.failures.allow(st.request.Now); ok {
			h.logger.Error("the tenant context could not be signed; requests go upstream without", "error", err, "since_last", n)
		}
		return ""
	}
	return text
}
