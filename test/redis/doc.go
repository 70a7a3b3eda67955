// Package redis starts real Redis servers for tests and for the fleet simulator: single ones, with TLS and ACL users, and
// clusters. They keep nothing on disk, listen on the loopback interface only, and end with the test.
//
// The binary is redis-server, or what TENANTGATE_REDIS names, such as valkey-server.
package redis
