package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How long a gateway may take to serve after its start, and to end after it was told to. Both are much on a loaded
// machine with the race detector; neither is waited for in full.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
)

// Options say what a gateway is started with.
type Options struct {
	// Tenants is the body of the global option "tenants".
	Tenants string
	// Global holds further global options.
	Global string
	// Site is the body of the one site, which listens on the gateway's address for all host names.
	Site string
	// Caddyfile is the whole Caddyfile instead of the parts above. {$LISTEN} and {$ADMIN} stand for the addresses.
	Caddyfile string
	// File is the name of a Caddyfile that is in Dir already, instead of all of the above; Address and Admin are where
	// that one listens.
	File, Address, Admin string
	// Env is added to a nearly empty environment.
	Env []string
	// Dir is the working directory and holds what Caddy keeps; give one to start again with what an earlier gateway
	// left there. It defaults to a temporary one.
	Dir string
	// Plain starts the binary as users get it, where the race detector would only be in the way.
	Plain bool
	// Wrap is a command that starts the binary, such as setpriv with its options; empty starts it directly.
	Wrap []string
}

func (o Options) caddyfile() string {
	if o.Caddyfile != "" {
		return o.Caddyfile
	}
	return fmt.Sprintf(`{
	admin {$ADMIN}
	auto_https off
	skip_install_trust
	%s
	tenants {
		%s
	}
}

http:// {
	bind 127.0.0.1
	%s
}
`, "http_port {$PORT}\n\t"+o.Global, o.Tenants, o.Site)
}

// Gateway is a running gateway, a process of its own.
type Gateway struct {
	// Address is where it serves HTTP, "127.0.0.1:port".
	Address string
	// Admin is the address of its admin endpoint.
	Admin string
	Dir   string
	// Client keeps connections open, as clients do.
	Client *http.Client

	options Options
	binary  string
	cmd     *exec.Cmd
	log     string
	ended   chan struct{}
	stop    sync.Once
}

// Start starts a gateway and waits until it serves. It ends with the test.
func Start(t testing.TB, o Options) *Gateway {
	t.Helper()
	g := launch(t, o)
	Eventually(t, startTimeout, func() error {
		select {
		case <-g.ended:
			t.Fatalf("the gateway ended at its start: %s\n%s", g.cmd.ProcessState, g.Log(t))
		default:
		}
		// The admin endpoint tells the configuration only once all of it has started.
		answer, err := Send(t.Context(), g.Client, g.Admin, Ask{Path: "/config/apps/http"})
		if err != nil {
			return err
		}
		if answer.Status != http.StatusOK {
			return fmt.Errorf("the admin endpoint answers %d: %s", answer.Status, answer.Body)
		}
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Address)
		if err != nil {
			return err
		}
		conn.Close()
		return nil
	})
	return g
}

// StartFails starts a gateway that is expected to refuse its configuration, and returns how it ended. It fails the
// test when the gateway serves, or does not end within the time.
func StartFails(t testing.TB, o Options, within time.Duration) Result {
	t.Helper()
	began := time.Now()
	g := launch(t, o)
	select {
	case <-g.ended:
	case <-time.After(within):
		t.Fatalf("the gateway did not end within %s", within)
	}
	r := Result{ExitCode: g.cmd.ProcessState.ExitCode(), Stderr: g.Log(t), Took: time.Since(began)}
	if r.ExitCode == 0 {
		t.Errorf("the gateway ended with exit code 0:\n%s", r.Stderr)
	}
	return r
}

func launch(t testing.TB, o Options) *Gateway {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	g := &Gateway{
		Address: o.Address, Admin: o.Admin, Dir: o.Dir,
		Client: NewClient(256), options: o, ended: make(chan struct{}),
	}
	if g.Address == "" {
		g.Address = FreeAddress(t)
	}
	if g.Admin == "" {
		g.Admin = FreeAddress(t)
	}
	g.binary = RaceBinary(t)
	if o.Plain {
		g.binary = Binary(t)
	}
	file := o.File
	if file == "" {
		file = "Caddyfile"
		WriteFile(t, o.Dir, file, o.caddyfile())
	}
	// Each start has a log of its own.
	log, err := os.CreateTemp(o.Dir, "log-*.json")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	g.log = log.Name()
	// The process must outlive the test's context, which ends before the clean-up that stops it.
	command := append(slices.Clone(o.Wrap), g.binary, "run", "--config", file)
	g.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...)
	g.cmd.Dir = o.Dir
	g.cmd.Env = append(g.environment(), o.Env...)
	g.cmd.Stdout, g.cmd.Stderr = log, log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		g.cmd.Wait()
		close(g.ended)
	}()
	t.Cleanup(func() {
		g.Stop(t)
		if t.Failed() {
			t.Logf("log of the gateway at %s:\n%s", g.Address, tail(g.Log(t), 60))
		}
	})
	return g
}

