package forward

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// respond passes a response on.
func (f *Forwarder) respond(x *Exchange, resp *http.Response) error {
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or the error is known
	h := x.Writer.Header()
	delete(h, "Server") // Via names this proxy, and the upstream may name itself
	h["Via"] = append(h["Via"], via(resp))
	stripHop(resp.Header)
	x.Status, x.Header = resp.StatusCode, resp.Header
	copyFields(h, resp.Header)
	announced := len(resp.Trailer)
	if announced > 0 {
		names := make([]string, 0, announced)
		for name := range resp.Trailer {
			names = append(names, name)
		}
		h["Trailer"] = append(h["Trailer"], strings.Join(names, ", "))
	}
	x.Begun = true
	x.Writer.WriteHeader(resp.StatusCode)
	if resp.Body == http.NoBody {
		return nil
	}
	if err := f.copyBody(x.Writer, resp); err != nil {
		return err
	}
	return passTrailers(x.Writer, resp, announced)
}

// copyBody passes a response's body on: what may be a stream as it comes, as soon as there is nothing more to pass on.
func (f *Forwarder) copyBody(w http.ResponseWriter, resp *http.Response) error {
	flush := func() error { return nil }
	if streams(resp) {
		flush = flusher(w)
		if b, ok := resp.Body.(interface{ Buffered() int }); !ok || b.Buffered() == 0 {
			// The client is to have the header though nothing may follow for long.
			if err := flush(); err != nil {
				return err
			}
		}
	}
	buf := f.buffers.Get().(*[]byte)
	defer f.buffers.Put(buf)
	for {
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			if _, err := w.Write((*buf)[:n]); err != nil {
				return fmt.Errorf("%w: %w", errWriting, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil // and the server flushes
		}
		if err != nil {
			return err
		}
		if err := flush(); err != nil {
			return err
		}
	}
}

// flusher returns what sends everything that was written. A writer that cannot do it does so in its own time.
func flusher(w http.ResponseWriter) func() error {
	flush := http.NewResponseController(w).Flush
	return func() error {
		if err := flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return fmt.Errorf("%w: %w", errWriting, err)
		}
		return nil
	}
}

// streams says whether a response has to be passed on as it comes: its length is not known, it consists of events, or the
// upstream asks for it (RFC 10036).
func streams(resp *http.Response) bool {
	if resp.ContentLength < 0 || resp.Header["Incremental"] != nil {
		return true
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.Trim(kind, " \t"), "text/event-stream")
}

// passTrailers passes on what came after the body.
func passTrailers(w http.ResponseWriter, resp *http.Response, announced int) error {
	if len(resp.Trailer) == 0 {
		return nil
	}
	// A short body would be sent with its length, and have none.
	if err := flusher(w)(); err != nil {
		return err
	}
	h := w.Header()
	if len(resp.Trailer) == announced {
		copyFields(h, resp.Trailer)
		return nil
	}
	for name, values := range resp.Trailer {
		h[http.TrailerPrefix+name] = values
	}
	return nil
}

// via returns what Via says of a response.
func via(resp *http.Response) string {
	if resp.ProtoMinor == 1 {
		return "1.1" + product
	}
	return "1.0" + product
}

// stripHop removes what concerns the upstream's connection only.
func stripHop(h http.Header) {
	connection := h["Connection"]
	names := nominates(connection)
	for name := range h {
		if isHop(name) || names && nominated(connection, name) {
			delete(h, name)
		}
	}
}

// copyFields adds fields to those that are there.
func copyFields(to, from http.Header) {
	for name, values := range from {
		if before, ok := to[name]; ok {
			values = append(before[:len(before):len(before)], values...)
		}
		to[name] = values
	}
}
