package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// server is Caddy in this process with a configuration of the test's. There can only be one at a time, so that these
// tests do not run in parallel.
type server struct {
	tb   testing.TB
	dir  string // Caddy's data directory, and where the configuration puts its files
	port string
	log  string // path of the log file
	// global is what the configuration has besides, in its global options.
	global string
}

// client keeps no connection open, because a reload closes those that are idle.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// newServer prepares a server; nothing runs before load.
func newServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{tb: tb, dir: tb.TempDir(), port: freePort(tb)}
	s.log = filepath.Join(s.dir, "log.json")
	if t, ok := tb.(*testing.T); ok {
		t.Setenv("XDG_DATA_HOME", filepath.Join(s.dir, "data"))
		t.Setenv("XDG_CONFIG_HOME", filepath.Join(s.dir, "config"))
	}
	tb.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// freePort returns a port on which nobody listens.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// config returns the JSON of a Caddyfile with the given content of tenants and of the one site.
func (s *server) config(tenants, site string) []byte {
	s.tb.Helper()
	text := fmt.Sprintf("{\nadmin off\nauto_https off\npersist_config off\nlog {\noutput file %s {\nmode 0600\n}\nlevel DEBUG\n}\n%s\ntenants {\n%s\n}\n}\nhttp://:%s {\nbind 127.0.0.1\nlog\n%s\n}\n",
		s.log, s.global, tenants, s.port, site)
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		s.tb.Fatal(err)
	}
	return out
}

// load starts a configuration, or reloads.
func (s *server) load(tenants, site string) error {
	s.tb.Helper()
	return caddy.Load(s.config(tenants, site), true)
}

func (s *server) mustLoad(tenants, site string) {
	s.tb.Helper()
	if err := s.load(tenants, site); err != nil {
		s.tb.Fatal(err)
	}
}

// file writes a file of the configuration and returns its path.
func (s *server) file(name, content string) string {
	s.tb.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	return path
}

// request makes a request to a host of the server.
func (s *server) request(method, host, path string, header http.Header) *http.Request {
	s.tb.Helper()
	r, err := http.NewRequestWithContext(s.tb.Context(), method, "http://127.0.0.1:"+s.port+path, http.NoBody)
	if err != nil {
		s.tb.Fatal(err)
	}
	r.Host = host
	for name, values := range header {
		r.Header[name] = values
	}
	return r
}

// do sends a request and returns the response and its body.
func (s *server) do(r *http.Request) (*response, string) {
	s.tb.Helper()
	res, err := client.Do(r)
	for range 5 {
		if err == nil {
			break
		}
		// After a reload Caddy closes the old configuration's listening socket in the background, and the kernel resets
		// what waits in its queue (SO_REUSEPORT). No request has begun then.
		res, err = client.Do(r)
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	return &response{res.StatusCode, res.Header, string(body)}, string(body)
}

// get is the usual request.
func (s *server) get(host, path string) (*response, string) {
	s.tb.Helper()
	return s.do(s.request(http.MethodGet, host, path, nil))
}

// logged returns the lines of the log that contain text.
func (s *server) logged(text string) []string {
	s.tb.Helper()
	content, err := os.ReadFile(s.log)
	if err != nil {
		s.tb.Fatal(err)
	}
	var lines []string
	for line := range strings.SplitSeq(string(content), "\n") {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// patience is long enough for everything that a test waits for, and short enough to be noticed.
const patience = 20 * time.Second

// eventually waits until the condition holds.
func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if condition() {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			tick.Stop()
			tb.Fatalf("waited too long: %s", what)
		}
	}
}

// echo is an upstream that answers with its name and what it was sent.
type echo struct {
	Upstream string
	Path     string
	Header   http.Header
	Trailer  http.Header
}

// newEcho starts an upstream and returns its address.
func newEcho(tb testing.TB, name string) (address string) {
	tb.Helper()
	up := httptest.NewServer(echoHandler(name))
	tb.Cleanup(up.Close)
	return strings.TrimPrefix(up.URL, "http://")
}

func echoHandler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var b bytes.Buffer
		err := json.NewEncoder(&b).Encode(echo{Upstream: name, Path: r.URL.RequestURI(), Header: r.Header, Trailer: r.Trailer})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("RateLimit", `"upstream";r=1`)
		_, _ = w.Write(b.Bytes())
	})
}

// echoed parses what an echo upstream has answered.
func echoed(tb testing.TB, body string) echo {
	tb.Helper()
	var e echo
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		tb.Fatalf("%v in %q", err, body)
	}
	return e
}

// newSlow starts an upstream that says when a request has come, and waits until it may answer.
func newSlow(tb testing.TB, entered chan<- struct{}, release <-chan struct{}) (address string) {
	tb.Helper()
	up := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	}))
	tb.Cleanup(up.Close)
	return strings.TrimPrefix(up.URL, "http://")
}
