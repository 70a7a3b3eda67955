package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: the commands in README's chapter "Admin API" work on the example as they stand, in that order, and answer what
// README shows.
func TestReadmeAdminAPI(t *testing.T) {
	t.Parallel()
	root := harness.RepositoryRoot(t)
	commands := consoleCommands(readmeChapter(harness.ReadFile(t, filepath.Join(root, "README.md")), "Admin API"))
	if len(commands) == 0 {
		t.Fatal("README has no such chapter")
	}
	e := startExample(t, root)
	for _, c := range commands {
		out := e.run(t, c.command)
		if err := matchOutput(c.output, out); err != nil {
			t.Errorf("$ %s\n%v\nREADME shows:\n%s\nthe answer is:\n%s", c.command, err, c.output, out)
		}
	}
}
