package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// requestTimeout bounds every request of a test. Whatever takes longer hangs.
const requestTimeout = 20 * time.Second

// Ask is a request to the gateway.
type Ask struct {
	// Method defaults to GET.
	Method string
	// Host is the Host header; empty leaves the gateway's address there.
	Host string
	// Path is the request target, with the query; it defaults to "/".
	Path   string
	Header map[string]string
	Body   string
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Echo returns what the upstream received, and fails the test when no upstream answered.
func (a Answer) Echo(t testing.TB) Echo {
	t.Helper()
	e, err := a.echo()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (a Answer) echo() (Echo, error) {
	var e Echo
	if a.Status != http.StatusOK {
		return e, fmt.Errorf("status %d, want 200; body %s", a.Status, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil || e.Upstream == "" {
		return e, fmt.Errorf("no upstream answered but %q (%w)", a.Body, err)
	}
	return e, nil
}

// Problem is a body of RFC 9457, with the gateway's own members.
type Problem struct {
	Type          string   `json:"type"`
	Title         string   `json:"title"`
	Status        int      `json:"status"`
	Detail        string   `json:"detail"`
	Instance      string   `json:"instance"`
	Code          string   `json:"code"`
	Allowed       *bool    `json:"allowed"`
	ExceededQuota string   `json:"exceededQuota"`
	CurrentUsage  *float64 `json:"currentUsage"`
	Limit         *float64 `json:"limit"`
	Message       string   `json:"message"`
}

// Problem returns the problem that the answer states, and fails the test when it is none, or contradicts the status.
func (a Answer) Problem(t testing.TB) Problem {
	t.Helper()
	var p Problem
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d with Content-Type %q, want application/problem+json; body %q", a.Status, got, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
		t.Fatalf("body %q: %v", a.Body, err)
	}
	if p.Status != a.Status {
		t.Errorf("the body says status %d, the answer %d", p.Status, a.Status)
	}
	if p.Type == "" || p.Title == "" || p.Code == "" {
		t.Errorf("type, title or code is missing: %s", a.Body)
	}
	return p
}

// NewClient returns an HTTP client with connections of its own, which neither follows redirects nor uses proxies.
func NewClient(connections int) *http.Client {
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			MaxIdleConns:        connections,
			MaxIdleConnsPerHost: connections,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Send sends a request to an address and reads the whole answer.
func Send(ctx context.Context, client *http.Client, address string, ask Ask) (Answer, error) {
	method, path := ask.Method, ask.Path
	if method == "" {
		method = http.MethodGet
	}
	if path == "" {
		path = "/"
	}
	var body io.Reader
	if ask.Body != "" {
		body = strings.NewReader(ask.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, body)
	if err != nil {
		return Answer{}, err
	}
	if ask.Host != "" {
		req.Host = ask.Host
	}
	for name, value := range ask.Header {
		// Not Set: spellings count.
		req.Header[name] = []string{value}
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(b)}, err
}

// SendRaw sends bytes as they are over a connection of their own and reads one answer. It is for requests that no
// decent client would send. A server that closes without an answer gives an error.
func SendRaw(ctx context.Context, address, request string) (Answer, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return Answer{}, err
	}
	// The server may answer and close before it has read everything.
	_, writeErr := io.WriteString(conn, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		if writeErr != nil {
			return Answer{}, writeErr
		}
		return Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(b)}, err
}
