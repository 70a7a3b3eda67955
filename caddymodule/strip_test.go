package caddymodule

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestStrip keeps the promise that nothing which only the gateway may say reaches what stands behind it, in whatever
// spelling a client writes it, and that everything else does.
func TestStrip(t *testing.T) {
	spoofed := []string{
		"X-Tenant-Id", "x-tenant-id", "X-TENANT-ID", "X_Tenant_Id", "X_tenant-id", "X.Tenant.Id", "X-Tenant.Id",
		"X-Tenant-Slug", "X-Tenant-Name", "X-Tenant-Plan", "X-Tenant-Isolation", "X-Tenant-Database", "X_TENANT_SCHEMA",
		"X-Tenant-Context", "X-Tenant-Whatever-Comes", "X_Tenant_Whatever",
		"X-Environment-Id", "x_environment_id", "X-Environment-Slug", "X-Environment-Type", "X.Environment.Region",
		"X-Environment-Other", "X-User-Id", "X_User_Id", "x-user.id", "X-User-Role", "X_USER_ROLE",
		"X!Tenant!Id", "X~Tenant-Id", "X-Tenant+Slug", "x|environment|id", "X`User*Id", "X^Org'Id", "X#User$Role", "X%User&Id",
		"X-Org-Id", "x_org_id", // a new name for X-Tenant-ID, see below
	}
	harmless := []string{
		"X-Tenant", "X-Tenants-Id", "X-Tenant-", "X-TenantId", "X-Environment", "X-Environmental-Id", "X-User-Ids",
		"X-User-Agent", "X-Org-Ids", "X-Forwarded-For", "Tenant-Id", "Accept", "Authorization",
	}
	h := testHandler(t, testApp(t, acme()), &Handler{
		Exempt: []string{"/healthz"},
		Inject: &Inject{Headers: map[string]string{"X-Tenant-ID": "X-Org-ID"}},
	}, &Subdomain{Patterns: []string{"{tenant}.app.test"}})
	for _, path := range []string{"/", "/healthz"} {
		for _, name := range spoofed {
			_, r := serve(t, h, http.MethodGet, "http://acme.app.test"+path, http.Header{name: {"spoofed"}})
			for key, values := range r.Header {
				if slices.Contains(values, "spoofed") {
					t.Errorf("%s: %s passed as %s", path, name, key)
				}
			}
		}
		for _, name := range harmless {
			_, r := serve(t, h, http.MethodGet, "http://acme.app.test"+path, http.Header{name: {"kept"}})
			if !slices.Contains(r.Header[name], "kept") {
				t.Errorf("%s: %s was removed", path, name)
			}
		}
	}
}

// TestStripOnRefusal keeps the promise that a route of handle_errors sees no spoofed header either.
func TestStripOnRefusal(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{Errors: errorsPass}, &Subdomain{Patterns: []string{"{tenant}.app.test"}})
	w, r := testRequest(http.MethodGet, "http://unknown.app.test/", http.Header{"X-Tenant-Id": {"spoofed"}})
	if err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(nil)); err == nil {
		t.Fatal("not refused")
	}
	if got := r.Header.Get("X-Tenant-ID"); got != "" {
		t.Errorf("X-Tenant-ID is %q", got)
	}
}

// TestHeaderSourceReadsFirst keeps the promise that a header source sees its header before it is stripped, and that
// what goes upstream is what the gateway says.
func TestHeaderSourceReadsFirst(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{}, &Header{})
	_, r := serve(t, h, http.MethodGet, "http://any.test/", http.Header{"X-Tenant-Id": {"acme"}})
	if got := r.Header["X-Tenant-Id"]; len(got) != 1 || got[0] != acmeID.String() {
		t.Errorf("X-Tenant-ID is %q", got)
	}
}

// TestStripConnection keeps the promise that a client cannot make the proxy drop the gateway's headers by naming them
// in Connection.
func TestStripConnection(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{}, &Subdomain{Patterns: []string{"{tenant}.app.test"}})
	for _, tt := range []struct{ values, want []string }{
		{[]string{"X-Tenant-ID"}, nil},
		{[]string{"x_tenant_id, X-Environment-Slug"}, nil},
		{[]string{"keep-alive, X-Tenant-Id"}, []string{"keep-alive"}},
		{[]string{"Upgrade", "close, x-user-id ,X-Other"}, []string{"Upgrade, close, X-Other"}},
		{[]string{"keep-alive"}, []string{"keep-alive"}},
		{[]string{"Upgrade, X-Other"}, []string{"Upgrade, X-Other"}},
	} {
		_, r := serve(t, h, http.MethodGet, "http://acme.app.test/", http.Header{"Connection": tt.values})
		if got := r.Header["Connection"]; !slices.Equal(got, tt.want) {
			t.Errorf("Connection %q became %q, not %q", tt.values, got, tt.want)
		}
	}
}

