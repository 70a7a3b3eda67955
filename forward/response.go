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

// copyBody passes a response's body on: as it comes where it is a stream, or of unknown length, and so may be one.
func (f *Forwarder) copyBody(w http.ResponseWriter, resp *http.Response) error {
	var flush func() error
	if streams(resp) {
		flush = http.NewResponseController(w).Flush
		// The client is to have the header though nothing may follow for long. Who cannot flush does it in its own time.
		_ = flush()
	}
	buf := f.buffers.Get().(*[]byte)
	defer f.buffers.Put(buf)
	for {
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			m, err := w.Write((*buf)[:n])
			if err == nil && m != n {
				err = io.ErrShortWrite
			}
			if err == nil && flush != nil {
				if err = flush(); errors.Is(err, http.ErrNotSupported) {
					err = nil
				}
			}
			if err != nil {
				return fmt.Errorf("%w: %w", errWriting, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
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
	if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("%w: %w", errWriting, err)
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
