package caddymodule

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenantgate/tenantgate/assertion"
)

// TestContextReload keeps the promises of rotation by configuration: what is signed survives a reload that changes none
// of it; the first key signs, all are published; a reload that fails changes nothing; and nothing is left at the end.
func TestContextReload(t *testing.T) {
	s := newServer(t)
	one, two := s.file("one.pem", contextPEM(t, 1)), s.file("two.pem", contextPEM(t, 2))
	up := newEcho(t, "up")
	load := func(keys, more string) error {
		return s.load(s.acmeAndGlobex()+"\ncontext {\nkey "+keys+"\n}", contextSite(up, "inject context")+more)
	}
	token := func() string {
		_, body := s.get("acme.app.test", "/")
		return echoed(t, body).Header.Get("X-Tenant-Context")
	}
	published := func() string {
		_, body := s.get("any.test", "/keys")
		return strings.NewReplacer(contextID(t, 1), "<one>", contextID(t, 2), "<two>").Replace(body)
	}
	if err := load(one, ""); err != nil {
		t.Fatal(err)
	}
	first, before := token(), theSigner(t)
	if err := load(one, "header X-Reloaded yes\n"); err != nil {
		t.Fatal(err)
	}
	if theSigner(t) != before || token() != first {
		t.Error("a reload has changed the token")
	}
	for _, step := range []struct{ keys, signs, published string }{
		{one + " " + two, "one", "one two"}, {two + " " + one, "two", "two one"}, {two, "two", "two"},
	} {
		if err := load(step.keys, ""); err != nil {
			t.Fatal(err)
		}
		if _, id := checkContext(t, s, token()); id != map[string]string{"one": contextID(t, 1), "two": contextID(t, 2)}[step.signs] {
			t.Errorf("%s: %s signs", step.keys, id)
		}
		body := published()
		for _, name := range []string{"one", "two"} {
			if strings.Contains(step.published, name) != strings.Contains(body, "<"+name+">") {
				t.Errorf("%s: published is %s", step.keys, body)
			}
		}
		theSigner(t) // only one
	}
	before = theSigner(t)
	broken := s.file("broken.pem", "hunter2 is no key")
	if err := load(broken, ""); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a broken key: %v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := s.port
	_, s.port, _ = net.SplitHostPort(taken.Addr().String())
	if err := load(two, ""); err == nil {
		t.Error("a configuration whose port is taken is loaded")
	}
	s.port = port
	if theSigner(t) != before || before.ctx.Err() != nil {
		t.Error("a reload that failed has ended the signer")
	}
	checkContext(t, s, token())
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if theSigner(t) != nil || before.ctx.Err() == nil {
		t.Error("the signer is at work after the last stop")
	}
	for _, secret := range []string{"BEGIN PRIVATE", "hunter2", strings.Split(first, ".")[2]} {
		if lines := s.logged(secret); len(lines) != 0 && !strings.Contains(lines[0], "upstream roundtrip") {
			t.Errorf("the log shows %q", lines)
		}
	}
}

// TestContextValidate keeps the promise that `caddy validate` makes no key, and leaves no signer behind.
func TestContextValidate(t *testing.T) {
	s := newServer(t)
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(s.config(s.acmeAndGlobex(), contextSite("127.0.0.1:1", "inject context")), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Logging = nil // the log is a file
	if err := caddy.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(caddy.AppDataDir(), "tenantgate", "context-keys")); !errors.Is(err, os.ErrNotExist) || theSigner(t) != nil {
		t.Errorf("keys: %v; signer: %v", err, theSigner(t))
	}
}

// TestContextStart keeps the promise that a gateway which can neither read nor make keys says so at its start.
func TestContextStart(t *testing.T) {
	s := newServer(t)
	if err := os.MkdirAll(filepath.Join(caddy.AppDataDir(), "tenantgate"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(caddy.AppDataDir(), "tenantgate", "context-keys"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.load(s.acmeAndGlobex(), contextSite("127.0.0.1:1", "inject context"))
	if err == nil || !strings.Contains(err.Error(), "tenant context") {
		t.Errorf("%v", err)
	}
	if theSigner(t) != nil {
		t.Error("a signer is left")
	}
}

// TestSigningLog keeps the promise that a signer is logged by the newest configuration that runs.
func TestSigningLog(t *testing.T) {
	dir := t.TempDir()
	s, err := newSigning(assertion.Options{KeyDir: assertion.NewKeyDir(dir, assertion.DefaultLifetime)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Destruct() }()
	var said []string
	appOf := func(name string) *App {
		app := testApp(t)
		app.logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) { said = append(said, name); return len(p), nil }), nil))
		return app
	}
	logger, first, second := slog.New(s.log), appOf("first"), appOf("second")
	for _, app := range []*App{first, second} {
		if err := s.attach(app); err != nil {
			t.Fatal(err)
		}
		logger.Warn("x")
	}
	s.detach(second)
	logger.Warn("x")
	if want := []string{"first", "second", "first"}; !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	if s.ctx.Err() != nil {
		t.Error("the work has ended with one of two configurations")
	}
	var nobody *signing
	nobody.detach(first)
	if err := nobody.attach(first); err != nil {
		t.Error(err)
	}
}
