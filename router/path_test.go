package router

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

// TestPath keeps the promises of NewPath's comment: what fits, what is nothing, and what is refused because somebody
// could read it differently.
func TestPath(t *testing.T) {
	const (
		tenant = "/t/{tenant}"
		both   = "/t/{tenant}/{environment}"
		api    = "/api/tenants/{tenant}/*"
		bare   = "/{tenant}"
	)
	for _, c := range []struct{ pattern, target, want string }{
		{tenant, "/t/acme", "slug:acme"},
		{tenant, "/t/acme/", "slug:acme"},
		{tenant, "/t/acme/api/tasks?x=/../", "slug:acme"},
		{tenant, "/t/ACME/x", "slug:acme"},
		{tenant, "/t/" + strings.ToUpper(acmeID) + "/x", "id:" + acmeID},
		{tenant, "/t/%61cme/x", "slug:acme"},
		{tenant, "/%74/acme", "slug:acme"},
		{tenant, "/t/acme//x", "slug:acme"},
		{tenant, "/t/acme/a%2Fb%20c", "slug:acme"},
		{tenant, "/t/acme/a%252Fb", "slug:acme"},
		{tenant, "/t/acme/;v=1/x;y", "slug:acme"},
		{tenant, "/t/acme/.well-known/...", "slug:acme"},
		{both, "/t/acme/dev", "slug:acme/dev"},
		{both, "/t/acme/dev/x", "slug:acme/dev"},
		{both, "/t/acme/" + acmeDevID, "slug:acme/" + acmeDevID},
		{"/e/{environment}/{tenant}", "/e/dev/acme", "slug:acme/dev"},
		{api, "/api/tenants/acme/tasks", "slug:acme"},
		{api, "/api/tenants/acme", "slug:acme"},
		{bare, "/acme/x", "slug:acme"},
		{"/t/{tenant}/…", "/t/acme/x", "slug:acme"},
		{"/t/{tenant}/", "/t/acme", "slug:acme"},
		{"/~x,y/{tenant}", "/~x%2Cy/acme", "slug:acme"},
		{"/t/{tenant}/edit", "/t/acme/edit/x", "slug:acme"},
		{"/t/{tenant}/edit", "/t/acme/view", "nothing"},

		{tenant, "/", "nothing"},
		{tenant, "*", "nothing"},
		{tenant, "/t", "nothing"},
		{tenant, "/t/", "nothing"},
		{tenant, "/T/acme", "nothing"},
		{tenant, "/tt/acme", "nothing"},
		{tenant, "/x/t/acme", "nothing"},
		{tenant, "/x//t/acme", "nothing"},
		{tenant, "/x%2Ft/acme", "nothing"},
		{tenant, "/x%20y/;z", "nothing"},
		{both, "/t/acme", "nothing"},
		{both, "/t/acme/", "nothing"},
		{api, "/api/tenants", "nothing"},
		{api, "/api/tenantsx/acme", "nothing"},
		{bare, "/", "nothing"},

		{tenant, "/t/a%2Fb", CodeTenantInvalid},
		{tenant, "/t/acme%2Fx/y", CodeTenantInvalid},
		{tenant, "/t/acme%5Cx", CodeTenantInvalid},
		{tenant, `/t/acme\x`, CodeTenantInvalid},
		{tenant, "/t/acme%00", CodeTenantInvalid},
		{tenant, "/t/acme%25", CodeTenantInvalid},
		{tenant, "/t/%2561cme", CodeTenantInvalid},
		{tenant, "/t/acme;x=1/y", CodeTenantInvalid},
		{tenant, "/t/acme%3Bx", CodeTenantInvalid},
		{tenant, "/t/a_b", CodeTenantInvalid},
		{tenant, "/t/a--b", CodeTenantInvalid},
		{tenant, "/t/acme%20", CodeTenantInvalid},
		{tenant, "/t/m%C3%BCller", CodeTenantInvalid},
		{tenant, "/t/" + strings.Repeat("a", 64), CodeTenantInvalid},
		{tenant, "/t/" + strings.Repeat("%61", 100), CodeTenantInvalid},
		{both, "/t/acme/a_b", CodeTenantInvalid},

		{tenant, "/x/../t/acme", CodeTenantInvalid},
		{tenant, "/./t/acme", CodeTenantInvalid},
		{tenant, "/t/./acme", CodeTenantInvalid},
		{tenant, "/t/acme/..", CodeTenantInvalid},
		{tenant, "/t/acme/../globex", CodeTenantInvalid},
		{tenant, "/t/acme/x/../../globex", CodeTenantInvalid},
		{tenant, "/t/acme/%2e%2E/globex", CodeTenantInvalid},
		{tenant, "/t/acme/.%2e/globex", CodeTenantInvalid},
		{tenant, "/t/acme/%252e%252e/globex", CodeTenantInvalid},
		{tenant, "/t/acme/..;/globex", CodeTenantInvalid},
		{tenant, "/t/acme/..;a=b/globex", CodeTenantInvalid},
		{tenant, "/t/acme/..%2Fglobex", CodeTenantInvalid},
		{tenant, "/t/acme/..%5Cglobex", CodeTenantInvalid},
		{tenant, `/t/acme/..\globex`, CodeTenantInvalid},
		{tenant, "/t/acme/x%2f..%2f..%2fglobex", CodeTenantInvalid},
		{tenant, "/other/..", CodeTenantInvalid},
		{tenant, "/other/%2e", CodeTenantInvalid},

		{tenant, "//t/acme", CodeTenantInvalid},
		{tenant, "/t//acme", CodeTenantInvalid},
		{tenant, "/t//", CodeTenantInvalid},
		{both, "/t/acme//dev", CodeTenantInvalid},
		{tenant, "/%2Ft/acme", CodeTenantInvalid},
		{tenant, "/t%2Facme", CodeTenantInvalid},
		{tenant, "/t%5Cacme", CodeTenantInvalid},
		{tenant, "/t%252Facme", CodeTenantInvalid},
		{tenant, `/t%2Facme/"x`, CodeTenantInvalid}, // EscapedPath would make /t/acme/%22x of it
		{tenant, `/t/acme%2F"x`, CodeTenantInvalid},
		{tenant, "/%2574/acme", CodeTenantInvalid},
		{tenant, "/t;x/acme", CodeTenantInvalid},
		{tenant, "/;x/t/acme", CodeTenantInvalid},
		{tenant, `/\t/acme`, CodeTenantInvalid},
		{bare, "//acme", CodeTenantInvalid},
		{tenant, "/x/%2525252525252e", CodeTenantInvalid},
		{tenant, "/x/%25252541", "nothing"},
		{tenant, "/x/%25252525252541", CodeTenantInvalid}, // nobody escapes an A so often
		{tenant, "/x/" + strings.Repeat("%25", 1<<16), "nothing"},
		{tenant, "/x/%" + strings.Repeat("25", 1<<16), CodeTenantInvalid}, // and looking further would take hours
	} {
		for _, strip := range []bool{false, true} {
			s := must(NewPath(c.pattern, strip))
			if got := identify(s, request(t, "", c.target)); got != c.want {
				t.Errorf("%s on %s (strip %t) gives %s, want %s", c.pattern, c.target, strip, got, c.want)
			}
		}
	}
	// Only with strip: what is left would begin with two slashes once decoded.
	for _, target := range []string{"/t/acme/%2Fx", "/t/acme/%5Cx", "/t/acme//%2f", `/t/acme/\x`} {
		if got := identify(must(NewPath(tenant, true)), request(t, "", target)); got != CodeTenantInvalid {
			t.Errorf("%s with strip gives %s", target, got)
		}
		if got := identify(must(NewPath(tenant, false)), request(t, "", target)); got != "slug:acme" {
			t.Errorf("%s without strip gives %s", target, got)
		}
	}
	// CONNECT has no path at all.
	if got := identify(must(NewPath(tenant, false)), &Request{HTTP: &http.Request{URL: &url.URL{}}}); got != "nothing" {
		t.Errorf("no path gives %s", got)
	}
}

