package harness_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// Promise: an upstream tells everything that it received, and is a process of its own.
func TestUpstreamEchoes(t *testing.T) {
	upstream := harness.StartUpstream(t, "blue")
	answer, err := harness.Send(t.Context(), harness.NewClient(1), upstream.Address, harness.Ask{
		Method: "POST", Host: "acme.test", Path: "/a%2Fb?c=d", Body: "hello",
		Header: map[string]string{"X-Tenant-ID": "1", "x_tenant_id": "2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	echo := answer.Echo(t)
	if echo.Upstream != "blue" || echo.Method != "POST" || echo.Host != "acme.test" || echo.URI != "/a%2Fb?c=d" || echo.Body != "hello" {
		t.Errorf("got %+v", echo)
	}
	if got := echo.Values("X-Tenant-ID"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("the header in all its spellings is %q", got)
	}
}

// Promise: what the end-to-end tests rest on: the proxy passes bytes, counts texts even where they come in pieces,
// hangs without closing, goes down by reset, and heals.
func TestProxy(t *testing.T) {
	server := echoServer(t)
	proxy := harness.StartProxy(t, server)
	count := proxy.Watch("acme")

	conn := dial(t, proxy.Address)
	for _, piece := range []string{"ac", "me acme", " a", "c", "me"} {
		exchange(t, conn, piece)
	}
	if got := count(); got != 3 {
		t.Errorf("counted %d times, want 3", got)
	}
	if got := proxy.BytesIn(); got != 14 {
		t.Errorf("counted %d bytes, want 14", got)
	}

	proxy.Hang()
	late := dial(t, proxy.Address)
	for _, c := range []net.Conn{conn, late} {
		write(t, c, "x")
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("while it hangs, a read gives %v, want a timeout", err)
		}
	}
	proxy.Resume()
	for _, c := range []net.Conn{conn, late} {
		read(t, c, "x")
	}

	proxy.Down()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an open connection survived: %v", err)
	}
	if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", proxy.Address); err == nil {
		c.Close()
		t.Error("a new connection was taken while down")
	}
	proxy.Up(t)
	exchange(t, dial(t, proxy.Address), "again")
	if got := proxy.Connections(); got != 3 {
		t.Errorf("%d connections, want 3", got)
	}
}

// Promise: a condition that comes true is noticed, and how long it took is known.
func TestEventually(t *testing.T) {
	begin := time.Now()
	took := harness.Eventually(t, 5*time.Second, func() error {
		if since := time.Since(begin); since < 30*time.Millisecond {
			return fmt.Errorf("only %s", since)
		}
		return nil
	})
	if took < 30*time.Millisecond || took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// echoServer returns the address of a server that sends back each byte.
func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return ln.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func exchange(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	write(t, conn, text)
	read(t, conn, text)
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("read %q (%v), want %q", got, err, want)
	}
}
