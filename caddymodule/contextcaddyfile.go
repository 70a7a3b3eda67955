package caddymodule

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tenantgate/tenantgate/assertion"
)

// unmarshal reads the block context of the global option tenants; see parseApp for the syntax. key may be repeated.
func (c *Context) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("context takes no arguments: its options stand in a block")
	}
	given := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if given[option] && option != "key" {
			return d.Errf("%s is given twice", option)
		}
		given[option] = true
		if err := c.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	return nil
}

func (c *Context) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	at := *d
	switch option {
	case "key":
		if err := someArgs(d, &c.KeyFiles); err != nil {
			return err
		}
		for i, path := range c.KeyFiles {
			if slices.Contains(c.KeyFiles[:i], path) {
				return d.Errf("key %s is given twice", path)
			}
		}
		return nil
	case "secret":
		return filledArg(d, &c.Secret)
	case "issuer":
		return filledArg(d, &c.Issuer)
	case "audience":
		if err := someArgs(d, &c.Audiences); err != nil {
			return err
		}
		return placed(&at, (&Context{Audiences: c.Audiences}).check())
	case "lifetime":
		if err := positiveDuration(d, &c.Lifetime); err != nil {
			return err
		}
		if v := time.Duration(c.Lifetime); v < assertion.MinLifetime || v > assertion.MaxLifetime {
			return d.Errf("lifetime must be from %s to %s, not %s", assertion.MinLifetime, assertion.MaxLifetime, v)
		}
		return nil
	case "size":
		return positiveInt(d, &c.Size)
	}
	return d.Errf("unknown option %q; there are key, secret, issuer, audience, lifetime and size", option)
}
