package caddymodule

import (
	"bytes"
	"io"
	"net/http"
)

// inProcess answers requests by a handler in this process, so that the command line has the same interface in front of
// it whether a gateway runs or not.
type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	w := &answerWriter{header: http.Header{}}
	p.handler.ServeHTTP(w, in)
	if r.Body != nil {
		_ = r.Body.Close() // it is in memory
	}
	w.WriteHeader(http.StatusOK) // where the handler has written nothing
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// answerWriter keeps an answer in memory.
type answerWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (w *answerWriter) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements [http.ResponseWriter].
func (w *answerWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Interface guards.
var (
	_ http.RoundTripper   = inProcess{}
	_ http.ResponseWriter = (*answerWriter)(nil)
)
