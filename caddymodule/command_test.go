package caddymodule

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tenantgate/tenantgate/registry"
)

// command runs a subcommand with arguments and returns its exit code, output and error.
func command(t *testing.T, args ...string) (code int, out, progress string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	term := terminal{out: &stdout, err: &stderr, live: true}
	commands := map[string]*cobra.Command{"import": importCommand(), "export": exportCommand()}
	cmd := commands[args[0]]
	if err := cmd.ParseFlags(args[1:]); err != nil {
		t.Fatal(err)
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return exitUsage, "", "", err
	}
	fl := caddycmd.Flags{FlagSet: cmd.Flags()}
	if args[0] == "import" {
		code, err = runImport(t.Context(), fl, term)
	} else {
		code, err = runExport(t.Context(), fl, term)
	}
	return code, stdout.String(), stderr.String(), err
}

// TestImportExport keeps the promise that what is imported can be exported, and imported again without a change.
func TestImportExport(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tenants.json")
	if err := os.WriteFile(file, []byte(twoTenants), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "file:" + filepath.Join(dir, "new", "tenants.db")

	code, out, _, err := command(t, "import", file, "--registry", url, "--dry-run", "--json")
	if err != nil || code != exitDone {
		t.Fatalf("dry run: %d, %v", code, err)
	}
	var s summary
	if err := json.Unmarshal([]byte(out), &s); err != nil || !s.DryRun || s.Tenants.Created != 2 || s.Environments.Created != 2 {
		t.Errorf("dry run: %v in %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); !os.IsNotExist(err) {
		t.Errorf("the dry run has made something: %v", err)
	}

	t.Setenv("TENANT_REGISTRY", url)
	if code, out, _, err = command(t, "import", file); err != nil || code != exitDone || !strings.Contains(out, "imported "+file) {
		t.Fatalf("import: %d, %v, %s", code, err, out)
	}
	exported := filepath.Join(dir, "exported.json")
	if code, _, _, err = command(t, "export", "-o", exported); err != nil || code != exitDone {
		t.Fatalf("export: %d, %v", code, err)
	}
	if code, out, _, err = command(t, "export"); err != nil || code != exitDone {
		t.Fatalf("export: %d, %v", code, err)
	}
	if text, err := os.ReadFile(exported); err != nil || string(text) != out || !strings.Contains(out, `"globex"`) {
		t.Errorf("file and standard output differ: %v\n%s\n%s", err, text, out)
	}
	code, out, _, err = command(t, "import", exported, "--json")
	if err != nil || code != exitDone {
		t.Fatalf("second import: %d, %v", code, err)
	}
	s = summary{}
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Tenants != (counts{Unchanged: 2}) || s.Environments != (counts{Unchanged: 2}) {
		t.Errorf("the export is not what was imported: %v, %s", err, out)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".exported*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// TestCommandErrors keeps the promise of the exit codes, and that a failed import changes nothing.
func TestCommandErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	url := "file:" + filepath.Join(dir, "tenants.db")
	good := file("good.json", twoTenants)
	bad := file("bad.json", `{"tenants": [{"slug": "acme", "environments": [{"slug": "A B"}]}]}`)
	token := file("token", "very-secret\n")
	t.Setenv("TENANT_REGISTRY", "")
	t.Setenv("TENANT_REGISTRY_TOKEN", "")
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no file", []string{"import"}, exitUsage, "arg"},
		{"no registry", []string{"import", good}, exitUsage, "--registry"},
		{"bad URL", []string{"import", good, "--registry", "postgres://x"}, exitUsage, "scheme"},
		{"missing file", []string{"import", filepath.Join(dir, "none.json"), "--registry", url}, exitUsage, "none.json"},
		{"bad file", []string{"import", bad, "--registry", url}, exitInvalid, "tenants[0].environments[0].slug"},
		{"missing token file", []string{"import", good, "--registry", url, "--auth-token-file", filepath.Join(dir, "none")}, exitUsage, "token"},
		{"empty token file", []string{"import", good, "--registry", url, "--auth-token-file", file("empty", " \n")}, exitUsage, "empty"},
		{"server down", []string{"import", good, "--registry", "http://127.0.0.1:" + freePort(t), "--auth-token-file", token, "--timeout", "2s"}, exitRegistry, "127.0.0.1"},
		{"export of nothing", []string{"export", "--registry", "file:" + filepath.Join(dir, "none.db")}, exitUsage, "does not exist"},
	} {
		code, out, _, err := command(t, tt.args...)
		if code != tt.code || err == nil || !strings.Contains(err.Error(), tt.says) || out != "" {
			t.Errorf("%s: exit code %d, error %v, output %q", tt.name, code, err, out)
		}
		if err != nil && strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%s: the error shows the token", tt.name)
		}
	}
	for _, name := range []string{"tenants.db", "none.db"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s was made: %v", name, err)
		}
	}
}

// TestProgress keeps the promise that a terminal shows one line that is removed in the end, and nothing else does.
func TestProgress(t *testing.T) {
	var buf bytes.Buffer
	p := registry.ImportProgress{Phase: "writing", Tenants: 5, TotalTenants: 10, Environments: 7}
	bar := &progressBar{terminal: terminal{err: &buf, live: true}}
	bar.show(p)
	bar.show(p) // too soon
	bar.clear()
	if got, want := buf.String(), "\r\x1b[Kwriting: 5 of 10 tenants (50 %), 7 environments\r\x1b[K"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	buf.Reset()
	bar = &progressBar{terminal: terminal{err: &buf, live: true}}
	w := &progressWriter{w: io.Discard, bar: bar}
	for range 2 { // the second is too soon
		if n, err := w.Write(make([]byte, 1_500_000)); n != 1_500_000 || err != nil {
			t.Fatal(n, err)
		}
	}
	bar.clear()
	if got, want := buf.String(), "\r\x1b[Kexporting: 1.5 MB written\r\x1b[K"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	buf.Reset()
	bar = &progressBar{terminal: terminal{err: &buf}}
	bar.show(p)
	_, _ = (&progressWriter{w: io.Discard, bar: bar}).Write([]byte("x")) // never fails
	bar.clear()
	if buf.Len() > 0 {
		t.Errorf("a file gets %q", buf.String())
	}
}