// TestPathPatterns keeps the promise that a pattern which cannot work is an error that says why.
func TestPathPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                                      "no {tenant}",
		"/t":                                    "no {tenant}",
		"/t/{environment}":                      "no {tenant}",
		"t/{tenant}":                            "slash",
		"{tenant}":                              "slash",
		"/{tenant}/{tenant}":                    "more than once",
		"/{environment}/{tenant}/{environment}": "more than once",
		"/{tenant}{environment}":                "braces",
		"/t-{tenant}":                           "braces",
		"/{org}/{tenant}":                       "braces",
		"/*/{tenant}":                           "wildcard",
		"/t/{tenant}/*/x":                       "wildcard",
		"/t*/{tenant}":                          "wildcard",
		"/t//{tenant}":                          "empty",
		"/t/{tenant}//":                         "empty",
		"//{tenant}":                            "empty",
		"/../{tenant}":                          "dots",
		"/t/{tenant}/.":                         "dots",
		"/%74/{tenant}":                         "percent",
		"/t;x/{tenant}":                         "character",
		"/t?x/{tenant}":                         "character",
		"/t x/{tenant}":                         "character",
		"/ü/{tenant}":                           "character",
		"/" + strings.Repeat("x", 2000) + "{tenant}": "longer",
	} {
		if _, err := NewPath(pattern, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewPath(%q): %v, want an error with %q", pattern, err, want)
		}
	}
}

