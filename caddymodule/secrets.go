package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tenantgate/tenantgate/registry"
)

// Secrets says which keys seal the credentials of databases in the registry. Without keys none can be stored, rotated or
// revealed by this gateway; nothing else depends on them.
type Secrets struct {
	// Keys are 1 to 64 keys with different ids. The first one seals, all of them open. To change keys put the new one
	// first, run `tenantgate credential reseal`, and take away those that it says nobody needs. Required.
	Keys []SecretKey `json:"keys,omitempty"`
}

// SecretKey is a named key.
type SecretKey struct {
	// ID is kept next to all that the key has sealed: 1 to 63 of a-z, 0-9, ".", "_" and "-". Required.
	ID string `json:"id"`
	// Key is 32 random bytes in base64 or hex. Placeholders are replaced, so that the key itself need not stand in the
	// configuration, which Caddy's admin endpoint shows: {env.NAME} or {file.PATH}. Required.
	Key string `json:"key"`
}

// String hides the key wherever the configuration is printed.
func (k SecretKey) String() string { return "key " + k.ID }

// GoString is String, for %#v.
func (k SecretKey) GoString() string { return k.String() }

// check finds what is wrong with the keys as they are written. Placeholders are replaced at start.
func (s *Secrets) check() error {
	if s == nil {
		return nil
	}
	_, err := s.build(func(k SecretKey) (string, error) {
		if k.Key == "" {
			return "", fmt.Errorf("the key %s is empty", k.ID)
		}
		if strings.Contains(k.Key, "{") {
			return plausibleKey, nil
		}
		return k.Key, nil
	})
	return err
}

// plausibleKey stands for a key that is not known yet, and is never used.
const plausibleKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// keyring returns the keys with placeholders replaced; nil where there are none. No error of it shows any part of a key.
func (s *Secrets) keyring() (*registry.Keyring, error) {
	if s == nil {
		return nil, nil
	}
	return s.build(func(k SecretKey) (string, error) {
		text, err := caddy.NewReplacer().ReplaceOrErr(k.Key, true, true)
		if err != nil {
			return "", fmt.Errorf("the key %s: a placeholder in it is unknown or empty", k.ID)
		}
		return text, nil
	})
}

// build makes a keyring of what text gives for each key.
func (s *Secrets) build(text func(SecretKey) (string, error)) (*registry.Keyring, error) {
	if len(s.Keys) == 0 {
		return nil, errors.New("secrets: a key is needed")
	}
	var keys []registry.SecretKey
	for _, k := range s.Keys {
		t, err := text(k)
		if err != nil {
			return nil, fmt.Errorf("secrets: %w", err)
		}
		key, err := registry.NewSecretKey(k.ID, t)
		if err != nil {
			return nil, fmt.Errorf("secrets: %w", err)
		}
		keys = append(keys, key)
	}
	ring, err := registry.NewKeyring(keys...)
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	return ring, nil
}

// unmarshal reads the block secrets of the global option tenants.
func (s *Secrets) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	at := *d
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "key" {
			return d.Errf("unknown option %q; there is key", d.Val())
		}
		args := d.RemainingArgs()
		if len(args) != 2 { // a variable that is not set may be missing here
			return d.Errf("key takes an id and a key, such as key k1 {env.TENANT_SECRET_KEY}; here are %d arguments", len(args))
		}
		s.Keys = append(s.Keys, SecretKey{ID: args[0], Key: args[1]})
		if err := s.check(); err != nil {
			return d.WrapErr(err)
		}
	}
	if len(s.Keys) == 0 {
		return at.WrapErr(s.check())
	}
	return nil
}
