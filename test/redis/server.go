package redis

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout bounds how long a server may take until it answers.
const startTimeout = 30 * time.Second

// Options configure a server. The zero value is a server without passwords.
type Options struct {
	// TLS makes the server speak TLS only, with a certificate of [Server.CAFile].
	TLS bool
	// User and Password are those of the only user; the default user is then off. Rights are the user's, in the language of
	// ACL rules; default all.
	User, Password, Rights string
	// Cluster makes the server a node of a cluster; see [StartCluster].
	Cluster bool
	// Args are further arguments of redis-server.
	Args []string
}

// Server is a redis-server process.
type Server struct {
	options Options
	dir     string
	addr    string // host:port
	bus     string // the port of the cluster's bus

	mu     sync.Mutex
	cmd    *exec.Cmd // nil: stopped
	exited chan struct{}
	output *bytes.Buffer
}

// binary is the server's program.
func binary() string {
	if path := os.Getenv("TENANTGATE_REDIS"); path != "" {
		return path
	}
	return "redis-server"
}

// Run starts a server that keeps what it must in a directory, and waits until it answers. It has to be stopped.
func Run(dir string, o Options) (*Server, error) {
	s := &Server{options: o, dir: dir}
	if o.TLS {
		if err := writeCertificates(dir); err != nil {
			return nil, err
		}
	}
	var err error
	for range 5 { // a free port may be taken by another process before the server binds it
		if s.addr, err = freeAddress(); err != nil {
			return nil, err
		}
		if o.Cluster {
			if s.bus, err = freeAddress(); err != nil {
				return nil, err
			}
		}
		if err = s.start(); err == nil {
			return s, nil
		}
		s.Stop()
	}
	return nil, err
}

// freeAddress finds a port that nobody listens on, below the range that systems give to outgoing connections (from 32768
// on Linux): a server that is started again must find its port free.
func freeAddress() (string, error) {
	const first, ports = 10000, 10000
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(ports))) //nolint:noctx // loopback, answered at once
		if err == nil {
			defer l.Close()
			return l.Addr().String(), nil
		}
	}
	return "", errors.New("no free port on 127.0.0.1")
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return s.addr }

// URL is the server's address as a gateway is given it, with the user and the password if there are any.
func (s *Server) URL() string {
	scheme, user := "redis://", ""
	if s.options.TLS {
		scheme = "rediss://"
	}
	if s.options.User != "" {
		user = s.options.User + ":" + s.options.Password + "@"
	}
	return scheme + user + s.addr
}

// Stop ends the server with SIGKILL, as a crash would, and waits until it is gone: all data is lost. Stopping twice is
// fine.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // by pid; it may be gone already
	<-s.exited
	s.cmd = nil
}

// Restart stops the server if it runs, and starts an empty one on the same port.
func (s *Server) Restart() error {
	s.Stop()
	return s.start()
}

// Pause stops the process without closing its connections (SIGSTOP): the server hangs. When Pause returns, none of its
// threads runs any more.
func (s *Server) Pause() error {
	if err := s.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(startTimeout); !s.stopped(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("redis-server does not stop")
		}
	}
	return nil
}

// stopped reports whether every thread of the process is in state T (proc(5), /proc/pid/task/tid/stat).
func (s *Server) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		return true // no such file system here: the signal has to do
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		// The name of the command stands in parentheses before the state, and may hold anything.
		if i := bytes.LastIndexByte(text, ')'); i < 0 || i+2 >= len(text) || text[i+2] != 'T' {
			return false
		}
	}
	return true
}

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return errors.New("redis-server is not running")
	}
	return s.cmd.Process.Signal(sig)
}

// start runs the process and waits until it answers; on an error it may still run.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return err
	}
	args := []string{"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir, "--daemonize", "no"}
	if s.options.TLS {
		args = append(args, "--port", "0", "--tls-port", port, "--tls-cert-file", filepath.Join(s.dir, "server.pem"),
			"--tls-key-file", filepath.Join(s.dir, "server.key"), "--tls-ca-cert-file", s.CAFile(), "--tls-auth-clients", "no")
	} else {
		args = append(args, "--port", port)
	}
	if s.options.User != "" {
		path, rights := filepath.Join(s.dir, "users.acl"), s.options.Rights
		if rights == "" {
			rights = "~* &* +@all"
		}
		users := "user default off\nuser " + s.options.User + " on >" + s.options.Password + " " + rights + "\n"
		if err := os.WriteFile(path, []byte(users), 0o600); err != nil {
			return err
		}
		args = append(args, "--aclfile", path)
	}
	if s.options.Cluster {
		_, bus, err := net.SplitHostPort(s.bus)
		if err != nil {
			return err
		}
		// Another process of the same directory would find the old one's nodes.
		config := "nodes-" + port + ".conf"
		_ = os.Remove(filepath.Join(s.dir, config))
		args = append(args, "--cluster-enabled", "yes", "--cluster-config-file", config, "--cluster-port", bus)
	}
	cmd := exec.Command(binary(), append(args, s.options.Args...)...) //nolint:noctx // it lives until it is stopped
	s.output = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = s.output, s.output
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // killed, mostly
	}()
	s.cmd, s.exited = cmd, exited
	return s.await()
}

// await asks until the server answers.
func (s *Server) await() error {
	for deadline := time.Now().Add(startTimeout); ; {
		if s.answers() {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("redis-server ended at once:\n%s", s.output.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return errors.New("redis-server does not answer")
		}
	}
}

// answers sends an inline command; that it needs a password is an answer too.
func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var (
		conn net.Conn
		err  error
	)
	if s.options.TLS {
		d := tls.Dialer{Config: &tls.Config{RootCAs: certificatePool(s.CAFile()), MinVersion: tls.VersionTLS12}}
		conn, err = d.DialContext(ctx, "tcp", s.addr)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", s.addr)
	}
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	var b [64]byte
	n, err := conn.Read(b[:])
	answer := string(b[:n])
	return err == nil && (strings.HasPrefix(answer, "+PONG") || strings.HasPrefix(answer, "-NOAUTH"))
}
