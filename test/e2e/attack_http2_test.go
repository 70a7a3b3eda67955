package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tenantgate/tenantgate/test/harness"
)

// errReset is the end of a stream that the server reset, or of the whole connection.
var errReset = errors.New("the stream was reset")

// sendFields sends one HTTP/2 request, in clear text, with the fields as they are, and maybe trailers after a body. It
// returns the status and the body.
func sendFields(t *testing.T, address string, fields, trailers [][2]string) (status, body string, err error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", "", err
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return "", "", err
	}
	f := http2.NewFramer(conn, conn)
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	write := func(fields [][2]string, last bool) error {
		block.Reset()
		for _, field := range fields {
			if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
				return err
			}
		}
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: last})
	}
	err = errors.Join(f.WriteSettings(), write(fields, trailers == nil))
	if trailers != nil {
		err = errors.Join(err, f.WriteData(1, false, []byte("body")), write(trailers, true))
	}
	if err != nil {
		return "", "", err
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "", "", fmt.Errorf("%w: %w", errReset, err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			status = frame.PseudoValue("status")
			if frame.StreamEnded() {
				return status, body, nil
			}
		case *http2.DataFrame:
			body += string(frame.Data())
			if frame.StreamEnded() {
				return status, body, nil
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "", "", errReset
		}
	}
}

// Promise: HTTP/2 gives no way around: names in upper case, made-up and repeated pseudo-header fields, line breaks in
// values, fields of the connection and trailers are refused or come to nothing. What is served is served as the tenant
// of :authority, and the upstream sees of the gateway's headers what the gateway says.
func TestAttackHTTP2Fields(t *testing.T) {
	t.Parallel()
	for name, by := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testHTTP2Fields(t, by)
		})
	}
}

func testHTTP2Fields(t *testing.T, by way) {
	g, w, _ := startAttackedBy(t, by, "identify subdomain {tenant}.app.test\nexempt /open", nil)
	base := [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "acme.app.test"}, {":path", "/"}}
	with := func(more ...[2]string) [][2]string { return append(append([][2]string(nil), base...), more...) }
	instead := func(name, value string) [][2]string {
		all := with()
		for i := range all {
			if all[i][0] == name {
				all[i][1] = value
			}
		}
		return all
	}
	split := "\r\nX-Tenant-ID: " + globexID + "\r\n"
	for name, fields := range map[string][][2]string{
		"plain":                      with(),
		"header":                     with([2]string{"x-tenant-id", globexID}),
		"header twice":               with([2]string{"x-tenant-id", globexID}, [2]string{"x-tenant-id", "globex"}),
		"header in upper case":       with([2]string{"X-Tenant-ID", globexID}),
		"header with an underscore":  with([2]string{"x_tenant_id", globexID}),
		"header with another sign":   with([2]string{"x~tenant~id", globexID}),
		"header with a blank":        with([2]string{"x-tenant-id ", globexID}),
		"header with a colon":        with([2]string{"x-tenant-id: " + globexID + "\r\nx-other", "1"}),
		"line break in a value":      with([2]string{"x-other", "1" + split}),
		"line break in the path":     instead(":path", "/ HTTP/1.1"+split),
		"line break in the host":     instead(":authority", "acme.app.test"+split),
		"line break in the method":   instead(":method", "GET / HTTP/1.1"+split),
		"line break in the scheme":   instead(":scheme", "http"+split),
		"NUL in a value":             with([2]string{"x-other", "1\x00"}),
		"connection":                 with([2]string{"connection", "x-tenant-id"}),
		"connection to keep":         with([2]string{"connection", "x-tenant-id, close"}, [2]string{"x-tenant-id", globexID}),
		"transfer-encoding":          with([2]string{"transfer-encoding", "chunked"}),
		"upgrade":                    with([2]string{"upgrade", "h2c"}, [2]string{"http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"}),
		"te":                         with([2]string{"te", "gzip, x-tenant-id"}),
		"another host":               with([2]string{"host", "globex.app.test"}),
		"another host twice":         with([2]string{"host", "globex.app.test"}, [2]string{"host", "acme.app.test"}),
		"pseudo-field made up":       with([2]string{":tenant", globexID}),
		"pseudo-field in disguise":   with([2]string{":x-tenant-id", globexID}),
		"authority twice":            with([2]string{":authority", "globex.app.test"}),
		"path twice":                 with([2]string{":path", "/other"}),
		"pseudo-field after a field": append([][2]string{{"x-other", "1"}}, base...),
		"status in a request":        with([2]string{":status", "200"}),
		"path of another authority":  instead(":path", "http://globex.app.test/"),
		"path without a slash":       instead(":path", "globex.app.test/"),
		"path empty":                 instead(":path", ""),
		"protocol":                   with([2]string{":protocol", "websocket"}),
		"length that is wrong":       with([2]string{"content-length", "100"}),
		"length twice":               with([2]string{"content-length", "0"}, [2]string{"content-length", "5"}),
		"exempt":                     append(instead(":path", "/open"), [2]string{"x-tenant-id", globexID}, [2]string{"x.tenant.id", globexID}),
	} {
		before := len(w.requests())
		status, body, err := sendFields(t, g.Address, fields, nil)
		if err != nil && !errors.Is(err, errReset) {
			t.Errorf("%s: %v", name, err)
		}
		checkAsAcme(t, name, status, body, w.requests()[before:])
	}
	for name, trailers := range map[string][][2]string{
		"trailer":                   {{"x-tenant-id", globexID}},
		"trailer in a disguise":     {{"x_tenant_id", globexID}, {"x-user-role", "env_admin"}},
		"trailer of a line break":   {{"x-other", "1" + split}},
		"pseudo-field as a trailer": {{":authority", "globex.app.test"}},
	} {
		before := len(w.requests())
		fields := append(instead(":method", "POST"), [2]string{"trailer", "x-tenant-id, x_tenant_id, x-user-role, x-other"})
		status, body, err := sendFields(t, g.Address, fields, trailers)
		if err != nil && !errors.Is(err, errReset) {
			t.Errorf("%s: %v", name, err)
		}
		checkAsAcme(t, name, status, body, w.requests()[before:])
	}
	checkFraming(t, w.received())
}

// checkAsAcme checks that a request of acme's was served as that or refused, and what the upstream saw of it.
func checkAsAcme(t *testing.T, name, status, body string, seen []harness.Echo) {
	t.Helper()
	switch {
	case status == "200":
		var e harness.Echo
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	case strings.HasPrefix(status, "5") && status != "501" && status != "502" && status != "503":
		t.Errorf("%s: status %s", name, status)
	}
	if name == "plain" && status != "200" {
		t.Errorf("%s: status %s", name, status)
	}
	for _, e := range seen {
		got := e.Values("X-Tenant-ID")
		if e.Host != "acme.app.test" || len(got) != 1 || got[0] != acmeID || len(e.Values("X-User-Role")) != 0 {
			t.Errorf("%s: the upstream saw %s of host %s with tenant %q: %v", name, e.URI, e.Host, got, e.Header)
		}
	}
}
