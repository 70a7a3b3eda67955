package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// clientBody is a request's body whose faults are the client's: malformed chunks, a body that ends too soon, or takes too
// long. To reverse_proxy an error while the body is sent is a failure of the upstream, and with passive health checks
// (fail_duration) a client of one tenant could have an upstream taken for dead that others share. An error that is
// context.Canceled it takes for what it is: it answers 499 and blames nobody.
type clientBody struct{ io.ReadCloser }

// Read implements io.Reader.
func (b clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, http.ErrBodyReadAfterClose) { //nolint:errorlint // io.Reader gives io.EOF itself
		err = clientError{err}
	}
	return n, err
}

// clientError is an error of reading from the client. It is context.Canceled, too.
type clientError struct{ error }

// Is implements what errors.Is asks for.
func (clientError) Is(target error) bool { return target == context.Canceled }

// Unwrap returns what the server said.
func (e clientError) Unwrap() error { return e.error }

// guardBody makes the body's faults the client's. Requests without a body cost nothing.
func guardBody(r *http.Request) {
	if hasBody(r) {
		r.Body = clientBody{r.Body}
	}
}

// hasBody reports whether r may have a body. Caddy puts its idle timeout around http.NoBody, too.
func hasBody(r *http.Request) bool {
	body := r.Body
	if idle, ok := body.(*caddyhttp.IdleTimeoutReader); ok {
		body = idle.ReadCloser
	}
	return body != nil && body != http.NoBody
}
