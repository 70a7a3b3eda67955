package caddymodule

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// upstreamArgs reads the upstreams on a line. Whether pools exist is for later.
func upstreamArgs(d *caddyfile.Dispenser, to *[]string) error {
	if *to != nil {
		return d.Err("upstream is given twice; write all of them on one line")
	}
	if *to = d.RemainingArgs(); len(*to) == 0 {
		return d.ArgErr()
	}
	_, err := parseUpstreams(*to)
	return placed(d, err)
}

// placed adds file and line to an error, if there is one.
func placed(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// oneArg reads the one argument of an option.
func oneArg(d *caddyfile.Dispenser) (string, error) {
	var v string
	if !d.AllArgs(&v) {
		return "", d.ArgErr()
	}
	return v, nil
}

// duration reads the duration of an option, which is not negative.
func duration(d *caddyfile.Dispenser, to *caddy.Duration) error {
	option := d.Val()
	text, err := oneArg(d)
	if err != nil {
		return err
	}
	v, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("%s: bad duration %q", option, text)
	}
	if v < 0 {
		return d.Errf("%s must not be negative: %s", option, text)
	}
	*to = caddy.Duration(v)
	return nil
}

// positiveDuration reads the duration of an option, which is above 0.
func positiveDuration(d *caddyfile.Dispenser, to *caddy.Duration) error {
	option := d.Val()
	if err := duration(d, to); err != nil {
		return err
	}
	if *to == 0 {
		return d.Errf("%s must be above 0", option)
	}
	return nil
}

// positiveInt reads the whole number of an option, which is above 0.
func positiveInt(d *caddyfile.Dispenser, to *int) error {
	option := d.Val()
	text, err := oneArg(d)
	if err != nil {
		return err
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < 1 {
		return d.Errf("%s must be a whole number of at least 1, not %q", option, text)
	}
	*to = v
	return nil
}
