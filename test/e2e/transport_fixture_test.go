package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/tenantgate/tenantgate/test/harness"
)

// transports are the paths under which the gateway of [startTransports] sends with each transport, and with tenant_proxy.
var transports = []string{"/lean", "/own", "/standard"}

// leanUpstream answers by path, and counts what is under way and its connections.
type leanUpstream struct {
	address string
	open    atomic.Int64
	conns   atomic.Int64
}

func startLeanUpstream(t *testing.T) *leanUpstream {
	t.Helper()
	u := &leanUpstream{}
	server := httptest.NewUnstartedServer(u)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			u.conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	u.address = strings.TrimPrefix(server.URL, "http://")
	return u
}

func (u *leanUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.open.Add(1)
	defer u.open.Add(-1)
	flush := http.NewResponseController(w).Flush
	switch r.URL.Path {
	case "/echo": // the body comes back when all of it is there, with what it was framed by, and its trailer
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Framing", fmt.Sprint(r.ContentLength, r.TransferEncoding))
		_, _ = w.Write(body)
		w.Header().Set("X-Sum", "sum:"+r.Trailer.Get("X-Client-Sum"))
	case "/header":
		for _, name := range []string{"X-Tenant-Slug", "X-Forwarded-For", "X-Spoofed", "Connection", "User-Agent"} {
			w.Header().Set("Got-"+name, strings.Join(r.Header.Values(name), ","))
		}
		w.Header().Set("Got-Host", r.Host)
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
	case "/204":
		w.WriteHeader(http.StatusNoContent)
	case "/304":
		w.Header().Set("ETag", `"tag"`)
		w.WriteHeader(http.StatusNotModified)
	case "/hints":
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		_, _ = io.WriteString(w, "hinted")
	case "/413": // before the body, of which nothing is read
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case "/hang":
		_ = flush()
		<-r.Context().Done()
	case "/hang/header":
		<-r.Context().Done()
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", n)
			_ = flush()
			if n < 2 {
				continue
			}
			<-r.Context().Done()
		}
	case "/die":
		_, _ = io.WriteString(w, "half")
		_ = flush()
		panic(http.ErrAbortHandler)
	case "/ws":
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		for {
			kind, message, err := conn.Read(context.WithoutCancel(r.Context()))
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}
}

// startRawUpstream answers each request with the bytes that answers has for its path, and closes the connection.
func startRawUpstream(t *testing.T, answers map[string]string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, answers[r.URL.Path])
				}
			}()
		}
	}()
	return l.Addr().String()
}

// startTransports starts a gateway that sends with transport tenant below /lean and with the standard one below /standard:
// and with tenant_proxy below /own: acme to the first upstream, globex to the second, and initech to one where nobody listens.
// Below /hurried transport tenant waits 100 ms for a header.
func startTransports(t *testing.T, first, second string) *harness.Gateway {
	t.Helper()
	b := fileBackend(t)
	dead := harness.FreeAddress(t)
	env := func(id, upstream string) []environment {
		return []environment{{
			ID: id, Slug: "production", Name: "Production", Type: "production", IsDefault: true, Upstreams: []string{upstream},
		}}
	}
	b.load(t, document{
		Plans: []plan{{Name: "pro"}},
		Tenants: []tenant{
			{ID: acmeID, Slug: "acme", Name: "Acme Corp", Plan: "pro", Environments: env(acmeProdID, first)},
			{ID: globexID, Slug: "globex", Name: "Globex", Plan: "pro", Environments: env(globexProd, second)},
			{ID: "0190a000-0000-7000-8000-000000000003", Slug: "initech", Name: "Initech", Plan: "pro", Environments: env("0190a000-0000-7000-8000-000000000031", dead)},
		},
	})
	g := harness.Start(t, harness.Options{
		Tenants: b.directive(""),
		Env:     b.env(),
		Site: `tenant {
		identify subdomain {tenant}.app.test
	}
	handle_path /lean/* {
		reverse_proxy {
			dynamic tenant
			transport tenant {
				max_response_header 64KiB
			}
		}
	}
	handle_path /own/* {
		tenant_proxy {
			transport tenant {
				max_response_header 64KiB
			}
		}
	}
	handle_path /standard/* {
		reverse_proxy {
			dynamic tenant
		}
	}
	handle_path /hurried/* {
		reverse_proxy {
			dynamic tenant
			transport tenant {
				response_header_timeout 100ms
			}
		}
	}
	respond 404`,
	})
	// Both tenants are in the cache from here on.
	for _, host := range []string{"acme.app.test", "globex.app.test"} {
		harness.Eventually(t, transportLimit, g.Expect(t.Context(), host, http.StatusNotFound, ""))
	}
	return g
}

// sent is what came back for a request.
type sent struct {
	status          int
	header, trailer http.Header
	body            string
	err             error // also where the body ends too early
}

// sendBy sends a request for acme, which change may change, and reads the answer.
func sendBy(t *testing.T, g *harness.Gateway, method, path string, body io.Reader, change func(*http.Request)) sent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), transportLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+g.Address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "acme.app.test"
	if change != nil {
		change(r)
	}
	resp, err := g.Client.Do(r)
	if err != nil {
		return sent{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return sent{resp.StatusCode, resp.Header, resp.Trailer, string(text), err}
}

// ofGlobex makes a request one for globex.
func ofGlobex(r *http.Request) { r.Host = "globex.app.test" }

// ofInitech makes a request the tenant's at whose upstream nobody listens.
func ofInitech(r *http.Request) { r.Host = "initech.app.test" }
