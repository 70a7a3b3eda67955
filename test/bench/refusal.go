package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// refusal is an answer of the gateway's to a request that it refuses.
type refusal struct {
	Status int
	Header http.Header // without what every server adds by itself
	Body   string
}

// addedByServer are the header fields that Caddy or net/http set, whatever a handler does.
var addedByServer = []string{"Connection", "Content-Length", "Date", "Server"}

// refusal asks the candidate until it refuses: a limit lets the first request through.
func (c candidate) refusal(ctx context.Context) (refusal, error) {
	var r refusal
	for range 3 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Server.Address+"/", nil)
		if err != nil {
			return refusal{}, err
		}
		req.Host = c.Hosts.name(0)
		resp, err := probeClient.Do(req)
		if err != nil {
			return refusal{}, fmt.Errorf("%s: asking for %s: %w", c.Name, req.Host, err)
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxProbe))
		_ = resp.Body.Close() // read only
		if err != nil {
			return refusal{}, fmt.Errorf("%s: asking for %s: %w", c.Name, req.Host, err)
		}
		r = refusal{resp.StatusCode, resp.Header, string(body)}
		for _, name := range addedByServer {
			delete(r.Header, name)
		}
		if r.Status == c.Status {
			return r, nil
		}
	}
	return refusal{}, fmt.Errorf("%s: asking for %s: status %d, want %d%s", c.Name, c.Hosts.name(0), r.Status, c.Status, c.Server.logTail())
}

// site returns the content of a Caddyfile's site that gives the same answer with Caddy's own header and respond.
func (r refusal) site() (string, error) {
	var b strings.Builder
	b.WriteString("\theader {\n")
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			fmt.Fprintf(&b, "\t\t%s `%s`\n", name, value)
		}
	}
	fmt.Fprintf(&b, "\t}\n\trespond `%s` %d\n", r.Body, r.Status)
	if text := b.String(); strings.Count(text, "`") != 2*(len(r.Header)+1) {
		return "", fmt.Errorf("an answer that cannot be quoted: %q", text)
	}
	return b.String(), nil
}

// equal returns an error when other does not say as much: another header field, or a body of another length. Numbers may
// differ: they are of a moment.
func (r refusal) equal(other refusal) error {
	if r.Status != other.Status {
		return fmt.Errorf("status %d, not %d", other.Status, r.Status)
	}
	names, others := slices.Sorted(maps.Keys(r.Header)), slices.Sorted(maps.Keys(other.Header))
	if !slices.Equal(names, others) {
		return fmt.Errorf("header fields %v, not %v", others, names)
	}
	for _, name := range names {
		if v, o := r.Header[name], other.Header[name]; len(v) != len(o) || len(v[0]) != len(o[0]) {
			return fmt.Errorf("%s is %q, not as long as %q", name, o, v)
		}
	}
	if len(r.Body) != len(other.Body) {
		return fmt.Errorf("a body of %d bytes, not %d", len(other.Body), len(r.Body))
	}
	return nil
}

// respondSame starts a Caddy that answers with its own respond what the candidate, a gateway, answers. The answer is taken
// from the gateway itself, and compared, so that nobody has less to say.
func (b *bench) respondSame(ctx context.Context, c candidate) (candidate, error) {
	want, err := c.refusal(ctx)
	if err != nil {
		return candidate{}, err
	}
	site, err := want.site()
	if err != nil {
		return candidate{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	server, err := b.caddy(ctx, fmt.Sprintf("respond-%d", c.Status), "", site, b.memorySettings())
	if err != nil {
		return candidate{}, err
	}
	same := candidate{Name: fmt.Sprintf("`respond`, the same %d", c.Status), Server: server, Hosts: c.Hosts, Status: c.Status}
	got, err := same.refusal(ctx)
	if err != nil {
		return candidate{}, err
	}
	if err := want.equal(got); err != nil {
		return candidate{}, fmt.Errorf("%s: %w", same.Name, err)
	}
	return same, nil
}
