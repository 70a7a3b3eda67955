package caddymodule

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Promise: values in JSON that nothing can mean are refused, like those of a Caddyfile.
func TestDomainsCheck(t *testing.T) {
	for _, c := range []*Domains{
		{Verify: []string{"operator"}},
		{Verify: []string{"dns", "dns"}},
		{Verify: []string{}},
		{Resolver: "ns.example.com"},
		{Interval: -1},
		{HTTPPort: -1},
		{HTTPPort: 65536},
		{Verify: []string{"dns"}, HTTPPort: 80},
		{Off: true, Interval: caddy.Duration(1)},
	} {
		if err := c.check(); err == nil {
			t.Errorf("%+v was taken", *c)
		}
	}
	for _, c := range []*Domains{nil, {}, {Off: true}, {Verify: []string{"http"}, HTTPPort: 8080}, {Resolver: "127.0.0.1:53"}} {
		if err := c.check(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
