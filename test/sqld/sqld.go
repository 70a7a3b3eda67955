package sqld

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// startTimeout bounds how long a server may take until it answers.
const startTimeout = 30 * time.Second

// Options configure a server.
type Options struct {
	// Dir holds the data. Default: a directory of the test that is removed afterwards.
	Dir string
	// Open starts the server without authentication.
	Open bool
	// Args are further arguments of sqld.
	Args []string
}

// Server is a running sqld.
type Server struct {
	binary string
	dir    string
	addr   string // host:port
	args   []string
	key    ed25519.PrivateKey // nil: no authentication

	mu     sync.Mutex
	cmd    *exec.Cmd // nil: stopped
	exited chan struct{}
	output *bytes.Buffer
}

// Binary returns the path of sqld, or skips the test where TENANTGATE_SQLD is empty (fails it where
// TENANTGATE_REQUIRE_ALL is 1).
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("TENANTGATE_SQLD")
	if path != "" {
		return path
	}
	if os.Getenv("TENANTGATE_REQUIRE_ALL") == "1" {
		t.Fatal("TENANTGATE_SQLD is not set, and TENANTGATE_REQUIRE_ALL demands it: set it to the sqld binary or run ./test/run")
	}
	t.Skip("needs a libSQL server: set TENANTGATE_SQLD or run ./test/run")
	return ""
}

// Start starts a server and waits until it answers. It is stopped when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{binary: Binary(t), dir: o.Dir, args: o.Args}
	if s.dir == "" {
		s.dir = t.TempDir()
	}
	if !o.Open {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s.key = private
		// sqld reads the bare public key in URL-safe base64.
		text := base64.RawURLEncoding.EncodeToString(public)
		if err := os.WriteFile(s.keyFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Stop)
	var err error
	for range 5 { // the free port may be taken by another process before sqld binds it
		s.addr = harness.FreeAddress(t)
		if err = s.start(); err == nil {
			return s
		}
		s.Stop()
	}
	t.Fatal(err)
	return nil
}

// URL is the server's address for Hrana over HTTP.
func (s *Server) URL() string { return "http://" + s.addr }

// WSURL is the server's address for Hrana over WebSocket.
func (s *Server) WSURL() string { return "ws://" + s.addr }

// Addr is the server's host:port.
func (s *Server) Addr() string { return s.addr }

// Token returns a token that the server accepts, with the given claims: none for everything, {"a": "ro"} for read
// only, {"exp": …} for a limited time. It is empty for a server without authentication.
func (s *Server) Token(claims map[string]any) string {
	if s.key == nil {
		return ""
	}
	return sign(s.key, claims)
}

// ForeignToken returns a well-formed token that the server refuses, since another key signed it.
func (s *Server) ForeignToken() string {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // the system's randomness is gone
	}
	return sign(key, nil)
}

// sign makes a compact JWS with EdDSA (RFC 7515 §7.1, RFC 8037 §3.1).
func sign(key ed25519.PrivateKey, claims map[string]any) string {
	if claims == nil {
		claims = map[string]any{}
	}
	body, err := json.Marshal(claims)
	if err != nil {
		panic(err) // the test's own claims
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + enc.EncodeToString(body)
	return text + "." + enc.EncodeToString(ed25519.Sign(key, []byte(text)))
}

// Stop ends the server with SIGKILL, as a crash would, and waits until it is gone. Stopping twice is fine.
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

// Restart stops the server if it runs, and starts it again on the same port with the same data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Pause stops the process without closing its connections (SIGSTOP): the server hangs. When Pause returns, none of its
// threads runs any more.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(startTimeout); !s.stopped(); {
		if <-tick.C; time.Now().After(deadline) {
			t.Fatal("sqld does not stop")
		}
	}
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
func (s *Server) Resume(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		t.Fatal("sqld is not running")
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) keyFile() string { return filepath.Join(s.dir, "token-key.pub") }

// start runs the process and waits until it answers; on an error it may still run.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	args := []string{"--no-welcome", "--db-path", filepath.Join(s.dir, "data"), "--http-listen-addr", s.Addr()}
	if s.key != nil {
		args = append(args, "--auth-jwt-key-file", s.keyFile())
	}
	cmd := exec.Command(s.binary, append(args, s.args...)...) //nolint:noctx // it lives as long as the test, not as long as a call
	s.output = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = s.output, s.output
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start sqld: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // killed, mostly
	}()
	s.cmd, s.exited = cmd, exited
	return s.await()
}

// await asks the server's health page until it answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if healthy(ctx, s.URL()) {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("sqld ended at once:\n%s", s.output.String())
		case <-ctx.Done():
			return errors.New("sqld does not answer")
		case <-tick.C:
		}
	}
}

func healthy(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
