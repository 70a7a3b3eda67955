package caddymodule

import (
	"io"
	"net/http"

	"github.com/tenantgate/tenantgate/caddymodule/tunnel"
)

// isExtendedConnect reports whether the request opens a WebSocket within HTTP/2 or HTTP/3 (RFC 8441, RFC 9220). The
// servers tell in different places.
func isExtendedConnect(r *http.Request) bool {
	if r.Method != http.MethodConnect {
		return false
	}
	switch r.ProtoMajor {
	case 2:
		protocol := r.Header[":protocol"]
		return len(protocol) == 1 && protocol[0] == "websocket"
	case 3:
		return r.Proto == "websocket"
	}
	return false
}

// extendedConnect is the client of such a WebSocket: the bodies of request and response.
type extendedConnect struct {
	io.ReadCloser
	response http.ResponseWriter
}

// Write implements io.Writer. What is written leaves at once.
func (c *extendedConnect) Write(p []byte) (int, error) {
	n, err := c.response.Write(p)
	if err != nil {
		return n, err
	}
	return n, http.NewResponseController(c.response).Flush()
}

// tunnelBody is a request's body that is read through a tunnel.
type tunnelBody struct {
	io.ReadCloser
	tunnel *tunnel.Tunnel
}

// Read implements io.Reader.
func (b *tunnelBody) Read(p []byte) (int, error) { return b.tunnel.Read(p) }
