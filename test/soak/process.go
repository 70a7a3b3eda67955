package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// How long a process may take until it serves, and until it has ended after it was told to.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
)

// program says what a process is started with.
type program struct {
	// name is for messages and the log file.
	name    string
	command []string
	// env is the whole environment but PATH.
	env []string
	dir string
	// ready returns nil once it serves.
	ready func(ctx context.Context) error
}

// process is a program that runs.
type process struct {
	program
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// start starts a program and returns when it serves. Its log is added to that of its last run.
func start(ctx context.Context, p program) (*process, error) {
	path := filepath.Join(p.dir, p.name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	defer log.Close()                                   //nolint:errcheck // the child has its own descriptor
	cmd := exec.Command(p.command[0], p.command[1:]...) //nolint:noctx // it is ended by stop and kill
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, p.env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	// Nothing is left behind by a run that was killed. The thread that starts it never ends: no goroutine here is locked to one.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	r := &process{program: p, cmd: cmd, log: path, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(r.ended)
	}()
	if err := r.waitReady(ctx); err != nil {
		r.kill()
		return nil, fmt.Errorf("%s: %w; see %s", p.name, err, path)
	}
	return r, nil
}

func (p *process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return errors.New("it ended at its start")
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", err)
		}
	}
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stop tells the process to end and waits for it; an error says that it had to be killed or ended with another status
// than 0.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		p.kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.name, stopTimeout)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s: %s", p.name, p.cmd.ProcessState)
	}
	return nil
}

func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// freeAddress returns an address of 127.0.0.1 that nobody listens on, and that the kernel gives to no connection: a
// process that is restarted finds it free.
func freeAddress() (string, error) {
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		l, err := net.Listen("tcp", address) //nolint:noctx // loopback, answered at once
		if err != nil {
			continue
		}
		return address, l.Close()
	}
	return "", errors.New("no port of 127.0.0.1 is free")
}

// port is the last part of an address.
func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
