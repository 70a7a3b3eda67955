package router

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestQuery keeps the promises of NewQuery's comment.
func TestQuery(t *testing.T) {
	s := must(NewQuery("", "environment", false))
	for query, want := range map[string]string{
		"":                                     "nothing",
		"x=1":                                  "nothing",
		"tenant":                               "nothing",
		"tenant=":                              "nothing",
		"tenant=acme":                          "slug:acme",
		"x=1&tenant=ACME&y":                    "slug:acme",
		"&&tenant=acme&":                       "slug:acme",
		"%74en%61nt=%61cme":                    "slug:acme",
		"tenant=" + acmeID:                     "id:" + acmeID,
		"tenant=acme&environment=dev":          "slug:acme/dev",
		"environment=dev":                      "none:/dev",
		"environment=" + acmeDevID:             "environment_id:" + acmeDevID,
		"tenant=acme&tenant=acme":              "slug:acme",
		"tenant=acme&%74enant=%41CME":          "slug:acme",
		"Tenant=acme":                          "nothing",
		"tenantx=acme":                         "nothing",
		"tenan=acme":                           "nothing",
		"%2574enant=acme":                      "nothing",
		"+tenant=acme":                         "nothing",
		"%zztenant=acme":                       "nothing",
		"x=%zz&tenant=acme":                    "slug:acme",
		"x=1;y=2&tenant=acme":                  "slug:acme",
		"x==tenant=acme":                       "nothing",
		"tenant=acme&tenant=globex":            CodeTenantInvalid,
		"tenant=&tenant=acme":                  CodeTenantInvalid,
		"tenant=acme&tenant":                   CodeTenantInvalid,
		"tenant=acme&%74enant=globex":          CodeTenantInvalid,
		"environment=a&environment=b":          CodeTenantInvalid,
		"tenant=acme=":                         CodeTenantInvalid,
		"tenant=+acme":                         CodeTenantInvalid,
		"tenant=acme+":                         CodeTenantInvalid,
		"tenant=%zz":                           CodeTenantInvalid,
		"tenant=acme%":                         CodeTenantInvalid,
		"tenant=acme%00":                       CodeTenantInvalid,
		"tenant=%2561cme":                      CodeTenantInvalid,
		"tenant=acme;x=1":                      CodeTenantInvalid,
		"x=1;tenant=acme":                      CodeTenantInvalid,
		"tenant=acme&x=1;%74enant=globex":      CodeTenantInvalid,
		"x=1;environment=dev":                  CodeTenantInvalid,
		"tenant=a_b":                           CodeTenantInvalid,
		"tenant=acme&environment=a_b":          CodeTenantInvalid,
		"tenant=" + strings.Repeat("a", 64):    CodeTenantInvalid,
		"tenant=" + strings.Repeat("a", 1<<16): CodeTenantInvalid,
	} {
		r := &Request{HTTP: &http.Request{URL: &url.URL{Path: "/", RawQuery: query}}}
		if got := identify(s, r); got != want {
			t.Errorf("%.60q gives %s, want %s", query, got, want)
		}
	}
	// Without a parameter for it, the query names no environment.
	r := &Request{HTTP: &http.Request{URL: &url.URL{RawQuery: "org=acme&environment=dev&=x"}}}
	if got := identify(must(NewQuery("org", "", false)), r); got != "slug:acme" {
		t.Errorf("without environment: %s", got)
	}
}

// TestQueryNames keeps the promise that a parameter that can never work is an error.
func TestQueryNames(t *testing.T) {
	for _, names := range [][2]string{
		{"a&b", ""},
		{"a=b", ""},
		{"a;b", ""},
		{"a b", ""},
		{"a+b", ""},
		{"a%20", ""},
		{"ä", ""},
		{"tenant", "tenant"},
		{"", "tenant"},
		{"x", "#"},
		{strings.Repeat("x", 200), ""},
		{"a\x00", ""},
	} {
		if _, err := NewQuery(names[0], names[1], false); err == nil {
			t.Errorf("NewQuery(%q) is accepted", names)
		}
	}
}

// TestQueryRemove keeps the promise that only our parameters go, and that the others stay to the letter.
func TestQueryRemove(t *testing.T) {
	rt := newRouter(t, newWorld(), must(NewQuery("tenant", "env", true)))
	for query, want := range map[string]string{
		"":                                "",
		"x=1":                             "x=1",
		"tenant=acme":                     "",
		"tenant":                          "",
		"a=%41+b&tenant=acme&c=%2f&&d":    "a=%41+b&c=%2f&&d",
		"tenant=acme&b=2&a=1":             "b=2&a=1",
		"b=2&a=1&%74enant=acme&env=x":     "b=2&a=1",
		"tenant=a&tenant=a&tenants=x":     "tenants=x",
		"x=%zz&tenant=acme&y=1;z=2":       "x=%zz&y=1;z=2",
		"&tenant=acme&":                   "&",
		"x=tenant&y=tenant%3Dacme&Tenant": "x=tenant&y=tenant%3Dacme&Tenant",
	} {
		r := &http.Request{URL: &url.URL{Path: "/p", RawQuery: query}, RequestURI: "/p?" + query}
		rt.Rewrite(r, &Decision{})
		if r.URL.RawQuery != want {
			t.Errorf("%q becomes %q, want %q", query, r.URL.RawQuery, want)
		}
		if query != want && r.RequestURI != r.URL.RequestURI() {
			t.Errorf("%q leaves the request URI %q", query, r.RequestURI)
		}
	}
}

// FuzzQuery holds for any query: no panic; a name is only taken when net/url finds that name alone; what net/url finds
// is never overlooked; and after removal net/url finds no parameter of ours and all others as before.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"tenant=acme", "a=1&%74enant=acme&tenant=acme", "x;tenant=a", "tenant=%zz&tenant=b", "tenant=a+b", "&=&tenant"} {
		f.Add(s)
	}
	s := must(NewQuery("tenant", "", true))
	f.Fuzz(func(t *testing.T, query string) {
		r := &Request{HTTP: &http.Request{URL: &url.URL{RawQuery: query}}}
		y, err := s.Identify(r)
		values, _ := url.ParseQuery(query)
		if err == nil {
			for _, v := range values["tenant"] {
				if lowerASCII(v) != y.Reference.Key {
					t.Fatalf("%q yields %q, net/url finds %q", query, y.Reference.Key, v)
				}
			}
			if !y.empty() && len(values["tenant"]) == 0 {
				t.Fatalf("%q yields %q, net/url finds nothing", query, y.Reference.Key)
			}
		}
		s.(Rewriter).Rewrite(r.HTTP)
		left, _ := url.ParseQuery(r.HTTP.URL.RawQuery)
		delete(values, "tenant")
		if left.Encode() != values.Encode() {
			t.Fatalf("%q becomes %q", query, r.HTTP.URL.RawQuery)
		}
	})
}
