package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: README's chapter "The command line" works as written, line by line and in that order, on the gateway of the
// chapter "First run".
func TestReadmeCommandLine(t *testing.T) {
	t.Parallel()
	root := harness.RepositoryRoot(t)
	chapter := readmeChapter(harness.ReadFile(t, filepath.Join(root, "README.md")), "The command line")
	if chapter == "" {
		t.Fatal("README has no chapter about the command line")
	}
	commands := consoleCommands(chapter)
	if len(commands) < 20 {
		t.Fatalf("README's chapter \"The command line\" has only %d commands", len(commands))
	}
	e := startExample(t, root)
	bin := filepath.Join(e.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(harness.Binary(t), filepath.Join(bin, "tenantgate")); err != nil {
		t.Fatal(err)
	}
	// A line that sets a variable holds for those after it, as in one shell.
	before := "export PATH=" + bin + ":$PATH XDG_DATA_HOME=" + e.dir + " XDG_CONFIG_HOME=" + e.dir + "\n"
	for _, c := range commands {
		if strings.HasPrefix(c.command, "export ") {
			before += c.command + "\n"
		}
		out := e.run(t, before+c.command)
		if err := matchOutput(c.output, out); err != nil {
			t.Errorf("$ %s\n%v\nREADME shows:\n%s\nthe answer is:\n%s", c.command, err, c.output, out)
		}
	}
}
