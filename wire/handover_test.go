package wire_test

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/tenantgate/tenantgate/wire"
)

// closeCount notices that a body is closed.
type closeCount struct {
	io.ReadCloser
	closed atomic.Bool
}

func (c *closeCount) Close() error {
	c.closed.Store(true)
	return c.ReadCloser.Close()
}

// roundTripper is a function that does requests.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func testHandedOver(t *testing.T, change func(*http.Request)) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.0.2.1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	change(r)
	//nolint:bodyclose // there is no response
	if _, err := wire.New(wire.Options{}).RoundTrip(r); !errors.Is(err, wire.ErrNotPlain) {
		t.Errorf("without a fallback: %v", err)
	}
	want := &http.Response{}
	lean := wire.New(wire.Options{Fallback: roundTripper(func(got *http.Request) (*http.Response, error) {
		if got != r {
			t.Error("it is not the same request")
		}
		return want, nil
	})})
	//nolint:bodyclose // it has no body
	if got, err := lean.RoundTrip(r); got != want || err != nil {
		t.Errorf("with a fallback: %v, %v", got, err)
	}
}

// Promise: the caller decides which requests go where.
func TestAddress(t *testing.T) {
	s := serveScript(t, func(p *peer) {
		for r := p.request(); r != nil; r = p.request() {
			p.say(ok + "Content-Length: 0\r\n\r\n")
		}
	})
	lean := wire.New(wire.Options{
		Address:  func(r *http.Request) (string, bool) { return s.address, r.URL.Path != "/no" },
		Fallback: roundTripper(func(*http.Request) (*http.Response, error) { return nil, io.EOF }),
	})
	defer lean.Close()
	for path, want := range map[string]error{"/yes": nil, "/no": io.EOF} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.0.2.1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(lean, r); !errors.Is(got.err, want) {
			t.Errorf("%s: %v, want %v", path, got.err, want)
		}
	}
}
