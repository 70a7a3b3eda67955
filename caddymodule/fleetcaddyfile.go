package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tenantgate/tenantgate/quota/fleet"
)

// unmarshal parses the option quota of the global option tenants. Syntax:
//
//	quota <url> {
//		username <name>
//		password <password>
//		ca_file  <file>
//		mode     lease|exact
//		on_loss  local|allow|deny
//		timeout  <duration>
//		prefix   <prefix>
//	}
func (q *Quota) unmarshal(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&q.URL) {
		return d.ArgErr()
	}
	if !strings.Contains(q.URL, "{") { // placeholders are replaced at start
		if _, err := fleet.ParseURL(q.URL); err != nil {
			return d.WrapErr(err)
		}
	}
	given := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if given[option] {
			return d.Errf("%s is given twice", option)
		}
		given[option] = true
		var err error
		switch option {
		case "username":
			q.Username, err = oneArg(d)
		case "password":
			q.Password, err = oneArg(d)
		case "ca_file":
			q.CAFile, err = oneArg(d)
		case "mode":
			q.Mode, err = oneArg(d)
		case "on_loss":
			q.OnLoss, err = oneArg(d)
		case "timeout":
			err = positiveDuration(d, &q.Timeout)
		case "prefix":
			q.Prefix, err = oneArg(d)
		default:
			return d.Errf("unknown option %q; there are username, password, ca_file, mode, on_loss, timeout and prefix", option)
		}
		if err != nil {
			return err
		}
		if err := q.check(); err != nil && option != "username" {
			return d.WrapErr(err)
		}
	}
	return nil
}
