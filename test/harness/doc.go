// Package harness starts the real thing for end-to-end tests: the built binary with a Caddyfile of its own on loopback
// ports of its own, upstreams that are processes of their own, a TCP proxy that can count, hang, cut and heal, and a
// load generator that is bounded in time and number.
//
// A test package that uses it hands its TestMain over:
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
//
// Everything that a test starts ends with the test, by its process id, and what it said is shown when the test fails.
// Nothing outside the test's temporary directory is read or written.
package harness
