package caddymodule

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tenantgate/tenantgate/test/harness"
)

// streamClient has no timeout: what it opens is meant to last.
var streamClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// streamUpstream is an upstream whose answers do not end by themselves.
type streamUpstream struct {
	address string
	open    atomic.Int64 // requests that are being served
	ended   chan error   // why WebSockets have ended
}

func newStreamUpstream(tb testing.TB) *streamUpstream {
	tb.Helper()
	u := &streamUpstream{ended: make(chan error, 1000)}
	server := httptest.NewServer(u)
	tb.Cleanup(server.Close)
	u.address = strings.TrimPrefix(server.URL, "http://")
	return u
}

// ServeHTTP serves /ws, which echoes; /busy, which sends messages of 100 KB without end; /events, an event each 10 ms;
// /idle, one event; /chunks and /file, a large body without and with a length; /upload, which takes any body; /tunnel, another protocol that echoes.
func (u *streamUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.open.Add(1)
	defer u.open.Add(-1)
	rc := http.NewResponseController(w)
	switch r.URL.Path {
	case "/ws", "/busy":
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			u.ended <- err
			return
		}
		defer func() { _ = conn.CloseNow() }()
		if r.URL.Path == "/busy" {
			go func() {
				for message := make([]byte, 100<<10); conn.Write(r.Context(), websocket.MessageBinary, message) == nil; {
				}
			}()
		}
		for {
			kind, message, err := conn.Read(context.WithoutCancel(r.Context()))
			if err != nil {
				u.ended <- err
				return
			}
			if err := conn.Write(r.Context(), kind, message); err != nil {
				u.ended <- err
				return
			}
		}
	case "/events", "/idle":
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			fmt.Fprint(w, "data: event\n\n")
			_ = rc.Flush()
			if r.URL.Path == "/idle" {
				<-r.Context().Done()
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	case "/chunks", "/file":
		if r.URL.Path == "/file" {
			w.Header().Set("Content-Length", "1000000000")
		}
		for chunk := make([]byte, 32<<10); r.Context().Err() == nil; time.Sleep(time.Millisecond) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	case "/upload":
		_, err := io.Copy(io.Discard, r.Body)
		u.ended <- err
	case "/tunnel":
		conn, brw, err := rc.Hijack()
		if err != nil {
			u.ended <- err
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, err = io.Copy(conn, brw)
		u.ended <- err
	}
}

// waitEnded returns why a connection has ended, as the upstream sees it.
func (u *streamUpstream) waitEnded(t *testing.T) error {
	t.Helper()
	select {
	case err := <-u.ended:
		return err
	case <-time.After(patience):
		t.Error("the upstream's end is still open")
		return nil
	}
}

// streamSite is the site of these tests.
const streamSite = "tenant {\nidentify subdomain {tenant}.app.test {tenant}--{environment}.app.test\nidentify domain\n}\nreverse_proxy {\ndynamic tenant\n}\n"

// streamServer is a gateway before a streamUpstream, with the tenants acme (environments production and dev, a domain)
// and globex, and its registry.
func streamServer(t *testing.T) (*server, *streamUpstream, *sql.DB) {
	t.Helper()
	u := newStreamUpstream(t)
	s := newServer(t)
	s.mustLoad(s.fileRegistry(streamTenants(u)), streamSite)
	return s, u, harness.OpenSQL(t, "file:"+filepath.Join(s.dir, "registry", "tenants.db"), "")
}

func streamTenants(u *streamUpstream) string {
	env := func(slug string, more string) string {
		return fmt.Sprintf(`{"slug": %q, "type": "production", "upstreams": [%q]%s}`, slug, u.address, more)
	}
	return fmt.Sprintf(`{"plans": [{"name": "pro"}], "tenants": [
		{"slug": "acme", "plan": "pro", "environments": [%s, %s]},
		{"slug": "globex", "plan": "pro", "quotas": {"apiRateLimit": 100000}, "environments": [%s]}]}`,
		env("production", `, "isDefault": true, "domains": ["app.acme.test"]`), env("dev", ""), env("production", `, "isDefault": true`))
}

// dial opens a WebSocket and sees that it works.
func (s *server) dial(t *testing.T, host, path string) *websocket.Conn {
	t.Helper()
	//nolint:bodyclose // there is none with an upgrade
	conn, res, err := websocket.Dial(t.Context(), "ws://127.0.0.1:"+s.port+path, &websocket.DialOptions{Host: host, HTTPClient: streamClient})
	if err != nil {
		t.Fatalf("%s: %v (%v)", host, err, res)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	return conn
}

// echoes reports whether the WebSocket still carries messages.
func echoes(ctx context.Context, conn *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		return err
	}
	_, message, err := conn.Read(ctx)
	if err == nil && string(message) != "hello" {
		err = fmt.Errorf("got %q", message)
	}
	return err
}

// closeError reads until the WebSocket ends and returns why.
func closeError(t *testing.T, conn *websocket.Conn) websocket.CloseError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			var closed websocket.CloseError
			if !errors.As(err, &closed) {
				t.Errorf("the WebSocket ended without a close frame: %v", err)
			}
			return closed
		}
	}
}

