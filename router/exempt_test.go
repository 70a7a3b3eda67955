package router

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

// TestExempt keeps the promise that an exempt path is exempt, and that no spelling of another path is.
func TestExempt(t *testing.T) {
	e, err := NewExempt([]string{"/healthz", "/auth/*", "/.well-known/acme-challenge/*"})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"/healthz", "/healthz?x=1", "/auth/", "/auth/x", "/auth/x/y/", "/auth/a%20b", "/auth/%C3%BC", "/auth/a;b=c", "/auth/.hidden", "/auth/...",
		"/.well-known/acme-challenge/token",
	} {
		if !e.Match(request(t, "", target).HTTP) {
			t.Errorf("%s is not exempt", target)
		}
	}
	for _, target := range []string{
		"/", "/healthz/", "/healthzz", "/Healthz", "/health%7A", "/healthz%00", "/healthz;x", "/healthz%2F", "/auth", "/AUTH/x", "/authx/y", "/api",
		"/auth/../api", "/auth/..", "/auth/.", "/auth/./x", "/auth/x/../../api", "/auth/x/../y", "/auth/%2e%2e/api", "/auth/.%2E/api", "/auth/..;/api",
		"/auth/..;x=1/api", "/auth/..%2Fapi", "/auth%2F..", "/auth%2Fx", "/auth/x%2Fy", "/auth/%5C..%5Capi", `/auth/..\api`, "/auth/%252e%252e/api",
		"/auth/%25", "/auth/%00", "/auth/%0d%0a", "//auth/x", "/auth//x", "/auth//", "/%61uth/x", "/x/../auth/x", "/./healthz", "/x/../healthz", "*",
		`/auth%2F"`,
	} {
		if e.Match(request(t, "", target).HTTP) {
			t.Errorf("%s is exempt", target)
		}
	}
	var none *Exempt
	if none.Match(request(t, "", "/healthz").HTTP) || e.Match(&http.Request{URL: &url.URL{}}) || e.Match(&http.Request{}) {
		t.Error("nothing is exempt")
	}
}

// TestExemptPatterns keeps the promise that a pattern which cannot work, or exempts everything, is an error.
func TestExemptPatterns(t *testing.T) {
	for _, p := range []string{
		"", "*", "/*", "//*", "healthz", "/auth*", "/a*b", "/*/x", "/auth/**", "/auth/*/x", "/auth/../x", "/./x", "/a//b", "/a%20b", "/a b", "/a?b",
		"/a#b", "/{tenant}", "/ü", `/a\b`, "/a;b",
	} {
		if _, err := NewExempt([]string{"/ok", p}); err == nil {
			t.Errorf("the pattern %q is accepted", p)
		} else if !strings.Contains(err.Error(), "exempt path") {
			t.Errorf("the pattern %q gives %v", p, err)
		}
	}
	if e, err := NewExempt(nil); err != nil || e.Match(request(t, "", "/").HTTP) {
		t.Errorf("no patterns: %v", err)
	}
	if _, err := NewExempt([]string{"/"}); err != nil {
		t.Errorf("the root alone: %v", err)
	}
}

// FuzzExempt holds for any path: what is exempt is exempt for every reader, raw, decoded once or twice, and cleaned.
func FuzzExempt(f *testing.F) {
	for _, s := range []string{"/auth/x", "/auth/../api", "/auth/%2e%2e/api", "/auth%2F..", "//auth/x", "/healthz", "/auth/..;/x"} {
		f.Add(s)
	}
	e, err := NewExempt([]string{"/healthz", "/auth/*"})
	if err != nil {
		f.Fatal(err)
	}
	below := func(p string) bool { return p == "/healthz" || p == "/auth" || strings.HasPrefix(p, "/auth/") }
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !e.Match(&http.Request{URL: u}) {
			return
		}
		if u.Host == "" && !below(strings.SplitN(target, "?", 2)[0]) {
			t.Fatalf("%q is exempt", target)
		}
		twice, err := url.PathUnescape(u.Path)
		if err != nil {
			twice = u.Path
		}
		for _, p := range []string{u.Path, twice} {
			if !below(p) || !below(path.Clean(p)) || !below(resolveDots(p)) {
				t.Fatalf("%q is exempt, but %q is not", target, p)
			}
		}
	})
}
