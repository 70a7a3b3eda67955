package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// secretKey is a key for secrets, in hex.
func secretKey(seed byte) string {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = seed ^ byte(i*7)
	}
	return hex.EncodeToString(raw)
}

const (
	// secretsBlock is the part of the global option tenants that has a key, and secretsEnv the environment that goes with it.
	secretsBlock = "secrets {\nkey k1 {env.TENANT_SECRET_KEY}\n}\n"
	// nextSecretsBlock has another key in front.
	nextSecretsBlock = "secrets {\nkey k2 {env.NEXT_SECRET_KEY}\nkey k1 {env.TENANT_SECRET_KEY}\n}\n"
)

var secretsEnv = []string{
	"TENANT_SECRET_KEY=" + secretKey(1), "NEXT_SECRET_KEY=" + secretKey(2), // for gateways
	"TENANT_SECRET_KEYS=k1=" + secretKey(1), // for commands with --registry
}

// piped runs a command with something on standard input.
func (c *cli) piped(t *testing.T, stdin string, args ...string) harness.Result {
	t.Helper()
	c.used[strings.Join(args[:2], " ")] = true
	return harness.Run(t, harness.Command{Args: append(args, c.where...), Dir: c.dir, Env: c.env, Stdin: []byte(stdin)})
}

func credentialCommands(t *testing.T, c *cli) {
	store := func(stdin string, args ...string) (id string) {
		t.Helper()
		r := c.piped(t, stdin, append(args, "--json")...)
		var made struct{ ID, Secret string }
		if err := json.Unmarshal([]byte(r.Stdout), &made); err != nil || r.ExitCode != 0 || made.ID == "" || made.Secret != "" {
			t.Fatalf("%q: exit code %d, %v\n%s", args, r.ExitCode, err, r.Output())
		}
		return made.ID
	}
	reveal := func(id, want string) {
		t.Helper()
		r := c.run(t, "credential", "reveal", "acme", "production", id)
		if r.ExitCode != 0 || r.Stdout != want+"\n" || r.Stderr != "" {
			t.Errorf("reveal: exit code %d, standard output %q, standard error %q", r.ExitCode, r.Stdout, r.Stderr)
		}
	}
	first := store("private-one\n", "credential", "create", "acme", "production", "--expires", "720h", "--idempotency-key", "db")
	reveal(first, "private-one")
	pem := "-----BEGIN KEY-----\nprivate\n-----END KEY-----"
	file := harness.WriteFile(t, c.dir, "secret.pem", pem+"\r\n")
	reader := store("", "credential", "create", "acme", "production", "--scope", "readonly", "--secret-file", file)
	reveal(reader, pem)
	r := c.piped(t, "private-admin", "credential", "create", "acme", "dev", "--scope", "admin")
	if r.ExitCode != 0 || strings.Contains(r.Output(), "private") {
		t.Errorf("exit code %d: %s", r.ExitCode, r.Output())
	}
	contains(t, r.Stdout, "stored the admin credential ", " of acme, dev")

	second := store("private-two", "credential", "rotate", "acme", "production", first, "--version", "1")
	reveal(first, "private-one")
	reveal(second, "private-two")
	contains(t, c.ok(t, "credential", "show", "acme", "production", second), "readwrite", "active", "k1", "replaces  "+first)
	contains(t, c.ok(t, "credential", "show", "acme", "production", first), "rotating")
	c.fails(t, 5, "version_conflict", "", "credential", "revoke", "acme", "production", first, "--version", "1")
	c.fails(t, 5, "state_conflict", first+" is still rotating", "credential", "rotate", "acme", "production", second, "--secret-file", file)
	contains(t, c.ok(t, "credential", "revoke", "acme", "production", first), "revoked the readwrite credential "+first)
	c.fails(t, 5, "state_conflict", "its secret is destroyed", "credential", "reveal", "acme", "production", first)
	list := c.ok(t, "credential", "list", "acme", "production")
	contains(t, list, "SCOPE", "revoked", "active", "readonly", second)
	contains(t, c.ok(t, "credential", "list", "acme", "dev", "--csv"), ",admin,active,k1,")
	resealed := c.run(t, "credential", "reseal")
	if resealed.ExitCode != 0 {
		t.Errorf("reseal: exit code %d\n%s", resealed.ExitCode, resealed.Output())
	}
	contains(t, resealed.Stdout, "KEY", "k1   3       yes")
	contains(t, resealed.Stderr, "resealed 0 credentials")

	var revealed struct{ Secret, Status string }
	if c.into(t, &revealed, "credential", "reveal", "acme", "production", second); revealed.Secret != "private-two" || revealed.Status != "active" {
		t.Errorf("%+v", revealed)
	}
	audit := c.ok(t, "tenant", "audit", "acme", "--action", "database_credential.", "--json")
	contains(t, audit, "database_credential.reveal", "database_credential.rotate", "database_credential.revoke", second)
	for name, text := range map[string]string{"list": list, "audit": audit, "show": c.ok(t, "credential", "show", "acme", "production", reader, "--json")} {
		if strings.Contains(text, "private") || strings.Contains(text, "BEGIN") {
			t.Errorf("%s shows a secret", name)
		}
	}
	c.fails(t, 5, "duplicate", "rotate it", "credential", "create", "acme", "production", "--secret-file", file)
	c.fails(t, 2, "invalid", "scope", "credential", "create", "acme", "production", "--scope", "all", "--secret-file", file)
	c.fails(t, 2, "invalid", "standard input is empty", "credential", "create", "acme", "production")
	c.fails(t, 4, "not_found", "", "credential", "reveal", "acme", "dev", second)
	if r := c.run(t, "credential", "create", "acme", "production", "private-argument"); r.ExitCode != 1 {
		t.Errorf("a secret as an argument: exit code %d\n%s", r.ExitCode, r.Output())
	}
}

