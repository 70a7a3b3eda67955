package wire_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/tenantgate/tenantgate/wire"
)

// cannedServer answers every request without a body with the same bytes, as fast as it can.
func cannedServer(tb testing.TB) string {
	tb.Helper()
	l := listen()
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := make([]byte, 8<<10)
				out := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: canned\r\nContent-Length: 13\r\n\r\nHello, world!")
				for {
					n, err := c.Read(in)
					if err != nil || n < 4 || string(in[n-4:n]) != "\r\n\r\n" {
						return
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// benchRequest has the fields that a proxy sends on.
func benchRequest(tb testing.TB, address string) *http.Request {
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://"+address+"/api/tasks?page=1", nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header = http.Header{
		"User-Agent": {"bench"}, "Accept": {"*/*"}, "X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host": {"acme.example.com"}, "X-Tenant-Id": {"0190a000-0000-7000-8000-000000000001"},
		"X-Tenant-Slug": {"acme"}, "X-Tenant-Plan": {"pro"}, "Via": {"1.1 Caddy"},
	}
	return req
}

func exchange(tb testing.TB, rt http.RoundTripper, req *http.Request, buf []byte) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err = resp.Body.Read(buf); err != nil {
			break
		}
	}
	if !errors.Is(err, io.EOF) {
		tb.Fatal(err)
	}
	resp.Body.Close()
}

// BenchmarkRoundTrip compares this transport with the standard one, a request at a time and many at once.
func BenchmarkRoundTrip(b *testing.B) {
	address := cannedServer(b)
	standard := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	defer standard.CloseIdleConnections()
	lean := wire.New(wire.Options{})
	defer lean.Close()
	for _, c := range []struct {
		name string
		rt   http.RoundTripper
	}{{"wire", lean}, {"net_http", standard}} {
		b.Run(c.name, func(b *testing.B) {
			req, buf := benchRequest(b, address), make([]byte, 32<<10)
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, c.rt, req, buf)
			}
		})
		b.Run(c.name+"_parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				req, buf := benchRequest(b, address), make([]byte, 32<<10)
				for pb.Next() {
					exchange(b, c.rt, req, buf)
				}
			})
		})
	}
}
