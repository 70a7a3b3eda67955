package harness

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// commandTimeout bounds a command that is expected to end by itself.
const commandTimeout = 60 * time.Second

// Result is how a command ended.
type Result struct {
	// ExitCode is -1 when a signal ended it.
	ExitCode int
	Stdout   string
	// Stderr holds the log, unless the Caddyfile sends it elsewhere.
	Stderr string
	Took   time.Duration
}

// Output returns everything that the command said.
func (r Result) Output() string { return r.Stdout + r.Stderr }

// Command is a run of the binary that ends by itself.
type Command struct {
	Args []string
	// Dir is the working directory, and holds what Caddy keeps; it defaults to a temporary one.
	Dir string
	// Env is added to a nearly empty environment.
	Env []string
	// Stdin is empty unless given.
	Stdin []byte
}

// Run runs the binary to its end, whatever its exit code, and fails the test when it does not end within a minute.
func Run(t testing.TB, c Command) Result {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append(environment(c.Dir), c.Env...)
	cmd.Stdin = bytes.NewReader(c.Stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	r := Result{ExitCode: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String(), Took: time.Since(began)}
	if ctx.Err() != nil {
		t.Fatalf("%q did not end within %s:\n%s", c.Args, commandTimeout, r.Output())
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v", c.Args, err)
	}
	return r
}

// Process is a run of the binary that is under way.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// Begin starts the binary and returns at once. The process ends with the test.
func Begin(t testing.TB, c Command) *Process {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	p := &Process{ended: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), Binary(t), c.Args...)
	p.cmd.Dir = c.Dir
	p.cmd.Env = append(environment(c.Dir), c.Env...)
	p.cmd.Stdin = bytes.NewReader(c.Stdin)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() { p.Kill() })
	return p
}

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Kill ends the process as kill -9 does, and reports whether that is what ended it.
func (p *Process) Kill() bool {
	p.cmd.Process.Kill()
	<-p.ended
	return p.cmd.ProcessState.ExitCode() == -1
}

// environment returns what the binary is started with: enough to find programs, and homes below dir, so that nothing
// of the user's is read or written.
func environment(dir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir,
		"XDG_DATA_HOME=" + filepath.Join(dir, "data"),
		"XDG_CONFIG_HOME=" + filepath.Join(dir, "config"),
		// A race ends the process at once, so that no test can pass over it.
		"GORACE=halt_on_error=1",
	}
}

// WriteFile writes a file into a directory and returns its path.
func WriteFile(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ReadFile returns what a file holds.
func ReadFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
