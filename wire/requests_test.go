package wire_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// requestRow is a request, and what the server receives.
type requestRow struct {
	name  string
	ask   func(s *script, t *testing.T) *http.Request
	fails bool // with an error, and nothing that is a request arrives

	line    string // "GET /"; compared if not empty
	host    string // that of the server if empty
	header  map[string][]string
	absent  []string
	body    string
	chunked bool
	length  int64
	trailer http.Header
	close   bool

	differs string // why this transport refuses it
}

// simple makes a request, and lets change turn it into the row's.
func simple(method, target string, body func() io.Reader, change ...func(*http.Request)) func(*script, *testing.T) *http.Request {
	return func(s *script, t *testing.T) *http.Request {
		var b io.Reader
		if body != nil {
			b = body()
		}
		r := s.newRequest(t.Context(), method, target, b)
		for _, f := range change {
			f(r)
		}
		return r
	}
}

// of returns bodies of known length.
func of(text string) func() io.Reader {
	return func() io.Reader { return strings.NewReader(text) }
}

// unknown returns bodies of unknown length.
func unknown(text string) func() io.Reader {
	return func() io.Reader { return iotest.HalfReader(strings.NewReader(text)) }
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

var big = strings.Repeat("0123456789abcdef", 20000)

var requestRows = []requestRow{
	{name: "GET", ask: simple("GET", "/", nil), line: "GET /", absent: []string{"Content-Length", "Transfer-Encoding", "Connection"}},
	{name: "no method", ask: simple("", "/a", nil), line: "GET /a"},
	{name: "own method", ask: simple("PROPFIND", "/a", nil), line: "PROPFIND /a"},
	{name: "query", ask: simple("GET", "/a/b?c=d&e=%20f", nil), line: "GET /a/b?c=d&e=%20f"},
	{name: "empty query", ask: simple("GET", "/a?", nil), line: "GET /a?"},
	{name: "no path", ask: simple("GET", "", nil), line: "GET /"},
	{name: "escaped path", ask: simple("GET", "/a%2Fb/%C3%A4%20", nil), line: "GET /a%2Fb/%C3%A4%20"},
	{name: "path to be escaped", ask: simple("GET", "/", nil, func(r *http.Request) { r.URL.Path = "/ä b\r\n" }), line: "GET /%C3%A4%20b%0D%0A"},
	{name: "two slashes", ask: simple("GET", "//a//b", nil), line: "GET //a//b"},
	{name: "OPTIONS *", ask: simple("OPTIONS", "/", nil, func(r *http.Request) { r.URL.Path = "*" }), line: "OPTIONS *"},
	{name: "host", ask: simple("GET", "/", nil, func(r *http.Request) { r.Host = "acme.example.com:8080" }), host: "acme.example.com:8080"},
	{name: "host of the URL", ask: simple("GET", "/", nil, func(r *http.Request) { r.Host = "" })},
	{name: "IDNA host", ask: simple("GET", "/", nil, func(r *http.Request) { r.Host = "bücher.example" }), host: "xn--bcher-kva.example"},
	{name: "IPv6 zone", ask: simple("GET", "/", nil, func(r *http.Request) { r.Host = "[fe80::1%25eth0]:80" }), host: "[fe80::1]:80"},
	{name: "user agent", ask: simple("GET", "/", nil, header("User-Agent", "me")), header: map[string][]string{"User-Agent": {"me"}}},
	{name: "default user agent", ask: simple("GET", "/", nil), header: map[string][]string{"User-Agent": {"Go-http-client/1.1"}}},
	{name: "no user agent", ask: simple("GET", "/", nil, header("User-Agent", "")), absent: []string{"User-Agent"}},
	{name: "several values", ask: simple("GET", "/", nil, header("X-A", "1", "2")), header: map[string][]string{"X-A": {"1", "2"}}},
	{name: "spaces around a value", ask: simple("GET", "/", nil, header("X-A", "\t 1 ")), header: map[string][]string{"X-A": {"1"}}},
	{name: "empty value", ask: simple("GET", "/", nil, header("X-A", "")), header: map[string][]string{"X-A": {""}}},
	{name: "framing fields of the caller", ask: simple("GET", "/", nil, header("Content-Length", "5"), header("Transfer-Encoding", "chunked"), header("Host", "evil"), header("Trailer", "X")), absent: []string{"Content-Length", "Transfer-Encoding", "Trailer"}},
	{name: "te", ask: simple("GET", "/", nil, header("Te", "trailers")), header: map[string][]string{"Te": {"trailers"}}},
	{name: "close", ask: simple("GET", "/", nil, func(r *http.Request) { r.Close = true }), close: true},
	{name: "close in the header", ask: simple("GET", "/", nil, header("Connection", "close")), close: true},
	{name: "POST, no body", ask: simple("POST", "/", nil), header: map[string][]string{"Content-Length": {"0"}}},
	{name: "DELETE, no body", ask: simple("DELETE", "/", nil), absent: []string{"Content-Length", "Transfer-Encoding"}},
	{name: "POST, length", ask: simple("POST", "/", of("hello")), body: "hello", length: 5},
	{name: "PUT, large", ask: simple("PUT", "/", of(big)), body: big, length: int64(len(big))},
	{name: "GET with a body", ask: simple("GET", "/", of("hello")), body: "hello", length: 5},
	{name: "POST, chunked", ask: simple("POST", "/", unknown("hello")), body: "hello", chunked: true, length: -1},
	{name: "POST, chunked, large", ask: simple("POST", "/", unknown(big)), body: big, chunked: true, length: -1},
	{name: "POST, chunked, empty", ask: simple("POST", "/", unknown("")), chunked: true, length: -1},
	{name: "known length sent chunked", ask: simple("POST", "/", of("hello"), func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }), body: "hello", chunked: true, length: -1},
	{name: "expect", ask: simple("POST", "/", of("hello"), header("Expect", "100-continue")), header: map[string][]string{"Expect": {"100-continue"}}, body: "hello", length: 5},
	{
		name: "trailer", body: "hello", chunked: true, length: -1, trailer: http.Header{"X-Sum": {"abc"}},
		ask: simple("POST", "/", unknown("hello"), func(r *http.Request) { r.Trailer = http.Header{"X-Sum": {"abc"}} }),
	},
	{
		// As in a proxy, where the values are there when the body has been read.
		name: "trailer that comes late", body: "hello", chunked: true, length: -1, trailer: http.Header{"X-Sum": {"abc"}},
		ask: simple("POST", "/", unknown("hello"), func(r *http.Request) {
			r.Trailer = http.Header{"X-Sum": nil}
			r.Body = &atEnd{r.Body, func() { r.Trailer["X-Sum"] = []string{"abc"} }}
		}),
	},

	{name: "method with a space", ask: simple("GET", "/", nil, func(r *http.Request) { r.Method = "GET /x HTTP/1.1\r\n" }), fails: true},
	{name: "line end in a name", ask: simple("GET", "/", nil, header("X-A\r\nX-B", "1")), fails: true},
	{name: "space in a name", ask: simple("GET", "/", nil, header("X A", "1")), fails: true},
	{name: "colon in a name", ask: simple("GET", "/", nil, header("X:A", "1")), fails: true},
	{name: "empty name", ask: simple("GET", "/", nil, header("", "1")), fails: true},
	{name: "line end in a value", ask: simple("GET", "/", nil, header("X-A", "1\r\nX-B: 2")), fails: true},
	{name: "LF in a value", ask: simple("GET", "/", nil, header("X-A", "1\nX-B: 2")), fails: true},
	{name: "NUL in a value", ask: simple("GET", "/", nil, header("X-A", "1\x00")), fails: true},
	{name: "line end in the query", ask: simple("GET", "/", nil, func(r *http.Request) { r.URL.RawQuery = "a\r\nX-B: 2" }), fails: true},
	{name: "line end in the host", ask: simple("GET", "/", nil, func(r *http.Request) { r.Host = "a\r\nX-B: 2" }), fails: true, differs: "net/http sends an empty Host"},
	{name: "line end in a trailer", ask: simple("POST", "/", unknown("x"), func(r *http.Request) { r.Trailer = http.Header{"X-A": {"1\r\nX-B: 2"}} }), fails: true},
	{name: "trailer that frames", ask: simple("POST", "/", unknown("x"), func(r *http.Request) { r.Trailer = http.Header{"Content-Length": {"1"}} }), fails: true},
	{name: "body shorter than its length", ask: simple("POST", "/", of("hello"), func(r *http.Request) { r.ContentLength = 6 }), fails: true},
	{name: "body longer than its length", ask: simple("POST", "/", of("hello"), func(r *http.Request) { r.ContentLength = 4 }), fails: true, differs: "net/http notices it when it has sent the length"},
	{name: "body that fails", ask: simple("POST", "/", func() io.Reader { return iotest.ErrReader(errors.New("broken")) }, func(r *http.Request) { r.ContentLength = 4 }), fails: true},
	{name: "chunked body that fails", ask: simple("POST", "/", func() io.Reader { return iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("hello"))) }), fails: true},
	{name: "space in the query", ask: simple("GET", "/", nil, func(r *http.Request) { r.URL.RawQuery = "a b" }), fails: true, differs: "a request line has two spaces"},
}

