package caddymodule

import (
	"net/http"
	"strings"
)

// requestProtocols begin the names of protocols that carry HTTP requests themselves, by which a client could ask for
// them in Upgrade (RFC 9110 §7.8): HTTP/2 in clear text ("h2c", and "h2c-14" of its drafts), HTTP/1.1, TLS (RFC 2817)
// and SPDY.
var requestProtocols = []string{"h2", "http", "tls", "spdy"}

// stripUpgrade removes an Upgrade to a protocol that carries requests. Once an upstream has agreed to one, the proxy
// copies bytes and sees requests no more: those within could name any tenant. A server may ignore Upgrade (RFC 9110
// §7.8), so the request goes on as it is. WebSockets and other upgrades stay. It reports whether there was one to remove.
func stripUpgrade(h http.Header) (changed bool) {
	for _, line := range h["Upgrade"] {
		for protocol := range strings.SplitSeq(line, ",") {
			if carriesRequests(trimOWS(protocol)) {
				delete(h, "Upgrade")
				delete(h, "Http2-Settings")
				return true
			}
		}
	}
	return false
}

// carriesRequests reports whether the protocol is one of requestProtocols. Case does not matter.
func carriesRequests(protocol string) bool {
	for _, name := range requestProtocols {
		if len(protocol) >= len(name) && strings.EqualFold(protocol[:len(name)], name) {
			return true
		}
	}
	return false
}
