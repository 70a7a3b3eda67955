package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify session [<cookie>] {
//		secret   <secrets...>
//		table    <name> <token> <user> <expires> [<organization> [<environment>]]
//		any_user
//		remove
//	}
//
// secret is required and may be repeated. What follows the name of the table are names of its columns.
func (s *Session) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	at := *d
	if d.NextArg() {
		if s.Cookie = d.Val(); s.Cookie == "" {
			return d.Err("the name of a cookie must not be empty")
		}
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	given := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if given[option] && option != "secret" {
			return d.Errf("%s is given twice", option)
		}
		given[option] = true
		if err := s.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	if err := s.check(); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

func (s *Session) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "secret":
		return someArgs(d, &s.Secrets)
	case "table":
		args := d.RemainingArgs()
		if len(args) < 4 || len(args) > 6 {
			return d.ArgErr()
		}
		args = append(args, "", "")
		s.Table = &SessionTable{
			Name: args[0], Token: args[1], User: args[2], Expires: args[3], Organization: args[4], Environment: args[5],
		}
		if err := s.Table.table().Validate(); err != nil {
			return d.WrapErr(err)
		}
		return nil
	case "any_user":
		return noArgs(d, &s.AnyUser)
	case "remove":
		return noArgs(d, &s.Remove)
	}
	return d.Errf("identify session has no option %q; there are secret, table, any_user and remove", option)
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Session)(nil)
