// Package client speaks to the admin interface of a gateway; see package adminapi.
//
//	c, err := client.New(client.Options{Address: "http://localhost:2019", Actor: "alice"})
//	...
//	t, err := c.CreateTenant(ctx, adminapi.TenantRequest{Slug: "acme", Plan: "pro"}, "")
//	...
//	_, err = c.TransitionTenant(ctx, "acme", registry.ActionSuspend, 0, adminapi.TransitionRequest{Reason: "unpaid"})
//
// Errors are a [*Error] where the interface has refused, and those of [net/http.Client] where it could not be asked.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tenantgate/tenantgate/adminapi"
)

const (
	// DefaultTimeout is the default of [Options.Timeout].
	DefaultTimeout = time.Minute
	// maxAnswer bounds what is read of an answer, in bytes: a page of 500 records with a lot of metadata.
	maxAnswer = 256 << 20
)

// Options say whom a [Client] speaks to.
type Options struct {
	// Address is the URL of the admin endpoint: http://localhost:2019. Required.
	Address string
	// HTTP sends the requests, for TLS, a unix socket, or a handler in the same process. Default: a client that follows no
	// redirects.
	HTTP *http.Client
	// Actor is who does it, for the audit log; empty: what the endpoint makes of it.
	Actor string
	// Origin is the value of the header Origin, where the endpoint demands one. Default: none.
	Origin string
	// Timeout bounds each request. Default: DefaultTimeout.
	Timeout time.Duration
}

// Client speaks to one admin endpoint. It is immutable and safe for concurrent use.
type Client struct {
	base    string
	options Options
}

// New returns a client. Nothing is asked yet.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the address %q of the admin endpoint must be like http://localhost:2019", o.Address)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return &Client{strings.TrimSuffix(o.Address, "/"), o}, nil
}

// Error is a refusal by the admin interface.
type Error struct {
	adminapi.Problem
	// RetryAfter is when to try again; 0 where the answer does not say.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string { return e.Detail }

// Code returns the code of an error of this package; "" for others.
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Problem.Code
	}
	return ""
}

// request is one request to the interface.
type request struct {
	method, path string
	query        url.Values
	body         any // nil: none
	// version is the value of If-Match; 0: none.
	version int64
	// key is the value of Idempotency-Key; "": none.
	key string
	// onlyNew is If-None-Match: *.
	onlyNew bool
}

// path joins elements, each escaped.
func path(elements ...string) string {
	var b strings.Builder
	b.WriteString("/tenants")
	for _, e := range elements {
		b.WriteString("/" + url.PathEscape(e))
	}
	return b.String()
}

// do sends a request and reads the answer into out, which may be nil.
func (c *Client) do(ctx context.Context, q request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	var body io.Reader = http.NoBody
	if q.body != nil {
		text, err := json.Marshal(q.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	target := c.base + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, target, body)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"X-Actor": c.options.Actor, "Origin": c.options.Origin, "Idempotency-Key": q.key,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.version > 0 {
		r.Header.Set("If-Match", `"`+strconv.FormatInt(q.version, 10)+`"`)
	}
	if q.onlyNew {
		r.Header.Set("If-None-Match", "*")
	}
	resp, err := c.options.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it matters
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer of the admin endpoint: %w", err)
	}
	if resp.StatusCode >= 300 {
		return refusal(resp, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the admin endpoint at %s gave no answer of Tenantgate: %w", c.base, err)
	}
	return nil
}

// refusal makes an error of an answer that is none of success.
func refusal(resp *http.Response, text []byte) error {
	e := new(Error)
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // "" where there is none
	if media != adminapi.ProblemContentType || json.Unmarshal(text, &e.Problem) != nil {
		return fmt.Errorf("the admin endpoint answers %s: does a gateway with the module admin.api.tenants run there?", resp.Status)
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// pageQuery returns the parameters of a page.
func pageQuery(limit int, cursor string) url.Values {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	set(q, "cursor", cursor)
	return q
}

// set leaves out what is empty.
func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
