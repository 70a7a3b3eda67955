package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// server is a process to start.
type server struct {
	// Name is the server's in messages and for its log file.
	Name string
	// Command is the program with its arguments.
	Command []string
	// Env is added to the environment.
	Env []string
	// Cores are those that the process is pinned to.
	Cores coreSet
	// Address (host:port) accepts connections when the server is ready; it must be free before.
	Address string
	// Admin is the address of Caddy's admin endpoint; empty when there is none.
	Admin string
}

// startTimeout is how long a server may take until it accepts connections.
const startTimeout = 60 * time.Second

// process is a server that runs.
type process struct {
	server
	cmd    *exec.Cmd
	log    string
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // why it ended; read after done
}

// start starts the server, and returns when it accepts connections. Call it only from the main goroutine: the
// kernel ends the process with the thread that started it, so that nothing is left behind by a benchmark that was
// killed.
func start(ctx context.Context, s server, logDir string) (*process, error) {
	if err := checkFree(ctx, s.Address); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	log, err := os.Create(filepath.Join(logDir, s.Name+".log"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	defer log.Close() //nolint:errcheck // the child has its own descriptor
	ctx, cancel := context.WithCancel(ctx)
	p := &process{server: s, log: log.Name(), cancel: cancel, done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", s.Cores.String()}, s.Command...)...)
	p.cmd.Env = append(ownEnviron(), s.Env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := p.waitReady(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// ownEnviron returns this program's environment without what sets how a Go program uses memory and processors: a server has
// the settings that the comparison gives it, or its own.
func ownEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG"}, name)
	})
}

// checkFree returns an error when something listens on address already: it would be measured instead of the server.
func checkFree(ctx context.Context, address string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("address is taken (choose others with -port): %w", err)
	}
	return l.Close()
}

// waitReady returns when the server accepts connections, or with an error when it ends or takes too long.
func (p *process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-p.done:
			return p.alive()
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready: %w%s", p.Name, ctx.Err(), p.logTail())
		}
	}
}

// alive returns an error when the process has ended.
func (p *process) alive() error {
	select {
	case <-p.done:
		if p.err == nil {
			return fmt.Errorf("%s: ended by itself%s", p.Name, p.logTail())
		}
		return fmt.Errorf("%s: ended: %w%s", p.Name, p.err, p.logTail())
	default:
		return nil
	}
}

// logTail returns the end of what the process printed, for an error.
func (p *process) logTail() string {
	text, err := os.ReadFile(p.log)
	if err != nil || len(text) == 0 {
		return ""
	}
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return "\n" + strings.TrimSpace(string(text))
}

// usage returns what the process and its children have used.
func (p *process) usage() (usage, error) {
	u, err := groupUsage(p.cmd.Process.Pid)
	if err != nil {
		return usage{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	return u, nil
}

// stop ends the process and waits for it: SIGTERM, and SIGKILL when that does not help.
func (p *process) stop() {
	p.cancel()
	<-p.done
}
