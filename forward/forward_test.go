package forward_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/forward"
	"github.com/tenantgate/tenantgate/wire"
)

// waitLimit is how long anything may take that has to happen.
const waitLimit = 20 * time.Second

// say starts a server that answers each request on a connection with the next of the answers, in parts: between two parts it
// waits until step is received from. It returns its address.
func say(tb testing.TB, step <-chan struct{}, parts ...string) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(waitLimit))
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				for i, part := range parts {
					if i > 0 {
						<-step
					}
					_, _ = io.WriteString(c, part)
				}
			})
		}
	})
	tb.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

func newForwarder(tb testing.TB) *forward.Forwarder {
	tb.Helper()
	transport := wire.New(wire.Options{ReadTimeout: waitLimit})
	tb.Cleanup(transport.Close)
	return forward.New(transport)
}

// Promise: what may be a stream is passed on as soon as it comes, its header too; what has a length, or is there as a whole, is
// not flushed piece by piece.
func TestFlush(t *testing.T) {
	step := make(chan struct{})
	defer close(step)
	address := say(t, step, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
		"5\r\ndata1\r\n", "5\r\ndata2\r\n0\r\n\r\n")
	f := newForwarder(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f.Do(&forward.Exchange{Request: r, Writer: w}, address); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req) // returns with the header
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, want := range []string{"data1", "data2"} {
		step <- struct{}{}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q %v", got, err)
		}
	}
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n2\r\nle\r\n0\r\n\r\n",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		if err := f.Do(&forward.Exchange{Request: r, Writer: w}, say(t, nil, answer)); err != nil || w.Body.String() != "whole" || w.Flushed {
			t.Errorf("%v, %q, flushed: %t", err, w.Body, w.Flushed)
		}
	}
}

// failing is a client that takes nothing but the header.
type failing struct{ *httptest.ResponseRecorder }

func (failing) Write([]byte) (int, error) { return 0, errGone }

var errGone = errors.New("gone")

// Promise: an exchange tells whether a response had begun when something failed, and whose failure it was.
func TestFailures(t *testing.T) {
	rows := []struct {
		name, address string
		writer        http.ResponseWriter
		begun, client bool
		status        int
	}{
		{"nobody there", "127.0.0.1:1", httptest.NewRecorder(), false, false, 0},
		{"no response", say(t, nil), httptest.NewRecorder(), false, false, 0},
		{"half a response", say(t, nil, "HTTP/1.1 203 OK\r\nContent-Length: 9\r\n\r\nhalf"), httptest.NewRecorder(), true, false, 203},
		{"client is gone", say(t, nil, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"), failing{httptest.NewRecorder()}, true, true, 200},
	}
	f := newForwarder(t)
	for _, row := range rows {
		x := &forward.Exchange{Request: httptest.NewRequest(http.MethodGet, "/", http.NoBody), Writer: row.writer}
		err := f.Do(x, row.address)
		if err == nil || x.Begun != row.begun || forward.IsClientError(err) != row.client || errors.Is(err, errGone) != row.client || x.Status != row.status {
			t.Errorf("%s: %v, begun %t, client %t, status %d", row.name, err, x.Begun, forward.IsClientError(err), x.Status)
		}
	}
}

// extra are fields besides the request's.
type extra []string

// AppendFields implements forward.FieldAppender.
func (e extra) AppendFields(b []byte) ([]byte, error) { return wire.AppendField(b, "X-Extra", e) }

// Replaces implements forward.FieldAppender.
func (extra) Replaces(name string) bool { return name == "X-Extra" }

// Promise: the fields that are given besides arrive once each, with those of the request, and the request is as it was; one
// that cannot be sent ends the exchange before anything was.
func TestFields(t *testing.T) {
	var got http.Header
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer up.Close()
	address := strings.TrimPrefix(up.URL, "http://")
	f := newForwarder(t)
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header = http.Header{"X-Own": {"1", "2"}, "X-Extra": {"replaced"}, "X-Forwarded-For": nil, "X-Forwarded-Host": nil}
	before := fmt.Sprint(r.Header)
	x := &forward.Exchange{Request: r, Writer: httptest.NewRecorder(), Fields: extra{"a", "b"}}
	if err := f.Do(x, address); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got["X-Own"], got["X-Extra"]) != "[1 2] [a b]" || fmt.Sprint(r.Header) != before || x.Status != http.StatusOK || x.Latency <= 0 {
		t.Errorf("%v, %v", got, r.Header)
	}
	if got["X-Forwarded-For"] != nil || got["X-Forwarded-Host"] != nil || got.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("a handler wanted fields not to be sent: %v", got)
	}
	got = nil
	x = &forward.Exchange{Request: r, Writer: httptest.NewRecorder(), Fields: extra{"secret\r\nX: y"}}
	if err := f.Do(x, address); err == nil || x.Begun || got != nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v, begun %t, %v", err, x.Begun, got)
	}
}

// nullWriter is a client that costs nothing.
type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}

// Promise: passing a request and its response of three fields on costs no more than 8 allocations: those of wire, and the list of Via.
func TestAllocations(t *testing.T) {
	address := canned(t)
	f := newForwarder(t)
	r := httptest.NewRequest(http.MethodGet, "/api/tasks?page=1", http.NoBody)
	r.Header = http.Header{"User-Agent": {"bench"}, "Accept": {"*/*"}, "Connection": {"keep-alive"}, "X-Tenant-Slug": {"acme"}}
	w := &nullWriter{http.Header{}}
	n := testing.AllocsPerRun(500, func() {
		clear(w.header)
		if err := f.Do(&forward.Exchange{Request: r, Writer: w}, address); err != nil {
			t.Fatal(err)
		}
	})
	if n > 8 {
		t.Errorf("%.1f allocations", n)
	}
}

// canned starts a server that answers every request without a body with the same bytes, and makes no allocation for it.
func canned(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := make([]byte, 8<<10)
				out := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 13\r\n\r\nHello, world!")
				for {
					if n, err := c.Read(in); err != nil || n < 4 || string(in[n-4:n]) != "\r\n\r\n" {
						return
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// BenchmarkDo is a request passed on and its response passed back, without the server that has received it.
func BenchmarkDo(b *testing.B) {
	address := canned(b)
	f := newForwarder(b)
	r := httptest.NewRequest(http.MethodGet, "/api/tasks?page=1", http.NoBody)
	r.Header = http.Header{"User-Agent": {"bench"}, "Accept": {"*/*"}, "Connection": {"keep-alive"}, "X-Tenant-Slug": {"acme"}}
	w := &nullWriter{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		if err := f.Do(&forward.Exchange{Request: r, Writer: w}, address); err != nil {
			b.Fatal(err)
		}
	}
}