// Promise: a WebSocket is closed with 1008 and the code of the refusal when its tenant, its environment or its name may
// not be served any more; that of another tenant goes on. The upstream gets the close, too.
func TestWebSocketsAreClosed(t *testing.T) {
	for _, tt := range []struct {
		name, host, write, reason string
	}{
		{"tenant suspended", "acme.app.test", "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'", "tenant_suspended"},
		{"environment suspended", "acme--dev.app.test", "UPDATE sys_environment SET status = 'suspended' WHERE slug = 'dev'", "environment_suspended"},
		{"environment archived", "acme--dev.app.test", "UPDATE sys_environment SET status = 'archived' WHERE slug = 'dev'", "environment_inactive"},
		{"subscription over", "acme.app.test", "UPDATE sys_organization SET subscription_expires_at = '2020-01-01T00:00:00Z' WHERE slug = 'acme'", "subscription_expired"},
		{"domain removed", "app.acme.test", "DELETE FROM sys_domain WHERE hostname = 'app.acme.test'", "tenant_not_found"},
		{"domain moved", "app.acme.test", "UPDATE sys_domain SET environment_id = (SELECT e.id FROM sys_environment e JOIN sys_organization o ON o.id = e.organization_id WHERE o.slug = 'globex') WHERE hostname = 'app.acme.test'", "misdirected_request"},
		{"tenant deleted", "acme.app.test", "DELETE FROM sys_organization WHERE slug = 'acme'", "tenant_not_found"},
		{"renamed", "acme.app.test", "UPDATE sys_organization SET slug = 'acme-inc' WHERE slug = 'acme'", "tenant_not_found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, u, db := streamServer(t)
			conn, other := s.dial(t, tt.host, "/ws"), s.dial(t, "globex.app.test", "/ws")
			for _, c := range []*websocket.Conn{conn, other} {
				if err := echoes(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			harness.Exec(t, db, tt.write)
			if got := closeError(t, conn); got.Code != websocket.StatusPolicyViolation || got.Reason != tt.reason {
				t.Errorf("closed with %d %q, want 1008 %q", got.Code, got.Reason, tt.reason)
			}
			var closed websocket.CloseError
			if err := u.waitEnded(t); !errors.As(err, &closed) || closed.Code != websocket.StatusPolicyViolation {
				t.Errorf("the upstream's end was closed with %v", err)
			}
			if err := echoes(t.Context(), other); err != nil {
				t.Errorf("the other tenant's: %v", err)
			}
			eventually(t, "the log", func() bool { return len(s.logged(`"msg":"stream closed"`)) == 1 })
			if line := s.logged(`"msg":"stream closed"`)[0]; !strings.Contains(line, `"code":"`+tt.reason+`"`) || !strings.Contains(line, `"tenant":"acme"`) {
				t.Error(line)
			}
		})
	}
}

// Promise: a close frame never lands inside another frame, also when the upstream sends without a pause.
func TestBusyWebSocketIsClosed(t *testing.T) {
	s, u, db := streamServer(t)
	conn := s.dial(t, "acme.app.test", "/busy")
	for range 10 {
		if _, _, err := conn.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	harness.Exec(t, db, "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'")
	if got := closeError(t, conn); got.Code != websocket.StatusPolicyViolation || got.Reason != "tenant_suspended" {
		t.Errorf("closed with %d %q", got.Code, got.Reason)
	}
	_ = u.waitEnded(t)
}

// Promise: a client that reads nothing, and so gets no close frame, is cut off all the same, and so is its upstream.
func TestStuckWebSocketIsClosed(t *testing.T) {
	s, u, db := streamServer(t)
	s.dial(t, "acme.app.test", "/busy")
	eventually(t, "it is open", func() bool { return u.open.Load() == 1 })
	harness.Exec(t, db, "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'")
	_ = u.waitEnded(t)
}

// Promise: an upgrade to anything but WebSocket is closed, too.
func TestOtherUpgradesAreClosed(t *testing.T) {
	s, u, db := streamServer(t)
	r := s.request(http.MethodGet, "acme.app.test", "/tunnel", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}})
	res, err := streamClient.Do(r)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	defer res.Body.Close()
	conn := res.Body.(io.ReadWriteCloser)
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	harness.Exec(t, db, "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'")
	if rest, err := io.ReadAll(conn); err == nil && len(rest) > 0 {
		t.Errorf("got %q", rest)
	}
	_ = u.waitEnded(t)
}