// Promise: keys are changed without a moment in which a secret cannot be had: with the new one in front both open, reseal
// seals everything with it, and says which key nobody needs any more.
func TestChangeOfKeys(t *testing.T) {
	onEachBackend(t, func(t *testing.T, b backend) {
		d := someTenants(upstreams{production: &harness.Upstream{Address: "127.0.0.1:9001"}, dev: &harness.Upstream{Address: "127.0.0.1:9002"}, globex: &harness.Upstream{Address: "127.0.0.1:9003"}})
		b.load(t, d)
		options := func(block string) harness.Options {
			return harness.Options{Tenants: b.directive("") + block, Site: cliSite, Env: append(b.env(), secretsEnv...)}
		}
		g := harness.Start(t, options(secretsBlock))
		c := cliThrough(t, g)
		ids := map[string]string{}
		for _, slug := range []string{"acme", "globex"} {
			r := c.piped(t, "private of "+slug, "credential", "create", slug, "production", "--json")
			var made struct{ ID string }
			if err := json.Unmarshal([]byte(r.Stdout), &made); err != nil {
				t.Fatalf("%v: %s", err, r.Output())
			}
			ids[slug] = made.ID
		}
		reveal := func(c *cli) {
			t.Helper()
			for slug, id := range ids {
				if got := c.ok(t, "credential", "reveal", slug, "production", id); got != "private of "+slug+"\n" {
					t.Errorf("%s: %q", slug, got)
				}
			}
		}
		reveal(c)
		if r := g.Reload(t, options(nextSecretsBlock)); r.ExitCode != 0 {
			t.Fatalf("reload: %s", r.Output())
		}
		reveal(c)
		var done struct {
			KeyID    string
			Resealed int
			Keys     []struct {
				ID          string
				Credentials int
				Configured  bool
			}
		}
		if c.into(t, &done, "credential", "reseal"); done.Resealed != 2 || done.KeyID != "k2" || len(done.Keys) != 2 || done.Keys[0].ID != "k1" || done.Keys[0].Credentials != 0 || done.Keys[1].Credentials != 2 {
			t.Errorf("%+v", done)
		}
		reveal(c)

		alone := cliOn(t, b)
		alone.env = append(b.env(), "TENANT_SECRET_KEYS=k1="+secretKey(1))
		alone.fails(t, 5, "state_conflict", `sealed with the key "k2", which is not configured: there is k1`, "credential", "reveal", "acme", "production", ids["acme"])
		r := alone.run(t, "credential", "reseal")
		if r.ExitCode != 5 {
			t.Errorf("exit code %d\n%s", r.ExitCode, r.Output())
		}
		contains(t, r.Stdout, "k2   2       -") // not configured
		contains(t, r.Stderr, "2 credentials stay as they are")
		alone.env = append(b.env(), "TENANT_SECRET_KEYS=k2="+secretKey(2))
		reveal(alone)
		alone.env = b.env()
		alone.fails(t, 5, "state_conflict", "no key for secrets is configured", "credential", "reveal", "acme", "production", ids["acme"])
		alone.ok(t, "credential", "list", "acme", "production")
		alone.ok(t, "credential", "revoke", "acme", "production", ids["acme"])
		for value, want := range map[string]string{"k1=short": "TENANT_SECRET_KEYS: element 1 of the list of keys: the key k1 must be", secretKey(1): "TENANT_SECRET_KEYS: element 1 of the list of keys must be ID=KEY"} {
			alone.env = append(b.env(), "TENANT_SECRET_KEYS="+value)
			r := alone.run(t, "credential", "list", "acme", "production")
			if r.ExitCode != 1 || !strings.Contains(r.Stderr, want) || strings.Contains(r.Stderr, secretKey(1)[:16]) {
				t.Errorf("%s: exit code %d\n%s", value, r.ExitCode, r.Output())
			}
		}
	})
}