func (g *Gateway) environment() []string {
	_, port, _ := net.SplitHostPort(g.Address)
	return append(environment(g.Dir), "LISTEN="+g.Address, "PORT="+port, "ADMIN="+g.Admin, "CADDY_ADMIN="+g.Admin)
}

// Stop tells the gateway to end and waits for it. It fails the test when it has to be killed, ended before, or ended
// with an error, such as a data race.
func (g *Gateway) Stop(t testing.TB) {
	t.Helper()
	g.stop.Do(func() {
		g.Client.CloseIdleConnections()
		g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-g.ended:
		case <-time.After(stopTimeout):
			g.cmd.Process.Kill()
			<-g.ended
			t.Errorf("the gateway did not end within %s of SIGTERM", stopTimeout)
		}
		log := g.Log(t)
		if i := strings.Index(log, "WARNING: DATA RACE"); i >= 0 {
			t.Errorf("data race in the gateway:\n%s", log[i:])
		}
		if i := strings.Index(log, "goroutine "); i >= 0 && strings.Contains(log, "panic") {
			t.Errorf("panic in the gateway:\n%s", log[max(0, i-2000):min(len(log), i+4000)])
		}
	})
}

// Kill ends the gateway as kill -9 does.
func (g *Gateway) Kill() {
	g.stop.Do(func() {
		g.cmd.Process.Kill()
		<-g.ended
	})
}

// Log returns what the gateway has said so far.
func (g *Gateway) Log(t testing.TB) string {
	t.Helper()
	return ReadFile(t, g.log)
}

// Reload writes a new Caddyfile (an empty one keeps the old) and reloads as an operator does. It returns how the
// command ended.
func (g *Gateway) Reload(t testing.TB, o Options) Result {
	t.Helper()
	o.Dir = g.Dir
	if o.Caddyfile != "" || o.Site != "" || o.Tenants != "" || o.Global != "" {
		WriteFile(t, g.Dir, "Caddyfile", o.caddyfile())
	}
	// --force, because an unchanged configuration would not be loaded at all.
	return Run(t, Command{
		Args: []string{
			"reload", "--config", filepath.Join(g.Dir, "Caddyfile"), "--adapter", "caddyfile",
			"--address", g.Admin, "--force",
		},
		Dir: g.Dir, Env: append(g.environment(), g.options.Env...),
	})
}

// Send sends a request and fails the test when there is no answer at all.
func (g *Gateway) Send(t testing.TB, ask Ask) Answer {
	t.Helper()
	answer, err := Send(t.Context(), g.Client, g.Address, ask)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// Get sends a GET request.
func (g *Gateway) Get(t testing.TB, host, path string) Answer {
	t.Helper()
	return g.Send(t, Ask{Host: host, Path: path})
}

// Expect gives nil when a GET request is answered with the status, and, where an upstream is named, by that one: a
// condition for [Eventually].
func (g *Gateway) Expect(ctx context.Context, host string, status int, upstream string) func() error {
	return func() error {
		answer, err := Send(ctx, g.Client, g.Address, Ask{Host: host})
		if err != nil {
			return err
		}
		if answer.Status != status {
			return fmt.Errorf("%s: status %d, want %d; body %s", host, answer.Status, status, answer.Body)
		}
		if upstream == "" {
			return nil
		}
		e, err := answer.echo()
		if err != nil {
			return err
		}
		if e.Upstream != upstream {
			return fmt.Errorf("%s: served by upstream %s, want %s", host, e.Upstream, upstream)
		}
		return nil
	}
}

// Ended returns an error when the gateway is not running any more.
func (g *Gateway) Ended() error {
	select {
	case <-g.ended:
		return errors.New("the gateway has ended: " + g.cmd.ProcessState.String())
	default:
		return nil
	}
}

func tail(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
