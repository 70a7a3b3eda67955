package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/assertion"
	"github.com/tenantgate/tenantgate/test/harness"
)

// verifier is an upstream in Node that checks the signed context of every request with the npm package jose, and answers
// with what it found.
type verifier struct {
	Address string
	Control string
}

// verifierStart bounds how long Node may take to start.
const verifierStart = 30 * time.Second

// startVerifier starts the upstream. It ends with the test. Without Node or the packages of test/clients the test is
// left out.
func startVerifier(t *testing.T, env []string, args ...string) verifier {
	t.Helper()
	dir := filepath.Join(harness.RepositoryRoot(t), "test", "clients")
	if _, err := exec.LookPath("node"); err != nil {
		harness.LeaveOut(t, "there is no Node")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "jose")); err != nil {
		harness.LeaveOut(t, "the packages of test/clients are not installed (npm ci)")
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "node", append([]string{"verify-context.mjs"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line := make(chan []byte, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadBytes('\n')
		line <- text
	}()
	var v verifier
	select {
	case text := <-line:
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("the upstream in Node said %q: %v", text, err)
		}
	case <-time.After(verifierStart):
		t.Fatalf("the upstream in Node did not start within %s", verifierStart)
	}
	return v
}

// fetch has the upstream fetch the key set again, and returns the ids of the keys.
func (v verifier) fetch(t *testing.T) []string {
	t.Helper()
	answer, err := harness.Send(t.Context(), harness.NewClient(1), v.Control, harness.Ask{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	if err := json.Unmarshal([]byte(answer.Body), &ids); err != nil {
		t.Fatalf("%v in %s", err, answer.Body)
	}
	return ids
}

// verifiedContext is what the upstream answers.
type verifiedContext struct {
	KeyID  string           `json:"kid"`
	Claims assertion.Claims `json:"claims"`
}

// contextOf returns what the upstream has verified, or why it has not.
func contextOf(answer harness.Answer) (v verifiedContext, err error) {
	if answer.Status != 200 {
		return v, fmt.Errorf("status %d: %s", answer.Status, answer.Body)
	}
	return v, json.Unmarshal([]byte(answer.Body), &v)
}
