package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/test/harness"
)

// requestTimeout bounds every request. Whatever takes longer hangs.
const requestTimeout = 20 * time.Second

// apiHost is a host that names no tenant.
const apiHost = "api.test"

// job is one request with what may come back.
type job struct {
	ask harness.Ask
	// reference is whom it is for; nil where the answer is always the same.
	reference *reference
	// status and code are that answer; a status of 0 stands for anything that is neither served nor a failure.
	status int
	code   string
	// send sends it; nil: as HTTP over a connection that is kept.
	send func(ctx context.Context, g *gateway, ask harness.Ask) (harness.Answer, error)
	// noAnswer says that the gateway may close the connection without an answer.
	noAnswer bool
	// look checks an answer that was served.
	look func(harness.Answer, harness.Echo) error
}

// kind is a kind of requests.
type kind struct {
	name string
	// weight is how many of all weights' sum are of this kind.
	weight int
	make   func(w *world) *job
	// slow leaves its times out of the percentiles of all.
	slow bool
}

// kinds are all kinds of requests.
var kinds = []kind{
	{name: "steady, by subdomain, domain, key, session, token", weight: 300, make: func(w *world) *job { return naming(w.pick(&w.steady)) }},
	{name: "steady, by path", weight: 40, make: func(w *world) *job { return byPath(w.kindOf(bySlug)) }},
	{name: "steady, by header", weight: 40, make: func(w *world) *job { return byHeader(w.kindOf(bySlug)) }},
	{name: "slow upstream", weight: 15, slow: true, make: func(w *world) *job { return naming(w.pick(&w.slow)) }},
	{name: "mortal upstream", weight: 30, make: func(w *world) *job { return naming(w.pick(&w.mortal)) }},
	{name: "moving", weight: 200, make: moving},
	{name: "ended", weight: 20, make: func(w *world) *job { return naming(w.pick(&w.ended)) }},
	{name: "over quota", weight: 60, make: func(w *world) *job { return naming(w.pick(&w.limited)) }},
	{name: "suspended and archived", weight: 30, make: func(w *world) *job { return naming(w.pick(&w.refused)) }},
	{name: "unknown", weight: 50, make: unknown},
	{name: "sources that disagree", weight: 30, make: disagreeing},
	{name: "headers that pretend", weight: 40, make: pretending},
	{name: "bad credentials", weight: 20, make: badCredentials},
	{name: "garbage", weight: 20, make: garbage},
	{name: "upload of 1 MiB", weight: 4, slow: true, make: upload},
	{name: "download of 2 MiB", weight: 4, slow: true, make: download},
	{name: "HTTPS, certificate on demand", weight: 8, slow: true, make: secure},
	{name: "HTTPS, name without a certificate", weight: 4, slow: true, make: insecure},
}

// naming names a reference in the way of its kind.
func naming(r *reference) *job {
	if r == nil {
		return nil
	}
	j := &job{reference: r, ask: harness.Ask{Host: apiHost, Path: "/soak", Header: map[string]string{}}}
	switch r.kind {
	case bySlug:
		j.ask.Host = r.value + ".app.test"
		if r.environment != "" {
			j.ask.Host = r.value + "--" + r.environment + ".app.test"
		}
	case byDomain:
		j.ask.Host = r.value
	case byKey:
		j.ask.Header["X-Api-Key"] = r.value
	case bySession:
		j.ask.Header["Cookie"] = sessionCookie(r.value)
	case byToken:
		j.ask.Header["Authorization"], _ = bearer(tokenSecret, r.value)
	}
	return j
}

func byPath(r *reference) *job {
	return &job{reference: r, ask: harness.Ask{Host: apiHost, Path: "/t/" + r.value + "/soak"}, look: func(_ harness.Answer, e harness.Echo) error {
		if e.URI != "/soak" {
			return fmt.Errorf("the upstream got %s, want /soak", e.URI)
		}
		return nil
	}}
}

func byHeader(r *reference) *job {
	return &job{reference: r, ask: harness.Ask{Host: apiHost, Header: map[string]string{"X-Tenant-ID": r.value}}}
}

func moving(w *world) *job {
	r := w.pick(&w.moving)
	if r.kind == bySlug {
		switch rand.IntN(4) {
		case 0:
			return byPath(r)
		case 1:
			return byHeader(r)
		}
	}
	return naming(r)
}

func unknown(*world) *job {
	j := &job{ask: harness.Ask{Host: "nobody-" + uuid.NewString()[:18] + ".app.test"}, status: http.StatusNotFound, code: "tenant_not_found"}
	j.ask.Host = strings.ReplaceAll(j.ask.Host, "--", "-")
	if rand.IntN(4) == 0 {
		j.ask.Host = "nobody-" + uuid.NewString() + ".test"
	}
	return j
}

func disagreeing(w *world) *job {
	a := w.kindOf(bySlug)
	b := w.other(a)
	return &job{
		ask:    harness.Ask{Host: a.value + ".app.test", Header: map[string]string{"X-Tenant-ID": b.value}},
		status: http.StatusForbidden, code: "tenant_conflict",
	}
}

