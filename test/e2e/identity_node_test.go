package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

// nodeProcess is a server of test/clients, a process of its own.
type nodeProcess struct {
	// URL is where it listens, "http://127.0.0.1:port".
	URL  string
	stop func()
}

// startNode starts a script of test/clients and waits until it says that it listens. It ends with the test, or with stop.
func startNode(t *testing.T, env []string, args ...string) *nodeProcess {
	t.Helper()
	dir := filepath.Join(harness.RepositoryRoot(t), "test", "clients")
	node := os.Getenv("TENANTGATE_NODE")
	if node == "" {
		node = "node"
	}
	if _, err := exec.LookPath(node); err != nil {
		harness.LeaveOut(t, "there is no Node.js")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		harness.LeaveOut(t, "the npm packages of test/clients are not installed")
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), node, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NODE_ENV=production"}, env...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &nodeProcess{stop: sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it has nothing to save
		_ = cmd.Wait()         // killed
	})}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() && complaints.Len() > 0 {
			t.Logf("%v says:\n%s", args, complaints.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	var said struct{ Address string }
	if err != nil || json.Unmarshal([]byte(line), &said) != nil || said.Address == "" {
		p.stop()
		t.Fatalf("%v did not start: %q (%v)\n%s", args, line, err, complaints.String())
	}
	p.URL = said.Address
	return p
}

// callJSON sends a JSON body and decodes the answer, unless that is nil; another status than 200 is an error. It returns
// the cookies that the answer sets.
func callJSON(ctx context.Context, client *http.Client, method, url string, header http.Header, body, answer any) ([]*http.Cookie, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	var reader io.Reader
	if method != http.MethodGet {
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, said)
	}
	if answer == nil {
		return resp.Cookies(), nil
	}
	return resp.Cookies(), json.Unmarshal(said, answer)
}
