package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// maxProbe is how much of an answer is read, in bytes.
const maxProbe = 64 << 10

// probeClient keeps no connections, so that a probe never meets one that the server is about to close.
var probeClient = &http.Client{
	Timeout:       10 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// probe asks for tenant i's name once and returns the status.
func (c candidate) probe(ctx context.Context, i int) (int, error) {
	status, _, err := c.ask(ctx, i, "/")
	return status, err
}

// ask asks for a path under tenant i's name, as wrk does, and returns the answer.
func (c candidate) ask(ctx context.Context, i int, path string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Server.Address+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Host = c.Hosts.name(i)
	if c.Tokens != "" {
		token, err := lineOf(c.Tokens, i)
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := probeClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxProbe))
	return resp.StatusCode, body, err
}

// checkUpstream asks for each tenant whose facts are known once, and compares what arrived upstream with them: a peer
// that does less work than the others would look fast.
func (c candidate) checkUpstream(ctx context.Context) error {
	for i, want := range c.Upstream {
		status, head, err := c.ask(ctx, i, echoPath)
		if err != nil {
			return fmt.Errorf("%s: asking for %s: %w", c.Name, c.Hosts.name(i), err)
		}
		if status != http.StatusOK {
			return fmt.Errorf("%s: asking for %s: status %d%s", c.Name, c.Hosts.name(i), status, c.Server.logTail())
		}
		if err := want.arrivedIn(head); err != nil {
			return fmt.Errorf("%s: asking for %s: %w", c.Name, c.Hosts.name(i), err)
		}
	}
	return nil
}

// arrivedIn returns an error when the head of a request lacks one of the tenant's headers, or has it twice.
func (f tenantFacts) arrivedIn(head []byte) error {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return fmt.Errorf("what arrived upstream: %w", err)
	}
	for _, h := range f.Headers {
		if got := req.Header.Values(h.Name); len(got) != 1 || got[0] != h.Value {
			return fmt.Errorf("upstream, %s is %q, want %q", h.Name, got, h.Value)
		}
	}
	return nil
}

// lineOf returns line i of a file.
func lineOf(path string, i int) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if i >= len(lines) {
		return "", fmt.Errorf("%s has %d lines", path, len(lines))
	}
	return lines[i], nil
}
