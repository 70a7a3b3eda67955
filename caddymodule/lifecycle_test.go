package caddymodule

import (
	"bytes"
	"database/sql"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/registry"
)

// twoTenants is an import file: acme without limits, globex with one request a minute, and 3 at once.
const twoTenants = `{
  "plans": [{"name": "free", "quotas": {"apiRateLimit": 1, "burst": 3, "maxApiCallsPerMonth": 1000}}, {"name": "pro"}],
  "tenants": [
    {"id": "0190a000-0000-7000-8000-000000000001", "slug": "acme", "name": "Acme Corp", "plan": "pro"},
    {"slug": "globex", "plan": "free", "environments": [
      {"slug": "production", "isDefault": true, "quotas": {"maxConcurrentRequests": 5}}]}
  ]
}`

// gate is the site of most tests: it answers with the tenant's slug.
const gate = "tenant {\nidentify subdomain {tenant}.app.test\n}\nrespond \"{tenant.slug}/{tenant.environment.slug}\"\n"

// fileRegistry is the content of tenants {} with an embedded registry and an import.
func (s *server) fileRegistry(imports string, more ...string) string {
	s.tb.Helper()
	text := "registry file:" + filepath.Join(s.dir, "registry", "tenants.db") + " {\npoll_interval 50ms\n"
	if imports != "" {
		text += "import_file " + s.file("import.json", imports) + "\n"
	}
	return text + "}\n" + strings.Join(more, "\n")
}

