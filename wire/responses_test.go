package wire_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// answerRow is a response as a server sends it, and what the caller of a transport gets.
type answerRow struct {
	name   string
	method string // GET if empty
	answer string
	closes bool // the server closes the connection after it

	refused bool // by RoundTrip
	cut     bool // the body ends with an error
	status  int  // 200 if zero
	body    string
	length  int64 // of Response.ContentLength; compared if lengthGiven
	header  http.Header
	trailer http.Header
	reused  bool // the next request comes on the same connection

	// differs says why this transport refuses what the standard one takes as written in the row: with an error of
	// RoundTrip, or, with differsInBody, one at the body's end.
	differs       string
	differsInBody bool
	// eventually says that the standard transport notices only after a while that it must not use the connection again.
	eventually bool
}

const ok = "HTTP/1.1 200 OK\r\n"

var answerRows = []answerRow{
	// Framing (RFC 9112 §6).
	{name: "length", answer: ok + "Content-Length: 5\r\n\r\nhello", body: "hello", length: 5, reused: true},
	{name: "length zero", answer: ok + "Content-Length: 0\r\n\r\n", reused: true},
	{name: "length with zeros before", answer: ok + "Content-Length: 005\r\n\r\nhello", body: "hello", length: 5, reused: true},
	{name: "length with spaces around", answer: ok + "Content-Length: \t 5 \t\r\n\r\nhello", body: "hello", length: 5, reused: true},
	{name: "large body", answer: ok + "Content-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000), body: strings.Repeat("x", 300000), length: 300000, reused: true},
	{name: "chunked", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", body: "hello world", length: -1, reused: true},
	{name: "chunked, empty", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", length: -1, reused: true},
	{name: "chunked, upper case", answer: ok + "Transfer-Encoding: CHUNKED\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", body: "0123456789", length: -1, reused: true},
	{name: "chunked, zeros before the size", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n00\r\n\r\n", body: "hello", length: -1, reused: true},
	{name: "chunked, extensions", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n0;last\r\n\r\n", body: "hello", length: -1, reused: true},
	{name: "chunked, space after the size", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", body: "hello", length: -1, reused: true},
	{name: "chunked, large chunks", answer: ok + "Transfer-Encoding: chunked\r\n\r\n" + "186A0\r\n" + strings.Repeat("y", 100000) + "\r\n186a0\r\n" + strings.Repeat("z", 100000) + "\r\n0\r\n\r\n", body: strings.Repeat("y", 100000) + strings.Repeat("z", 100000), length: -1, reused: true},
	{name: "chunked, many small chunks", answer: ok + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\na\r\n", 5000) + "0\r\n\r\n", body: strings.Repeat("a", 5000), length: -1, reused: true},
	{name: "until close", answer: ok + "\r\nhello", closes: true, body: "hello", length: -1},
	{name: "until close, empty", answer: ok + "\r\n", closes: true, length: -1},
	{name: "HTTP/1.0, until close", answer: "HTTP/1.0 200 OK\r\n\r\nhello", closes: true, body: "hello", length: -1},
	{name: "HTTP/1.0, length", answer: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5},
	{name: "HTTP/1.0, kept", answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5, reused: true},
	{name: "close", answer: ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5},
	{name: "close among others", answer: ok + "Connection: x, Close\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5},
	{name: "close, chunked", answer: ok + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", body: "hello", length: -1},

	// Responses without a body (RFC 9110 §6.4.1).
	{name: "HEAD", method: "HEAD", answer: ok + "Content-Length: 5\r\n\r\n", length: 5, reused: true},
	{name: "HEAD, no length", method: "HEAD", answer: ok + "\r\n", length: -1, reused: true},
	{name: "HEAD, chunked", method: "HEAD", answer: ok + "Transfer-Encoding: chunked\r\n\r\n", length: -1, reused: true},
	{name: "204", answer: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, reused: true},
	{name: "304", answer: "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", status: 304, header: http.Header{"Etag": {`"a"`}}, reused: true},
	{name: "304 with the length that there would be", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304, reused: true},
	{name: "204 with a body", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", status: 204, eventually: true},
	{name: "HEAD with a body", method: "HEAD", answer: ok + "Content-Length: 5\r\n\r\nhello", length: 5, eventually: true},

	// Status lines (RFC 9112 §4).
	{name: "no reason", answer: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", reused: true},
	{name: "no space after the code", answer: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", reused: true},
	{name: "unusual code", answer: "HTTP/1.1 799 Whatever\r\nContent-Length: 0\r\n\r\n", status: 799, reused: true},
	{name: "503", answer: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno", status: 503, body: "no", length: 2, reused: true},
	{name: "two digits", answer: "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", refused: true},
	{name: "four digits", answer: "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", refused: true},
	{name: "no digits", answer: "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", refused: true},
	{name: "not HTTP", answer: "SSH-2.0-OpenSSH_9.6\r\n\r\n", refused: true},
	{name: "HTTP/2.0", answer: "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", refused: false, reused: true, differs: "a version that the connection does not have"},
	{name: "version without digits", answer: "HTTP/1.x 200 OK\r\nContent-Length: 0\r\n\r\n", refused: true},
	{name: "empty line before", answer: "\r\n" + ok + "Content-Length: 0\r\n\r\n", refused: true},
	{name: "nothing", answer: "", closes: true, refused: true},
	{name: "half a header", answer: ok + "Content-Le", closes: true, refused: true},
	{name: "control character in the reason", answer: "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n", reused: true, differs: "a control character"},

	// Fields (RFC 9112 §5).
	{name: "several values", answer: ok + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n", header: http.Header{"Set-Cookie": {"a=1", "b=2"}}, reused: true},
	{name: "lower case names", answer: ok + "x-tenant-id: acme\r\ncontent-length: 0\r\n\r\n", header: http.Header{"X-Tenant-Id": {"acme"}}, reused: true},
	{name: "empty value", answer: ok + "X-Empty:\r\nContent-Length: 0\r\n\r\n", header: http.Header{"X-Empty": {""}}, reused: true},
	{name: "spaces around the value", answer: ok + "X-Space: \t a b\t \r\nContent-Length: 0\r\n\r\n", header: http.Header{"X-Space": {"a b"}}, reused: true},
	{name: "obs-text", answer: ok + "X-Latin: caf\xe9\r\nContent-Length: 0\r\n\r\n", header: http.Header{"X-Latin": {"caf\xe9"}}, reused: true},
	{name: "many fields", answer: ok + strings.Repeat("X-Many: v\r\n", 200) + "Content-Length: 0\r\n\r\n", reused: true},
	{name: "long value", answer: ok + "X-Long: " + strings.Repeat("l", 60000) + "\r\nContent-Length: 0\r\n\r\n", header: http.Header{"X-Long": {strings.Repeat("l", 60000)}}, reused: true},
	{name: "too many fields", answer: ok + strings.Repeat("a:\r\n", 10001) + "Content-Length: 0\r\n\r\n", reused: true, differs: "each field costs memory"},
	{name: "space in a name", answer: ok + "X Y: z\r\nContent-Length: 0\r\n\r\n", reused: true, differs: "RFC 9112 §5.1: no name"},
	{name: "space before the colon", answer: ok + "Content-Length : 3\r\nContent-Length: 0\r\n\r\n", reused: true, differs: "RFC 9112 §5.1: a proxy must not send it on"},
	{name: "no colon", answer: ok + "nonsense\r\nContent-Length: 0\r\n\r\n", refused: true},
	{name: "NUL in a value", answer: ok + "X-A: a\x00b\r\nContent-Length: 0\r\n\r\n", refused: true},
	{name: "first line folded", answer: ok + " X-A: b\r\nContent-Length: 0\r\n\r\n", refused: true},
	{name: "header too long", answer: ok + "X-Long: " + strings.Repeat("l", 1<<17) + "\r\nContent-Length: 0\r\n\r\n", refused: true},
	{name: "CR in a value", answer: ok + "X-A: a\rX-B: b\r\nContent-Length: 0\r\n\r\n", refused: true},
	{name: "folded line", answer: ok + "X-A: a\r\n b\r\nContent-Length: 0\r\n\r\n", header: http.Header{"X-A": {"a b"}}, reused: true, differs: "RFC 9112 §5.2: a proxy may refuse it"},
	{name: "bare LF", answer: "HTTP/1.1 200 OK\nContent-Length: 0\n\n", reused: true, differs: "two ways to see where a line ends"},
	{name: "bare LF in the header", answer: ok + "X-A: a\nX-B: b\r\nContent-Length: 0\r\n\r\n", header: http.Header{"X-A": {"a"}, "X-B": {"b"}}, reused: true, differs: "two ways to see where a line ends"},
	{name: "no name", answer: ok + ": a\r\nContent-Length: 0\r\n\r\n", refused: true},

	// Two ways to understand where the body ends.
	{name: "two lengths", answer: ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", refused: true},
	{name: "the same length twice", answer: ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5, reused: true, differs: "RFC 9112 §6.3: one who sends it twice does not know what it sends"},
	{name: "lengths in a list", answer: ok + "Content-Length: 5, 5\r\n\r\nhello", refused: true},
	{name: "negative length", answer: ok + "Content-Length: -5\r\n\r\nhello", refused: true},
	{name: "length with a sign", answer: ok + "Content-Length: +5\r\n\r\nhello", refused: true},
	{name: "length that is too large", answer: ok + "Content-Length: 99999999999999999999\r\n\r\nhello", refused: true},
	{name: "length in hexadecimal", answer: ok + "Content-Length: 0x5\r\n\r\nhello", refused: true},
	{name: "length and chunked", answer: ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", body: "hello", length: -1, reused: true, differs: "RFC 9112 §6.3: it ought to be handled as an error"},
	{name: "chunked twice", answer: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refused: true},
	{name: "gzip, chunked", answer: ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", refused: true},
	{name: "identity", answer: ok + "Transfer-Encoding: identity\r\n\r\n", closes: true, refused: true},
	{name: "vertical tab before chunked", answer: ok + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", refused: true},
	{name: "chunked in HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", closes: true, body: "5\r\nhello\r\n0\r\n\r\n", length: -1, differs: "RFC 9112 §6.1: its framing is faulty"},

	// Bodies that end too early, or not at all as they should.
	{name: "body too short", answer: ok + "Content-Length: 5\r\n\r\nhel", closes: true, body: "hel", length: 5, cut: true},
	{name: "chunk too short", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", closes: true, body: "hel", length: -1, cut: true},
	{name: "no last chunk", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", closes: true, body: "hello", length: -1, cut: true},
	{name: "no end of the trailer", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", closes: true, body: "hello", length: -1, cut: true},
	{name: "chunk size is no number", answer: ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n", length: -1, cut: true},
	{name: "chunk size is negative", answer: ok + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", length: -1, cut: true},
	{name: "chunk size with 0x", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", length: -1, cut: true},
	{name: "chunk size overflows", answer: ok + "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", length: -1, cut: true},
	{name: "chunk size is missing", answer: ok + "Transfer-Encoding: chunked\r\n\r\n;a\r\nhello\r\n0\r\n\r\n", length: -1, cut: true},
	{name: "chunk longer than its size", answer: ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", body: "hel", length: -1, cut: true},
	{name: "bare LF after a chunk's size", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", length: -1, cut: true},
	{name: "bare LF after a chunk", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", body: "hello", length: -1, cut: true},
	{name: "extension too long", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("e", 5000) + "\r\nhello\r\n0\r\n\r\n", length: -1, cut: true},
	{name: "control character in an extension", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5;a\x01\r\nhello\r\n0\r\n\r\n", body: "hello", length: -1, reused: true, differs: "a control character", differsInBody: true},
	{name: "extensions without end", answer: ok + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("e", 200)+"\r\nx\r\n", 400) + "0\r\n\r\n", length: -1, cut: true, body: "-"},

	// Trailers (RFC 9110 §6.5).
	{name: "trailer", answer: ok + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n", body: "hello", length: -1, trailer: http.Header{"X-Sum": {"abc"}}, reused: true},
	{name: "several trailers", answer: ok + "Trailer: X-A, x-b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-B: 2\r\nX-A: 1\r\n\r\n", length: -1, trailer: http.Header{"X-A": {"1"}, "X-B": {"2"}}, reused: true},
	{name: "trailer that was not announced", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n", body: "hello", length: -1, trailer: http.Header{"X-Sum": {"abc"}}, reused: true},
	{name: "trailer that does not come", answer: ok + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", length: -1, trailer: http.Header{"X-Sum": nil}, reused: true},
	{name: "announced trailer frames", answer: ok + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refused: true},
	{name: "trailer is no field", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nnonsense\r\n\r\n", body: "hello", length: -1, cut: true},
	{name: "trailer frames", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n", body: "hello", length: -1, trailer: http.Header{"Content-Length": {"3"}}, reused: true, differs: "RFC 9110 §6.5.1", differsInBody: true},

	// Interim responses (RFC 9110 §15.2).
	{name: "100", answer: "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nhi", body: "hi", length: 2, reused: true},
	{name: "103, twice", answer: "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nhi", body: "hi", length: 2, reused: true},
	{name: "interim only", answer: "HTTP/1.1 103 Early Hints\r\n\r\n", closes: true, refused: true},

	// Bytes that nobody asked for.
	{name: "a second response", answer: ok + "Content-Length: 2\r\n\r\nhi" + ok + "Content-Length: 4\r\n\r\nevil", body: "hi", length: 2, eventually: true},
	{name: "junk after the body", answer: ok + "Content-Length: 2\r\n\r\nhi\r\n", body: "hi", length: 2, eventually: true},
	{name: "junk after the last chunk", answer: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nX", body: "hi", length: -1, eventually: true},
}

// Promise: this transport and the standard one understand the same responses in the same way; where this one refuses more,
// the row says why.
func TestResponses(t *testing.T) {
	names := map[string]bool{}
	for _, row := range answerRows {
		if names[row.name] {
			t.Fatalf("two rows %q", row.name)
		}
		names[row.name] = true
		t.Run(row.name, func(t *testing.T) {
			each(t, limits{size: 100 << 10, keepAlive: true}, func(t *testing.T, c candidate, rt http.RoundTripper) {
				testAnswer(t, c, rt, row)
			})
		})
	}
}

func testAnswer(t *testing.T, c candidate, rt http.RoundTripper, row answerRow) {
	s := serveScript(t, func(p *peer) {
		for r := p.request(); r != nil; r = p.request() {
			if r.URL.Path == "/second" {
				p.say(ok + "Content-Length: 6\r\n\r\nsecond")
				continue
			}
			p.say(row.answer)
			if row.closes {
				return
			}
		}
	})
	method := row.method
	if method == "" {
		method = http.MethodGet
	}
	var got result
	within(t, "the response", func() { got = ask(rt, s.newRequest(t.Context(), method, "/first", nil)) })
	refused, cut, reused := row.refused, row.cut, row.reused
	if row.differs != "" && !c.standard {
		refused, cut, reused = !row.differsInBody, row.differsInBody, false
	}
	if (got.err != nil) != refused {
		t.Fatalf("RoundTrip: %v", got.err)
	}
	if !refused {
		if (got.bodyErr != nil) != cut {
			t.Errorf("body: %v", got.bodyErr)
		}
		checkAnswer(t, row, got, cut)
	}
	if row.eventually && c.standard {
		return
	}
	before := s.conns.Load()
	within(t, "the next response", func() { got = ask(rt, s.newRequest(t.Context(), http.MethodGet, "/second", nil)) })
	if got.err != nil || got.body != "second" {
		t.Fatalf("the next response: %q, %v", got.body, got.err)
	}
	if again := s.conns.Load() == before; again != reused {
		t.Errorf("the next request came on the same connection: %t, want %t", again, reused)
	}
}

func checkAnswer(t *testing.T, row answerRow, got result, cut bool) {
	t.Helper()
	status := row.status
	if status == 0 {
		status = 200
	}
	if got.resp.StatusCode != status {
		t.Errorf("status %d, want %d", got.resp.StatusCode, status)
	}
	complete := !cut || row.cut // where only this transport refuses, it may have returned less
	if row.body != "-" && got.body != row.body && (complete || !strings.HasPrefix(row.body, got.body)) {
		t.Errorf("body of %d bytes, want %d: %.60q", len(got.body), len(row.body), got.body)
	}
	if got.resp.ContentLength != row.length {
		t.Errorf("length %d, want %d", got.resp.ContentLength, row.length)
	}
	for name, want := range row.header {
		if !reflect.DeepEqual(got.resp.Header[name], want) {
			t.Errorf("%s: %q, want %q", name, got.resp.Header[name], want)
		}
	}
	if !cut && (len(row.trailer) > 0 || len(got.resp.Trailer) > 0) && !reflect.DeepEqual(got.resp.Trailer, row.trailer) {
		t.Errorf("trailer %q, want %q", got.resp.Trailer, row.trailer)
	}
}
