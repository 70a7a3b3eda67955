package forward

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/tenantgate/tenantgate/wire"
)

// product is what Via calls this proxy (RFC 9110 §7.6.3): as what reverse_proxy presents itself.
const product = " Caddy"

// AppendFields implements wire.Outgoing: the fields of the request that go on, and the proxy's own.
func (x *Exchange) AppendFields(b []byte) ([]byte, error) {
	header := x.Request.Header
	x.nominates = nominates(header["Connection"])
	early := x.Request.TLS != nil && !x.Request.TLS.HandshakeComplete
	var err error
	for name, values := range header {
		switch name {
		case "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Via":
			continue // below
		case "Early-Data":
			if early {
				continue
			}
		case "User-Agent":
			// There is one, and an empty one means none.
			if values = values[:min(len(values), 1)]; len(values) == 1 && values[0] == "" {
				continue
			}
		}
		if isHop(name) || x.isNominated(name) || x.Fields != nil && x.Fields.Replaces(name) {
			continue
		}
		if b, err = wire.AppendField(b, name, values); err != nil {
			return b, err
		}
	}
	// What this hop understands itself: trailers, if the client does.
	if httpguts.HeaderValuesContainsToken(x.received("Te"), "trailers") {
		b = append(b, "Te: trailers\r\n"...)
	}
	if early {
		b = append(b, "Early-Data: 1\r\n"...) // RFC 8470 §5.1
	}
	if b, err = x.appendForwarded(b); err != nil {
		return b, err
	}
	if b, err = x.appendVia(b); err != nil || x.Fields == nil {
		return b, err
	}
	return x.Fields.AppendFields(b)
}

// isHop says which fields concern one connection only, whatever Connection says: those of RFC 9110 §7.6.1, and Alt-Svc,
// as in reverse_proxy.
func isHop(name string) bool {
	switch name {
	case "Alt-Svc", "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// nominates says whether Connection names fields: "close" and "keep-alive" are none, and the usual values.
func nominates(connection []string) bool {
	for _, v := range connection {
		if v != "keep-alive" && v != "close" {
			return true
		}
	}
	return false
}

// nominated says whether Connection names the field.
func nominated(connection []string, name string) bool {
	for _, v := range connection {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.Trim(token, " \t"), name) {
				return true
			}
		}
	}
	return false
}

// isNominated says whether the request's Connection names the field, so that it ends here.
func (x *Exchange) isNominated(name string) bool {
	return x.nominates && nominated(x.Request.Header["Connection"], name)
}

// received returns the values of a field that is not for one connection only. There is one without values if a handler
// wants none to be sent.
func (x *Exchange) received(name string) []string {
	values, ok := x.Request.Header[name]
	if !ok || x.isNominated(name) {
		return nil
	}
	if values == nil {
		return unsent
	}
	return values
}

// unsent is the value of a field that is not to be sent at all.
var unsent = make([]string, 0)

// isUnsent says whether values are those of a field that is not to be sent.
func isUnsent(values []string) bool { return values != nil && len(values) == 0 }

// appendForwarded appends X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host. Those that came with the request count
// only if a trusted proxy has sent it, and are never passed on where nobody knows from where it came.
func (x *Exchange) appendForwarded(b []byte) ([]byte, error) {
	r, local := x.Request, x.Request.RemoteAddr == "@" // of a unix socket
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if local && !x.Trusted || !local && err != nil {
		return b, nil
	}
	before := ""
	prior := x.received("X-Forwarded-For")
	if x.Trusted {
		before = strings.Join(prior, ", ")
	}
	switch {
	case isUnsent(prior):
		before = ""
	case before == "":
		before = ip
	case ip != "":
		before += ", " + ip
	}
	if before != "" {
		if b, err = appendOne(b, "X-Forwarded-For", before); err != nil {
			return b, err
		}
	}
	proto := "https"
	if r.TLS == nil {
		proto = "http"
	}
	if b, err = x.appendLast(b, "X-Forwarded-Proto", proto); err != nil {
		return b, err
	}
	return x.appendLast(b, "X-Forwarded-Host", r.Host)
}

// appendLast appends a field with a value, or with the last one that a trusted proxy has sent.
func (x *Exchange) appendLast(b []byte, name, value string) ([]byte, error) {
	prior := x.received(name)
	if isUnsent(prior) {
		return b, nil
	}
	if n := len(prior); x.Trusted && n > 0 && prior[n-1] != "" {
		value = prior[n-1]
	}
	return appendOne(b, name, value)
}

func appendOne(b []byte, name, value string) ([]byte, error) {
	one := [1]string{value}
	return wire.AppendField(b, name, one[:])
}

// appendVia appends Via, with all that came before.
func (x *Exchange) appendVia(b []byte) ([]byte, error) {
	b, err := wire.AppendField(b, "Via", x.received("Via"))
	b = append(b, "Via: "...)
	b = append(strconv.AppendInt(b, int64(x.Request.ProtoMajor), 10), '.')
	b = append(strconv.AppendInt(b, int64(x.Request.ProtoMinor), 10), product...)
	return append(b, "\r\n"...), err
}

// Interim implements wire.Outgoing: it passes a response on that is not the final one.
func (x *Exchange) Interim(code int, header http.Header) error {
	h := x.Writer.Header()
	own := h.Clone()
	stripHop(header)
	copyFields(h, header)
	x.Writer.WriteHeader(code)
	// The writer keeps what is in its map for the final response.
	clear(h)
	for name, values := range own {
		h[name] = values
	}
	return nil
}
