package caddymodule

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tenantgate/tenantgate/router/credential"
)

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	identify jwt {
//		secret            <secrets...>
//		key_file          <file>
//		jwks              <url>
//		allow_http
//		algorithms        <names...>
//		issuer            <issuers...>
//		audience          <audiences...>
//		tenant_claim      <claim>
//		environment_claim <claim>
//		user_claim        <claim>
//		role_claim        <claim>
//		mfa               <claim> <values...>
//		sso               <claim> <values...>
//		leeway            <duration>
//		from              header [<name>]|cookie <name>|query <name>|subprotocol
//		remove
//	}
//
// One of secret, key_file and jwks is required. secret and from may be repeated.
func (s *JWT) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	at := *d
	if d.NextArg() {
		return d.Err("identify jwt takes no arguments: its options stand in a block")
	}
	places := map[string]caddyfile.Dispenser{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if _, dup := places[option]; dup && option != "secret" && option != "from" {
			return d.Errf("%s is given twice", option)
		}
		places[option] = *d
		if err := s.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	// place is where one of the options stands, the first that was given.
	place := func(options ...string) *caddyfile.Dispenser {
		for _, option := range options {
			if p, ok := places[option]; ok {
				return &p
			}
		}
		return &at
	}
	if err := s.checkKinds(); err != nil {
		return place("allow_http", "jwks", "key_file", "secret").WrapErr(err)
	}
	if err := s.checkKeys(); err != nil {
		return place("secret", "key_file", "jwks").WrapErr(err)
	}
	if err := s.checkVerifier(); err != nil {
		return place("algorithms").WrapErr(err)
	}
	return nil
}

func (s *JWT) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "secret":
		return someArgs(d, &s.Secrets)
	case "key_file":
		return filledArg(d, &s.KeyFile)
	case "jwks":
		return filledArg(d, &s.JWKS)
	case "allow_http":
		return noArgs(d, &s.AllowHTTP)
	case "algorithms":
		return someArgs(d, &s.Algorithms)
	case "issuer":
		return someArgs(d, &s.Issuers)
	case "audience":
		return someArgs(d, &s.Audiences)
	case "tenant_claim":
		return claimArg(d, &s.TenantClaim)
	case "environment_claim":
		return claimArg(d, &s.EnvironmentClaim)
	case "user_claim":
		return claimArg(d, &s.UserClaim)
	case "role_claim":
		return claimArg(d, &s.RoleClaim)
	case "mfa":
		return claimTestArgs(d, &s.MFA)
	case "sso":
		return claimTestArgs(d, &s.SSO)
	case "leeway":
		s.Leeway = new(caddy.Duration)
		if err := duration(d, s.Leeway); err != nil {
			return err
		}
		if time.Duration(*s.Leeway) > credential.MaxLeeway {
			return d.Errf("leeway must not be above %s", credential.MaxLeeway)
		}
		return nil
	case "from":
		return s.unmarshalFrom(d)
	case "remove":
		return noArgs(d, &s.Remove)
	}
	return d.Errf("identify jwt has no option %q; there are secret, key_file, jwks, allow_http, algorithms, issuer, audience, "+
		"tenant_claim, environment_claim, user_claim, role_claim, mfa, sso, leeway, from and remove", option)
}

func (s *JWT) unmarshalFrom(d *caddyfile.Dispenser) error {
	place, err := credential.ParsePlace(d.RemainingArgs()...)
	if err != nil {
		return d.WrapErr(err)
	}
	if text := place.String(); !slices.Contains(s.From, text) {
		s.From = append(s.From, text)
		return nil
	}
	return d.Errf("from %s is given twice", place)
}

// someArgs adds the arguments of an option, one at least and none of them empty.
func someArgs(d *caddyfile.Dispenser, to *[]string) error {
	option, args := d.Val(), d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	if slices.Contains(args, "") {
		return d.Errf("%s must not be empty", option)
	}
	*to = append(*to, args...)
	return nil
}

// filledArg reads the one argument of an option, which is not empty.
func filledArg(d *caddyfile.Dispenser, to *string) (err error) {
	option := d.Val()
	if *to, err = oneArg(d); err == nil && *to == "" {
		return d.Errf("%s must not be empty", option)
	}
	return err
}

// noArgs reads an option without a value.
func noArgs(d *caddyfile.Dispenser, to *bool) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	*to = true
	return nil
}

// claimArg reads the name of a claim.
func claimArg(d *caddyfile.Dispenser, to *string) error {
	if err := filledArg(d, to); err != nil || *to == credential.Unread {
		return err
	}
	if _, err := credential.ParsePath(*to); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// claimTestArgs reads the name of a claim and the values of which one is enough.
func claimTestArgs(d *caddyfile.Dispenser, to **ClaimTest) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.ArgErr()
	}
	if slices.Contains(args, "") {
		return d.Err("neither a claim nor a value can be empty")
	}
	if _, err := credential.ParsePath(args[0]); err != nil {
		return d.WrapErr(err)
	}
	*to = &ClaimTest{Claim: args[0], Values: args[1:]}
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*JWT)(nil)
	_ prover                = (*JWT)(nil)
)
