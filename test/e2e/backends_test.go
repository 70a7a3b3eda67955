package e2e_test

import (
	"os"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/sqld"
)

// server is a backend with its own libSQL server, and a proxy that stands between the two.
type server struct {
	backend

	sqld  *sqld.Server
	proxy *harness.Proxy
	// direct is the same registry past the proxy: for those who have nothing to do with the gateway.
	direct backend
}

// sqldBackend is a new registry on a real libSQL server. Without one the test is left out.
func sqldBackend(t *testing.T) server {
	t.Helper()
	if os.Getenv("TENANTGATE_SQLD") == "" {
		harness.LeaveOut(t, "there is no libSQL server (TENANTGATE_SQLD)")
	}
	s := sqld.Start(t, sqld.Options{})
	proxy := harness.StartProxy(t, s.Addr())
	token := s.Token(nil)
	return server{
		backend: backend{url: "http://" + proxy.Address, token: token},
		sqld:    s, proxy: proxy,
		direct: backend{url: s.URL(), token: token},
	}
}

// onEachBackend runs a test on a registry in a file and on one on a libSQL server, side by side, and beside other
// tests.
func onEachBackend(t *testing.T, test func(t *testing.T, b backend)) {
	t.Parallel()
	onEachBackendAlone(t, test)
}

// onEachBackendAlone is [onEachBackend] for tests about time, which say nothing on a machine that is busy with others.
func onEachBackendAlone(t *testing.T, test func(t *testing.T, b backend)) {
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		test(t, fileBackend(t))
	})
	t.Run("sqld", func(t *testing.T) {
		t.Parallel()
		test(t, sqldBackend(t).backend)
	})
}