// pretending sends another tenant's name in headers that only the gateway may set.
func pretending(w *world) *job {
	j := naming(w.pick(&w.steady))
	other := w.kindOf(bySlug).leads.last()
	for _, name := range []string{"X-Tenant-Slug", "x_tenant_id", "X_Environment_Id", "X-Tenant_Plan", "X-User-Role"} {
		j.ask.Header[name] = other.tenant
	}
	j.look = func(_ harness.Answer, e harness.Echo) error {
		for name := range e.Header {
			for _, value := range e.Values(name) {
				if value == other.tenant && j.reference.leads.last().tenant != other.tenant {
					return &wrongTenant{fmt.Sprintf("the upstream of %s was told %s: %s", j.reference.value, name, value)}
				}
			}
		}
		return nil
	}
	return j
}

func badCredentials(w *world) *job {
	r := w.kindOf(bySlug)
	j := &job{ask: harness.Ask{Host: r.value + ".app.test", Header: map[string]string{}}, status: http.StatusUnauthorized, code: "credentials_invalid"}
	switch rand.IntN(3) {
	case 0:
		j.ask.Header["Authorization"], _ = bearer("another secret that is not the gateway's own", r.value)
	case 1:
		j.ask.Header["X-Api-Key"] = "tg_production_0123456789abcdefghijklmnopqrstuvwxyz0123"
	default:
		j.ask.Header["Cookie"] = sessionCookie(uuid.NewString())
	}
	return j
}

// garbage is what no decent client sends.
func garbage(w *world) *job {
	slug := w.kindOf(bySlug).value
	texts := []string{
		"GET /t/" + slug + "%2Fsoak HTTP/1.1\r\nHost: " + apiHost + "\r\n\r\n",
		"GET /t/" + slug + "/../x HTTP/1.1\r\nHost: " + apiHost + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + strings.Repeat("a", 300) + ".app.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: -" + slug + "-.app.test\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: " + slug + ".app.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + apiHost + "\r\nX-Tenant-ID: " + strings.Repeat("x", 5000) + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + slug + ".app.test\r\nContent-Length: 5\r\nTransfer-Encoding: nonsense\r\n\r\nhello",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"GET / HTTP/9.9\r\nHost: " + slug + ".app.test\r\n\r\n",
	}
	text := texts[rand.IntN(len(texts))]
	return &job{noAnswer: true, send: func(ctx context.Context, g *gateway, _ harness.Ask) (harness.Answer, error) {
		return harness.SendRaw(ctx, g.address, text)
	}}
}

func upload(w *world) *job {
	j := naming(w.pick(&w.steady))
	body := strings.Repeat(uuid.NewString(), 1<<20/36)
	sum := sha256.New()
	sum.Write([]byte(body))
	j.ask.Method, j.ask.Body = http.MethodPut, body
	// What has this header may be sent again where a connection turns out to be closed (net/http.Transport).
	j.ask.Header["Idempotency-Key"] = uuid.NewString()
	want := digest(int64(len(body)), sum)
	j.look = func(_ harness.Answer, e harness.Echo) error {
		if e.Body != want {
			return fmt.Errorf("the upstream got a body of %s, want %s", e.Body, want)
		}
		return nil
	}
	return j
}

func download(w *world) *job {
	const size = 2 << 20
	j := naming(w.pick(&w.steady))
	j.ask.Path = fmt.Sprintf("%s?bytes=%d", pathDownload, size)
	j.look = func(a harness.Answer, _ harness.Echo) error {
		if len(a.Body) != size || strings.Trim(a.Body, " ") != "" {
			return fmt.Errorf("a body of %d bytes, want %d spaces", len(a.Body), size)
		}
		return nil
	}
	return j
}

// secure asks for a steady tenant's domain over a new TLS connection.
func secure(w *world) *job {
	j := naming(w.kindOf(byDomain))
	j.send = func(ctx context.Context, g *gateway, ask harness.Ask) (harness.Answer, error) {
		client := &http.Client{Timeout: requestTimeout, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialTLSContext:    func(ctx context.Context, _, _ string) (net.Conn, error) { return g.dialSecure(ctx, ask.Host) },
		}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+ask.Host+ask.Path, http.NoBody)
		if err != nil {
			return harness.Answer{}, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return harness.Answer{}, err
		}
		defer resp.Body.Close() //nolint:errcheck // read only
		b, err := io.ReadAll(resp.Body)
		return harness.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(b)}, err
	}
	return j
}

// insecure asks for a certificate for a name that is nobody's.
func insecure(*world) *job {
	return &job{noAnswer: true, send: func(ctx context.Context, g *gateway, _ harness.Ask) (harness.Answer, error) {
		conn, err := g.dialSecure(ctx, "nobody-"+uuid.NewString()+".test")
		if err != nil {
			return harness.Answer{}, err
		}
		return harness.Answer{Status: http.StatusOK}, errors.Join(conn.Close())
	}}
}

// read makes a result of an answer.
func read(a harness.Answer) result {
	r := result{status: a.Status}
	if a.Status == http.StatusOK {
		text := a.Header.Get("Upstream-Echo")
		if text == "" {
			text = a.Body
		}
		_ = json.Unmarshal([]byte(text), &r.echo) // an answer without an echo fits nothing
		return r
	}
	var p harness.Problem
	if json.Unmarshal([]byte(a.Body), &p) == nil {
		r.code = p.Code
		if r.quota = p.ExceededQuota; p.Limit != nil && p.CurrentUsage != nil {
			r.quota += fmt.Sprintf(" (%.0f of %.0f)", *p.CurrentUsage, *p.Limit)
		}
	}
	return r
}
