package caddymodule

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawUpstream is a server whose answers are bytes, chosen by the path, and that keeps what it was sent last.
type rawUpstream struct {
	address string
	answers map[string]string

	mu   sync.Mutex
	last string
}

// newRawUpstream starts a server with the answers; "" closes the connection without one.
func newRawUpstream(tb testing.TB, answers map[string]string) *rawUpstream {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	u := &rawUpstream{address: l.Addr().String(), answers: answers}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { u.serve(c) })
		}
	})
	tb.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return u
}

// serve reads one request and answers it. Every connection serves one, which the transports are told by keepalive off.
func (u *rawUpstream) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // what came is not a request
	}
	u.mu.Lock()
	u.last = fmt.Sprintf("%s %s host %s\n%sbody %q, %d %v, trailer %v", r.Method, r.RequestURI, r.Host, sorted(r.Header), body,
		r.ContentLength, r.TransferEncoding, r.Trailer)
	u.mu.Unlock()
	answer, ok := u.answers[r.URL.Path]
	if !ok {
		answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	}
	if answer != "" {
		_, _ = io.WriteString(c, answer)
	}
}

func (u *rawUpstream) took() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	defer func() { u.last = "" }()
	return u.last
}

// sorted returns a header's lines in order.
func sorted(h http.Header) string {
	var lines []string
	for name, values := range h {
		lines = append(lines, fmt.Sprintf("%s: %q\n", name, values))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// raw sends a request's bytes on a connection of its own, and returns all responses to it, interim ones too, as text
// without what changes by itself. A response whose length the proxy does not know may have one or not.
func (s *server) raw(method, request string, sized bool) string {
	s.tb.Helper()
	c, err := new(net.Dialer).DialContext(s.tb.Context(), "tcp", "127.0.0.1:"+s.port)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		s.tb.Fatal(err)
	}
	in := bufio.NewReader(c)
	var out bytes.Buffer
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method}) //nolint:bodyclose // read to its end
		if err != nil {
			fmt.Fprintf(&out, "no response: %v", err)
			return out.String()
		}
		body, err := io.ReadAll(res.Body)
		res.Header.Del("Date")
		if sized {
			fmt.Fprintln(&out, res.ContentLength, res.TransferEncoding)
		} else {
			res.Header.Del("Content-Length")
		}
		fmt.Fprintf(&out, "%s\n%sbody %q %v, trailer %v\n", res.Status, sorted(res.Header), body, err, res.Trailer)
		if res.StatusCode >= 200 {
			return out.String()
		}
	}
}

// sameSite has the same tenants behind tenant_proxy and reverse_proxy.
const sameSite = "tenant {\nidentify subdomain {tenant}.app.test\n}\n@limited path */limited\nrequest_body @limited {\nmax_size 3\n}\n" +
	"handle_path /own/* {\ntenant_proxy {\ntransport tenant {\nkeepalive off\n}\n}\n}\n" +
	"handle_path /theirs/* {\nreverse_proxy {\ndynamic tenant\ntransport tenant {\nkeepalive off\n}\n}\n}\n"

// compare sends a request both ways and fails unless upstream and client have seen the same. The path begins with %s.
func (s *server) compare(t *testing.T, u *rawUpstream, method, request string) {
	t.Helper()
	path, _, _ := strings.Cut(strings.TrimPrefix(request, method+" %s"), " ")
	sized := !strings.HasPrefix(u.answers[path], "HTTP/1.") || strings.Contains(u.answers[path], "Content-Length")
	own := s.raw(method, fmt.Sprintf(request, "/own"), sized)
	ownTook := u.took()
	theirs := s.raw(method, fmt.Sprintf(request, "/theirs"), sized)
	if theirsTook := u.took(); ownTook != theirsTook {
		t.Errorf("%q\ntenant_proxy:\n%s\nreverse_proxy:\n%s", request, ownTook, theirsTook)
	}
	if strings.Contains(request, "/limited") && !strings.Contains(own, "413 ") {
		t.Errorf("a body that is too large: %s", own)
	}
	if own != theirs {
		t.Errorf("%q\nfrom tenant_proxy:\n%s\nfrom reverse_proxy:\n%s", request, own, theirs)
	}
}

