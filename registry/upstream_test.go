package registry

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

// Promise: every documented form of an upstream is read, and written in one way.
func TestParseUpstream(t *testing.T) {
	for _, test := range []struct {
		text string
		want Upstream
		out  string
	}{
		{"127.0.0.1:9001", Upstream{Scheme: "http", Address: "127.0.0.1:9001"}, "127.0.0.1:9001"},
		{"Acme-App_1.internal:80", Upstream{Scheme: "http", Address: "acme-app_1.internal:80"}, "acme-app_1.internal:80"},
		{"[::1]:80", Upstream{Scheme: "http", Address: "[::1]:80"}, "[::1]:80"},
		{"[2001:DB8:0::1]:80", Upstream{Scheme: "http", Address: "[2001:db8::1]:80"}, "[2001:db8::1]:80"},
		{"http://h", Upstream{Scheme: "http", Address: "h:80"}, "h:80"},
		{"HTTP://h:8080/", Upstream{Scheme: "http", Address: "h:8080"}, "h:8080"},
		{"https://h", Upstream{Scheme: "https", Address: "h:443"}, "https://h:443"},
		{"https://[::1]", Upstream{Scheme: "https", Address: "[::1]:443"}, "https://[::1]:443"},
		{"https://h:8443", Upstream{Scheme: "https", Address: "h:8443"}, "https://h:8443"},
		{"pool:blue", Upstream{Pool: "blue"}, "pool:blue"},
		{"h:65535", Upstream{Scheme: "http", Address: "h:65535"}, "h:65535"},
		{"1-2.example:1", Upstream{Scheme: "http", Address: "1-2.example:1"}, "1-2.example:1"},
	} {
		got, err := ParseUpstream(test.text)
		if err != nil || got != test.want || got.String() != test.out {
			t.Errorf("%s: got %+v %s %v, want %+v %s", test.text, got, got, err, test.want, test.out)
		}
	}
}

// Promise: what is no address of one upstream is refused: paths, credentials, wildcards, placeholders, bad ports.
func TestParseUpstreamErrors(t *testing.T) {
	for _, text := range []string{
		"", " ", "h", "h:", ":80", "h:0", "h:65536", "h:080", "h:+80", "h:-1", "h:8 0", "h:80 ", " h:80", "h h:80", "h\n:80", "h:80\x00",
		"http://", "https://:443", "http://h/path", "http://h?q", "http://h#f", "http://u@h", "http://u:p@h:80", "ftp://h", "unix//run/x", "//h:80",
		"http://http://h", "*.h:80", "*:80", "{http.vars.x}:80", "h{x}:80", "::1:80", "[::1", "[::1]", "[::1]x:80", "[127.0.0.1]:80", "[fe80::1%eth0]:80", "[]:80",
		"1.2.3:80", "1.2.3.4.5:80", "256.1.1.1:80", "0x7f.1:80", "123:80", "-h:80", "h-:80", "a..b:80", ".h:80", "h.:80", "é:80", "h:80,i:80",
		"pool:", "pool:A B", "pool:../x", "pool:-x", "Pool:x", strings.Repeat("a", 64) + ":80", strings.Repeat("a.", 127) + "aa:80", strings.Repeat("a", 10000) + ":80",
	} {
		if u, err := ParseUpstream(text); err == nil {
			t.Errorf("%.100q is taken for %+v", text, u)
		} else if len(err.Error()) > 200 {
			t.Errorf("%.20q: an error of %d bytes", text, len(err.Error()))
		}
	}
}

// Promise: what is taken reads as the same upstream when written, and its address is one that can be dialled.
func FuzzParseUpstream(f *testing.F) {
	for _, s := range []string{"127.0.0.1:9001", "https://[::1]:1", "pool:x", "http://a.b/", "a:1", "*:1", "h:99999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseUpstream(s)
		if err != nil {
			if u != (Upstream{}) {
				t.Fatalf("%q: %+v with error %v", s, u, err)
			}
			return
		}
		again, err := ParseUpstream(u.String())
		if err != nil || again != u {
			t.Fatalf("%q: %+v writes as %q, which reads as %+v %v", s, u, u.String(), again, err)
		}
		if (u.Pool == "") == (u.Address == "") {
			t.Fatalf("%q: %+v", s, u)
		}
		if u.Pool != "" {
			return
		}
		host, port, err := net.SplitHostPort(u.Address)
		if n, portErr := strconv.Atoi(port); err != nil || portErr != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, "*{} /@?#\\%") {
			t.Fatalf("%q: address %q", s, u.Address)
		}
		if u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q: scheme %q", s, u.Scheme)
		}
	})
}
