package sqld_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/sqld"
)

// ask runs one statement over the server's pipeline endpoint and returns status and body.
func ask(t *testing.T, url, token, sql string) (int, string) {
	t.Helper()
	body := `{"requests":[{"type":"execute","stmt":{"sql":"` + sql + `"}},{"type":"close"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v2/pipeline", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// The server demands a token of the test's own key, keeps its data over a restart, and is gone when stopped.
func TestServer(t *testing.T) {
	s := sqld.Start(t, sqld.Options{})
	if code, body := ask(t, s.URL(), s.Token(nil), "create table t (x)"); code != 200 || strings.Contains(body, "error") {
		t.Fatalf("create: %d %s", code, body)
	}
	for name, token := range map[string]string{"none": "", "foreign": s.ForeignToken()} {
		if code, _ := ask(t, s.URL(), token, "select 1"); code != http.StatusUnauthorized {
			t.Errorf("token %s: status %d, want 401", name, code)
		}
	}
	if _, body := ask(t, s.URL(), s.Token(map[string]any{"a": "ro"}), "insert into t values (1)"); !strings.Contains(body, "error") {
		t.Errorf("a read-only token could write: %s", body)
	}
	s.Restart(t)
	if code, body := ask(t, s.URL(), s.Token(nil), "insert into t values (1)"); code != 200 || strings.Contains(body, "error") {
		t.Fatalf("after the restart: %d %s", code, body)
	}
	s.Stop()
	if resp, err := http.Get(s.URL() + "/health"); err == nil { //nolint:noctx // refused at once
		_ = resp.Body.Close()
		t.Error("the server answers after Stop")
	}
}

// A server without authentication takes anyone.
func TestOpenServer(t *testing.T) {
	s := sqld.Start(t, sqld.Options{Open: true})
	if s.Token(nil) != "" {
		t.Error("a token although there is no authentication")
	}
	if code, body := ask(t, s.URL(), "", "select 1"); code != 200 || strings.Contains(body, "error") {
		t.Fatalf("%d %s", code, body)
	}
}