// Promise: a response in progress is cut off, and the client can tell that it is not whole; the upstream's request ends,
// and the other tenant's response goes on.
func TestResponsesAreCutOff(t *testing.T) {
	for _, path := range []string{"/events", "/idle", "/chunks", "/file"} {
		t.Run(path, func(t *testing.T) {
			s, u, db := streamServer(t)
			open := func(host string) *bufio.Reader {
				res, err := streamClient.Do(s.request(http.MethodGet, host, path, nil))
				if err != nil || res.StatusCode != http.StatusOK {
					t.Fatalf("%v, %v", res, err)
				}
				t.Cleanup(func() { res.Body.Close() })
				return bufio.NewReader(res.Body)
			}
			body, other := open("acme.app.test"), open("globex.app.test")
			for _, r := range []*bufio.Reader{body, other} {
				n := 13
				if path == "/chunks" || path == "/file" {
					n = longBody + 1
				}
				if _, err := r.Discard(n); err != nil {
					t.Fatal(err)
				}
			}
			harness.Exec(t, db, "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'")
			if _, err := io.Copy(io.Discard, body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the response ends with %v", err)
			}
			eventually(t, "the upstream's request ends", func() bool { return u.open.Load() == 1 })
			if path != "/idle" {
				if _, err := other.Discard(1000); err != nil {
					t.Errorf("the other tenant's: %v", err)
				}
			}
		})
	}
}

// Promise: an upload in progress is cut off as well, whether it says how long it is or not.
func TestUploadsAreCutOff(t *testing.T) {
	for _, length := range []int64{-1, 1 << 30} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			s, u, db := streamServer(t)
			out, in := io.Pipe()
			defer in.Close()
			r := s.request(http.MethodPost, "acme.app.test", "/upload", nil)
			r.Body, r.ContentLength = out, length
			answered := make(chan error, 1)
			go func() {
				res, err := streamClient.Do(r)
				if err == nil {
					res.Body.Close()
				}
				answered <- err
			}()
			go func() { // until the client gives up
				for chunk := make([]byte, 1000); ; time.Sleep(time.Millisecond) {
					if _, err := in.Write(chunk); err != nil {
						return
					}
				}
			}()
			eventually(t, "the upstream has the request", func() bool { return u.open.Load() == 1 })
			harness.Exec(t, db, "UPDATE sys_organization SET status = 'suspended' WHERE slug = 'acme'")
			select {
			case err := <-answered:
				if err == nil {
					t.Error("the upload was answered")
				}
			case <-time.After(patience):
				t.Fatal("the upload goes on")
			}
			if err := u.waitEnded(t); err == nil {
				t.Error("the upstream takes the upload for a whole one")
			}
		})
	}
}