// TestStart keeps the promise that a start makes the registry, imports, and serves; and that a second start from what
// the first has left does the same.
func TestStart(t *testing.T) {
	s := newServer(t)
	tenants := s.fileRegistry(twoTenants)
	for range 2 {
		s.mustLoad(tenants, gate)
		if res, body := s.get("acme.app.test", "/"); res.StatusCode != 200 || body != "acme/production" {
			t.Errorf("acme: %d %s", res.StatusCode, body)
		}
		if res, _ := s.get("nobody.app.test", "/"); res.StatusCode != 404 {
			t.Errorf("nobody: %d", res.StatusCode)
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if n := references(); n != 0 {
		t.Errorf("%d runtimes are left after the last stop", n)
	}
}

// references counts the runtimes and stores in use.
func references() (n int) {
	count := func(_, _ any) bool { n++; return true }
	runtimes.Range(count)
	stores.Range(count)
	return n
}

// TestPlanInBoth keeps the promise that a plan which both the configuration and an import file define, equally, is not
// written back and forth by each start.
func TestPlanInBoth(t *testing.T) {
	s := newServer(t)
	for range 2 {
		s.mustLoad(s.fileRegistry(twoTenants, "plan free {\nrequests 1/m burst 3\nrequests 1000/month\n}"), gate)
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if lines := s.logged(`"msg":"imported"`); len(lines) != 1 {
		t.Errorf("the second start has written something: %q", lines)
	}
}

// TestStoreOutlivesItsUsers keeps the promise that a registry is closed only when the last call in it has returned.
func TestStoreOutlivesItsUsers(t *testing.T) {
	store, err := registry.Open(registry.Options{URL: "file:" + filepath.Join(t.TempDir(), "tenants.db")})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	usable := func() bool {
		_, err := store.Changes(t.Context(), 0, 1)
		return err == nil
	}
	p := &pooledStore{store: store}
	source := &storeSwitch{}
	source.current.Store(p)
	if source.acquire() != p || !usable() {
		t.Fatal("not usable from the beginning")
	}
	if err := p.Destruct(); err != nil {
		t.Fatal(err)
	}
	if !usable() {
		t.Error("closed while a call is in it")
	}
	if source.acquire() != nil {
		t.Error("a new call gets in")
	}
	p.release()
	if usable() {
		t.Error("still open after the last call")
	}
}

// TestLogSwitch keeps the promise that what outlives a configuration logs with the newest one's logger.
func TestLogSwitch(t *testing.T) {
	var first, second bytes.Buffer
	l := newLogSwitch()
	logger := slog.New(l).With("a", 1).WithGroup("g").With("b", 2)
	logger.Info("to nobody")
	l.set(slog.NewTextHandler(&first, nil))
	logger.Info("one")
	l.set(slog.NewTextHandler(&second, nil))
	logger.Info("two", "c", 3)
	if got := first.String(); !strings.Contains(got, "msg=one a=1 g.b=2") || strings.Contains(got, "two") {
		t.Errorf("first: %s", got)
	}
	if got := second.String(); !strings.Contains(got, "msg=two a=1 g.b=2 g.c=3") || strings.Contains(got, "one") {
		t.Errorf("second: %s", got)
	}
}

// TestDefaults keeps the promise that nothing needs to be configured: the registry is in Caddy's data directory.
func TestDefaults(t *testing.T) {
	s := newServer(t)
	s.mustLoad("", gate)
	if res, _ := s.get("acme.app.test", "/"); res.StatusCode != 404 {
		t.Errorf("status %d", res.StatusCode)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "data", "caddy", "tenantgate", "tenants.db")); err != nil {
		t.Error(err)
	}
}

// TestValidateTouchesNothing keeps the promise that `caddy validate` makes no file and writes into no registry, and
// says where an import file is wrong.
func TestValidateTouchesNothing(t *testing.T) {
	s := newServer(t)
	validate := func(config []byte) error {
		var cfg *caddy.Config
		if err := caddy.StrictUnmarshalJSON(config, &cfg); err != nil {
			return err
		}
		cfg.Logging = nil // the log is a file, too
		return caddy.Validate(cfg)
	}
	if err := validate(s.config(s.fileRegistry(twoTenants), gate)); err != nil {
		t.Fatal(err)
	}
	if err := validate(s.config("", gate)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"registry", "data"} {
		if _, err := os.Stat(filepath.Join(s.dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was made: %v", name, err)
		}
	}
	if n := references(); n != 0 {
		t.Errorf("%d runtimes and stores are left", n)
	}
	for content, want := range map[string]string{
		`{"tenants": [{"slug": "acme", "environments": [{"slug": "A B"}]}]}`: "tenants[0].environments[0].slug",
		`{"tenants": [`: "import.json",
	} {
		if err := validate(s.config(s.fileRegistry(content), gate)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", content, err)
		}
	}
	for plan, ok := range map[string]bool{
		"requests 1/m burst 3\nrequests 1000/month":                       true,
		"requests 1/m burst 3\nrequests 1000/month\nupstream 127.0.0.1:1": false,
		"requests 1/m burst 3\nrequests 1000/month\nrequests 9/day":       false,
		"requests 1/m burst 3\nrequests 1000/month\nconcurrency 5":        false,
		"requests 1/m burst 3\nrequests 1001/month":                       false,
		"requests 1/m burst 3":                                            false,
		"requests 1/m burst 4\nrequests 1000/month":                       false,
		"requests 1/m\nrequests 1000/month":                               false,
		"upstream 127.0.0.1:1":                                            false,
	} {
		err := validate(s.config(s.fileRegistry(twoTenants, "plan free {\n"+plan+"\n}"), gate))
		if (err == nil) != ok {
			t.Errorf("plan free { %s } beside that of the import: %v", plan, err)
		}
	}
}

// TestPlans keeps the promise that plans of the configuration are in force, also after they have changed.
func TestPlans(t *testing.T) {
	s := newServer(t)
	file := `{"tenants": [{"slug": "acme", "plan": "tiny"}]}`
	up := newEcho(t, "plan")
	site := "tenant {\nidentify subdomain {tenant}.app.test\n}\nreverse_proxy {\ndynamic tenant\n}\n"
	s.mustLoad(s.fileRegistry(file, "plan tiny {\nrequests 1/m burst 1\nupstream "+up+"\n}"), site)
	if res, body := s.get("acme.app.test", "/"); res.StatusCode != 200 || echoed(t, body).Upstream != "plan" {
		t.Fatalf("first: %d %s", res.StatusCode, body)
	}
	if res, _ := s.get("acme.app.test", "/"); res.StatusCode != 429 {
		t.Errorf("second: %d", res.StatusCode)
	}
	s.mustLoad(s.fileRegistry(file, "plan tiny {\nupstream "+up+"\n}"), site)
	eventually(t, "the limit is gone", func() bool {
		res, _ := s.get("acme.app.test", "/")
		return res.StatusCode == 200 && res.Header.Get("RateLimit-Policy") == ""
	})
}

// TestStartWithoutRegistry keeps the promises about a registry that cannot be used at start: without a hot set a clear
// error, soon; with one the tenants it holds are served, and all others once the registry is back.
func TestStartWithoutRegistry(t *testing.T) {
	s := newServer(t)
	tenants := s.fileRegistry("")
	path := filepath.Join(s.dir, "registry", "tenants.db")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	spoil := func() {
		if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil()
	err := s.load(tenants, gate)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "hot set") {
		t.Fatalf("without a hot set: %v", err)
	}
	if n := references(); n != 0 {
		t.Errorf("%d runtimes and stores after the failed start", n)
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.mustLoad(s.fileRegistry(twoTenants), gate)
	s.get("acme.app.test", "/")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	good := path + ".good"
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, good+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	spoil()
	s.mustLoad(tenants, gate)
	if res, body := s.get("acme.app.test", "/"); res.StatusCode != 200 || body != "acme/production" {
		t.Errorf("from the hot set: %d %s", res.StatusCode, body)
	}
	if res, _ := s.get("globex.app.test", "/"); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("not in the hot set: %d", res.StatusCode)
	}
	if lines := s.logged("serving the tenants of the hot set"); len(lines) != 1 {
		t.Errorf("warnings: %q", lines)
	}
	// A reload meanwhile is not blocked.
	begin := time.Now()
	s.mustLoad(tenants, gate+"header X-Reloaded yes\n")
	if took := time.Since(begin); took > probeLimit+5*time.Second {
		t.Errorf("the reload took %v", took)
	}
	if res, _ := s.get("acme.app.test", "/"); res.StatusCode != 200 || res.Header.Get("X-Reloaded") != "yes" {
		t.Errorf("after the reload: %d", res.StatusCode)
	}

	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(good+suffix, path+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	eventually(t, "the registry is back", func() bool {
		res, _ := s.get("globex.app.test", "/")
		return res.StatusCode == 200
	})
}

// TestHungRegistry keeps the promise that a registry that accepts connections and says nothing gives an error within
// its timeout.
func TestHungRegistry(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := newServer(t)
	begin := time.Now()
	err = s.load("registry http://"+silent.Addr().String()+" {\nauth_token very-secret-token\ntimeout 300ms\n}", gate)
	if err == nil || strings.Contains(err.Error(), "very-secret-token") {
		t.Errorf("error: %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if lines := s.logged("very-secret-token"); len(lines) > 0 {
		t.Errorf("the log shows the token: %q", lines)
	}
}

// TestNewerSchema keeps the promise that a registry which a newer version has migrated is a clear error.
func TestNewerSchema(t *testing.T) {
	s := newServer(t)
	s.mustLoad(s.fileRegistry(""), gate)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "registry", "tenants.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `INSERT INTO sys_migration (version, name, applied_at) VALUES (9999, 'later', '2099-01-01T00:00:00Z')`)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.load(s.fileRegistry("", "cache {\nhot_set off\n}"), gate); err == nil || !strings.Contains(err.Error(), "9999") {
		t.Errorf("error: %v", err)
	}
}

// TestToken keeps the promise that the token can come from the environment, and that its absence is an error which
// does not show it.
func TestToken(t *testing.T) {
	t.Setenv("TENANTGATE_TEST_TOKEN", "from-the-environment")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ config, token, problem string }{
		{"", "", ""},
		{"plain", "plain", ""},
		{"{env.TENANTGATE_TEST_TOKEN}", "from-the-environment", ""},
		{"{env.TENANTGATE_TEST_UNSET}", "", "auth_token"},
		{"{file." + file + "}", "from-a-file", ""},
		{"secret-{nonsense}", "", "auth_token"},
	} {
		token, err := (&Registry{AuthToken: tt.config}).token()
		if token != tt.token || (err != nil) != (tt.problem != "") {
			t.Errorf("%q: %q, %v", tt.config, token, err)
		}
		if err != nil && (!strings.Contains(err.Error(), tt.problem) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v", tt.config, err)
		}
	}
}