// proxyRequests are requests that a proxy can get wrong; the path begins with %s.
var proxyRequests = []struct{ name, method, text string }{
	{"plain", "GET", "GET %s/a/b%%2Fc?q=1&q=%%20 HTTP/1.1\r\nHost: acme.app.test\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n"},
	{"no user agent", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test:80\r\n\r\n"},
	{"empty user agent", "GET", "GET %s/? HTTP/1.1\r\nHost: ACME.app.test\r\nUser-Agent:\r\n\r\n"},
	{"two user agents", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nUser-Agent: a\r\nUser-Agent: b\r\n\r\n"},
	{"HTTP/1.0", "GET", "GET %s/ HTTP/1.0\r\nHost: acme.app.test\r\n\r\n"},
	{"absolute form", "GET", "GET http://acme.app.test%s/x HTTP/1.1\r\nHost: acme.app.test\r\n\r\n"},
	{"HEAD", "HEAD", "HEAD %s/head HTTP/1.1\r\nHost: acme.app.test\r\n\r\n"},
	{"method", "QUERY", "QUERY %s/ HTTP/1.1\r\nHost: acme.app.test\r\n\r\n"},
	{"close", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nConnection: close\r\n\r\n"},
	{"hop by hop", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nConnection: keep-alive, X-Mine, x-other ,te\r\nX-Mine: 1\r\nX-Other: 2\r\nKeep-Alive: 5\r\n" +
		"Proxy-Authorization: Basic c2VjcmV0\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\nTE: trailers, gzip\r\nAlt-Svc: clear\r\n\r\n"},
	{"names in Connection", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nConnection: via, x-forwarded-for, Cookie\r\nVia: 1.1 before\r\n" +
		"X-Forwarded-For: 192.0.2.7\r\nUser-Agent: x\r\nCookie: a=b\r\n\r\n"},
	{"trailers are welcome", "GET", "GET %s/trailers HTTP/1.1\r\nHost: acme.app.test\r\nTE: gzip;q=0.5, trailers\r\n\r\n"},
	{"forwarded", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.8\r\nX-Forwarded-Proto: https\r\n" +
		"X-Forwarded-Host: a.test\r\nX-Forwarded-Host: b.test\r\nX-Forwarded-Port: 1\r\nForwarded: for=192.0.2.9\r\n\r\n"},
	{"empty forwarded", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nX-Forwarded-For:\r\nX-Forwarded-Proto:\r\nX-Forwarded-Host:\r\n\r\n"},
	{"via", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nVia: 1.0 a\r\nVia: 1.1 b, 2 c\r\n\r\n"},
	{"spoofed", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nX-Tenant-Slug: other\r\nX_Tenant_Id: other\r\nConnection: X-Tenant-Slug\r\n\r\n"},
	{"early data", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nEarly-Data: 1\r\n\r\n"},
	{"incremental", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nIncremental: ?1\r\n\r\n"},
	{"body", "POST", "POST %s/ HTTP/1.1\r\nHost: acme.app.test\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"},
	{"too large", "POST", "POST %s/limited HTTP/1.1\r\nHost: acme.app.test\r\nContent-Length: 5\r\n\r\nhello"},
	{"too large and chunked", "POST", "POST %s/limited HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
	{"empty body", "POST", "POST %s/ HTTP/1.1\r\nHost: acme.app.test\r\nContent-Length: 0\r\n\r\n"},
	{"no body", "DELETE", "DELETE %s/ HTTP/1.1\r\nHost: acme.app.test\r\n\r\n"},
	{"GET with a body", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nContent-Length: 2\r\n\r\nhi"},
	{"chunked", "PUT", "PUT %s/ HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"},
	{"chunked GET", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
	{"trailers", "POST", "POST %s/ HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Tenant-Id\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nX-Tenant-Id: other\r\nX-More: 2\r\n\r\n"},
	{"broken body", "POST", "POST %s/ HTTP/1.1\r\nHost: acme.app.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"},
	{"cookies", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n"},
	{"odd values", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nX-Empty:\r\nX-Space:  a b \t\r\nX-Byte: caf\xe9\r\nx-CASE: 1\r\n\r\n"},
	{"upgrade to nothing", "GET", "GET %s/ HTTP/1.1\r\nHost: acme.app.test\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\n"},
	{"expect", "POST", "POST %s/ HTTP/1.1\r\nHost: acme.app.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"},
}

// proxyAnswers are responses that a proxy can get wrong, by path. What is streamed has a type: where there is none, it depends
// on the moment in which reverse_proxy flushes for the first time whether the server guesses one.
var proxyAnswers = map[string]string{
	"/head":              "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n",
	"/204":               "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
	"/205":               "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
	"/304":               "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
	"/404":               "HTTP/1.1 404 Nowhere To Be Found\r\nContent-Length: 4\r\n\r\nnone",
	"/599":               "HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n",
	"/cookies":           "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
	"/chunked":           "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
	"/trailers":          "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n",
	"/trailers/more":     "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\nX-More: 7\r\n\r\n",
	"/trailers/surprise": "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-More: 7\r\n\r\n",
	"/events":            "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nContent-Length: 9\r\n\r\ndata: 1\n\n",
	"/incremental":       "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nIncremental: ?1\r\nContent-Length: 2\r\n\r\nok",
	"/until/close":       "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n\r\nall of it",
	"/1.0":               "HTTP/1.0 200 OK\r\nContent-Type: x/y\r\n\r\nold",
	"/hop":               "HTTP/1.1 200 OK\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nAlt-Svc: h3=\":443\"\r\nTE: x\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
	"/server":            "HTTP/1.1 200 OK\r\nServer: mine\r\nVia: 1.1 before\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
	"/ratelimit":         "HTTP/1.1 200 OK\r\nRateLimit: \"mine\";r=1\r\nContent-Length: 0\r\n\r\n",
	"/hints":             "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: close\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"/continue":          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"/short":             "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
	"/short/chunk":       "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
	"/bad/chunk":         "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
	"/nothing":           "",
	"/garbage":           "SSH-2.0-OpenSSH_9.2\r\n\r\n",
	"/bad/field":         "HTTP/1.1 200 OK\r\nbad field: 1\r\n\r\n",
	"/smuggled":          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
	"/switch":            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
	"/large":             "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("0123456789", 30000),
}

// Promise: an upstream gets the same from tenant_proxy as from reverse_proxy, and a client gets the same back: from a table of
// requests and answers, behind a trusted proxy and not, and for headers made at random.
func TestTenantProxyIsReverseProxy(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		t.Run(fmt.Sprintf("trusted_%t", trusted), func(t *testing.T) {
			s := newServer(t)
			if trusted {
				s.global = "servers {\ntrusted_proxies static 127.0.0.0/8\n}"
			}
			u := newRawUpstream(t, proxyAnswers)
			s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"acme": {u.address}})), sameSite)
			for _, row := range proxyRequests {
				t.Run(row.name, func(t *testing.T) { s.compare(t, u, row.method, row.text) })
			}
			for path := range proxyAnswers {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					request := method + " %s" + path + " HTTP/1.1\r\nHost: acme.app.test\r\n\r\n"
					if path == "/switch" || method == http.MethodHead && !strings.HasPrefix(path, "/head") {
						continue
					}
					t.Run(method+path, func(t *testing.T) { s.compare(t, u, method, request) })
				}
			}
			t.Run("random", func(t *testing.T) {
				for range 150 {
					s.compare(t, u, http.MethodGet, randomRequest())
				}
			})
			if n := len(s.logged(`"msg":"selected upstream"`)); n < len(proxyRequests) {
				t.Errorf("reverse_proxy logged %d requests: it did not serve its part", n)
			}
		})
	}
}

// randomRequest makes a request of fields that matter to a proxy, some of them twice.
func randomRequest() string {
	names := []string{
		"Connection", "connection", "Via", "TE", "X-Forwarded-For", "X-Forwarded-Host", "x-forwarded-proto", "User-Agent", "X-A", "X-B",
		"Keep-Alive", "Early-Data", "Forwarded", "Accept-Encoding", "Proxy-Connection", "X-Tenant-Plan", "Cookie", "Origin", "Cache-Control",
	}
	values := []string{"", "x", "X-A", "x-b, keep-alive", "close", "keep-alive", "trailers", "Via, Cookie", "192.0.2.1", "192.0.2.1, 192.0.2.2", "https", "a.test", ",", " , X-A,,"}
	var b strings.Builder
	b.WriteString("GET %s/r HTTP/1.1\r\nHost: acme.app.test\r\n")
	for range rand.IntN(9) {
		fmt.Fprintf(&b, "%s: %s\r\n", names[rand.IntN(len(names))], values[rand.IntN(len(values))])
	}
	return b.String() + "\r\n"
}
