package harness

import (
	"fmt"
	"os"
	"testing"
)

// Main runs the tests of a package that uses the harness, and returns the exit code for TestMain. The test binary also
// serves as the upstream process: see [StartUpstream].
func Main(m *testing.M) int {
	if name, ok := os.LookupEnv(upstreamEnv); ok {
		if err := serveUpstream(name, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "upstream:", err)
			return 1
		}
		return 0
	}
	defer builds.remove()
	return m.Run()
}

// RequireAll reports whether nothing may be left out: ./test/run sets TENANTGATE_REQUIRE_ALL=1 after it has brought
// everything that tests need.
func RequireAll() bool { return os.Getenv("TENANTGATE_REQUIRE_ALL") == "1" }

// LeaveOut skips a test that needs something which is not here, or fails it where nothing may be left out.
func LeaveOut(t testing.TB, missing string) {
	t.Helper()
	if RequireAll() {
		t.Fatalf("%s, and TENANTGATE_REQUIRE_ALL=1 says that nothing is left out", missing)
	}
	t.Skipf("left out: %s; ./test/run brings it", missing)
}
