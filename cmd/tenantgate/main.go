// Command tenantgate is Caddy with the Tenantgate modules built in.
package main

import (
	"os"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard" // Caddy's own modules
	_ "github.com/tenantgate/tenantgate"                 // Tenantgate's
	"github.com/tenantgate/tenantgate/internal/collector"
)

// What suits a proxy: most of what a request allocates is gone when it ends, so that collecting rarely costs little memory
// and saves a third of the gateway's own time for a request. Caddy sets a memory limit (GOMEMLIMIT, 90 % of what the cgroup
// or the machine has), close to which the collector works more often by itself.
const (
	// gcPercent is by how much the heap grows from one collection to the next.
	gcPercent = 400
	// gcFloor is to how many bytes it grows in any case.
	gcFloor = 128 << 20
)

func main() {
	if os.Getenv("GOGC") == "" {
		collector.Pace(gcPercent, gcFloor)
	}
	caddy.CustomBinaryName = "tenantgate"
	caddy.CustomLongDescription = `Tenantgate is the front door of a multi-tenant service: Caddy, and modules that find
out which tenant a request is for, refuse what must not pass, and lead the rest to
that tenant's upstream with headers that it can trust.

All of Caddy's commands are here; "tenant" works on a registry of tenants.`
	if info, ok := debug.ReadBuildInfo(); ok {
		caddy.CustomVersion = "tenantgate " + info.Main.Version + ", Caddy" // what Caddy prints is its own version
	}
	caddycmd.Main()
}
