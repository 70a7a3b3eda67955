package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"
)

// TestTenantKeys keeps the promises of the answer: type, lifetime, entity tag, and the methods that there are.
func TestTenantKeys(t *testing.T) {
	app := testApp(t)
	app.Context = &Context{KeyFiles: []string{filepath.Join(t.TempDir(), "a.pem")}}
	if err := os.WriteFile(app.Context.KeyFiles[0], []byte(contextPEM(t, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.releaseSigner() })
	k := new(TenantKeys)
	if err := k.provision(app); err != nil {
		t.Fatal(err)
	}
	ask := func(method string, header http.Header) (*response, error) {
		w, r := testRequest(method, "http://any.test/", header)
		err := k.ServeHTTP(w, r, nil)
		return &response{w.Code, w.Header(), w.Body.String()}, err
	}
	res, err := ask(http.MethodGet, nil)
	if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/jwk-set+json" ||
		res.Header.Get("Cache-Control") != "public, max-age=300" || !strings.Contains(res.Body, contextID(t, 1)) || strings.Contains(res.Body, `"d"`) {
		t.Errorf("%v, %v", res, err)
	}
	tag := res.Header.Get("ETag")
	if res, err := ask(http.MethodHead, nil); err != nil || res.StatusCode != 200 || res.Body != "" || res.Header.Get("ETag") != tag {
		t.Errorf("HEAD: %v, %v", res, err)
	}
	for list, status := range map[string]int{
		tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200, strings.Trim(tag, `"`): 200,
	} {
		if res, err := ask(http.MethodGet, http.Header{"If-None-Match": {list}}); err != nil || res.StatusCode != status ||
			(res.Body == "") != (status == 304) || res.Header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %v, %v", list, res, err)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodOptions} {
		res, err := ask(method, nil)
		var refused caddyhttp.HandlerError
		if !errors.As(err, &refused) || refused.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %v, %v", method, res, err)
		}
	}
}

// TestContextSecret keeps the promises of HS256: the shared secret checks the token, it is nowhere to be seen, and there
// are no keys to publish, which is an error.
func TestContextSecret(t *testing.T) {
	const secret = "a secret of 32 bytes, hunter2 or so"
	t.Setenv("CONTEXT_SECRET", secret)
	s := newServer(t)
	tenants := s.acmeAndGlobex() + "\ncontext {\nsecret {env.CONTEXT_SECRET}\n}"
	site := "tenant {\nidentify subdomain {tenant}.app.test\ninject context\n}\nreverse_proxy " + newEcho(t, "up") + "\n"
	s.mustLoad(tenants, site)
	_, body := s.get("acme.app.test", "/")
	if _, err := jwt.Parse(echoed(t, body).Header.Get("X-Tenant-Context"), func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{"HS256"})); err != nil {
		t.Error(err)
	}
	if err := s.load(tenants, site+"tenant_keys /keys\n"); err == nil || !strings.Contains(err.Error(), "no public key to publish") {
		t.Errorf("%v", err)
	}
	for text, value := range map[string]string{"unset": "", "too short": "hunter2"} {
		t.Setenv("CONTEXT_SECRET", value)
		if err := s.load(tenants, site); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if lines := s.logged("hunter2"); len(lines) != 0 {
		t.Errorf("the log shows the secret: %q", lines)
	}
	c := Context{Secret: secret}
	if text := fmt.Sprintf("%v %+v %#v %s", c, &c, c, struct{ C *Context }{&c}.C); strings.Contains(text, "hunter2") {
		t.Errorf("printed: %s", text)
	}
}
