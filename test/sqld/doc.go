// Package sqld runs a real libSQL server (sqld) for tests, on loopback ports, with token authentication and a data
// directory of the test's own.
//
//	srv := sqld.Start(t, sqld.Options{})
//	store, err := registry.Open(registry.Options{URL: srv.URL(), AuthToken: srv.Token(nil)})
//
// The binary is the one that the environment variable TENANTGATE_SQLD names. Without it the test is skipped, and
// fails instead when TENANTGATE_REQUIRE_ALL is 1.
package sqld
