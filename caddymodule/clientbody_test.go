package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
)

// TestClientBody keeps the promise that an error while a client's body is read counts as the client's, and that the end
// of the body and a body that we have closed do not.
func TestClientBody(t *testing.T) {
	for _, tt := range []struct {
		err    error
		client bool
	}{
		{io.EOF, false},
		{http.ErrBodyReadAfterClose, false},
		{io.ErrUnexpectedEOF, true},
		{errors.New("malformed chunked encoding"), true},
		{&http.MaxBytesError{Limit: 1}, true},
	} {
		_, r := testRequest(http.MethodPost, "http://acme.app.test/", nil)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader([]byte("body")), iotest.ErrReader(tt.err)))
		guardBody(r)
		var text bytes.Buffer
		_, err := io.Copy(&text, r.Body)
		if text.String() != "body" || errors.Is(err, context.Canceled) != tt.client {
			t.Errorf("%v: read %q, %v", tt.err, text.String(), err)
		}
		if err != nil && (!errors.Is(err, tt.err) || err.Error() != tt.err.Error()) {
			t.Errorf("%v became %v", tt.err, err)
		}
	}
	_, r := testRequest(http.MethodGet, "http://acme.app.test/", nil)
	r.Body = http.NoBody
	if guardBody(r); r.Body != http.NoBody {
		t.Error("no body became one")
	}
}
