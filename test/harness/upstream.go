package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// upstreamEnv makes the test binary an upstream of the name that it holds.
const upstreamEnv = "TENANTGATE_TEST_UPSTREAM"

// DelayHeader is a request header that makes an upstream take its time: a Go duration, at most 5 s.
const DelayHeader = "Echo-Delay"

// Echo is what an upstream answers: everything that it received.
type Echo struct {
	// Upstream is the name of the upstream that answered.
	Upstream string `json:"upstream"`
	Method   string `json:"method"`
	Host     string `json:"host"`
	// URI is the request target as it stood in the request line.
	URI     string      `json:"uri"`
	Header  http.Header `json:"header"`
	Trailer http.Header `json:"trailer,omitempty"`
	Body    string      `json:"body,omitempty"`
}

// Values returns the values of a header in whatever spelling it came: in any case, and with "_" or "." for "-", which
// an upstream that speaks CGI or WSGI does not tell apart. Trailers count as well.
func (e Echo) Values(name string) []string {
	var values []string
	for _, fields := range []http.Header{e.Header, e.Trailer} {
		for spelled, v := range fields {
			if fold(spelled) == fold(name) {
				values = append(values, v...)
			}
		}
	}
	slices.Sort(values)
	return values
}

func fold(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(strings.TrimSpace(name)))
}

// Upstream is a running upstream, a process of its own.
type Upstream struct {
	Name string
	// Address is its "127.0.0.1:port".
	Address string
}

// StartUpstream starts an upstream that answers every request with its [Echo]. It ends with the test, or with this
// process, whichever comes first.
func StartUpstream(t testing.TB, name string) *Upstream {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), upstreamEnv+"="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("upstream %s: %v", name, err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &Upstream{Name: name, Address: strings.TrimSpace(address)}
}

// serveUpstream tells its address on out, and serves until in ends: so no upstream outlives its test, even one that
// was killed.
func serveUpstream(name string, in io.Reader, out io.Writer) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { echo(name, w, r) }),
		ReadHeaderTimeout: 30 * time.Second,
	}
	go func() {
		io.Copy(io.Discard, in)
		server.Close()
	}()
	if _, err := fmt.Fprintln(out, ln.Addr()); err != nil {
		return err
	}
	if err := server.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func echo(name string, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if delay, err := time.ParseDuration(r.Header.Get(DelayHeader)); err == nil {
		select {
		case <-time.After(min(delay, 5*time.Second)):
		case <-r.Context().Done():
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(Echo{
		Upstream: name, Method: r.Method, Host: r.Host, URI: r.RequestURI,
		Header: r.Header, Trailer: r.Trailer, Body: string(body),
	})
}