// Promise: a secret is in the answer that reveals it and nowhere else: not in what goes upstream, not in other answers, not
// in the log or the hot set, not in an export, not in the registry's file; and of the keys the configuration shows only
// what was written there.
func TestCredentialsStayInside(t *testing.T) {
	t.Parallel()
	u := startUpstreams(t)
	b := fileBackend(t)
	b.load(t, someTenants(u))
	site := strings.Replace(cliSite, "tenant {", "tenant {\ninject database context", 1)
	g := harness.Start(t, harness.Options{
		Tenants: b.directive("poll_interval 100ms") + secretsBlock, Site: "log\n" + site, Global: "debug", Env: secretsEnv,
	})
	const secret = "Very-Private-Passw0rd"
	ask := func(method, path, body string, want int) harness.Answer {
		t.Helper()
		a, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Method: method, Path: path, Body: body, Header: map[string]string{"Content-Type": "application/json"}})
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != want {
			t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
		}
		return a
	}
	const path = "/tenants/acme/environments/production/credentials"
	var made struct{ ID string }
	a := ask("POST", path, `{"secret": "`+secret+`"}`, 201)
	if err := json.Unmarshal([]byte(a.Body), &made); err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{"the answer to a creation": a.Body}
	ask("POST", path, `{"secret": "`+secret+`", "scope": "none"}`, 400)
	ask("POST", path, `{"secret": "`+secret, 400)
	a = ask("POST", path+"/"+made.ID+"/reveal", "", 200)
	if !strings.Contains(a.Body, `"secret":"`+secret+`"`) || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("reveal: %v %s", a.Header, a.Body)
	}
	shown["the answer to a rotation"] = ask("POST", path+"/"+made.ID+"/rotate", `{"secret": "`+secret+`2"}`, 201).Body
	for _, path := range []string{path, path + "/" + made.ID, "/tenants/acme", "/tenants/acme/environments", "/tenants/_audit", "/tenants/_cache", "/tenants/_resolve?url=http://acme.app.test/"} {
		shown[path] = ask("GET", path, "", 200).Body
	}
	config := ask("GET", "/config/", "", 200).Body
	if !strings.Contains(config, `"key":"{env.TENANT_SECRET_KEY}"`) {
		t.Errorf("the configuration shows something else than was written: %s", config)
	}
	shown["the configuration"] = config
	var sealed []byte // of the credential that is rotating
	row := harness.OpenSQL(t, b.url, b.token).QueryRowContext(t.Context(), `SELECT ciphertext FROM sys_database_credential WHERE id = ?1`, made.ID)
	if err := row.Scan(&sealed); err != nil || len(sealed) < len(secret) {
		t.Fatalf("%d bytes are sealed: %v", len(sealed), err)
	}
	for range 3 {
		echo := g.Get(t, "acme.app.test", "/")
		if echo.Status != 200 {
			t.Fatalf("%d %s", echo.Status, echo.Body)
		}
		shown["what goes upstream"] = echo.Body + fmt.Sprint(echo.Header)
	}
	shown["the metrics"] = ask("GET", "/metrics", "", 200).Body
	r := harness.Run(t, b.command(t.TempDir(), "tenant", "export"))
	if !strings.Contains(r.Stdout, `"acme"`) {
		t.Errorf("the export: exit code %d\n%s", r.ExitCode, r.Output())
	}
	shown["the export"] = r.Stdout
	shown["the log"] = g.Log(t)
	g.Stop(t)
	shown["the log after its end"] = g.Log(t)

	hotSets := 0
	for _, dir := range []string{g.Dir, filepath.Dir(strings.TrimPrefix(b.url, "file:"))} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if strings.HasPrefix(e.Name(), "hotset-") && bytes.Contains(text, []byte("acme")) {
				hotSets++
			}
			shown[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if hotSets == 0 {
		t.Error("there is no hot set")
	}
	if log := shown["the log"]; !strings.Contains(log, "/reveal") {
		t.Errorf("the log does not know of admin requests:\n%s", log)
	}
	for name, text := range shown {
		if text == "" && !filepath.IsAbs(name) {
			t.Errorf("%s is empty", name)
		}
		for _, hidden := range []string{secret, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))), secretKey(1), secretKey(1)[:16]} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s holds %s", name, hidden)
			}
		}
		if strings.HasPrefix(name, strings.TrimPrefix(b.url, "file:")) {
			continue // that is where it is kept, sealed
		}
		for _, hidden := range []string{string(sealed), hex.EncodeToString(sealed), strings.ToUpper(hex.EncodeToString(sealed)), base64.StdEncoding.EncodeToString(sealed)} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s holds what is sealed", name)
			}
		}
	}
}

