package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	on_demand_tls {
//		permission tenant {
//			subdomains <patterns...>
//			reserve    <names...>|off
//		}
//	}
func (p *TLSPermission) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	at := *d
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		args := d.RemainingArgs()
		switch {
		case option != "subdomains" && option != "reserve":
			return d.Errf("unknown option %q; there are subdomains and reserve", option)
		case len(args) == 0:
			return d.ArgErr()
		case option == "subdomains" && p.Subdomains != nil, option == "reserve" && p.Reserved != nil:
			return d.Errf("%s is given twice", option)
		case option == "subdomains":
			p.Subdomains = args
		case len(args) == 1 && args[0] == "off":
			p.Reserved = []string{}
		default:
			p.Reserved = args
		}
		at = *d
	}
	if p.Reserved != nil && p.Subdomains == nil {
		return at.Err("reserve means nothing without subdomains")
	}
	if err := p.build(); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*TLSPermission)(nil)
