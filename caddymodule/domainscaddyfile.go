package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalDomains reads the option domains of the app. Syntax:
//
//	domains off|{
//		verify        dns|http...
//		resolver      <address>
//		interval      <duration>
//		http_port     <port>
//		allow_private
//		off
//	}
func (a *App) unmarshalDomains(d *caddyfile.Dispenser) error {
	if a.Domains != nil {
		return d.Err("domains is given twice")
	}
	a.Domains = new(Domains)
	c, at := a.Domains, *d
	if d.NextArg() {
		if d.Val() != "off" || d.NextArg() {
			return d.Errf("domains can only be followed by off or a block, not %q", d.Val())
		}
		c.Off = true
	}
	given := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if given[option] {
			return d.Errf("%s is given twice", option)
		}
		given[option] = true
		if err := c.unmarshal(d, option); err != nil {
			return err
		}
		if err := c.check(); err != nil && option != "http_port" { // verify may follow
			return d.WrapErr(err)
		}
	}
	if err := c.check(); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

func (c *Domains) unmarshal(d *caddyfile.Dispenser, option string) (err error) {
	switch option {
	case "verify":
		if c.Verify = d.RemainingArgs(); len(c.Verify) == 0 {
			return d.ArgErr()
		}
	case "resolver":
		c.Resolver, err = oneArg(d)
	case "interval":
		err = positiveDuration(d, &c.Interval)
	case "http_port":
		err = positiveInt(d, &c.HTTPPort)
	case "allow_private", "off":
		if d.NextArg() {
			return d.ArgErr()
		}
		if option == "off" {
			c.Off = true
		} else {
			c.AllowPrivate = true
		}
	default:
		return d.Errf("unknown option %q; there are verify, resolver, interval, http_port, allow_private and off", option)
	}
	return err
}