// lateTrailer is a body that makes trailers known when it ends, as net/http does.
type lateTrailer struct {
	io.Reader
	trailer http.Header
}

func (b *lateTrailer) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.trailer["X-Tenant-Id"] = []string{"announced"}
		b.trailer["X_user_id"] = []string{"not announced"}
		b.trailer["X-Checksum"] = []string{"abc"}
	}
	return n, err
}

func (*lateTrailer) Close() error { return nil }

// TestStripTrailer keeps the promise that spoofed names pass neither as announced trailers nor as those that come.
func TestStripTrailer(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{}, &Subdomain{Patterns: []string{"{tenant}.app.test"}})
	w, r := testRequest(http.MethodPost, "http://acme.app.test/", nil)
	r.Trailer = http.Header{"X-Tenant-Id": nil, "X-Checksum": nil}
	r.Body = &lateTrailer{bytes.NewReader([]byte("body")), r.Trailer}
	err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		if _, ok := r.Trailer["X-Tenant-Id"]; ok || len(r.Trailer) != 1 {
			t.Errorf("announced: %v", r.Trailer)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "body" {
			t.Errorf("body: %q, %v", body, err)
		}
		if len(r.Trailer) != 1 || r.Trailer.Get("X-Checksum") != "abc" {
			t.Errorf("trailers: %v", r.Trailer)
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzOwned holds the rule of spelling against a plain formulation of it.
func FuzzOwned(f *testing.F) {
	owned := newOwnedHeaders(nil)
	for _, name := range factNames {
		f.Add(name)
	}
	f.Add("")
	f.Add("x_tenant.")
	f.Fuzz(func(t *testing.T, name string) {
		plain := strings.NewReplacer("_", "-", ".", "-").Replace(asciiLower(name))
		want := len(plain) > len("x-tenant-") && strings.HasPrefix(plain, "x-tenant-") ||
			len(plain) > len("x-environment-") && strings.HasPrefix(plain, "x-environment-") ||
			plain == "x-user-id" || plain == "x-user-role"
		if got := owned.contains(name); got != want {
			t.Errorf("contains(%q) is %v", name, got)
		}
	})
}

// asciiLower lowers A to Z only: header names are ASCII, and other letters stay what they are.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// TestStripUpgrade keeps the promise that no client has an upstream switch to a protocol in which it could send requests
// past the gateway, and that other upgrades, WebSockets first of all, stay.
func TestStripUpgrade(t *testing.T) {
	h := testHandler(t, testApp(t, acme()), &Handler{Exempt: []string{"/healthz"}}, &Subdomain{Patterns: []string{"{tenant}.app.test"}})
	for _, path := range []string{"/", "/healthz"} {
		for _, tt := range []struct {
			upgrade []string
			kept    bool
		}{
			{[]string{"h2c"}, false},
			{[]string{"H2C"}, false},
			{[]string{"h2c-14"}, false},
			{[]string{"HTTP/2.0"}, false},
			{[]string{"TLS/1.0"}, false},
			{[]string{"SPDY/3.1"}, false},
			{[]string{"websocket, h2c"}, false},
			{[]string{"websocket,\th2c"}, false},
			{[]string{"websocket", " h2c"}, false},
			{[]string{"websocket"}, true},
			{[]string{"WebSocket"}, true},
			{[]string{"echo"}, true},
		} {
			_, r := serve(t, h, http.MethodGet, "http://acme.app.test"+path, http.Header{
				"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": tt.upgrade, "Http2-Settings": {"AAMAAABkAARAAAAAAAIAAAAA"},
			})
			if got := r.Header["Upgrade"]; tt.kept != slices.Equal(got, tt.upgrade) || !tt.kept && got != nil {
				t.Errorf("%s: Upgrade %q is %q", path, tt.upgrade, got)
			}
			if _, settings := r.Header["Http2-Settings"]; settings && !tt.kept {
				t.Errorf("%s: Upgrade %q: HTTP2-Settings stayed", path, tt.upgrade)
			}
		}
	}
}
