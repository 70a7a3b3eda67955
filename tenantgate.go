// Package tenantgate registers all of Tenantgate's modules with Caddy, so that
// xcaddy build --with github.com/tenantgate/tenantgate gives the same modules as cmd/tenantgate.
package tenantgate

import _ "github.com/tenantgate/tenantgate/caddymodule" // the modules
