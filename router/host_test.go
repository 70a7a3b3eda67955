package router

import (
	"net/netip"
	"strings"
	"testing"
)

// TestNormalizeHost keeps the promise that every spelling of a host name is one name, and that what is no host name is
// refused rather than guessed.
func TestNormalizeHost(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	name253 := strings.Repeat(label63+".", 3) + strings.Repeat("b", 61)
	for _, c := range []struct{ in, want string }{
		{"acme.app.example.com", "acme.app.example.com"},
		{"ACME.App.Example.COM", "acme.app.example.com"},
		{"acme.example.com:443", "acme.example.com"},
		{"acme.example.com:", "acme.example.com"},
		{"acme.example.com:65535", "acme.example.com"},
		{"acme.example.com.", "acme.example.com"},
		{"Acme.Example.Com.:8080", "acme.example.com"},
		{"localhost", "localhost"},
		{"127.0.0.1:80", "127.0.0.1"},
		{"a--b.example.com", "a--b.example.com"},
		{"xn--mller-kva.example", "xn--mller-kva.example"},
		{"müller.example", "xn--mller-kva.example"},
		{"MÜLLER.example:81", "xn--mller-kva.example"},
		{"acme。app.example", "acme.app.example"}, // U+3002 is a dot to IDNA
		{"ａｃｍｅ.example", "acme.example"},         // full-width letters
		{label63 + ".example", label63 + ".example"},
		{name253, name253},
		{name253 + ".", name253},
		{"[::1]", "[::1]"},
		{"[::1]:8080", "[::1]"},
		{"[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]"},
		{"[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"},
	} {
		got, err := NormalizeHost(c.in)
		if err != nil || got != c.want {
			t.Errorf("NormalizeHost(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{
		"", ".", "..", ":80", "acme..example.com", ".example.com", "example.com..",
		"_x.app", "a_b.example.com", "acme.example.com:0", "acme.example.com:65536", "acme.example.com:080",
		"acme.example.com:http", "acme.example.com:-1", "acme.example.com:80:80", "acme.example.com: 80",
		"user@example.com", "example.com/x", "exa mple.com", " example.com", "example.com ", "example.com\t",
		"ex%61mple.com", "%2e%2e", "example.com\x00", "example.com\n", "exam\x7fple.com", "a,b.example", "*.example.com",
		"-a.example", "a-.example", "a.-b", "a.b-", "example.com?x", "example.com#x", "a\\b.example",
		label63 + "a.example", name253 + "b", strings.Repeat("a.", 600),
		"::1", "[::1", "[]", "[::1]x", "[::1]:0", "[::1%25eth0]", "[fe80::1%eth0]", "[127.0.0.1]", "[::1].", "[[::1]]",
		"exa\xffmple.com", "a\u200db.example", "％61.example", "a\ufffdb.example", "xn--\u00fc.example", strings.Repeat("ü", 700),
	} {
		if got, err := NormalizeHost(in); err == nil {
			t.Errorf("NormalizeHost(%q) = %q, want an error", in, got)
		} else if in != "" && len(in) > 4 && strings.Contains(err.Error(), in) {
			t.Errorf("the error for %q repeats it: %v", in, err)
		}
	}
}

// validHost is an independent statement of what a normalised host is.
func validHost(h string) bool {
	if inner, ok := strings.CutPrefix(h, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return ok && err == nil && a.Is6() && a.Zone() == "" && a.String() == inner
	}
	if len(h) == 0 || len(h) > 253 {
		return false
	}
	for _, l := range strings.Split(h, ".") {
		if len(l) < 1 || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	return true
}

// FuzzNormalizeHost holds for any bytes: no panic, a valid result, the same result when asked again, and the same for
// another spelling.
func FuzzNormalizeHost(f *testing.F) {
	for _, s := range []string{"acme.app.example.com:8080", "[2001:DB8::1]:443", "MÜLLER.example.", "a--b.x", "xn--a.b", "_x.app", "a..b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, err := NormalizeHost(in)
		if err != nil {
			if out != "" {
				t.Fatalf("NormalizeHost(%q) gives %q with an error", in, out)
			}
			return
		}
		if !validHost(out) {
			t.Fatalf("NormalizeHost(%q) = %q, which is not valid", in, out)
		}
		for _, again := range []string{out, strings.ToUpper(out), out + ":443"} {
			if got, err := NormalizeHost(again); err != nil || got != out {
				t.Fatalf("NormalizeHost(%q) = %q, then NormalizeHost(%q) = %q, %v", in, out, again, got, err)
			}
		}
	})
}
