package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
)

// upstreamResponse is what the upstream answers to every request: 128 bytes of JSON.
var upstreamResponse = func() []byte {
	body := append([]byte(`{"message":"`), bytes.Repeat([]byte("x"), 114)...)
	body = append(body, `"}`...)
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	return append([]byte(head), body...)
}()

// serveUpstream answers every request on address with [upstreamResponse] until ctx ends. It understands no more of
// HTTP than the end of a request without a body, because it must not be what limits a proxy: one read and one write
// per request, several times as fast as net/http.
func serveUpstream(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("upstream: %w", err)
		}
		go answer(conn)
	}
}

// echoPath is answered with the request itself, so that what a proxy sends upstream can be looked at.
const echoPath = "/echo"

// echo returns the answer to a request for [echoPath]: its head as it came.
func echo(head []byte) []byte {
	return append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(head)), head...)
}

// answer serves one connection until the other side closes it, or sends a header of 16 KiB.
func answer(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // nothing is left to be said on it
	buf := make([]byte, 16<<10)
	filled := 0
	for filled < len(buf) {
		n, err := conn.Read(buf[filled:])
		if err != nil {
			return
		}
		filled += n
		for {
			end := bytes.Index(buf[:filled], []byte("\r\n\r\n"))
			if end < 0 {
				break
			}
			response := upstreamResponse
			if bytes.HasPrefix(buf, []byte("GET "+echoPath+" ")) {
				response = echo(buf[:end+4])
			}
			if _, err := conn.Write(response); err != nil {
				return
			}
			filled = copy(buf, buf[end+4:filled])
		}
	}
}