// TestPathStrip keeps the promise that the prefix leaves Path, RawPath and RequestURI together, and that one slash stays.
func TestPathStrip(t *testing.T) {
	for _, c := range []struct{ pattern, target, want string }{
		{"/t/{tenant}", "/t/acme", "/"},
		{"/t/{tenant}", "/t/acme?x=1", "/?x=1"},
		{"/t/{tenant}", "/t/acme/", "/"},
		{"/t/{tenant}", "/t/acme/api/tasks?x=%2F", "/api/tasks?x=%2F"},
		{"/t/{tenant}", "/t/acme//api", "/api"},
		{"/t/{tenant}", "/t/acme///", "/"},
		{"/t/{tenant}", `/t/acme/a%2Fb"c`, "/a/b%22c"}, // as net/url writes a path with a bare quotation mark
		{"/t/{tenant}", "/%74/ac%6De/a%2Fb%20c", "/a%2Fb%20c"},
		{"/t/{tenant}", "/t/acme/a%20b", "/a%20b"},
		{"/t/{tenant}/{environment}", "/t/acme/dev/x", "/x"},
		{"/api/tenants/{tenant}", "/api/tenants/acme/t", "/t"},
		{"/t/{tenant}", "/other/acme?x", "/other/acme?x"},
		{"/t/{tenant}", "/t/", "/t/"},
		{"/t/{tenant}", "*", "*"},
	} {
		r := request(t, "", c.target).HTTP
		rt := newRouter(t, newWorld(), must(NewPath(c.pattern, true)))
		rt.Rewrite(r, &Decision{})
		if r.RequestURI != c.want {
			t.Errorf("%s strips %s to %s, want %s", c.pattern, c.target, r.RequestURI, c.want)
		}
		want, err := url.ParseRequestURI(c.want)
		if err != nil {
			t.Fatal(err)
		}
		if r.URL.Path != want.Path || r.URL.EscapedPath() != want.EscapedPath() || r.URL.RawQuery != want.RawQuery {
			t.Errorf("%s strips %s to %#v, want %#v", c.pattern, c.target, r.URL, want)
		}
	}
	if _, ok := must(NewPath("/t/{tenant}", false)).(Rewriter); ok {
		t.Error("a path source without strip rewrites")
	}
}

