// Package caddymodule is the glue between Caddy and Tenantgate.
package caddymodule
