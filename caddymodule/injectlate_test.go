package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Promise: with inject late an upstream is told the same as without, once each, by every way that the documentation names:
// tenant_proxy and what it leaves to reverse_proxy, dynamic tenant with any transport and header operations, transport tenant.
// Nothing of what a client or an operator sends under those names gets through, and where no such way is taken there is none
// of them, and no address of the tenant's upstream either.
func TestInjectLate(t *testing.T) {
	plain, secure := newEcho(t, "plain"), httptest.NewTLSServer(echoHandler("secure"))
	defer secure.Close()
	ways := map[string]string{
		"own":     "tenant_proxy",
		"options": "tenant_proxy {\nheader_up X-More 1\n}",
		"dynamic": "reverse_proxy {\ndynamic tenant\nheader_up X-More 1\ntransport http {\ntls_insecure_skip_verify\n}\n}",
		"both":    "reverse_proxy {\ndynamic tenant\ntransport tenant {\ntls_insecure_skip_verify\n}\n}",
		"lean":    "reverse_proxy " + plain + " {\ntransport tenant\n}",
		"static":  "reverse_proxy " + plain,
		"named":   "reverse_proxy {tenant.upstream}",
	}
	// options of tenant, and the header that says who: globex is secure
	sites := map[string]string{
		"early": "inject database {\nX-Tenant-Plan X-Plan\n-X-Tenant-Name\n}",
		"late":  "inject database late {\nX-Tenant-Plan X-Plan\n-X-Tenant-Name\n}",
	}
	s := newServer(t)
	var site strings.Builder
	for when, options := range sites {
		fmt.Fprintf(&site, "handle_path /%s/* {\nroute {\ntenant {\nidentify subdomain {tenant}.app.test\n%s\n}\nrequest_header +X-Tenant-Slug operator\n", when, options)
		for name, proxy := range ways {
			fmt.Fprintf(&site, "handle_path /%s/* {\n%s\n}\n", name, proxy)
		}
		site.WriteString("}\n}\n")
	}
	s.mustLoad(s.fileRegistry(tenantsWith(t, map[string][]string{"plain": {plain}, "secure": {secure.URL}})), site.String())
	told := func(when, way, slug string, header http.Header) (int, []string) {
		res, body := s.do(s.request(http.MethodPost, slug+".app.test", "/"+when+"/"+way+"/", header))
		if res.StatusCode != http.StatusOK {
			return res.StatusCode, nil
		}
		var lines []string
		for name, values := range echoed(t, body).Header {
			if strings.HasPrefix(name, "X-Tenant") || strings.HasPrefix(name, "X-Environment") || name == "X-Plan" || strings.HasPrefix(name, "X-User") || strings.HasPrefix(name, "X_") {
				lines = append(lines, fmt.Sprintf("%s %q", name, values))
			}
		}
		slices.Sort(lines)
		return res.StatusCode, lines
	}
	spoofed := http.Header{
		"X-Tenant-Id": {"spoofed"}, "X-Plan": {"spoofed"}, "X_Tenant_Slug": {"spoofed"}, "X-Tenant-Other": {"spoofed"}, "X-User-Id": {"spoofed"},
		"Connection": {"X-Tenant-Id, X-Environment-Id"},
	}
	upgrade := spoofed.Clone()
	upgrade["Connection"], upgrade["Upgrade"] = []string{"Upgrade, X-Tenant-Id"}, []string{"foo"}
	for way := range ways {
		for _, slug := range []string{"plain", "secure"} {
			if slug == "secure" && way != "dynamic" && way != "both" {
				continue // the others trust no certificate of this test
			}
			for what, header := range map[string]http.Header{"plainly": nil, "spoofed": spoofed, "upgrade": upgrade} {
				t.Run(way+" "+slug+" "+what, func(t *testing.T) {
					_, want := told("early", way, slug, header)
					// What the operator adds is sent along early, and has no place late.
					for i := range want {
						want[i] = strings.Replace(want[i], ` "operator"`, "", 1)
					}
					status, got := told("late", way, slug, header)
					switch way {
					case "static":
						if status != http.StatusOK || slices.ContainsFunc(got, func(l string) bool { return l != `X-Tenant-Slug ["operator"]` }) {
							t.Errorf("%d %q", status, got)
						}
					case "named":
						if status == http.StatusOK {
							t.Errorf("{tenant.upstream} is told without the headers: %q", got)
						}
					default:
						if status != http.StatusOK || len(want) < 6 || !slices.Equal(got, want) {
							t.Errorf("%d\nlate  %q\nearly %q", status, got, want)
						}
					}
				})
			}
		}
	}
}

// Promise: a header that has the waiting headers is not touched again, since an attempt before may still be read; one that was
// made anew, even as its copy, gets them.
func TestInjectLateOnce(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{Inject: &Inject{Late: true}}, &Subdomain{Patterns: []string{"{tenant}.app.example.com"}})
	_, r := serve(t, h, http.MethodGet, "http://acme.app.example.com/", http.Header{"X-A": {"1"}})
	if len(r.Header) != 1 {
		t.Fatalf("early: %v", r.Header)
	}
	injectLate(r)
	if len(r.Header) != 1+defaultFacts || r.Header.Get("X-Tenant-Slug") != "acme" {
		t.Fatal(r.Header)
	}
	first := &r.Header["X-Tenant-Slug"][0]
	injectLate(r)
	if &r.Header["X-Tenant-Slug"][0] != first {
		t.Error("the header was set again")
	}
	again := r.Clone(r.Context())
	again.Header.Set("X-Tenant-Slug", "other")
	injectLate(again)
	if again.Header.Get("X-Tenant-Slug") != "acme" {
		t.Error("a copy was taken for the one that has them")
	}
}
