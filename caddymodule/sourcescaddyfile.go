package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tenantgate/tenantgate/router"
)

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify subdomain <patterns...>
func (s *Subdomain) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if s.Patterns = d.RemainingArgs(); len(s.Patterns) == 0 {
		return d.ArgErr()
	}
	return finish(d, s)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify domain
func (s *Domain) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return finish(d, s)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify path <pattern> {
//		strip
//	}
func (s *Path) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&s.Pattern) {
		return d.ArgErr()
	}
	return finish(d, s, switchOption{"strip", &s.Strip})
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify header [<tenant-header> [<environment-header>]] {
//		from_trusted_proxies
//	}
func (s *Header) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	d.Args(&s.Tenant, &s.Environment)
	return finish(d, s, switchOption{"from_trusted_proxies", &s.FromTrustedProxies})
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify query [<tenant-parameter> [<environment-parameter>]] {
//		remove
//	}
func (s *Query) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	d.Args(&s.Tenant, &s.Environment)
	return finish(d, s, switchOption{"remove", &s.Remove})
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify placeholder <tenant-placeholder> [<environment-placeholder>]
func (s *Placeholder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&s.Tenant) {
		return d.ArgErr()
	}
	d.Args(&s.Environment)
	return finish(d, s)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify default <tenant> [<environment>]
func (s *Default) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&s.Tenant) {
		return d.ArgErr()
	}
	d.Args(&s.Environment)
	return finish(d, s)
}

// switchOption is an option without a value.
type switchOption struct {
	name string
	set  *bool
}

// finish reads the flags in the block of a source, refuses everything else, and lets the router check the whole.
func finish(d *caddyfile.Dispenser, s builtIn, flags ...switchOption) error {
	name := s.(caddy.Module).CaddyModule().ID.Name()
	if d.NextArg() {
		return d.Errf("identify %s: unexpected %q", name, d.Val())
	}
	at := *d
options:
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		for _, f := range flags {
			if d.Val() != f.name {
				continue
			}
			if *f.set {
				return d.Errf("%s is given twice", f.name)
			}
			if d.NextArg() {
				return d.ArgErr()
			}
			*f.set = true
			continue options
		}
		return d.Errf("identify %s has no option %q", name, d.Val())
	}
	if _, err := s.source(nil); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

// unmarshalSource reads what follows identify and returns the module with its name.
func unmarshalSource(d *caddyfile.Dispenser) (caddyfile.Unmarshaler, string, error) {
	if !d.NextArg() {
		return nil, "", d.ArgErr()
	}
	name := d.Val()
	id := sourceNamespace + "." + name
	if _, err := caddy.GetModule(id); err != nil {
		var names []string
		for _, info := range caddy.GetModules(sourceNamespace) {
			names = append(names, info.ID.Name())
		}
		return nil, "", d.Errf("there is no source %q; this build has %s", name, strings.Join(names, ", "))
	}
	mod, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return nil, "", err
	}
	_, isBuiltIn := mod.(builtIn)
	if _, ok := mod.(router.Source); !ok && !isBuiltIn {
		return nil, "", d.Errf("module %s is not a source", id)
	}
	return mod, name, nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Subdomain)(nil)
	_ caddyfile.Unmarshaler = (*Domain)(nil)
	_ caddyfile.Unmarshaler = (*Path)(nil)
	_ caddyfile.Unmarshaler = (*Header)(nil)
	_ caddyfile.Unmarshaler = (*Query)(nil)
	_ caddyfile.Unmarshaler = (*Placeholder)(nil)
	_ caddyfile.Unmarshaler = (*Default)(nil)

	_ builtIn = (*Subdomain)(nil)
	_ builtIn = (*Domain)(nil)
	_ builtIn = (*Path)(nil)
	_ builtIn = (*Header)(nil)
	_ builtIn = (*Query)(nil)
	_ builtIn = (*Placeholder)(nil)
	_ builtIn = (*Default)(nil)
)
