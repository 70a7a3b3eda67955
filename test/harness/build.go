package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Names of environment variables that give a binary which is already built. Without them the harness builds one, once
// for a whole test run.
const (
	// binEnv names the binary as users get it.
	binEnv = "TENANTGATE_BIN"
	// raceBinEnv names a binary that was built with -race. It serves all tests but those about speed or great numbers.
	raceBinEnv = "TENANTGATE_RACE_BIN"
)

var builds build

type build struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// Binary returns the path of the tenantgate binary as users get it.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(binEnv); path != "" {
		return path
	}
	builds.once.Do(builds.make)
	if builds.err != nil {
		t.Fatal(builds.err)
	}
	return builds.path
}

// RaceBinary returns the path of a binary with the race detector where there is one, else that of [Binary].
func RaceBinary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(raceBinEnv); path != "" {
		return path
	}
	return Binary(t)
}

func (b *build) make() {
	if b.dir, b.err = os.MkdirTemp("", "tenantgate-test-"); b.err != nil {
		return
	}
	b.path = filepath.Join(b.dir, "tenantgate")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", b.path, "github.com/tenantgate/tenantgate/cmd/tenantgate")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.err = fmt.Errorf("go build ./cmd/tenantgate: %w\n%s", err, out)
	}
}

func (b *build) remove() {
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}

// RepositoryRoot returns the absolute path of the repository, found by its go.mod above the current directory.
func RepositoryRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the current directory")
		}
		dir = parent
	}
}