// atEnd calls a function when the body has been read.
type atEnd struct {
	io.ReadCloser
	f func()
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil {
		a.f()
	}
	return n, err
}

// Promise: this transport and the standard one send the same, and refuse to send what would not arrive as what it is.
func TestRequests(t *testing.T) {
	for _, row := range requestRows {
		t.Run(row.name, func(t *testing.T) {
			each(t, limits{keepAlive: true}, func(t *testing.T, c candidate, rt http.RoundTripper) {
				if c.standard && row.differs != "" {
					return // differs says why
				}
				testRequest(t, rt, row)
			})
		})
	}
}

func testRequest(t *testing.T, rt http.RoundTripper, row requestRow) {
	arrived := make(chan *received, 4)
	s := serveScript(t, func(p *peer) {
		for r := p.request(); r != nil; r = p.request() {
			arrived <- r
			if r.bodyErr != nil {
				return
			}
			p.say(ok + "Content-Length: 2\r\n\r\nhi")
		}
	})
	r := row.ask(s, t)
	closed := &closeCount{ReadCloser: r.Body}
	if r.Body != nil {
		r.Body = closed
	}
	var got result
	within(t, "the response", func() { got = ask(rt, r) })
	if r.Body != nil {
		eventually(t, "the body is closed", func() bool { return closed.closed.Load() })
	}
	if row.fails {
		if got.err == nil {
			t.Fatalf("it was sent, and the response is %d", got.resp.StatusCode)
		}
		if strings.Contains(got.err.Error(), "X-B: 2") {
			t.Errorf("the error quotes the value: %v", got.err)
		}
		return
	}
	if got.err != nil || got.body != "hi" {
		t.Fatalf("%q, %v", got.body, got.err)
	}
	checkRequest(t, row, s, <-arrived)
}