// Promise: doctor says which keys have sealed credentials and are not configured, or not the first any more.
func TestDoctorSecrets(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	c := cliOn(t, b)
	c.ok(t, "tenant", "create", "acme")
	doctor := func(exit int, block, want string) {
		t.Helper()
		file := harness.WriteFile(t, c.dir, "Caddyfile", "{\nadmin off\ntenants {\n"+b.directive("")+block+"upstream 127.0.0.1:1\n}\n}\n")
		r := harness.Run(t, harness.Command{Args: []string{"tenant", "doctor", "--no-connect", "--config", file}, Dir: c.dir, Env: secretsEnv})
		if r.ExitCode != exit || !strings.Contains(r.Stdout, want) || want == "" && strings.Contains(r.Stdout, "secrets") {
			t.Errorf("exit code %d, want %d and %q\n%s", r.ExitCode, exit, want, r.Output())
		}
	}
	doctor(0, "", "")
	doctor(0, secretsBlock, "")
	if r := c.piped(t, "private", "credential", "create", "acme", "production"); r.ExitCode != 0 {
		t.Fatal(r.Output())
	}
	doctor(6, "", "credentials are sealed with keys that the configuration does not have: k1 (1)")
	doctor(0, secretsBlock, "1 credentials are sealed with the first key")
	doctor(0, nextSecretsBlock, "credentials are sealed with other keys than the first: k1 (1)")
}

// Promise: a key that is missing or wrong is an error before anything runs, with what is wrong and without the key.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	b := fileBackend(t)
	for value, want := range map[string]string{
		"":                         "secrets: the key k1: a placeholder in it is unknown or empty",
		"0123456789abcdef":         "secrets: the key k1 has 8 bytes: it must have 32",
		secretKey(1) + "00":        "secrets: the key k1 has 33 bytes: it must have 32",
		"correct horse battery st": "secrets: the key k1 must be base64 or hex of 32 random bytes",
	} {
		dir := t.TempDir()
		file := harness.WriteFile(t, dir, "Caddyfile", "{\nadmin off\ntenants {\n"+b.directive("")+secretsBlock+"}\n}\n")
		r := harness.Run(t, harness.Command{Args: []string{"validate", "--config", file}, Dir: dir, Env: []string{"TENANT_SECRET_KEY=" + value}})
		if r.ExitCode == 0 || !strings.Contains(r.Output(), want) || value != "" && strings.Contains(r.Output(), value) {
			t.Errorf("%q: exit code %d\n%s, want %q", value, r.ExitCode, r.Output(), want)
		}
	}
}
