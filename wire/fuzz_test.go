package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/wire"
)

// recording is a connection on which a server has said something once and for all, in pieces of a size.
type recording struct {
	net.Conn // nil: nothing else is called
	text     []byte
	piece    int
}

func (r *recording) Read(p []byte) (int, error) {
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text[:min(r.piece, len(r.text))])
	r.text = r.text[n:]
	return n, nil
}

func (*recording) Write(p []byte) (int, error)      { return len(p), nil }
func (*recording) Close() error                     { return nil }
func (*recording) SetReadDeadline(time.Time) error  { return nil }
func (*recording) SetWriteDeadline(time.Time) error { return nil }

// readLean reads a recorded response with this transport.
func readLean(text []byte, piece int, method string) result {
	rt := wire.New(wire.Options{
		MaxResponseHeaderBytes: 64 << 10,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return &recording{text: text, piece: piece}, nil
		},
	})
	r, err := http.NewRequest(method, "http://192.0.2.1/", nil) //nolint:noctx // nothing goes out
	if err != nil {
		return result{err: err}
	}
	return ask(rt, r)
}

// readStandard reads it with net/http, which leaves interim responses to its caller.
func readStandard(text []byte, method string) result {
	in := bufio.NewReader(bytes.NewReader(text))
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return result{err: err}
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			return result{resp, nil, string(body), err}
		}
	}
}

// FuzzResponse keeps the promise that this package accepts nothing that net/http refuses, and understands what it accepts
// in the same way, however it is cut into pieces.
func FuzzResponse(f *testing.F) {
	for _, row := range answerRows {
		if len(row.answer) < 4<<10 {
			f.Add([]byte(row.answer), uint8(7), row.method == http.MethodHead)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, piece uint8, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		got := readLean(text, int(piece)+1, method)
		if again := readLean(text, len(text)+1, method); (again.err == nil) != (got.err == nil) || again.body != got.body || (again.bodyErr == nil) != (got.bodyErr == nil) {
			t.Fatalf("in pieces %v, %v, %q; at once %v, %v, %q", got.err, got.bodyErr, got.body, again.err, again.bodyErr, again.body)
		}
		if got.err != nil {
			return
		}
		want := readStandard(text, method)
		if want.err != nil {
			t.Fatalf("accepted, and net/http says %v", want.err)
		}
		if got.bodyErr == nil && want.bodyErr != nil {
			t.Fatalf("body %q accepted, and net/http says %v", got.body, want.bodyErr)
		}
		if !bytes.HasPrefix([]byte(want.body), []byte(got.body)) || got.bodyErr == nil && got.body != want.body {
			t.Fatalf("body %q, net/http has %q", got.body, want.body)
		}
		sameResponse(t, got, want)
	})
}

// sameResponse compares what was understood.
func sameResponse(t *testing.T, got, want result) {
	t.Helper()
	g, w := got.resp, want.resp
	if g.StatusCode != w.StatusCode || g.Status != w.Status || g.Proto != w.Proto || g.ProtoMajor != w.ProtoMajor || g.ProtoMinor != w.ProtoMinor {
		t.Fatalf("%q %q, net/http has %q %q", g.Proto, g.Status, w.Proto, w.Status)
	}
	if g.ContentLength != w.ContentLength || g.Close != w.Close || !reflect.DeepEqual(g.TransferEncoding, w.TransferEncoding) {
		t.Fatalf("length %d, close %t, %q; net/http has %d, %t, %q", g.ContentLength, g.Close, g.TransferEncoding, w.ContentLength, w.Close, w.TransferEncoding)
	}
	// net/http takes Connection away, with all that it names, where it says close.
	delete(g.Header, "Connection")
	delete(w.Header, "Connection")
	if len(g.Header) != len(w.Header) {
		t.Fatalf("header %q, net/http has %q", g.Header, w.Header)
	}
	for name, values := range w.Header {
		if len(values) != len(g.Header[name]) {
			t.Fatalf("header %q, net/http has %q", g.Header, w.Header)
		}
		for i := range values {
			// net/http leaves spaces at the end of a value.
			if g.Header[name][i] != string(bytes.Trim([]byte(values[i]), " \t")) {
				t.Fatalf("%s: %q, net/http has %q", name, g.Header[name][i], values[i])
			}
		}
	}
	if got.bodyErr == nil && len(g.Trailer)+len(w.Trailer) > 0 && len(g.Trailer) != len(w.Trailer) {
		t.Fatalf("trailer %q, net/http has %q", g.Trailer, w.Trailer)
	}
}

// FuzzRequestBody keeps the promise that a body arrives as it is, whatever pieces it is read in.
func FuzzRequestBody(f *testing.F) {
	s := serveScript(f, func(p *peer) {
		for r := p.request(); r != nil; r = p.request() {
			p.say(ok + "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
			if r.body != "" {
				p.say(string(chunk(r.body)))
			}
			p.say("0\r\nX-Sum: " + r.Trailer.Get("X-Sum") + "\r\n\r\n")
		}
	})
	rt := wire.New(noOptions)
	f.Cleanup(rt.Close)
	f.Add([]byte("hello"), uint16(1), true)
	f.Add([]byte(""), uint16(9), false)
	f.Add(bytes.Repeat([]byte("0\r\n\r\n"), 20000), uint16(60000), true)
	f.Fuzz(func(t *testing.T, body []byte, piece uint16, sized bool) {
		r := s.newRequest(t.Context(), "POST", "/", &pieces{body, int(piece) + 1})
		r.ContentLength = -1
		if sized && len(body) > 0 {
			r.ContentLength = int64(len(body))
		} else {
			r.Trailer = http.Header{"X-Sum": {"sum"}}
		}
		got := ask(rt, r)
		if got.err != nil || got.bodyErr != nil || got.body != string(body) {
			t.Fatalf("%v, %v, %d bytes of %d", got.err, got.bodyErr, len(got.body), len(body))
		}
		if want := r.Trailer.Get("X-Sum"); got.resp.Trailer.Get("X-Sum") != want {
			t.Errorf("trailer %q, want %q", got.resp.Trailer, want)
		}
	})
}

// pieces is a body that is read in pieces.
type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}