func checkRequest(t *testing.T, row requestRow, s *script, in *received) {
	t.Helper()
	if line := in.Method + " " + in.RequestURI; row.line != "" && line != row.line {
		t.Errorf("%q, want %q", line, row.line)
	}
	host := row.host
	if host == "" {
		host = s.address
	}
	if in.Host != host {
		t.Errorf("Host %q, want %q", in.Host, host)
	}
	for name, want := range row.header {
		if !reflect.DeepEqual(in.Header[name], want) {
			t.Errorf("%s: %q, want %q", name, in.Header[name], want)
		}
	}
	for _, name := range row.absent {
		if v, ok := in.Header[name]; ok {
			t.Errorf("%s: %q, want none", name, v)
		}
	}
	if chunked := len(in.TransferEncoding) > 0; in.body != row.body || chunked != row.chunked || in.ContentLength != row.length || in.bodyErr != nil {
		t.Errorf("body of %d bytes, length %d, chunked %t, %v; want %d, %d, %t", len(in.body), in.ContentLength, chunked, in.bodyErr, len(row.body), row.length, row.chunked)
	}
	if (len(in.Trailer) > 0 || len(row.trailer) > 0) && !reflect.DeepEqual(in.Trailer, row.trailer) {
		t.Errorf("trailer %q, want %q", in.Trailer, row.trailer)
	}
	if in.Close != row.close {
		t.Errorf("close %t, want %t", in.Close, row.close)
	}
}

// Promise: what is not plain HTTP/1.1 is handed over as it is, and fails where there is nobody to hand it to.
func TestHandedOver(t *testing.T) {
	rows := []struct {
		name string
		make func(r *http.Request)
	}{
		{"TLS", func(r *http.Request) { r.URL.Scheme = "https" }},
		{"other scheme", func(r *http.Request) { r.URL.Scheme = "ftp" }},
		{"no URL", func(r *http.Request) { r.URL = nil }},
		{"no host", func(r *http.Request) { r.URL.Host = "" }},
		{"opaque URL", func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Host: "a", Opaque: "//b/c"} }},
		{"no header", func(r *http.Request) { r.Header = nil }},
		{"CONNECT", func(r *http.Request) { r.Method = "CONNECT" }},
		{"upgrade", func(r *http.Request) { r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}} }},
		{"other transfer encoding", func(r *http.Request) { r.TransferEncoding = []string{"identity"} }},
		{"chunked without a body", func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }},
		{"length without a body", func(r *http.Request) { r.ContentLength = 5 }},
		{"GET with a body of unknown length", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(unknown("")()), -1 }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { testHandedOver(t, row.make) })
	}
}
