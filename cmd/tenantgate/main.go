// Command tenantgate is Caddy with the Tenantgate modules built in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard" // Caddy's own modules
	_ "github.com/tenantgate/tenantgate"                 // Tenantgate's
)

func main() { caddycmd.Main() }