// TestRewritePathOnce keeps the promise that a second pattern never strips what only the first one's stripping has
// brought to the front.
func TestRewritePathOnce(t *testing.T) {
	rt := newRouter(t, newWorld(),
		must(NewPath("/t/{tenant}/{environment}", true)), must(NewPath("/t/{tenant}", true)), must(NewQuery("", "", true)))
	for target, want := range map[string]string{
		"/t/acme/dev/t/globex/x?tenant=acme": "/t/globex/x",
		"/t/acme?a=1&tenant=acme":            "/?a=1",
		"/t/acme/dev":                        "/",
		"/x?tenant=acme&b":                   "/x?b",
	} {
		r := request(t, "", target).HTTP
		rt.Rewrite(r, nil)
		if r.RequestURI != want || r.URL.RequestURI() != want {
			t.Errorf("%s becomes %s (%s), want %s", target, r.RequestURI, r.URL.RequestURI(), want)
		}
	}
}

// resolveDots reads a path as servers do that decode first and resolve afterwards.
func resolveDots(decoded string) string {
	return path.Clean("/" + strings.ReplaceAll(decoded, `\`, "/"))
}

// obligingSegments reads a path as the most obliging server would.
func obligingSegments(decoded string) (segments []string) {
	for range maxEscapes {
		var b strings.Builder
		for i := 0; i < len(decoded); {
			if i+3 <= len(decoded) {
				if c, err := url.PathUnescape(decoded[i : i+3]); err == nil && len(c) == 1 {
					b.WriteString(c)
					i += 3
					continue
				}
			}
			b.WriteByte(decoded[i])
			i++
		}
		decoded = b.String()
	}
	for s := range strings.SplitSeq(strings.ReplaceAll(decoded, `\`, "/"), "/") {
		if s, _, _ = strings.Cut(s, ";"); s != "" {
			segments = append(segments, s)
		}
	}
	return segments
}

// FuzzPath holds for any path: no panic; a tenant is only named when a server that decodes and resolves the path sees
// the same one in the same place, and none goes unnoticed that an obliging server sees; and stripping leaves a path with exactly one slash in front, as url.Parse would make it.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/t/acme/x", "/t/acme/../globex", "/t/a%2Fb", "/%74/acme/%2e%2e", "//t/acme", "/t/acme/%2Fx", "/t;a/acme", "/t/acme//", `/t/acme/\x`,
	} {
		f.Add(s)
	}
	plain, strip := must(NewPath("/t/{tenant}", false)), must(NewPath("/t/{tenant}", true))
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &Request{HTTP: &http.Request{URL: u, RequestURI: target}}
		y, err := plain.Identify(r)
		resolved := resolveDots(u.Path)
		if err == nil && u.Host == "" {
			first, rest, _ := strings.Cut(strings.TrimPrefix(resolved, "/"), "/")
			name, _, _ := strings.Cut(rest, "/")
			switch {
			case !y.empty() && (first != "t" || lowerASCII(name) != y.Reference.Key):
				t.Fatalf("%q yields %+v, but resolves to %q", target, y.Reference, resolved)
			case y.empty() && first == "t" && name != "" && strings.HasPrefix(u.Path, "/"):
				t.Fatalf("%q yields nothing, but resolves to %q", target, resolved)
			}
		}
		if err == nil && strings.HasPrefix(u.Path, "/") {
			segments := append(obligingSegments(u.Path), "", "")
			if seen := segments[0] == "t" && segments[1] != ""; seen == y.empty() || seen && lowerASCII(segments[1]) != y.Reference.Key {
				t.Fatalf("%q yields %+v, but may be read as %q", target, y.Reference, segments)
			}
		}
		y, err = strip.Identify(r)
		if err != nil || y.empty() {
			return
		}
		before := sentPath(u)
		strip.(Rewriter).Rewrite(r.HTTP)
		after := sentPath(u)
		if !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.Path, `/\`) ||
			!strings.HasSuffix(before, after[1:]) {
			t.Fatalf("%q is stripped to %q (%q)", before, after, u.Path)
		}
		parsed := &url.URL{}
		setPath(parsed, after)
		if parsed.Path != u.Path || parsed.RawPath != u.RawPath {
			t.Fatalf("%q is stripped to %#v", before, u)
		}
	})
}
